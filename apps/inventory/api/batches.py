"""Batches: which there are, taking one off sale and putting it back, and who has units of one (a recall)."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.db import connection
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common import sql_pages
from apps.common.pages import PageQuery
from apps.common.problems import Problem
from apps.common.sql_pages import Page
from apps.inventory import ledger
from apps.inventory.api.calls import EXAMPLE_ID, cause_of, problems, refused
from apps.inventory.api.lists import NAMES, PlaceQuery, Where
from apps.inventory.api.reservations import STATUS_NOW
from apps.inventory.models import Batch as BatchRow
from apps.inventory.refusals import LedgerError
from apps.tenants.endpoint import endpoint
from apps.tenants.identity import Caller

NEVER = "'9999-12-31 00:00:00+00'::timestamptz"
EXPIRY = f"coalesce(expiry_date, {NEVER})"
"""What batches are ordered by; one without a date comes last. As the index batch_by_expiry has it."""

BATCH_STATUS_NOW = (
    "CASE WHEN {0}.status = 'ACTIVE' AND {0}.expiry_date <= clock_timestamp() THEN 'EXPIRED' ELSE {0}.status END"
)
COLUMNS = f"""
page.id, page.batch_number, p.sku, l.code, {BATCH_STATUS_NOW.format("page")}, page.quantity, page.reserved,
page.expiry_date, page.created_at
"""
ONE = f"SELECT {COLUMNS} FROM inventory_batches AS page {NAMES} WHERE page.id = %s AND page.tenant_id = %s"  # noqa: S608

# Of a reservation that was confirmed in part, its batches went in the order of their dates (sql/holds.sql).
HOLDER_COLUMNS = f"""
r.id, {STATUS_NOW.format("r")}, page.quantity,
CASE WHEN r.status = 'CONFIRMED'
     THEN least(page.quantity, greatest(0, r.confirmed_quantity - earlier.units))::integer ELSE 0 END,
r.requester_id, r.reference_type, r.reference_id, r.created_at
"""
HOLDERS = f"""
JOIN inventory_reservations AS r ON r.id = page.reservation_id
JOIN inventory_batches AS own ON own.id = page.batch_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(h.quantity), 0) AS units
      FROM inventory_batch_holds AS h JOIN inventory_batches AS b ON b.id = h.batch_id
     WHERE h.reservation_id = r.id
       AND (coalesce(b.expiry_date, {NEVER}), b.id) < (coalesce(own.expiry_date, {NEVER}), own.id)) AS earlier
"""  # noqa: S608
HAS_UNITS = """
EXISTS (SELECT FROM inventory_reservations AS r WHERE r.id = examined.reservation_id AND (
    r.status = 'CONFIRMED' OR (r.status = 'PENDING' AND (r.expires_at IS NULL OR r.expires_at > clock_timestamp()))))
"""

Status = Literal["ACTIVE", "BLOCKED", "EXPIRED"]


class Batch(msgspec.Struct, rename="camel"):
    """Units that were made together. Of an ACTIVE batch `qty - reserved` may be sold, of the others nothing."""

    batch_id: UUID
    batch_number: str
    sku: str
    store_id: str
    status: Status
    qty: int
    reserved: int
    expires_at: datetime | None
    created_at: datetime


class BatchesQuery(PlaceQuery, kw_only=True):
    """Which batches."""

    status: Annotated[Status, msgspec.Meta(description="Only those that are so now.")] | None = None
    expires_before: (
        Annotated[datetime, msgspec.Meta(tz=True, description="Only those whose date comes before this.")] | None
    ) = None


class WhyBody(msgspec.Struct):
    """Why: it stands with the movement."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Holder(msgspec.Struct, rename="camel"):
    """A reservation that was given units of the batch: `qty` of them are kept for it, or `received` of them left."""

    reservation_id: UUID
    status: str
    qty: int
    received: int
    client_id: str
    reference_type: str
    reference_id: str
    created_at: datetime


EXAMPLE = Batch(
    *(UUID(EXAMPLE_ID), "L2026-11", "SKU-001", "S1", "ACTIVE", 40, 2),
    *(datetime(2027, 3, 31, tzinfo=UTC), datetime(2026, 11, 22, 14, 32, 10, tzinfo=UTC)),
)


@endpoint(
    method="GET",
    scope="stock:read",
    query=BatchesQuery,
    answer=Page[Batch],
    problems=(("invalid_cursor", 400), *problems("unknown_sku", "unknown_store")),
    tags=("Batches",),
    example=Page([EXAMPLE], None, None),
)
def list_batches(request: HttpRequest, caller: Caller, query: BatchesQuery) -> Page[Batch]:
    """Batches, those that expire first at the top, those without a date last.

    The one without a number holds the units of a place that belong to no batch.
    """
    where = Where.of(caller)
    where.add_place(caller, query)
    if query.status is not None:
        where.add(f"{BATCH_STATUS_NOW.format('examined')} = %(status)s", status=query.status)
    scope = "tenant_id = %(tenant)s"
    if query.expires_before is not None:
        scope += f" AND {EXPIRY} < %(before)s"
        where.params["before"] = query.expires_before
    if query.sku is not None:  # the batches of one product are few
        scope += " AND product_id = %(product)s"
    rows = sql_pages.Rows(
        columns=COLUMNS,
        table="inventory_batches",
        keys=(EXPIRY, "id"),
        key_types=tuple[datetime, UUID],
        scope=scope,
        filters=where.conditions,
        params=where.params,
        joins=NAMES,
        is_newest_first=False,
        is_small=query.sku is not None,
    )
    return sql_pages.read(request, query, rows, Batch)


@endpoint(
    method="POST",
    scope="stock:adjust",
    body=WhyBody,
    answer=Batch,
    problems=problems("unknown_batch", "batch_expired", "stock_busy"),
    tags=("Batches",),
    body_example=WhyBody("recalled by the maker"),
    example=EXAMPLE,
)
def block_batch(request: HttpRequest, caller: Caller, body: WhyBody, batch_id: UUID) -> Batch:
    """Take a batch off sale: its free units leave what is available at once.

    What is reserved of it stays reserved; `holders` says for whom. Blocking a blocked batch changes nothing.
    """
    return _set(ledger.block_batch, request, caller, batch_id, body.reason)


@endpoint(
    method="POST",
    scope="stock:adjust",
    body=WhyBody,
    answer=Batch,
    problems=problems("unknown_batch", "batch_expired", "stock_busy"),
    tags=("Batches",),
    body_example=WhyBody("the maker's all-clear"),
    example=EXAMPLE,
)
def unblock_batch(request: HttpRequest, caller: Caller, body: WhyBody, batch_id: UUID) -> Batch:
    """Put a blocked batch back on sale. A batch whose date has passed stays off sale."""
    return _set(ledger.unblock_batch, request, caller, batch_id, body.reason)


def _set(verb: Any, request: HttpRequest, caller: Caller, batch_id: UUID, reason: str) -> Batch:
    try:
        verb(caller.tenant, batch_id, cause=cause_of(request, caller, reason), wait_ms=ledger.WAIT_MS)
    except LedgerError as refusal:
        raise refused(refusal) from None
    with connection.cursor() as cursor:
        cursor.execute(ONE, [batch_id, caller.tenant_id])
        return Batch(*cursor.fetchone())


@endpoint(
    method="GET",
    scope="stock:read",
    query=PageQuery,
    answer=Page[Holder],
    problems=(("invalid_cursor", 400), *problems("unknown_batch")),
    tags=("Batches",),
    example=Page(
        [
            Holder(
                *(UUID(EXAMPLE_ID), "CONFIRMED", 2, 2, "C1", "order", "1001"),
                datetime(2026, 11, 22, 14, 32, 10, tzinfo=UTC),
            )
        ],
        None,
        None,
    ),
)
def list_batch_holders(request: HttpRequest, caller: Caller, query: PageQuery, batch_id: UUID) -> Page[Holder]:
    """Who holds units of a batch, and who got them: for a recall.

    Reservations that are pending or were confirmed, the newest first. What left without a reservation (a sale a shop
    reports) stands among the store's movements of the SKU: filter those by `batchId`.
    """
    if not BatchRow.objects.filter(tenant_id=caller.tenant_id, pk=batch_id).exists():
        raise Problem(404, "unknown_batch", _("You have no such batch."))
    rows = sql_pages.Rows(
        columns=HOLDER_COLUMNS,
        table="inventory_batch_holds",
        keys=("reservation_id",),
        key_types=tuple[UUID],
        scope="batch_id = %(batch)s",
        filters=["tenant_id = %(tenant)s", HAS_UNITS],
        params={"tenant": caller.tenant_id, "batch": batch_id},
        joins=HOLDERS,
    )
    return sql_pages.read(request, query, rows, Holder)
