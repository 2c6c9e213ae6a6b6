from django.urls import path

from apps.inventory.api import by_id, by_sku

urlpatterns = [
    path("stores/<str:store_id>/stock/<str:sku>", by_sku.get_stock, name="stock"),
    path("stock/reserve", by_sku.reserve),
    path("stock/confirm", by_sku.confirm),
    path("stock/confirm/<uuid:reservation_id>", by_sku.confirm_by_address),
    path("stock/cancel", by_sku.cancel),
    path("stock/cancel/<uuid:reservation_id>", by_sku.cancel_by_address),
    path("stock/restock", by_sku.restock),
    path("stock/available", by_sku.available_many),
    path("reserve", by_id.reserve),
    path("confirm", by_id.confirm),
    path("release", by_id.release),
    path("adjust", by_id.adjust),
    path("available", by_id.available),
]
