"""Stock and reservations by product and warehouse id: requirement 003's addresses, in its words and with its limits."""

from typing import Annotated
from uuid import UUID

import msgspec
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common.problems import validation_failed
from apps.inventory import ledger
from apps.inventory.api.calls import (
    ENDED_PROBLEMS,
    EXAMPLE_ID,
    KEY_PROBLEMS,
    KEYED,
    Key,
    Name,
    Units,
    Version,
    cause_of,
    end_now,
    etag,
    expected_version,
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


class ReserveBody(msgspec.Struct):
    """Requirement 003's request; its limits are checked here. The key may come as `Idempotency-Key` instead."""

    product_id: UUID
    warehouse_id: UUID
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    ttl_seconds: Annotated[int, msgspec.Meta(ge=60, le=3600)]
    idempotency_key: Key | None = None


class ReserveAnswer(msgspec.Struct):
    """Requirement 003's answer."""

    reservation_id: str
    status: str
    expires_at: str | None
    created_at: str


class ConfirmBody(msgspec.Struct):
    """The reservation; `quantity`: confirm only so many, the rest becomes available again."""

    reservation_id: UUID
    quantity: Units | None = None
    idempotency_key: Key | None = None


class ReleaseBody(msgspec.Struct):
    """The reservation to take back."""

    reservation_id: UUID
    idempotency_key: Key | None = None


class EndedAnswer(msgspec.Struct):
    """How a reservation ended, and the stock after it."""

    reservation_id: str
    status: str
    quantity: int
    returned: int
    quantity_on_hand: int
    quantity_reserved: int
    quantity_available: int
    version: int


class AdjustBody(msgspec.Struct):
    """A correction of what is on hand: up, or down as far as units are available."""

    product_id: UUID
    warehouse_id: UUID
    quantity: Annotated[int, msgspec.Meta(ge=-ledger.QUANTITY_MAX, le=ledger.QUANTITY_MAX)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    expected_version: Version | None = None
    idempotency_key: Key | None = None
    batch_number: Name | None = None


class AvailableAnswer(msgspec.Struct):
    """The stock of a product at a warehouse."""

    product_id: UUID
    warehouse_id: UUID
    quantity_on_hand: int
    quantity_reserved: int
    quantity_available: int
    version: int


class AvailableQuery(msgspec.Struct):
    """Which stock."""

    product_id: UUID
    warehouse_id: UUID


@endpoint(
    method="POST",
    scope="stock:reserve",
    body=ReserveBody,
    answer=ReserveAnswer,
    problems=(
        *problems("insufficient_stock", "unknown_sku", "unknown_store"),
        *KEY_PROBLEMS,
    ),
    tags=("Reservations by id",),
    body_example=ReserveBody(
        UUID("0199f7b2-0000-7000-8000-000000000001"),
        UUID("0199f7b2-0000-7000-8000-000000000002"),
        2,
        300,
        "checkout-7f3e9a52c41b4d6e8f0a1b2c3d4e5f60",
    ),
    **KEYED,  # type: ignore[arg-type]
)
def reserve(request: HttpRequest, caller: Caller, body: ReserveBody) -> Reply:
    """Reserve units of a product at a warehouse.

    The key makes it safe to repeat: the first answer is given again and nothing is reserved twice. It is required, as
    the `Idempotency-Key` header or in the body; in both it must be the same.
    """
    line = Line(None, body.quantity, product=str(body.product_id), location=str(body.warehouse_id))
    key = key_of(request, body.idempotency_key)
    if key is None:
        detail = _("Send a key here or as the Idempotency-Key header, so that a repeat reserves nothing twice.")
        raise validation_failed([{"pointer": "/idempotency_key", "detail": detail, "code": "missing"}])
    made = reserve_now(request, caller, line, key, body.ttl_seconds, caller.actor)
    answer = ReserveAnswer(made.reservation_id, "PENDING", made.expires_at, made.created_at)
    return Reply(answer, headers=etag(made.version) | replayed(made.replayed))


@endpoint(
    method="POST",
    scope="stock:reserve",
    body=ConfirmBody,
    answer=EndedAnswer,
    problems=(*ENDED_PROBLEMS, *problems("quantity_exceeds_reservation")),
    tags=("Reservations by id",),
    body_example=ConfirmBody(UUID(EXAMPLE_ID)),
    **KEYED,  # type: ignore[arg-type]
)
def confirm(request: HttpRequest, caller: Caller, body: ConfirmBody) -> Reply:
    """Confirm a reservation: its units leave, whole or in part."""
    key = key_of(request, body.idempotency_key)
    ended = end_now(request, caller, body.reservation_id, is_confirmed=True, key=key, quantity=body.quantity)
    return _ended(ended)


@endpoint(
    method="POST",
    scope="stock:reserve",
    body=ReleaseBody,
    answer=EndedAnswer,
    problems=ENDED_PROBLEMS,
    tags=("Reservations by id",),
    body_example=ReleaseBody(UUID(EXAMPLE_ID)),
    **KEYED,  # type: ignore[arg-type]
)
def release(request: HttpRequest, caller: Caller, body: ReleaseBody) -> Reply:
    """Release a reservation: its units are available again."""
    key = key_of(request, body.idempotency_key)
    return _ended(end_now(request, caller, body.reservation_id, is_confirmed=False, key=key))


def _ended(ended: Ended) -> Reply:
    answer = EndedAnswer(
        *(ended.reservation_id, ended.status, ended.confirmed, ended.returned),
        *(ended.on_hand, ended.reserved, ended.available, ended.version),
    )
    return Reply(answer, headers=etag(ended.version) | replayed(ended.replayed))


@endpoint(
    method="POST",
    scope="stock:adjust",
    body=AdjustBody,
    answer=AvailableAnswer,
    problems=(
        *problems("insufficient_stock", "invalid_quantity", "version_mismatch"),
        *problems("unknown_sku", "unknown_store", "unknown_batch"),
        *KEY_PROBLEMS,
    ),
    tags=("Stock",),
    body_example=AdjustBody(
        UUID("0199f7b2-0000-7000-8000-000000000001"), UUID("0199f7b2-0000-7000-8000-000000000002"), -1, "broken"
    ),
    request_headers=("Idempotency-Key", "If-Match"),
    answer_headers=("Idempotency-Replayed", "ETag"),
)
def adjust(request: HttpRequest, caller: Caller, body: AdjustBody) -> Reply:
    """Correct what is on hand by some units, up or down.

    What is promised to somebody cannot be corrected away: down only as far as units are available. To say what was
    counted, post a COUNT (`POST /v1/movements`): that is a fact and never refused.
    """
    place = stock_of(caller, product=str(body.product_id), location=str(body.warehouse_id))
    posted = post_now(
        caller,
        Move(
            kind=Movement.Kind.ADJUSTMENT,
            product_id=place.product_id or 0,
            location_id=place.location_id or 0,
            quantity=body.quantity,
            cause=cause_of(request, caller, body.reason),
            key=key_of(request, body.idempotency_key),
            expected_version=expected_version(request, body.expected_version),
            batch_number=body.batch_number,
        ),
    )
    answer = AvailableAnswer(
        *(body.product_id, body.warehouse_id),
        *(posted.on_hand, posted.reserved, posted.available, posted.version),
    )
    return Reply(answer, headers=etag(posted.version) | replayed(posted.replayed))


@endpoint(
    method="GET",
    scope="stock:read",
    query=AvailableQuery,
    answer=AvailableAnswer,
    problems=problems("unknown_store", "unknown_sku"),
    answer_headers=("ETag",),
    tags=("Stock",),
)
def available(request: HttpRequest, caller: Caller, query: AvailableQuery) -> Reply:
    """Stock of a product at a warehouse, by their ids."""
    found = stock_of(caller, product=str(query.product_id), location=str(query.warehouse_id))
    answer = AvailableAnswer(
        found.product, found.location, found.on_hand, found.reserved, found.available, found.version
    )
    return Reply(answer, headers=etag(found.version))
