"""What happened to stock, and what it was: movements of one balance, movements of all, a balance at any moment."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common import sql_pages
from apps.common.pages import PageQuery
from apps.common.problems import validation_failed
from apps.common.sql_pages import Page
from apps.inventory import history
from apps.inventory.api.calls import EXAMPLE_ID, problems, stock_of
from apps.inventory.api.lists import NAMES, PlaceQuery, RowId, Where
from apps.tenants.endpoint import endpoint
from apps.tenants.identity import Caller

COLUMNS = """
page.id, p.sku, l.code, page.kind, page.on_hand_delta, page.reserved_delta, page.blocked_delta, page.on_hand_after,
page.reserved_after, page.blocked_after, page.version, page.batch_id, page.reservation_id, page.reverses_id,
page.unit_cost::text, page.reason, page.reference_type, page.reference_id, page.reference_line, page.actor, page.source,
page.source_key, page.trace_id, page.occurred_at, page.recorded_at
"""
SETTLED = "transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
"""Below this line nothing can be added any more, so a list in commit order misses nothing (feed.py)."""

# fmt: off
Kind = Literal[
    "RECEIPT", "SALE", "RETURN", "LOSS", "ADJUSTMENT", "COUNT", "COUNT_ABSORB", "TRANSFER_OUT", "TRANSFER_IN",
    "RESERVE", "CONFIRM", "RELEASE", "EXPIRE", "BLOCK", "UNBLOCK",
]
# fmt: on
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Movement(msgspec.Struct, rename="camel"):
    """One change of a balance: what changed, the numbers after it, why, and both of its times."""

    movement_id: int
    sku: str
    store_id: str
    kind: Kind
    on_hand_delta: int
    reserved_delta: int
    blocked_delta: int
    on_hand: int
    reserved: int
    blocked: int
    version: int
    batch_id: UUID | None
    reservation_id: UUID | None
    reverses_movement_id: int | None
    unit_cost: str | None
    reason: str
    reference_type: str
    reference_id: str
    reference_line: str
    actor: str
    source: str
    source_key: str
    trace_id: UUID
    occurred_at: datetime
    recorded_at: datetime


class BalanceMovementsQuery(PageQuery, rename="camel", kw_only=True):
    """Which movements of a SKU at a store."""

    kind: Annotated[Kind, msgspec.Meta(description="Only of this kind.")] | None = None
    batch_id: Annotated[UUID, msgspec.Meta(description="Only of this batch.")] | None = None


class MovementsQuery(PlaceQuery, kw_only=True):
    """Which movements."""

    kind: Annotated[Kind, msgspec.Meta(description="Only of this kind.")] | None = None
    reference_type: Annotated[Reference, msgspec.Meta(description="Only for such a document.")] | None = None
    reference_id: Annotated[Reference, msgspec.Meta(description="Only for this document.")] | None = None


class AtQuery(msgspec.Struct, rename="camel"):
    """One of two moments: as of when, or as the hub said when."""

    moment: (
        Annotated[datetime, msgspec.Meta(tz=True, description="As of this moment, by all that is known now.")] | None
    ) = None
    known_at: Annotated[datetime, msgspec.Meta(tz=True, description="As the hub said at this moment.")] | None = None


class StockAtAnswer(msgspec.Struct, rename="camel"):
    """The stock of a SKU at a store at the moment asked. `version` is of the last movement the hub knew then."""

    sku: str
    store_id: str
    on_hand: int
    reserved: int
    blocked: int
    available: int
    moment: datetime | None
    known_at: datetime | None
    version: int | None


TIME = datetime(2026, 11, 22, 14, 32, 10, tzinfo=UTC)
EXAMPLE = Movement(
    *(4127, "SKU-001", "S1", "SALE", -2, 0, 0, 38, 5, 0, 17, None, None, None, "12.5000", "sale"),
    *("receipt", "S1-3-20981", "1", "key:saldo_ab12cd34", "pos", "S1-3-20981-1", UUID(EXAMPLE_ID), TIME, TIME),
)


@endpoint(
    method="GET",
    scope="movements:read",
    query=BalanceMovementsQuery,
    answer=Page[Movement],
    problems=(("invalid_cursor", 400), *problems("unknown_sku", "unknown_store")),
    tags=("Movements",),
    example=Page([EXAMPLE], None, None),
)
def list_balance_movements(
    request: HttpRequest, caller: Caller, query: BalanceMovementsQuery, store_id: str, sku: str
) -> Page[Movement]:
    """Movements of a SKU at a store, the last recorded first: they explain the number."""
    place = stock_of(caller, sku=sku, store=store_id)
    where = Where.of(caller)
    where.add("kind = %(kind)s", kind=query.kind)
    where.add("batch_id = %(batch)s", batch=query.batch_id)
    rows = sql_pages.Rows(
        columns=COLUMNS,
        table="inventory_ledger",
        keys=("recorded_at", "version"),
        key_types=tuple[datetime, RowId],
        scope="tenant_id = %(tenant)s AND product_id = %(product)s AND location_id = %(location)s",
        filters=where.conditions,
        params={**where.params, "product": place.product_id, "location": place.location_id},
        joins=NAMES,
    )
    return sql_pages.read(request, query, rows, Movement)


@endpoint(
    method="GET",
    scope="movements:read",
    query=MovementsQuery,
    answer=Page[Movement],
    problems=(("invalid_cursor", 400), *problems("unknown_sku", "unknown_store")),
    tags=("Movements",),
    example=Page([EXAMPLE], None, None),
)
def list_movements(request: HttpRequest, caller: Caller, query: MovementsQuery) -> Page[Movement]:
    """Movements of all SKUs and stores in the order in which they became final, the last first.

    Follow `prev` to learn of new ones: it misses none, however slowly one was written. A movement shows once nothing
    older can come any more, normally at once. Name `referenceType` and `referenceId` together for all movements of a
    document. A page may hold fewer than `limit`, even none: only `next` of null is the end.
    """
    where = Where.of(caller)
    where.add_place(caller, query)
    where.add("kind = %(kind)s", kind=query.kind)
    where.add("reference_type = %(reference_type)s", reference_type=query.reference_type)
    where.add("reference_id = %(reference_id)s", reference_id=query.reference_id)
    is_of_document = query.reference_type is not None and query.reference_id is not None
    scope = f"tenant_id = %(tenant)s AND {SETTLED}"
    if is_of_document:
        scope += " AND reference_type = %(reference_type)s AND reference_id = %(reference_id)s AND reference_type <> ''"
    rows = sql_pages.Rows(
        columns=COLUMNS,
        table="inventory_ledger",
        keys=("transaction_id", "id"),
        key_types=tuple[RowId, RowId],
        scope=scope,
        filters=where.conditions,
        params=where.params,
        joins=NAMES,
        is_small=is_of_document,
    )
    return sql_pages.read(request, query, rows, Movement)


@endpoint(
    method="GET",
    scope="stock:read",
    query=AtQuery,
    answer=StockAtAnswer,
    problems=problems("unknown_sku", "unknown_store"),
    tags=("Stock",),
    example=StockAtAnswer("SKU-001", "S1", 40, 5, 0, 35, TIME, None, None),
)
def get_stock_at(request: HttpRequest, caller: Caller, query: AtQuery, store_id: str, sku: str) -> StockAtAnswer:
    """Stock of a SKU at a store at any moment.

    Name one of two: `moment` adds up all that had happened by then as far as it is known now, what was told late
    included; `knownAt` is what the hub said then.
    """
    place = stock_of(caller, sku=sku, store=store_id)
    balance = caller.tenant_id, place.product_id or 0, place.location_id or 0
    if query.moment is not None and query.known_at is None:
        found = history.balance_at(*balance, query.moment)
    elif query.known_at is not None and query.moment is None:
        found = history.known_at(*balance, query.known_at)
    else:
        detail = _("Name either `moment` or `knownAt`.")
        raise validation_failed([{"parameter": "moment", "detail": detail, "code": "one_of_two"}])
    return StockAtAnswer(
        *(place.sku, place.store, found.on_hand, found.reserved, found.blocked, found.available),
        *(query.moment, query.known_at, found.version),
    )
