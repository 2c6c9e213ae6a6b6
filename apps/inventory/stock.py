"""Reading what is there now, in one query however many pairs are asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import connection

PAIRS_MAX = 500
"""No more pairs are read at once."""


@dataclass(frozen=True, slots=True)
class Stock:
    """A product at a place as of now. Without `product_id` or `location_id` the tenant has no such thing."""

    product_id: int | None
    location_id: int | None
    sku: str
    store: str
    product: UUID
    location: UUID
    on_hand: int
    reserved: int
    available: int
    version: int
    updated_at: datetime | None


def read(tenant_id: int, pairs: Sequence[Mapping[str, str]]) -> list[Stock]:
    """Return the stock of each pair, in the order asked.

    A pair names its product by `sku` or `product` (its id for programs), its place by `store` (code) or `location`.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM inventory_stock(%s, %s)", [tenant_id, msgspec.json.encode(pairs).decode()])
        return [Stock(*row) for row in cursor.fetchall()]
