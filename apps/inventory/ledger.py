"""The one verb: the only code that moves stock (law 2).

Every function here is one call of one SQL function (`sql/`), which does the whole transaction: it takes the idempotency
keys, locks the balances it touches in one fixed order, decides every request of the call, then writes reservations,
balances and movements. One request and many are the same call; each gets a verdict of its own, and a refused one
changes nothing and blocks nobody. Inside a caller's transaction the call is a part of it.

A *request* may be refused: `reserve`, `adjust`, `restock` with an expected version, transfers. A *fact* is never
refused: a sale, a return, a receipt, a loss, a count, `reserve(..., is_fact=True)` for a sale that a channel already
made. A fact that leaves fewer units than are promised opens an oversell.

A `key` is unique per tenant. The same key with the same request returns the first answer and changes nothing; with
another request it raises KeyReused. A refused request leaves its key unused.
"""

import hashlib
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from django.db import DataError, OperationalError, connection, transaction

from apps.inventory.models import Batch, LedgerKey, Movement, Reservation, Transfer
from apps.inventory.refusals import (
    REFUSALS,
    CountOfBatch,
    InsufficientStock,
    InvalidBatchDate,
    InvalidQuantity,
    InvalidValue,
    LedgerError,
    StockBusy,
    UnknownBatch,
    UnknownPlace,
    UnknownReservation,
    UnknownSku,
    UnknownStore,
)
from apps.tenants.models import Tenant

T = TypeVar("T")

QUANTITY_MAX = 1_000_000_000
"""No single movement is larger; a balance that would pass PostgreSQL's integer is refused by the database."""

DEADLOCK_TRIES_MAX = 3
"""Locks are taken in one order, so a deadlock is next to impossible; a victim of one is simply tried again."""

WAIT_MS = 300
"""How long requests that were made together wait for a balance that somebody holds."""

WAIT_ALONE_MS = 50
"""How long each of them waits when that was in vain: only those that need this balance fail, and soon."""

BATCH_YEARS = (2000, 8999)
"""Dates of goods that every calendar on the way can hold."""

DEADLOCK, LOCK_NOT_AVAILABLE, NUMBER_TOO_LARGE = "40P01", "55P03", "22003"  # PostgreSQL's codes

TEXT_LENGTH_MAX = {
    field.name: field.max_length
    for model in (Movement, Reservation, Batch, LedgerKey)
    for field in model._meta.fields
    if field.max_length
} | {"transfer_code": Transfer._meta.get_field("code").max_length}
"""Characters that each text of a request may have, by its name there; asked only when the database refused one."""

FACTS = frozenset(
    {Movement.Kind.RECEIPT, Movement.Kind.SALE, Movement.Kind.RETURN, Movement.Kind.LOSS, Movement.Kind.COUNT}
)
"""Kinds that happened whether the hub likes it or not."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why stock moves, and who moves it: what a person needs to explain the number later.

    actor: `user:7`, `key:saldo_1a2b3c4d`, `worker:events`, `command:receive_stock` …
    reference_type, reference_id, reference_line: the document behind it, such as `order`, its id and line.
    occurred_at: when it happened in the world; None means now. Never later than now: a clock ahead is cut to it.
    """

    actor: str
    reason: str = ""
    reference_type: str = ""
    reference_id: str = ""
    reference_line: str = ""
    source: str = "saldo"
    source_key: str = ""
    trace_id: uuid.UUID = field(default_factory=uuid.uuid4)
    occurred_at: datetime | None = None


CAUSE_FIELDS = tuple(Cause.__dataclass_fields__)
"""`dataclasses.asdict` copies every value deeply, which took a third of the time of a batch of movements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One change of what is on hand.

    quantity: units, more than 0; signed for ADJUSTMENT; for COUNT what was counted as of `cause.occurred_at`.
    is_fact: None means by kind (FACTS); what a source reports has happened, so it is a fact whatever its kind.
    key: None when the caller keeps "once" itself.
    batch_number: the batch it belongs to; None lets the product's picking rule decide.
    expected_version: refuse when the balance's version is another one.
    transfer_code, other_location_id: for TRANSFER_OUT (to where) and TRANSFER_IN (from where).
    count_order: decides between two counts of the same moment, such as the source's sequence, padded with zeros.
    reverses_id: the movement that this one takes back, at most once.
    named: what a caller called the product and the places. Names change and ids do not say what was asked, so a repeat
    is recognised by these. An id is 0 when nothing has the name now: then only a key that has its answer is accepted.
    """

    kind: Movement.Kind
    product_id: int
    location_id: int
    quantity: int
    cause: Cause
    key: str | None = None
    is_fact: bool | None = None
    unit_cost: Decimal | None = None
    batch_number: str | None = None
    batch_expires_at: datetime | None = None
    expected_version: int | None = None
    transfer_code: str | None = None
    other_location_id: int | None = None
    count_order: str = ""
    reverses_id: int | None = None
    named: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """What a verb did to one balance, and the numbers after it.

    movement_ids is empty for a count that is older than the newest one: it is kept and changes nothing.
    """

    movement_ids: tuple[int, ...]
    kind: str
    product_id: int
    location_id: int
    on_hand: int
    reserved: int
    available: int
    version: int
    replayed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Line:
    """Units of a product to reserve: at one location, or (without any) wherever the tenant has most of it.

    The product is named by its id or else by `sku` or `product` (its id for programs); the location by its id or else
    by `store` (its code) or `location` (its id for programs).
    """

    product_id: int | None
    quantity: int
    location_id: int | None = None
    sku: str | None = None
    product: str | None = None
    store: str | None = None
    location: str | None = None

    @property
    def is_placed(self) -> bool:
        """Tell whether the line says where."""
        return self.location_id is not None or self.store is not None or self.location is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRequest:
    """Promise the units of every line, all or nothing. ttl_seconds None: until it is confirmed or released."""

    tenant_id: int
    lines: Sequence[Line]
    cause: Cause
    key: str | None = None
    ttl_seconds: int | None = None
    requester_id: str = ""
    is_fact: bool = False


@dataclass(frozen=True, slots=True)
class Reserved:
    """One reservation as it was made, and the balance after it. Times are ISO 8601 with their zone."""

    reservation_id: str
    product_id: int
    location_id: int
    quantity: int
    created_at: str = field(compare=False)
    expires_at: str | None
    available: int = field(compare=False)
    version: int = field(compare=False)
    replayed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRequest:
    """End a reservation: let `quantity` of its units go (None: all) and return the rest, or take the promise back."""

    tenant_id: int
    reservation_id: uuid.UUID | str
    is_confirmed: bool
    cause: Cause
    key: str | None = None
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a reservation ended, and the balance after it."""

    reservation_id: str
    status: str
    product_id: int
    location_id: int
    confirmed: int
    returned: int
    on_hand: int
    reserved: int
    available: int
    version: int
    ended_at: str = field(compare=False)
    replayed: bool = field(default=False, compare=False)


# --- the verbs ----------------------------------------------------------------------------------------------------


def post(tenant: Tenant, moves: Sequence[Move], *, wait_ms: int | None = None) -> list[Posted | LedgerError]:
    """Change what is on hand, in one transaction: a verdict for each move, in the order given.

    wait_ms: how long to wait for a balance that somebody holds (and for a key not at all); None is as long as it takes.
    """
    requests = [_move_request(tenant, move) for move in moves]
    return [_posted(verdict) for verdict in _call("inventory_post", requests, wait_ms=wait_ms)]


def post_one(tenant: Tenant, move: Move) -> Posted:
    """Make one move and return it. Raises LedgerError when it was refused."""
    return _or_raise(post(tenant, [move])[0])


def receive(
    tenant: Tenant,
    product_id: int,
    location_id: int,
    quantity: int,
    *,
    key: str,
    cause: Cause,
    unit_cost: Decimal | None = None,
) -> Posted:
    """Take `quantity` units in (a fact: goods arrived). Raises InvalidQuantity, UnknownPlace."""
    return post_one(
        tenant,
        Move(
            kind=Movement.Kind.RECEIPT,
            product_id=product_id,
            location_id=location_id,
            quantity=quantity,
            cause=cause,
            key=key,
            unit_cost=unit_cost,
        ),
    )


def adjust(tenant: Tenant, product_id: int, location_id: int, delta: int, *, key: str, cause: Cause) -> Posted:
    """Correct the number on hand by `delta` units, up or down (a request).

    Raises InsufficientStock when fewer than `-delta` units are available (what is promised to somebody cannot be
    corrected away), InvalidQuantity, UnknownPlace.
    """
    return post_one(
        tenant,
        Move(
            kind=Movement.Kind.ADJUSTMENT,
            product_id=product_id,
            location_id=location_id,
            quantity=delta,
            cause=cause,
            key=key,
        ),
    )


def reserve(
    tenant: Tenant,
    lines: Sequence[Line],
    *,
    key: str | None,
    cause: Cause,
    among: Iterable[int] | None = None,
    is_fact: bool = False,
    ttl_seconds: int | None = None,
) -> list[Reserved]:
    """Promise the units of every line, all or nothing, and return the reservations (one per product and place).

    Lines of one product and place are summed before the check. A line without a location is taken where most is
    available, from several places when one has too few; `among` limits those places to some location ids.
    As a request it raises InsufficientStock. As a fact (a channel already sold the units) it is never refused: what no
    place can cover is promised at the fullest one, and that balance is oversold from then on.
    Also raises InvalidQuantity, UnknownPlace, KeyReused.
    """
    places = sorted(among) if among is not None else None
    asked = ReserveRequest(
        tenant_id=tenant.pk, lines=lines, cause=cause, key=key, ttl_seconds=ttl_seconds, is_fact=is_fact
    )
    request = _reserve_request(asked, extra=places)
    if all(line.is_placed for line in lines):
        return _or_raise(_reserved(_call("inventory_reserve", [request])[0]))
    return _again_after_deadlock(lambda: _reserve_anywhere(tenant, lines, key, places, request, is_fact=is_fact))


@transaction.atomic
def _reserve_anywhere(
    tenant: Tenant,
    lines: Sequence[Line],
    key: str | None,
    places: list[int] | None,
    request: dict[str, Any],
    *,
    is_fact: bool,
) -> list[Reserved]:
    if "refusal" in request:
        raise request["refusal"]
    available = _lock_places(request)
    if key is None or not _is_known(tenant, key):  # under the locks: a twin that came first has its answer by now
        placed = _place_lines(lines, available, places, is_fact=is_fact)
        request = {**request, "lines": [_line(line) for line in placed]}
    return _or_raise(_reserved(_call("inventory_reserve", [request])[0]))


def reserve_many(requests: Sequence[ReserveRequest], *, wait_ms: int = WAIT_MS) -> list[list[Reserved] | LedgerError]:
    """Decide many reservations in one transaction, a verdict each. Every line says where. Does not wait for keys.

    wait_ms: how long to wait for a balance that somebody holds; with 0 its requests are StockBusy, the others done.
    """
    asked = [_reserve_request(request) for request in requests]
    return [_reserved(verdict) for verdict in _call("inventory_reserve", asked, wait_ms=wait_ms)]


def confirm(
    tenant: Tenant, reservation_id: uuid.UUID | str, *, key: str, cause: Cause, quantity: int | None = None
) -> Ended:
    """Let the promised units leave: on hand and reserved both fall. Of a part, the rest becomes available again.

    Raises UnknownReservation, ReservationEnded, QuantityExceedsReservation, KeyReused.
    """
    asked = EndRequest(
        tenant_id=tenant.pk, reservation_id=reservation_id, is_confirmed=True, cause=cause, key=key, quantity=quantity
    )
    return _or_raise(_ended(_call("inventory_end", [_end_request(asked)])[0]))


def release(tenant: Tenant, reservation_id: uuid.UUID | str, *, key: str, cause: Cause) -> Ended:
    """Take the promise back: reserved falls, on hand stays. Raises UnknownReservation, ReservationEnded, KeyReused."""
    asked = EndRequest(tenant_id=tenant.pk, reservation_id=reservation_id, is_confirmed=False, cause=cause, key=key)
    return _or_raise(_ended(_call("inventory_end", [_end_request(asked)])[0]))


def end_many(requests: Sequence[EndRequest], *, wait_ms: int = WAIT_MS) -> list[Ended | LedgerError]:
    """End many reservations in one transaction, a verdict each. Does not wait for keys; wait_ms as reserve_many."""
    asked = [_end_request(request) for request in requests]
    return [_ended(verdict) for verdict in _call("inventory_end", asked, wait_ms=wait_ms)]


def expire_due(balances_max: int = 200) -> int:
    """End the holds and batches that are due, some balances at a time. Returns how many movements that made."""
    made = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT balances, movements FROM inventory_expire(%s)", [balances_max])
            balances, movements = cursor.fetchone()
        made += int(movements)
        if not balances:
            return made


def block_batch(tenant: Tenant, batch_id: uuid.UUID | str, *, cause: Cause, wait_ms: int | None = None) -> int:
    """Take a batch off sale and return how many free units that are. Raises UnknownBatch, BatchExpired, StockBusy."""
    return _set_batch_status(tenant, batch_id, Batch.Status.BLOCKED, cause, wait_ms)


def unblock_batch(tenant: Tenant, batch_id: uuid.UUID | str, *, cause: Cause, wait_ms: int | None = None) -> int:
    """Put a blocked batch back on sale and return how many units that frees. Raises as block_batch does."""
    return _set_batch_status(tenant, batch_id, Batch.Status.ACTIVE, cause, wait_ms)


# --- requests to and verdicts from the SQL functions --------------------------------------------------------------


def _move_request(tenant: Tenant, move: Move) -> dict[str, Any]:
    smallest = {Movement.Kind.ADJUSTMENT: -QUANTITY_MAX, Movement.Kind.COUNT: 0}.get(move.kind, 1)
    is_nothing = move.quantity == 0 and move.kind != Movement.Kind.COUNT
    if move.kind == Movement.Kind.COUNT and move.batch_number:
        return {"refusal": CountOfBatch(batch_number=move.batch_number)}
    if move.batch_expires_at is not None and not BATCH_YEARS[0] <= move.batch_expires_at.year <= BATCH_YEARS[1]:
        return {"refusal": InvalidBatchDate(date=move.batch_expires_at.isoformat())}
    if is_nothing or not smallest <= move.quantity <= QUANTITY_MAX:
        return {"refusal": InvalidQuantity(quantity=move.quantity)}
    request = {
        "kind": move.kind.value,
        "lines": [{"product_id": move.product_id, "location_id": move.location_id, "quantity": move.quantity}],
        "is_fact": move.kind in FACTS if move.is_fact is None else move.is_fact,
        "unit_cost": move.unit_cost,
        "batch_number": move.batch_number or None,
        "batch_expires_at": _in_utc(move.batch_expires_at),
        "expected_version": move.expected_version,
        "transfer_code": move.transfer_code,
        "other_location_id": move.other_location_id,
        "count_order": move.count_order,
        "reverses_id": move.reverses_id,
    }
    asked = None
    if move.named is not None:
        asked = {**request, "lines": [{**move.named, "quantity": move.quantity}], "other_location_id": None}
    return _with_key_and_cause(request, tenant.pk, move.key, move.cause, asked)


def _reserve_request(asked: ReserveRequest, extra: Any = None) -> dict[str, Any]:
    if not asked.lines:
        return {"refusal": InvalidQuantity(quantity=0)}
    wrong = next((line.quantity for line in asked.lines if not 0 < line.quantity <= QUANTITY_MAX), None)
    if wrong is not None:
        return {"refusal": InvalidQuantity(quantity=wrong)}
    if not all(line.product is None or _is_uuid(line.product) for line in asked.lines):
        return {"refusal": UnknownSku()}
    if not all(line.location is None or _is_uuid(line.location) for line in asked.lines):
        return {"refusal": UnknownStore()}
    request = {
        "lines": [_line(line) for line in asked.lines],
        "ttl_seconds": asked.ttl_seconds,
        "is_fact": asked.is_fact,
        "among": extra,
    }
    # who asks is not what is asked: after a key was replaced, a repeated request is still the same one
    return _with_key_and_cause(request, asked.tenant_id, asked.key, asked.cause) | {"requester_id": asked.requester_id}


def _end_request(asked: EndRequest) -> dict[str, Any]:
    if asked.quantity is not None and not 0 < asked.quantity <= QUANTITY_MAX:
        return {"refusal": InvalidQuantity(quantity=asked.quantity)}
    if not _is_uuid(asked.reservation_id):
        return {"refusal": UnknownReservation()}
    request = {
        "reservation_id": str(asked.reservation_id),
        "ending": "CONFIRM" if asked.is_confirmed else "RELEASE",
        "quantity": asked.quantity,
    }
    return _with_key_and_cause(request, asked.tenant_id, asked.key, asked.cause)


def _is_uuid(value: uuid.UUID | str) -> bool:
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return True


def _line(line: Line) -> dict[str, Any]:
    return {name: value for name in Line.__slots__ if (value := getattr(line, name)) is not None}


def _with_key_and_cause(
    request: dict[str, Any], tenant_id: int, key: str | None, cause: Cause, asked: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Add who and why, and leave out what was not said.

    The fingerprint is of what was asked (None: the request itself), not of why: a retry has another trace id.
    """
    if key is not None:
        told = msgspec.json.encode(request if asked is None else asked, order="deterministic")
        request["fingerprint"] = hashlib.sha256(told).hexdigest()
    request.update({name: getattr(cause, name) for name in CAUSE_FIELDS}, tenant_id=tenant_id, key=key)
    request["occurred_at"] = _in_utc(cause.occurred_at)
    return {name: value for name, value in request.items() if value is not None and value != ""}


def _in_utc(moment: datetime | None) -> datetime | None:
    """Return a moment as UTC: PostgreSQL reads no offset of 16 hours and more, Python writes up to 24."""
    return None if moment is None else moment.astimezone(UTC)


def _call(function: str, requests: list[dict[str, Any]], *, wait_ms: int | None = None) -> list[Any]:
    """Run an SQL function on the requests and return a verdict each: its JSON, or the refusal that was clear before.

    What the database refuses (a balance past an integer, a lock that does not come free in `wait_ms`) it refuses for
    the whole statement: then each request is tried alone, and only the one at fault fails.
    """
    asked = [request for request in requests if "refusal" not in request]
    try:
        answers = iter(_execute(function, asked, wait_ms) if asked else [])
    except (DataError, OperationalError) as error:
        if not _was_rolled_back(error):
            raise  # the connection broke: it may have been done, and only its key can tell
        if len(asked) > 1:
            return _one_by_one(function, requests, wait_ms and WAIT_ALONE_MS)
        return [request.get("refusal") or _refusal_of(error, request) for request in requests]
    return [request["refusal"] if "refusal" in request else next(answers) for request in requests]


def _one_by_one(function: str, requests: list[dict[str, Any]], wait_ms: int | None) -> list[Any]:
    """Return a verdict each, each in a transaction of its own; nobody waits twice for the same balances."""
    verdicts: list[Any] = []
    busy: list[list[dict[str, Any]]] = []
    for request in requests:
        lines = [{**line, "quantity": 0} for line in request.get("lines", [])]
        verdict = StockBusy() if lines and lines in busy else _call(function, [request], wait_ms=wait_ms)[0]
        if isinstance(verdict, StockBusy):
            busy.append(lines)
        verdicts.append(verdict)
    return verdicts


def _refusal_of(error: Exception, request: dict[str, Any]) -> LedgerError:
    """Return what a database error means for the one request that met it. Raises it again when it means nothing."""
    if isinstance(error, DataError) and _state(error) == NUMBER_TOO_LARGE:
        return InvalidQuantity(quantity=_quantity(request))
    if isinstance(error, DataError):
        return InvalidValue(field=_text_at_fault(request))
    if _state(error) in (DEADLOCK, LOCK_NOT_AVAILABLE):
        return StockBusy()
    raise error


def _state(error: Exception) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def _was_rolled_back(error: Exception) -> bool:
    """Tell whether the server itself answered with the error, so that nothing of the statement was done."""
    state = _state(error)
    return state != "" and state[:2] not in ("08", "57")  # connection lost, server going down


def _text_at_fault(request: dict[str, Any]) -> str:
    """Return the name of the text that is too long or holds a NUL character; `?` when it is something else."""
    values: list[tuple[str, Any]] = [pair for part in (request, *request.get("lines", ())) for pair in part.items()]
    for name, value in values:
        if isinstance(value, str) and ("\0" in value or len(value) > (TEXT_LENGTH_MAX.get(name) or len(value))):
            return name
    return "?"


def _quantity(request: dict[str, Any]) -> Any:
    return request["lines"][0]["quantity"] if "lines" in request else request.get("quantity")


def _execute(function: str, requests: list[dict[str, Any]], wait_ms: int | None) -> list[Any]:
    text = msgspec.json.encode(requests).decode()
    statement = f"SELECT {function}(%s, %s)"
    if connection.in_atomic_block:
        with transaction.atomic(), connection.cursor() as cursor:  # a savepoint: a refused value must not end theirs
            cursor.execute(statement, [text, wait_ms])
            return list(msgspec.json.decode(cursor.fetchone()[0]))

    def once() -> list[Any]:
        with connection.cursor() as cursor:  # one statement is one transaction: no BEGIN, no COMMIT to wait for
            cursor.execute(statement, [text, wait_ms])
            return list(msgspec.json.decode(cursor.fetchone()[0]))

    return _again_after_deadlock(once)


def _again_after_deadlock(work: Callable[[], T]) -> T:
    """Do a whole transaction, again when it was the victim of a deadlock. In a caller's transaction that is theirs.

    A verb inside of it has called its deadlock StockBusy already.
    """
    for tried in range(DEADLOCK_TRIES_MAX):
        try:
            return work()
        except (OperationalError, StockBusy) as error:
            is_deadlock = isinstance(error, StockBusy) or _state(error) == DEADLOCK
            if connection.in_atomic_block or not is_deadlock or tried == DEADLOCK_TRIES_MAX - 1:
                raise
            time.sleep(0.01 * 2**tried)
    raise AssertionError("unreachable")


def _refusal(verdict: Any) -> LedgerError | None:
    if isinstance(verdict, LedgerError):
        return verdict
    if "code" not in verdict:
        return None
    facts = {name: value for name, value in verdict.items() if name != "code"}
    if "available" in facts:
        facts["available"] = max(facts["available"], 0)
    return REFUSALS[verdict["code"]](**facts)


def _posted(verdict: Any) -> Posted | LedgerError:
    if refusal := _refusal(verdict):
        return refusal
    return Posted(
        tuple(verdict["movement_ids"]),
        *(verdict["kind"], verdict["product_id"], verdict["location_id"]),
        *(verdict["on_hand"], verdict["reserved"], verdict["available"], verdict["version"]),
        replayed="replayed" in verdict,
    )


def _reserved(verdict: Any) -> list[Reserved] | LedgerError:
    if refusal := _refusal(verdict):
        return refusal
    created_at, is_replayed = verdict["created_at"], "replayed" in verdict
    return [Reserved(**row, created_at=created_at, replayed=is_replayed) for row in verdict["reservations"]]


def _ended(verdict: Any) -> Ended | LedgerError:
    if refusal := _refusal(verdict):
        return refusal
    del verdict["movement_id"]
    return Ended(**verdict)


def _or_raise(verdict: T | LedgerError) -> T:
    if isinstance(verdict, LedgerError):
        raise verdict
    return verdict


def _set_batch_status(
    tenant: Tenant, batch_id: uuid.UUID | str, status: Batch.Status, cause: Cause, wait_ms: int | None
) -> int:
    if not _is_uuid(batch_id):
        raise UnknownBatch
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT inventory_set_batch_status(%s, %s, %s, jsonb_populate_record(NULL::inventory_ledger, %s), %s)",
                [tenant.pk, str(batch_id), status.value, msgspec.json.encode(asdict(cause)).decode(), wait_ms],
            )
            verdict = msgspec.json.decode(cursor.fetchone()[0])
    except OperationalError as error:
        if _state(error) == LOCK_NOT_AVAILABLE:
            raise StockBusy from None
        raise
    if refusal := _refusal(verdict):
        raise refusal
    return int(verdict["units"])


# --- where lines without a place are taken ------------------------------------------------------------------------


def _is_known(tenant: Tenant, key: str) -> bool:
    """Tell whether the key has its answer already: then nothing needs a place."""
    return LedgerKey.objects.filter(tenant=tenant, key=key).exists()


def _place_lines(
    lines: Sequence[Line],
    available: defaultdict[int, dict[int, int]],
    places: list[int] | None,
    *,
    is_fact: bool,
) -> list[Line]:
    """Return the lines with a place each, by what is available where: {product: {location: units}}.

    Lines that name their location are served first. Raises InsufficientStock unless the request is a fact.
    """
    anywhere: dict[int, int] = {}
    placed = [line for line in lines if line.is_placed]
    for line in lines:
        if not line.is_placed and line.product_id is not None:
            anywhere[line.product_id] = anywhere.get(line.product_id, 0) + line.quantity
    for line in placed:
        if line.product_id is not None and line.location_id in available[line.product_id]:
            available[line.product_id][line.location_id] -= line.quantity
    for product_id, quantity in sorted(anywhere.items()):
        left_at = {
            location_id: units
            for location_id, units in available[product_id].items()
            if places is None or location_id in places
        }
        if is_fact and not left_at:
            raise UnknownPlace  # the tenant has no place at all, or none of those
        taken = _fullest_first(product_id, quantity, left_at, is_fact=is_fact)
        placed.extend(Line(product_id, units, location_id) for location_id, units in taken.items())
    return placed


def _lock_places(request: dict[str, Any]) -> defaultdict[int, dict[int, int]]:
    """Lock every balance that the request may touch and return what is available: {product: {location: units}}.

    What is due there ends first: an expired hold or batch would show units where there are none, or hide some.
    """
    available: defaultdict[int, dict[int, int]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT product, location, available FROM inventory_lock_places(%s)",
            [msgspec.json.encode(request).decode()],
        )
        for product_id, location_id, quantity in cursor.fetchall():
            available[product_id][location_id] = quantity
    return available


def _fullest_first(product_id: int, quantity: int, left_at: dict[int, int], *, is_fact: bool) -> dict[int, int]:
    """Split `quantity` over the places, the fullest first: {location: units}. A fact's rest goes to the fullest."""
    by_fullness = sorted(left_at, key=lambda location_id: (-left_at[location_id], location_id))
    taken: dict[int, int] = {}
    missing = quantity
    for location_id in by_fullness:
        units = min(missing, left_at[location_id])
        if units > 0:
            taken[location_id] = units
            missing -= units
    if missing and not is_fact:
        raise InsufficientStock(
            product_id=product_id, location_id=None, requested=quantity, available=quantity - missing
        )
    if missing:
        taken[by_fullness[0]] = taken.get(by_fullness[0], 0) + missing
    return taken
