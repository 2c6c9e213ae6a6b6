"""The documents behind movements and reservations: an order of this tenant is named by its number and linked."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from apps.inventory.models import Movement, Reservation
from apps.orders.intake import REFERENCE_TYPE
from apps.orders.models import Order
from apps.tenants import access


def orders_named(request: HttpRequest, rows: Iterable[Movement | Reservation]) -> dict[Any, Order]:
    """Return, per row id, the order that the row names as its document; one query for all of them."""
    about = {
        row.pk: int(row.reference_id)
        for row in rows
        if row.reference_type == REFERENCE_TYPE and row.reference_id.isdecimal()
    }
    found = access.owned(request, Order.objects.filter(pk__in=set(about.values()))).in_bulk() if about else {}
    return {pk: found[order_id] for pk, order_id in about.items() if order_id in found}
