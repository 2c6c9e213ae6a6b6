from django.urls import path

from apps.inventory import api

urlpatterns = [
    path("stores/<str:store_id>/stock/<str:sku>", api.stock, name="stock"),
]
