from django.urls import path

from apps.sync import api

urlpatterns = [
    path("listings/<int:listing_id>/why", api.explain_listing, name="why"),
    path("products/<uuid:product_id>/syncs", api.list_product_syncs, name="product-syncs"),
]

#: Under `api/integrations/`: the address that requirement 000 names.
integrations = [
    path("mercadolivre/sync-stock/<path:product_id>", api.sync_stock, name="sync-stock"),
]
