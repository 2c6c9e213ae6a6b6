"""Which product and which places an event names: the one rule, for what arrives and for what waits."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection

from apps.inventory.models import Product
from apps.sources.models import MovementType
from apps.tenants.models import Tenant

UNKNOWN_SKU = "unknown_sku"
UNKNOWN_LOCATION = "unknown_location"


class Named(NamedTuple):
    """What an event calls its product and places. `other_location`: a transfer's other end; empty when there is none.

    An empty text is not told.
    """

    sku: str
    gtin: str
    location: str
    other_location: str


@dataclass(frozen=True, slots=True)
class Found:
    """The product and places behind the names; None where there is none yet.

    `missing`: UNKNOWN_SKU, UNKNOWN_LOCATION or an empty text, the code under which the event waits.
    """

    product_id: int | None
    location_id: int | None
    other_location_id: int | None
    missing: str


def named(
    movement_type: str, sku: str, gtin: str, location: str, to_location: str | None, from_location: str | None
) -> Named:
    """Return what an event names. Of the other places only the one that its movement type uses counts."""
    other = ""
    if movement_type == MovementType.TRANSFER_IN:
        other = from_location or ""
    elif movement_type in {MovementType.TRANSFER, MovementType.TRANSFER_OUT}:
        other = to_location or ""
    return Named(sku, gtin, location, other)


def find(tenant: Tenant, names: Iterable[Named]) -> dict[Named, Found]:
    """Return what is behind each of the names among the tenant's products and locations, all in one query each.

    A product is found by its SKU, or else by its GTIN when exactly one product carries it.
    """
    asked = set(names)
    by_sku = _ids(PRODUCTS_BY_SKU, tenant, {name.sku for name in asked})
    by_gtin = _by_gtin(tenant, {name.gtin for name in asked if name.gtin and name.sku not in by_sku})
    places = _ids(LOCATIONS_BY_CODE, tenant, {code for name in asked for code in (name.location, name.other_location)})
    return {name: _found(name, by_sku.get(name.sku) or by_gtin.get(name.gtin), places) for name in asked}


def _found(name: Named, product_id: int | None, places: dict[str, int]) -> Found:
    here, there = places.get(name.location), places.get(name.other_location)
    missing = ""
    if product_id is None:
        missing = UNKNOWN_SKU
    elif here is None or (name.other_location and there is None):
        missing = UNKNOWN_LOCATION
    return Found(product_id, here, there, missing)


PRODUCTS_BY_SKU = "SELECT sku, id FROM inventory_products WHERE tenant_id = %s AND sku = ANY(%s)"
LOCATIONS_BY_CODE = "SELECT code, id FROM inventory_locations WHERE tenant_id = %s AND code = ANY(%s)"


def _ids(query: str, tenant: Tenant, names: set[str]) -> dict[str, int]:
    """Return the ids by name. Plain SQL: the ORM takes longer to write an IN of 500 names than PostgreSQL to answer."""
    with connection.cursor() as cursor:
        cursor.execute(query, [tenant.pk, sorted(names - {""})])
        return dict(cursor.fetchall())


def _by_gtin(tenant: Tenant, gtins: set[str]) -> dict[str, int]:
    """Return the product of each GTIN that exactly one product carries."""
    carried: dict[str, list[int]] = {}
    if gtins:
        for gtin, product_id in Product.objects.filter(tenant=tenant, gtin__in=gtins).values_list("gtin", "id"):
            carried.setdefault(gtin, []).append(product_id)
    return {gtin: product_ids[0] for gtin, product_ids in carried.items() if len(product_ids) == 1}
