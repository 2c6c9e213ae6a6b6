"""Transfers: units leave one place (a request), are on their way, arrive whole or in parts, or never do.

What never arrived is received and lost on paper when the transfer is closed, so that every unit that left is accounted
for and the loss stands where it can be seen.
"""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common import sql_pages
from apps.common.problems import Problem, validation_failed
from apps.common.sql_pages import Page
from apps.inventory import ledger
from apps.inventory.api.calls import (
    KEY_PROBLEMS,
    Name,
    Note,
    Units,
    cause_of,
    first_answer,
    ids_of,
    key_of,
    post_now,
    problems,
    refused,
    replayed,
)
from apps.inventory.api.lists import NewestFirst, PlaceQuery, RowId, Where, product_id
from apps.inventory.ledger import Cause, Move
from apps.inventory.models import Balance, Movement
from apps.inventory.models import Transfer as TransferRow
from apps.inventory.refusals import LedgerError, UnknownTransfer
from apps.tenants.endpoint import Reply, endpoint
from apps.tenants.identity import Caller

CODES_MADE_FROM = UUID("5a6c0f3e-7f0e-4d0b-9c1f-2f4e8f1b7a11")
"""A code that is made for a request follows from its idempotency key, so that a repeat sends the same transfer."""

CLOSING_TRIES_MAX = 5
"""Each try fails only when units arrived between reading and closing."""

NEVER_ARRIVED = "never_arrived"
"""The reference line of the loss that closes a transfer."""

COLUMNS = """
page.code, p.sku, o.code, d.code, page.sent, page.received - lost.units, greatest(page.sent - page.received, 0),
lost.units, page.unit_cost::text, page.created_at, page.updated_at
"""
JOINS = f"""
JOIN inventory_products AS p ON p.id = page.product_id
LEFT JOIN inventory_locations AS o ON o.id = page.origin_id
LEFT JOIN inventory_locations AS d ON d.id = page.destination_id
CROSS JOIN LATERAL (
    SELECT -coalesce(sum(on_hand_delta), 0)::integer AS units FROM inventory_ledger
     WHERE tenant_id = page.tenant_id AND reference_type = 'transfer' AND reference_id = page.code
       AND product_id = page.product_id AND kind = 'LOSS' AND reference_line = '{NEVER_ARRIVED}') AS lost
"""  # noqa: S608
ONE = f"SELECT {COLUMNS} FROM inventory_transfers AS page {JOINS} WHERE page.id = %s"  # noqa: S608
UNDERWAY = """
(SELECT product_id, destination_id, sum(sent - received)::integer AS units, count(*)::integer AS transfers,
        min(created_at) AS oldest
   FROM inventory_transfers WHERE tenant_id = %(tenant)s AND sent > received GROUP BY product_id, destination_id) AS t
"""
UNDERWAY_JOINS = """
JOIN inventory_products AS p ON p.id = page.product_id LEFT JOIN inventory_locations AS d ON d.id = page.destination_id
"""

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^/\x00]+$")]


class SendBody(msgspec.Struct, rename="camel"):
    """Units to send. Without a `code` one is made; with `batchNumber` they are taken from that batch."""

    sku: Name
    from_store_id: Name
    to_store_id: Name
    qty: Units
    code: Code | None = None
    batch_number: Name | None = None
    reason: Note = ""


class ReceiveBody(msgspec.Struct, rename="camel"):
    """Units that arrived: all that are on their way, or some of them."""

    sku: Name
    qty: Units
    batch_number: Name | None = None
    batch_expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    reason: Note = ""


class CloseBody(msgspec.Struct):
    """What will not arrive any more, and why."""

    sku: Name
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Transfer(msgspec.Struct, rename="camel"):
    """Units of a SKU sent under a code: `inTransit` of them are on their way, `lost` of them never arrived.

    A system that reports only one end leaves the other store open (null) until it is told.
    """

    code: str
    sku: str
    from_store_id: str | None
    to_store_id: str | None
    sent: int
    received: int
    in_transit: int
    lost: int
    unit_cost: str | None
    created_at: datetime
    updated_at: datetime


class TransfersQuery(PlaceQuery, kw_only=True):
    """Which transfers; `storeId` is where they go."""

    open: Annotated[bool, msgspec.Meta(description="true: only those with units on their way.")] | None = None
    code: Annotated[Code, msgspec.Meta(description="Only under this code.")] | None = None


class Underway(msgspec.Struct, rename="camel"):
    """Units of a SKU on their way to a store, over all transfers."""

    sku: str
    to_store_id: str | None
    in_transit: int
    transfers: int
    oldest_sent_at: datetime


SENT_AT = datetime(2026, 11, 22, 14, 32, 10, tzinfo=UTC)
EXAMPLE = Transfer("TR-1001", "SKU-001", "S1", "S2", 10, 4, 6, 0, "12.5000", SENT_AT, SENT_AT)


@endpoint(
    method="POST",
    scope="stock:adjust",
    body=SendBody,
    answer=Transfer,
    status=201,
    problems=(
        *problems("insufficient_stock", "unknown_sku", "unknown_store", "unknown_batch"),
        ("transfer_exists", 409),
        *KEY_PROBLEMS,
    ),
    tags=("Transfers",),
    body_example=SendBody("SKU-001", "S1", "S2", 10, "TR-1001"),
    example=EXAMPLE,
    request_headers=("Idempotency-Key",),
    answer_headers=("Idempotency-Replayed",),
)
def send_transfer(request: HttpRequest, caller: Caller, body: SendBody) -> Reply:
    """Send units from one store to another.

    They leave the first at once and are on their way until they are received. A code may carry several SKUs, each once.
    """
    if body.from_store_id == body.to_store_id:
        detail = _("The units must go to another store than the one they leave.")
        raise validation_failed([{"pointer": "/toStoreId", "detail": detail, "code": "same_store"}])
    product, origin = ids_of(caller, sku=body.sku, store=body.from_store_id)
    _same, destination = ids_of(caller, sku=body.sku, store=body.to_store_id)
    key = key_of(request)
    code = body.code or _new_code(caller, key)
    move = Move(
        kind=Movement.Kind.TRANSFER_OUT,
        product_id=product,
        location_id=origin,
        named={"sku": body.sku, "store": body.from_store_id, "to_store": body.to_store_id},
        quantity=body.qty,
        cause=cause_of(request, caller, body.reason),
        key=key,
        transfer_code=code,
        other_location_id=destination,
        batch_number=body.batch_number,
    )
    with transaction.atomic():  # the row shows afterwards whether the code was free: of two at once, one sees the other
        posted = post_now(caller, move)
        row = TransferRow.objects.get(tenant_id=caller.tenant_id, code=code, product_id=posted.product_id)
        told = (row.origin_id, row.destination_id, row.sent)
        if not posted.replayed and told != (posted.location_id, destination, body.qty):
            detail = _("Units of this product were sent under this code before. Nothing was moved.")
            raise Problem(409, "transfer_exists", detail, transferCode=code)
    return Reply(_shown(row), headers=replayed(posted.replayed))


def _new_code(caller: Caller, key: str | None) -> str:
    return f"T-{uuid.uuid4() if key is None else uuid.uuid5(CODES_MADE_FROM, f'{caller.tenant_id}/{key}')}"


@endpoint(
    method="POST",
    scope="stock:adjust",
    body=ReceiveBody,
    answer=Transfer,
    problems=(*problems("unknown_transfer", "transfer_exceeds_sent", "unknown_sku"), *KEY_PROBLEMS),
    tags=("Transfers",),
    body_example=ReceiveBody("SKU-001", 4),
    example=EXAMPLE,
    request_headers=("Idempotency-Key",),
    answer_headers=("Idempotency-Replayed",),
)
def receive_transfer(request: HttpRequest, caller: Caller, body: ReceiveBody, code: str) -> Reply:
    """Receive units of a transfer, all or some.

    More than are on their way are refused; what is there beyond them is for a count to say.
    """
    move = Move(
        kind=Movement.Kind.TRANSFER_IN,
        product_id=0,
        location_id=0,
        named={"sku": body.sku},
        quantity=body.qty,
        cause=cause_of(request, caller, body.reason),
        key=key_of(request),
        transfer_code=code,
        batch_number=body.batch_number,
        batch_expires_at=body.batch_expires_at,
    )
    try:
        row = _transfer(caller, code, body.sku)
    except Problem as unknown:
        posted = first_answer(caller, move, unknown)
        row = TransferRow.objects.get(tenant_id=caller.tenant_id, code=code, product_id=posted.product_id)
    else:
        move = replace(move, product_id=row.product_id, location_id=row.destination_id or 0)
        posted = post_now(caller, replace(move, other_location_id=row.origin_id))
    return Reply(_shown(row), headers=replayed(posted.replayed))


@endpoint(
    method="POST",
    scope="stock:adjust",
    body=CloseBody,
    answer=Transfer,
    problems=problems("unknown_transfer", "transfer_exceeds_sent", "unknown_sku"),
    tags=("Transfers",),
    body_example=CloseBody("SKU-001", "lost on the way"),
    example=msgspec.structs.replace(EXAMPLE, in_transit=0, lost=6),
)
def close_transfer(request: HttpRequest, caller: Caller, body: CloseBody, code: str) -> Transfer:
    """Close a transfer: what never arrived is lost.

    The units still on their way are received and posted as a loss together, at the store they were sent to. Closing a
    transfer that has nothing on its way changes nothing, so a repeat is safe.
    """
    for tried in range(CLOSING_TRIES_MAX):
        row = _transfer(caller, code, body.sku)
        if not row.in_transit:
            break
        try:
            with transaction.atomic():
                _lose(caller, row, cause_of(request, caller, body.reason))
            break
        except LedgerError as refusal:
            if tried == CLOSING_TRIES_MAX - 1:
                raise refused(refusal) from None
    return _shown(row)


def _lose(caller: Caller, row: TransferRow, cause: Cause) -> None:
    """Receive and lose what is on its way. Raises LedgerError when units arrived meanwhile; the caller rolls back."""
    there = {"product_id": row.product_id, "location_id": row.destination_id or 0}
    has_batches = Balance.objects.filter(tenant_id=caller.tenant_id, has_batches=True, **there).exists()
    moved: dict[str, Any] = {
        **there,
        "quantity": row.in_transit,
        # where units are kept by batch, the lost ones get one of their own, or the loss would take units of another
        "batch_number": f"{row.code[:80]} ({NEVER_ARRIVED})" if has_batches else None,
    }
    loss = replace(cause, reference_type="transfer", reference_id=row.code, reference_line=NEVER_ARRIVED)
    moves = [
        Move(
            kind=Movement.Kind.TRANSFER_IN,
            cause=cause,
            transfer_code=row.code,
            other_location_id=row.origin_id,
            **moved,
        ),
        Move(kind=Movement.Kind.LOSS, cause=loss, **moved),
    ]
    for verdict in ledger.post(caller.tenant, moves, wait_ms=ledger.WAIT_MS):
        if isinstance(verdict, LedgerError):
            raise verdict


def _transfer(caller: Caller, code: str, sku: str) -> TransferRow:
    """Return the transfer of a SKU under a code. Raises Problem 404 `unknown_transfer`, `unknown_sku`."""
    product = product_id(caller, sku)
    row = TransferRow.objects.filter(tenant_id=caller.tenant_id, code=code, product_id=product).first()
    if row is None:
        raise refused(UnknownTransfer())
    if row.destination_id is None:
        detail = _("Nobody has told where this transfer goes. Let the system that sent it say so, or that it arrived.")
        raise Problem(404, "unknown_transfer", detail)
    return row


def _shown(row: TransferRow) -> Transfer:
    with connection.cursor() as cursor:
        cursor.execute(ONE, [row.pk])
        return Transfer(*cursor.fetchone())


@endpoint(
    method="GET",
    scope="stock:read",
    query=TransfersQuery,
    answer=Page[Transfer],
    problems=(("invalid_cursor", 400), *problems("unknown_sku", "unknown_store")),
    tags=("Transfers",),
    example=Page([EXAMPLE], None, None),
)
def list_transfers(request: HttpRequest, caller: Caller, query: TransfersQuery) -> Page[Transfer]:
    """Transfers, the newest first; `open=true` for what is on its way."""
    where = Where.of(caller)
    where.add_place(caller, query, location="destination_id")
    where.add("code = %(code)s", code=query.code)
    scope = "tenant_id = %(tenant)s"
    if query.code is not None:
        scope += " AND code = %(code)s"
    if query.open:
        scope += " AND sent > received"
    elif query.open is False:
        where.add("sent <= received")
    rows = sql_pages.Rows(
        columns=COLUMNS,
        table="inventory_transfers",
        keys=("id",),
        key_types=NewestFirst,
        scope=scope,
        filters=where.conditions,
        params=where.params,
        joins=JOINS,
        is_small=query.code is not None,
    )
    return sql_pages.read(request, query, rows, Transfer)


@endpoint(
    method="GET",
    scope="stock:read",
    query=PlaceQuery,
    answer=Page[Underway],
    problems=(("invalid_cursor", 400), *problems("unknown_sku", "unknown_store")),
    tags=("Transfers",),
    example=Page([Underway("SKU-001", "S2", 6, 1, SENT_AT)], None, None),
)
def list_in_transit(request: HttpRequest, caller: Caller, query: PlaceQuery) -> Page[Underway]:
    """Units on their way, summed for each SKU and the store they go to."""
    where = Where.of(caller)
    where.add_place(caller, query, location="destination_id")
    rows = sql_pages.Rows(
        columns="p.sku, d.code, page.units, page.transfers, page.oldest",
        table=UNDERWAY,
        keys=("product_id", "coalesce(destination_id, 0)"),
        key_types=tuple[RowId, RowId],
        filters=where.conditions,
        params=where.params,
        joins=UNDERWAY_JOINS,
        is_newest_first=False,
        is_small=True,
    )
    return sql_pages.read(request, query, rows, Underway)
