"""The ledger's addresses.

SKUs and store codes are the companies' own and may hold slashes. They come percent-encoded (`%2F`), but Django decodes
an address before it looks for its view, so a name may span what looks like several steps. What is fixed around it says
where it ends: of `stores/A/stock/B/stock/C/at` the store is `A` and the SKU `B/stock/C`. The addresses with something
fixed at the end stand first: a SKU that itself ends in `/movements` or `/at` has its movements and its past there, and
its stock with `POST /v1/stock/available`, as has a store with `/stock` in its code.
"""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from apps.inventory.api import batches, by_id, by_sku, history, oversells, reservations, transfers
from apps.tenants.endpoint import by_method


class StoreConverter(StringConverter):
    """A store's code, up to the first `/stock/`."""

    regex = r"(?s:.+?)"


class SkuConverter(StringConverter):
    """A SKU, up to the last thing that is fixed."""

    regex = r"(?s:.+)"


register_converter(StoreConverter, "store")
register_converter(SkuConverter, "sku")

urlpatterns = [
    path("stores/<store:store_id>/stock/<sku:sku>/movements", history.list_balance_movements),
    path("stores/<store:store_id>/stock/<sku:sku>/at", history.get_stock_at),
    path("stores/<store:store_id>/stock/<sku:sku>", by_sku.get_stock, name="stock"),
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
    path("stock/movements", history.list_movements),
    path("reservations", by_method(reservations.list_reservations, reservations.reserve_basket)),
    path("reservations/<uuid:reservation_id>", reservations.get_reservation),
    path("batches", batches.list_batches),
    path("batches/<uuid:batch_id>/block", batches.block_batch),
    path("batches/<uuid:batch_id>/unblock", batches.unblock_batch),
    path("batches/<uuid:batch_id>/holders", batches.list_batch_holders),
    path("transfers", by_method(transfers.list_transfers, transfers.send_transfer)),
    path("transfers/in-transit", transfers.list_in_transit),
    path("transfers/<str:code>/receive", transfers.receive_transfer),
    path("transfers/<str:code>/close", transfers.close_transfer),
    path("oversells", oversells.list_oversells),
]
