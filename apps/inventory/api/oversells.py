"""Oversells: balances with fewer units than are promised, while it lasts and afterwards."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from django.http import HttpRequest

from apps.common import sql_pages
from apps.common.sql_pages import Page
from apps.inventory.api.calls import problems
from apps.inventory.api.lists import NAMES, PlaceQuery, RowId, Where
from apps.tenants.endpoint import endpoint
from apps.tenants.identity import Caller

COLUMNS = """
page.id, p.sku, l.code, page.units_short,
CASE WHEN page.closed_at IS NULL THEN (
    SELECT greatest(b.quantity_reserved - b.quantity_on_hand, 0) FROM inventory_balances AS b
     WHERE b.tenant_id = page.tenant_id AND b.product_id = page.product_id AND b.location_id = page.location_id)
     ELSE 0 END,
page.opened_at, page.opened_version, page.closed_at, page.closed_version
"""


class Oversell(msgspec.Struct, rename="camel"):
    """A SKU at a store had fewer units than were promised: `unitsShort` at worst, `unitsShortNow` still.

    The versions name the movements that began and ended it.
    """

    oversell_id: int
    sku: str
    store_id: str
    units_short: int
    units_short_now: int
    opened_at: datetime
    opened_version: int
    closed_at: datetime | None
    closed_version: int | None


class OversellsQuery(PlaceQuery, kw_only=True):
    """Which oversells."""

    open: (
        Annotated[bool, msgspec.Meta(description="true: only those that still are; false: only those that ended.")]
        | None
    ) = None


@endpoint(
    method="GET",
    scope="stock:read",
    query=OversellsQuery,
    answer=Page[Oversell],
    problems=(("invalid_cursor", 400), *problems("unknown_sku", "unknown_store")),
    tags=("Stock",),
    example=Page(
        [Oversell(7, "SKU-001", "S1", 3, 3, datetime(2026, 11, 22, 14, 32, 10, tzinfo=UTC), 17, None, None)], None, None
    ),
)
def list_oversells(request: HttpRequest, caller: Caller, query: OversellsQuery) -> Page[Oversell]:
    """Oversells, the newest first; `open=true` for what waits for somebody to act."""
    where = Where.of(caller)
    where.add_place(caller, query)
    scope = "tenant_id = %(tenant)s"
    if query.open:
        scope += " AND closed_at IS NULL"
    elif query.open is False:
        where.add("closed_at IS NOT NULL")
    rows = sql_pages.Rows(
        columns=COLUMNS,
        table="inventory_oversells",
        keys=("id",),
        key_types=tuple[RowId],
        scope=scope,
        filters=where.conditions,
        params=where.params,
        joins=NAMES,
        is_small=query.open is True,  # at most one a balance
    )
    return sql_pages.read(request, query, rows, Oversell)
