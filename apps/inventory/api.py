"""Stock over HTTP (requirement 004)."""

import msgspec
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common.problems import Problem
from apps.inventory.models import Balance, Location, Product
from apps.tenants.endpoint import Reply, endpoint
from apps.tenants.identity import Caller


class StockAnswer(msgspec.Struct, rename="camel"):
    """The one true number of a SKU at a store."""

    sku: str
    store_id: str
    on_hand: int
    reserved: int
    available: int
    version: int


@endpoint(
    method="GET",
    scope="stock:read",
    answer=StockAnswer,
    problems=(("unknown_store", 404), ("unknown_sku", 404)),
    answer_headers=("ETag",),
    tags=("Stock",),
    example=StockAnswer(sku="SKU-001", store_id="S1", on_hand=10, reserved=2, available=8, version=3),
)
def stock(request: HttpRequest, caller: Caller, store_id: str, sku: str) -> Reply:
    """Stock of a SKU at a store.

    `storeId` is the location's code. The ETag is the balance's version: it changes with every movement. A product that
    never was at the store has zeros.
    """
    location = Location.objects.filter(tenant=caller.tenant_id, code=store_id).first()
    if location is None:
        raise Problem(404, "unknown_store", _("There is no store “%s”.") % store_id)
    product = Product.objects.filter(tenant=caller.tenant_id, sku=sku).first()
    if product is None:
        raise Problem(404, "unknown_sku", _("There is no product with the SKU “%s”.") % sku)
    balance = Balance.objects.filter(tenant=caller.tenant_id, product=product, location=location).first() or Balance()
    answer = StockAnswer(
        sku=product.sku,
        store_id=location.code,
        on_hand=balance.on_hand,
        reserved=balance.reserved,
        available=balance.on_hand - balance.reserved,
        version=balance.version,
    )
    return Reply(answer, headers={"ETag": f'"v{balance.version}"'})
