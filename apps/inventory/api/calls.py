"""What the addresses of the ledger share: keys, versions, causes, and the ledger's refusals as problems.

Reservations and their ends that arrive together are combined (combine.py); nothing else stands between a decoded body
and the ledger. First they take what is free: whoever needs a balance that somebody holds waits for it apart, so that it
keeps nobody else waiting.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated
from uuid import UUID

import msgspec
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common.api_shell import trace_id_of
from apps.common.problems import Problem, camel, validation_failed
from apps.inventory import ledger, stock
from apps.inventory.combine import Combiner
from apps.inventory.ledger import Cause, Ended, EndRequest, Line, Move, Reserved, ReserveRequest
from apps.inventory.refusals import LedgerError, StockBusy, UnknownPlace
from apps.tenants.identity import Caller

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Note = Annotated[str, msgspec.Meta(max_length=200)]
Units = Annotated[int, msgspec.Meta(ge=1, le=ledger.QUANTITY_MAX)]
Version = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
TtlSeconds = Annotated[int, msgspec.Meta(ge=1, le=604_800)]
Key = Annotated[str, msgspec.Meta(min_length=32, max_length=128)]
KEY_LENGTH_MAX = 128

STATUSES = {
    "insufficient_stock": 409,
    "invalid_quantity": 422,
    "value_out_of_range": 422,
    "idempotency_key_reused": 422,
    "idempotency_key_in_flight": 409,
    "unknown_reservation": 404,
    "reservation_already_confirmed": 409,
    "reservation_already_released": 409,
    "reservation_expired": 409,
    "quantity_exceeds_reservation": 422,
    "unknown_sku": 404,
    "unknown_store": 404,
    "version_mismatch": 412,
    "unknown_batch": 404,
    "batch_expired": 409,
    "unknown_transfer": 404,
    "transfer_exceeds_sent": 409,
    "already_reversed": 409,
    "unknown_movement": 404,
    "count_of_batch": 422,
    "invalid_batch_date": 422,
    "stock_busy": 503,
}
"""The HTTP status of every refusal of the ledger."""

PASSING = ("idempotency_key_in_flight", "stock_busy")
"""Refusals that a second try does not meet."""

_reservations: Combiner[ReserveRequest, list[Reserved] | LedgerError] = Combiner(
    partial(ledger.reserve_many, wait_ms=0)
)
_endings: Combiner[EndRequest, Ended | LedgerError] = Combiner(partial(ledger.end_many, wait_ms=0))
_waiting_reservations: Combiner[ReserveRequest, list[Reserved] | LedgerError] = Combiner(ledger.reserve_many)
_waiting_endings: Combiner[EndRequest, Ended | LedgerError] = Combiner(ledger.end_many)


def problems(*codes: str) -> tuple[tuple[str, int], ...]:
    """Return (code, status) of refusals, as `@endpoint` wants them."""
    return tuple((code, STATUSES[code]) for code in codes)


def refused(refusal: LedgerError) -> Problem:
    """Return the problem that tells a caller what the ledger refused. Our own row ids stay with us."""
    facts = {camel(name): value for name, value in refusal.facts.items() if name not in ("product_id", "location_id")}
    headers = {"Retry-After": "1"} if refusal.code in PASSING else None
    return Problem(STATUSES[refusal.code], refusal.code, refusal.detail, headers=headers, **facts)


def etag(version: int) -> dict[str, str]:
    """Return the ETag header of a balance's version."""
    return {"ETag": f'"v{version}"'}


def replayed(is_replayed: bool) -> dict[str, str]:
    """Return the header that says that this is the first answer again."""
    return {"Idempotency-Replayed": "true"} if is_replayed else {}


def key_of(request: HttpRequest, in_body: str | None = None) -> str | None:
    """Return the idempotency key of a request: the header's or the body's; both must be the same.

    It is kept apart from the keys that the hub gives itself (`order:7:reserve`): no caller can take one of those.
    Raises Problem 400 `idempotency_key_mismatch`, 422 `validation_failed` for a key that cannot be kept.
    """
    key: str | None = request.META.get("HTTP_IDEMPOTENCY_KEY", in_body)
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_LENGTH_MAX or "\0" in key:
        detail = _("An Idempotency-Key has 1 to %(most)s characters, none of them NUL.") % {"most": KEY_LENGTH_MAX}
        code = "nul_character" if "\0" in key else "wrong_length"
        raise validation_failed([{"header": "Idempotency-Key", "detail": detail, "code": code}])
    if in_body is not None and in_body != key:
        detail = _("The Idempotency-Key header and the body name different keys. Nothing was changed.")
        raise Problem(400, "idempotency_key_mismatch", detail)
    return f"api:{key}"


def expected_version(request: HttpRequest, in_body: int | None = None) -> int | None:
    """Return the version a change is meant for: `If-Match: "v3"` or the body's. Raises Problem 400."""
    in_header = request.META.get("HTTP_IF_MATCH")
    if in_header is None or in_header == "*":
        return in_body
    digits = in_header.removeprefix('"v').removesuffix('"')
    if in_header != f'"v{digits}"' or not digits.isascii() or not digits.isdecimal() or len(digits) > 18:
        raise Problem(400, "malformed_request", _('If-Match holds one ETag such as "v3". Nothing was changed.'))
    if in_body is not None and in_body != int(digits):
        raise Problem(400, "malformed_request", _("If-Match and the body name different versions."))
    return int(digits)


def cause_of(request: HttpRequest, caller: Caller, reason: str = "") -> Cause:
    """Return why stock moves when a caller asks."""
    return Cause(actor=caller.actor, reason=reason, source="api", trace_id=trace_id_of(request))


def reserve_now(
    request: HttpRequest, caller: Caller, line: Line, key: str | None, ttl: int, requester: str
) -> Reserved:
    """Reserve one line. Raises Problem."""
    verdict = reserve_together(request, caller, (line,), key, ttl, requester)
    if isinstance(verdict, LedgerError):
        raise refused(verdict)
    return verdict[0]


def reserve_together(
    request: HttpRequest, caller: Caller, lines: Sequence[Line], key: str | None, ttl: int, requester: str
) -> list[Reserved] | LedgerError:
    """Reserve lines, all or nothing, and return the verdict."""
    asked = ReserveRequest(
        tenant_id=caller.tenant_id,
        lines=lines,
        cause=cause_of(request, caller),
        key=key,
        ttl_seconds=ttl,
        requester_id=requester,
    )
    verdict = _reservations.submit(asked)
    return _waiting_reservations.submit(asked) if isinstance(verdict, StockBusy) else verdict


def end_now(
    request: HttpRequest,
    caller: Caller,
    reservation_id: UUID,
    *,
    is_confirmed: bool,
    key: str | None = None,
    quantity: int | None = None,
) -> Ended:
    """Confirm or release a reservation. Raises Problem."""
    asked = EndRequest(
        tenant_id=caller.tenant_id,
        reservation_id=reservation_id,
        is_confirmed=is_confirmed,
        cause=cause_of(request, caller),
        key=key,
        quantity=quantity,
    )
    verdict = _endings.submit(asked)
    if isinstance(verdict, StockBusy):
        verdict = _waiting_endings.submit(asked)
    if isinstance(verdict, LedgerError):
        raise refused(verdict)
    return verdict


def post_now(caller: Caller, move: Move) -> ledger.Posted:
    """Make one move. Raises Problem."""
    [verdict] = ledger.post(caller.tenant, [move], wait_ms=ledger.WAIT_MS)
    if isinstance(verdict, LedgerError):
        raise refused(verdict)
    return verdict


def first_answer(caller: Caller, move: Move, unknown: Problem) -> ledger.Posted:
    """Return what a repeated move was answered at first, though what it names is not found now. Raises Problem.

    move: with ids of 0, so that nothing but its key can accept it. unknown: raised when it is no repeat.
    """
    [verdict] = ledger.post(caller.tenant, [move], wait_ms=ledger.WAIT_MS)
    if isinstance(verdict, UnknownPlace):
        raise unknown
    if isinstance(verdict, LedgerError):
        raise refused(verdict)
    return verdict


def ids_of(caller: Caller, *, sku: str, store: str) -> tuple[int, int]:
    """Return the ids of a product and a location for a Move; 0 for what the tenant does not have.

    The ledger refuses a move of those, but not before it has looked up the key: a repeat is answered as at first, also
    when the product has another name by then.
    """
    [found] = stock.read(caller.tenant_id, [{"sku": sku, "store": store}])
    return found.product_id or 0, found.location_id or 0


def stock_of(caller: Caller, **pair: str) -> stock.Stock:
    """Return the stock of one product at one place. Raises Problem 404 for what the tenant does not have."""
    [found] = stock.read(caller.tenant_id, [pair])
    if found.location_id is None:
        raise Problem(404, "unknown_store", _("You have no such store or warehouse. Nothing was changed."))
    if found.product_id is None:
        raise Problem(404, "unknown_sku", _("You have no such product. Nothing was changed."))
    return found


EXAMPLE_ID = "0199f7b2-5c1e-7a90-b8f4-3f2a6d1c9e55"
KEY_PROBLEMS = (
    *problems("idempotency_key_reused", *PASSING),
    ("idempotency_key_mismatch", 400),
)
ENDED_PROBLEMS = (
    *problems("unknown_reservation", "reservation_already_confirmed"),
    *problems("reservation_already_released", "reservation_expired"),
    *KEY_PROBLEMS,
)
KEYED = {"request_headers": ("Idempotency-Key",), "answer_headers": ("Idempotency-Replayed", "ETag")}
