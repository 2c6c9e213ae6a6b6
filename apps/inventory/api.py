"""Stock over HTTP (requirement 004)."""

from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.problems import Problem
from apps.inventory.models import Balance, Location, Product
from apps.tenants.authentication import tenant_of_key


class StockApi(APIView):
    """`GET /v1/stores/{storeId}/stock/{sku}`: the one true number of a SKU at a store.

    `storeId` is the location's code. The ETag is the balance's version: it changes with every movement.
    """

    required_scope = "stock:read"

    def get(self, request: Request, store_id: str, sku: str) -> Response:
        """Answer on hand, reserved, available and version; zeros for a product that never was there."""
        tenant = tenant_of_key(request)
        location = Location.objects.filter(tenant=tenant, code=store_id).first()
        if location is None:
            raise Problem(404, "unknown_store", _("There is no store “%s”.") % store_id)
        product = Product.objects.filter(tenant=tenant, sku=sku).first()
        if product is None:
            raise Problem(404, "unknown_sku", _("There is no product with the SKU “%s”.") % sku)
        balance = Balance.objects.filter(tenant=tenant, product=product, location=location).first() or Balance()
        body = {
            "sku": product.sku,
            "storeId": location.code,
            "onHand": balance.on_hand,
            "reserved": balance.reserved,
            "available": balance.on_hand - balance.reserved,
            "version": balance.version,
        }
        return Response(body, headers={"ETag": f'"v{balance.version}"'})
