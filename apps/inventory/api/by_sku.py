"""Stock and reservations by SKU and store code: requirement 004's addresses, in its words."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from django.http import HttpRequest

from apps.inventory import stock
from apps.inventory.api.calls import (
    ENDED_PROBLEMS,
    EXAMPLE_ID,
    KEY_PROBLEMS,
    KEYED,
    Name,
    Note,
    TtlSeconds,
    Units,
    Version,
    cause_of,
    end_now,
    etag,
    expected_version,
    ids_of,
    key_of,
    post_now,
    problems,
    replayed,
    reserve_now,
    stock_of,
)
from apps.inventory.ledger import Ended, Line, Move
from apps.inventory.models import Movement
from apps.tenants.endpoint import Reply, endpoint
from apps.tenants.identity import Caller


class StockAnswer(msgspec.Struct, rename="camel"):
    """The one true number of a SKU at a store. `available` is what may still be promised."""

    sku: str
    store_id: str
    on_hand: int
    reserved: int
    available: int
    version: int


class ReserveBody(msgspec.Struct, rename="camel"):
    """Units of a SKU to keep for a client. Without `ttlSeconds` for 15 minutes."""

    sku: Name
    store_id: Name
    qty: Units
    client_id: Annotated[str, msgspec.Meta(max_length=128)] = ""
    ttl_seconds: TtlSeconds = 900


class ReservationAnswer(msgspec.Struct, rename="camel"):
    """A reservation as it was made, and what is available after it."""

    reservation_id: str
    sku: str
    store_id: str
    qty: int
    client_id: str
    status: str
    created_at: str
    expires_at: str | None
    available: int
    version: int


class EndBody(msgspec.Struct, rename="camel"):
    """The reservation that `reserve` answered. `qty`: confirm only so many; the rest becomes available again."""

    reservation_id: UUID
    qty: Units | None = None


class CancelBody(msgspec.Struct, rename="camel"):
    """The reservation that `reserve` answered."""

    reservation_id: UUID


class EndedAnswer(msgspec.Struct, rename="camel"):
    """How a reservation ended, and the stock after it."""

    reservation_id: str
    status: str
    confirmed: int
    returned: int
    on_hand: int
    reserved: int
    available: int
    version: int


class RestockBody(msgspec.Struct, rename="camel"):
    """Units that arrived. With `expectedVersion` only when the stock has not moved since it was read."""

    sku: Name
    store_id: Name
    qty: Units
    expected_version: Version | None = None
    unit_cost: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,11}(\.[0-9]{1,4})?$")] | None = None
    reason: Note = ""


class Pair(msgspec.Struct, rename="camel"):
    """A SKU at a store."""

    sku: Name
    store_id: Name


class AvailableBody(msgspec.Struct):
    """Up to 500 pairs."""

    items: Annotated[list[Pair], msgspec.Meta(min_length=1, max_length=stock.PAIRS_MAX)]


class AvailableItem(msgspec.Struct, rename="camel", omit_defaults=True):
    """The stock of a pair, or the code of what is unknown about it."""

    sku: str
    store_id: str
    on_hand: int | None = None
    reserved: int | None = None
    available: int | None = None
    version: int | None = None
    code: str | None = None


class AvailableAnswer(msgspec.Struct):
    """The pairs in the order asked."""

    items: list[AvailableItem]


@endpoint(
    method="GET",
    scope="stock:read",
    answer=StockAnswer,
    problems=problems("unknown_store", "unknown_sku"),
    answer_headers=("ETag",),
    tags=("Stock",),
    example=StockAnswer(sku="SKU-001", store_id="S1", on_hand=10, reserved=2, available=8, version=3),
)
def get_stock(request: HttpRequest, caller: Caller, store_id: str, sku: str) -> Reply:
    """Stock of a SKU at a store.

    `storeId` is the location's code. The ETag is the balance's version: it changes with every movement. A product that
    never was at the store has zeros. Slashes in both come as `%2F`; a SKU that ends in `/movements` or `/at` is asked
    for with `POST /v1/stock/available`.
    """
    found = stock_of(caller, sku=sku, store=store_id)
    answer = StockAnswer(found.sku, found.store, found.on_hand, found.reserved, found.available, found.version)
    return Reply(answer, headers=etag(found.version))


@endpoint(
    method="POST",
    scope="stock:reserve",
    body=ReserveBody,
    answer=ReservationAnswer,
    problems=(*problems("insufficient_stock", "unknown_sku", "unknown_store"), *KEY_PROBLEMS),
    tags=("Reservations",),
    body_example=ReserveBody(sku="SKU-001", store_id="S1", qty=2, client_id="C1", ttl_seconds=60),
    **KEYED,  # type: ignore[arg-type]
)
def reserve(request: HttpRequest, caller: Caller, body: ReserveBody) -> Reply:
    """Reserve units of a SKU at a store.

    They stop being available until the reservation is confirmed, cancelled, or its time is over. With an
    `Idempotency-Key` a repeated request takes effect once.
    """
    line = Line(None, body.qty, sku=body.sku, store=body.store_id)
    made = reserve_now(request, caller, line, key_of(request), body.ttl_seconds, body.client_id)
    answer = ReservationAnswer(
        *(made.reservation_id, body.sku, body.store_id, body.qty, body.client_id),
        *("PENDING", made.created_at, made.expires_at, made.available, made.version),
    )
    return Reply(answer, headers=etag(made.version) | replayed(made.replayed))


@endpoint(
    method="POST",
    scope="stock:reserve",
    body=EndBody,
    answer=EndedAnswer,
    problems=(*ENDED_PROBLEMS, *problems("quantity_exceeds_reservation")),
    tags=("Reservations",),
    body_example=EndBody(reservation_id=UUID(EXAMPLE_ID)),
    **KEYED,  # type: ignore[arg-type]
)
def confirm(request: HttpRequest, caller: Caller, body: EndBody) -> Reply:
    """Confirm a reservation: its units leave.

    With `qty` only so many leave, and the rest becomes available again.
    """
    key = key_of(request)
    return _ended(end_now(request, caller, body.reservation_id, is_confirmed=True, key=key, quantity=body.qty))


@endpoint(
    method="POST",
    scope="stock:reserve",
    answer=EndedAnswer,
    problems=ENDED_PROBLEMS,
    tags=("Reservations",),
    **KEYED,  # type: ignore[arg-type]
)
def confirm_by_address(request: HttpRequest, caller: Caller, reservation_id: UUID) -> Reply:
    """Confirm the reservation of this address: its units leave."""
    return _ended(end_now(request, caller, reservation_id, is_confirmed=True, key=key_of(request)))


@endpoint(
    method="POST",
    scope="stock:reserve",
    body=CancelBody,
    answer=EndedAnswer,
    problems=ENDED_PROBLEMS,
    tags=("Reservations",),
    body_example=CancelBody(reservation_id=UUID(EXAMPLE_ID)),
    **KEYED,  # type: ignore[arg-type]
)
def cancel(request: HttpRequest, caller: Caller, body: CancelBody) -> Reply:
    """Cancel a reservation: its units are available again."""
    return _ended(end_now(request, caller, body.reservation_id, is_confirmed=False, key=key_of(request)))


@endpoint(
    method="POST",
    scope="stock:reserve",
    answer=EndedAnswer,
    problems=ENDED_PROBLEMS,
    tags=("Reservations",),
    **KEYED,  # type: ignore[arg-type]
)
def cancel_by_address(request: HttpRequest, caller: Caller, reservation_id: UUID) -> Reply:
    """Cancel the reservation of this address: its units are available again."""
    return _ended(end_now(request, caller, reservation_id, is_confirmed=False, key=key_of(request)))


def _ended(ended: Ended) -> Reply:
    answer = EndedAnswer(
        *(ended.reservation_id, ended.status, ended.confirmed, ended.returned),
        *(ended.on_hand, ended.reserved, ended.available, ended.version),
    )
    return Reply(answer, headers=etag(ended.version) | replayed(ended.replayed))


@endpoint(
    method="POST",
    scope="stock:adjust",
    body=RestockBody,
    answer=StockAnswer,
    problems=(*problems("version_mismatch", "unknown_sku", "unknown_store"), *KEY_PROBLEMS),
    tags=("Stock",),
    body_example=RestockBody(sku="SKU-001", store_id="S1", qty=5, expected_version=1),
    request_headers=("Idempotency-Key", "If-Match"),
    answer_headers=("Idempotency-Replayed", "ETag"),
)
def restock(request: HttpRequest, caller: Caller, body: RestockBody) -> Reply:
    """Take units in.

    `expectedVersion` (or `If-Match`) is the version that was read: when the stock has moved since, nothing is changed
    and the answer is 412. `unitCost` moves the average cost.
    """
    product, location = ids_of(caller, sku=body.sku, store=body.store_id)
    posted = post_now(
        caller,
        Move(
            kind=Movement.Kind.RECEIPT,
            product_id=product,
            location_id=location,
            named={"sku": body.sku, "store": body.store_id},
            quantity=body.qty,
            cause=cause_of(request, caller, body.reason),
            key=key_of(request),
            expected_version=expected_version(request, body.expected_version),
            unit_cost=None if body.unit_cost is None else Decimal(body.unit_cost),
        ),
    )
    answer = StockAnswer(body.sku, body.store_id, posted.on_hand, posted.reserved, posted.available, posted.version)
    return Reply(answer, headers=etag(posted.version) | replayed(posted.replayed))


@endpoint(
    method="POST",
    scope="stock:read",
    body=AvailableBody,
    answer=AvailableAnswer,
    tags=("Stock",),
    body_example=AvailableBody(items=[Pair(sku="SKU-001", store_id="S1")]),
)
def available_many(request: HttpRequest, caller: Caller, body: AvailableBody) -> AvailableAnswer:
    """Stock of up to 500 pairs of SKU and store, in one query.

    A pair that you do not have carries a `code` instead of numbers; the others are answered all the same.
    """
    pairs = [{"sku": pair.sku, "store": pair.store_id} for pair in body.items]
    found = stock.read(caller.tenant_id, pairs)
    return AvailableAnswer([_item(pair, row) for pair, row in zip(body.items, found, strict=True)])


def _item(pair: Pair, row: stock.Stock) -> AvailableItem:
    if row.product_id is None or row.location_id is None:
        return AvailableItem(pair.sku, pair.store_id, code="unknown_sku" if row.product_id is None else "unknown_store")
    return AvailableItem(pair.sku, pair.store_id, row.on_hand, row.reserved, row.available, row.version)
