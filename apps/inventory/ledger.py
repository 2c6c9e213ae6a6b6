"""The one verb: the only code that writes balances, movements and reservations (law 2).

Each function is one short transaction (or a part of the caller's): it takes its idempotency key, locks the balances it
touches in one fixed order, then writes every change of a balance and its movement **in one statement** (`MOVE`).

A *request* may be refused: `reserve` and `adjust` raise InsufficientStock and nothing has changed. A *fact* is never
refused: `receive`, and `reserve(..., is_fact=True)` for a sale that a channel already made. A fact that leaves fewer
units than are promised opens an oversell (`Balance.oversold_since`), in the same statement.

Every verb takes a `key`, unique per tenant. The same key with the same request returns the first answer and changes
nothing; with another request it raises KeyReused. A refused request leaves its key unused.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from django.db import DataError, IntegrityError, connection, transaction

from apps.inventory.models import Balance, Location, Movement, Reservation
from apps.tenants.models import Tenant

T = TypeVar("T")

QUANTITY_MAX = 1_000_000_000
"""No single movement is larger; a balance that would pass PostgreSQL's integer is refused by the database."""

COUNTING_KINDS = frozenset({Movement.Kind.RECEIPT, Movement.Kind.ADJUSTMENT})
"""After one of these the number on hand is known; a sale alone says nothing about what is left."""


class LedgerError(Exception):
    """A request the ledger refused. Nothing was changed. `code` is stable."""

    code = "ledger_error"


class InvalidQuantity(LedgerError):
    """The quantity is zero, negative where it may not be, or absurdly large."""

    code = "invalid_quantity"


class InsufficientStock(LedgerError):
    """Fewer units are available than were asked for."""

    code = "insufficient_stock"

    def __init__(self, *, product_id: int, location_id: int | None, requested: int, available: int) -> None:
        super().__init__(f"{requested} units were asked for and {max(available, 0)} are available; nothing was changed")
        self.product_id = product_id
        self.location_id = location_id
        self.requested = requested
        self.available = available


class KeyReused(LedgerError):
    """The idempotency key was already used for a different request."""

    code = "idempotency_key_reused"


class UnknownReservation(LedgerError):
    """This tenant has no such reservation."""

    code = "unknown_reservation"


class ReservationEnded(LedgerError):
    """The reservation was confirmed, released or expired before."""

    code = "reservation_ended"

    def __init__(self, status: str) -> None:
        super().__init__(f"the reservation is already {status}; nothing was changed")
        self.status = status


class UnknownPlace(LedgerError):
    """This tenant has no such product or location."""

    code = "unknown_product_or_location"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why stock moves, and who moves it: what a person needs to explain the number later.

    actor: `user:7`, `worker:events`, `command:receive_stock` …
    reference_type, reference_id: the document behind it, such as `order` and its id.
    occurred_at: when it happened in the world; None means now.
    """

    actor: str
    reason: str = ""
    reference_type: str = ""
    reference_id: str = ""
    source: str = "saldo"
    source_key: str = ""
    trace_id: uuid.UUID = field(default_factory=uuid.uuid4)
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """One movement as it was written."""

    movement_id: int
    kind: str
    product_id: int
    location_id: int
    on_hand: int
    reserved: int
    version: int


@dataclass(frozen=True, slots=True)
class Line:
    """Units of a product to reserve: at one location, or (None) wherever the tenant has most of it."""

    product_id: int
    quantity: int
    location_id: int | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """One reservation as it was made."""

    reservation_id: str
    product_id: int
    location_id: int
    quantity: int


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
    """Take `quantity` units in (a fact: goods arrived). Returns the movement. Raises InvalidQuantity, UnknownPlace."""
    _check_quantity(quantity)

    def post() -> Posted:
        _ensure_balance(tenant, product_id, location_id)
        return _move(tenant, product_id, location_id, Movement.Kind.RECEIPT, quantity, 0, cause, unit_cost=unit_cost)

    return _once(
        tenant, key, ["receive", product_id, location_id, quantity, unit_cost], post, lambda answer: Posted(**answer)
    )


def adjust(tenant: Tenant, product_id: int, location_id: int, delta: int, *, key: str, cause: Cause) -> Posted:
    """Correct the number on hand by `delta` units, up or down (a request).

    Returns the movement. Raises InsufficientStock when fewer than `-delta` units are available (what is promised to
    somebody cannot be corrected away), InvalidQuantity, UnknownPlace.
    """
    _check_quantity(abs(delta))

    def post() -> Posted:
        _ensure_balance(tenant, product_id, location_id)
        if delta < 0:
            available = _lock_balances(tenant, [product_id])[product_id].get(location_id, 0)
            if available < -delta:
                raise InsufficientStock(
                    product_id=product_id, location_id=location_id, requested=-delta, available=available
                )
        return _move(tenant, product_id, location_id, Movement.Kind.ADJUSTMENT, delta, 0, cause)

    return _once(tenant, key, ["adjust", product_id, location_id, delta], post, lambda answer: Posted(**answer))


def reserve(
    tenant: Tenant,
    lines: Sequence[Line],
    *,
    key: str,
    cause: Cause,
    among: Iterable[int] | None = None,
    is_fact: bool = False,
) -> list[Reserved]:
    """Promise the units of every line, all or nothing, and return the reservations (one per product and place).

    Lines of one product and place are summed before the check. A line without a location is taken where most is
    available, from several places when one has too few; `among` limits those places to some location ids.
    As a request it raises InsufficientStock. As a fact (a channel already sold the units) it is never refused: what no
    place can cover is promised at the fullest one, and that balance is oversold from then on.
    Also raises InvalidQuantity, UnknownPlace.
    """
    for line in lines:
        _check_quantity(line.quantity)
    places = sorted(among) if among is not None else None

    def post() -> list[Reserved]:
        products = sorted({line.product_id for line in lines})
        for product_id, location_id in sorted({(line.product_id, line.location_id or 0) for line in lines}):
            if location_id:
                _ensure_balance(tenant, product_id, location_id)
            elif is_fact and not _has_balance(tenant, product_id, places):
                _ensure_balance(tenant, product_id, _first_location(tenant, places))
        available = _lock_balances(tenant, products)
        wanted = _place_lines(lines, available, places, is_fact=is_fact)
        return [
            _reserve_at(tenant, product_id, location_id, quantity, key, cause)
            for (product_id, location_id), quantity in sorted(wanted.items())
        ]

    request = ["reserve", sorted((li.product_id, li.location_id or 0, li.quantity) for li in lines), places, is_fact]
    return _once(tenant, key, request, post, lambda answer: [Reserved(**row) for row in answer])


def confirm(tenant: Tenant, reservation_id: uuid.UUID | str, *, key: str, cause: Cause) -> Posted:
    """Let the promised units leave: on hand and reserved both fall. Raises UnknownReservation, ReservationEnded."""
    return _end(tenant, reservation_id, Reservation.Status.CONFIRMED, Movement.Kind.CONFIRM, key, cause)


def release(tenant: Tenant, reservation_id: uuid.UUID | str, *, key: str, cause: Cause) -> Posted:
    """Take the promise back: reserved falls, on hand stays. Raises UnknownReservation, ReservationEnded."""
    return _end(tenant, reservation_id, Reservation.Status.RELEASED, Movement.Kind.RELEASE, key, cause)


# --- the parts of a verb, in the order a verb uses them -----------------------------------------------------------


def _check_quantity(quantity: int) -> None:
    if not 0 < quantity <= QUANTITY_MAX:
        raise InvalidQuantity(f"a quantity must be from 1 to {QUANTITY_MAX}, not {quantity}; nothing was changed")


def _once(tenant: Tenant, key: str, request: list[Any], post: Callable[[], T], recall: Callable[[Any], T]) -> T:
    """Run `post` once per key: claim the key, do the work, keep the answer; a repeat recalls the kept answer.

    A second caller with the same key waits at the INSERT until the first commits or rolls back, so two callers at the
    same moment still do the work once.
    """
    fingerprint = hashlib.sha256(json.dumps(request, default=str).encode()).hexdigest()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO inventory_keys (tenant_id, key, fingerprint) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [tenant.pk, key, fingerprint],
        )
        if cursor.rowcount:
            result = post()
            cursor.execute(
                "UPDATE inventory_keys SET answer = %s WHERE tenant_id = %s AND key = %s",
                [json.dumps(_plain(result)), tenant.pk, key],
            )
            return result
        cursor.execute(
            "SELECT fingerprint, answer FROM inventory_keys WHERE tenant_id = %s AND key = %s", [tenant.pk, key]
        )
        first_fingerprint, answer = cursor.fetchone()
    if first_fingerprint != fingerprint:
        raise KeyReused(f"the key {key!r} was used before for a different request; nothing was changed")
    return recall(json.loads(answer))


def _plain(result: Any) -> Any:
    return [asdict(row) for row in result] if isinstance(result, list) else asdict(result)


def _ensure_balance(tenant: Tenant, product_id: int, location_id: int) -> None:
    """Make the balance row when there is none. Raises UnknownPlace when product or location is not this tenant's.

    The composite foreign keys say whose they are; asking first would be a race and a second query.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                """INSERT INTO inventory_balances
                       (tenant_id, product_id, location_id, quantity_on_hand, quantity_reserved, version)
                   VALUES (%s, %s, %s, 0, 0, 0) ON CONFLICT DO NOTHING""",
                [tenant.pk, product_id, location_id],
            )
    except IntegrityError:
        raise UnknownPlace(
            f"product {product_id} or location {location_id} is not known to this tenant; nothing was changed"
        ) from None


def _has_balance(tenant: Tenant, product_id: int, places: list[int] | None) -> bool:
    rows = Balance.objects.filter(tenant=tenant, product_id=product_id)
    return (rows if places is None else rows.filter(location_id__in=places)).exists()


def _first_location(tenant: Tenant, places: list[int] | None) -> int:
    """Return where a sale is booked of a product that never had stock anywhere: the oldest of the locations."""
    rows = Location.objects.filter(tenant=tenant)
    location = (rows if places is None else rows.filter(pk__in=places)).order_by("pk").first()
    if location is None:
        raise UnknownPlace("this tenant has no location yet, so there is no place to reserve from; make one first")
    return location.pk


def _lock_balances(tenant: Tenant, product_ids: list[int]) -> dict[int, dict[int, int]]:
    """Lock every balance of the products, in one fixed order, and return what is available: {product: {location: n}}.

    The order (product, location) is the same in every transaction, so two of them wait for each other but never in a
    circle. NO KEY UPDATE lets the foreign keys of other writers pass.
    """
    available: dict[int, dict[int, int]] = {product_id: {} for product_id in product_ids}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT product_id, location_id, quantity_available FROM inventory_balances
               WHERE tenant_id = %s AND product_id = ANY(%s)
               ORDER BY product_id, location_id FOR NO KEY UPDATE""",
            [tenant.pk, product_ids],
        )
        for product_id, location_id, quantity in cursor.fetchall():
            available[product_id][location_id] = quantity
    return available


def _place_lines(
    lines: Sequence[Line], available: dict[int, dict[int, int]], places: list[int] | None, *, is_fact: bool
) -> dict[tuple[int, int], int]:
    """Decide how many units of which product are taken where: {(product, location): units}.

    Lines that name their location are served first. Raises InsufficientStock unless the request is a fact.
    """
    wanted: dict[tuple[int, int], int] = {}
    anywhere: dict[int, int] = {}
    for line in lines:
        if line.location_id is None:
            anywhere[line.product_id] = anywhere.get(line.product_id, 0) + line.quantity
        else:
            place = (line.product_id, line.location_id)
            wanted[place] = wanted.get(place, 0) + line.quantity
    for (product_id, location_id), quantity in wanted.items():
        there = available[product_id].get(location_id, 0)
        if there < quantity and not is_fact:
            raise InsufficientStock(product_id=product_id, location_id=location_id, requested=quantity, available=there)

    for product_id, quantity in anywhere.items():
        left_at = {
            location_id: there - wanted.get((product_id, location_id), 0)
            for location_id, there in available[product_id].items()
            if places is None or location_id in places
        }
        for location_id, units in _fullest_first(product_id, quantity, left_at, is_fact=is_fact).items():
            wanted[product_id, location_id] = wanted.get((product_id, location_id), 0) + units
    return wanted


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


def _reserve_at(tenant: Tenant, product_id: int, location_id: int, quantity: int, key: str, cause: Cause) -> Reserved:
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO inventory_reservations
                   (id, tenant_id, product_id, location_id, quantity, status, idempotency_key,
                    reference_type, reference_id)
               VALUES (uuidv7(), %s, %s, %s, %s, 'PENDING', %s, %s, %s) RETURNING id""",
            [tenant.pk, product_id, location_id, quantity, key, cause.reference_type, cause.reference_id],
        )
        reservation_id: uuid.UUID = cursor.fetchone()[0]
    _move(tenant, product_id, location_id, Movement.Kind.RESERVE, 0, quantity, cause, reservation_id=reservation_id)
    return Reserved(str(reservation_id), product_id, location_id, quantity)


def _end(
    tenant: Tenant, reservation_id: uuid.UUID | str, status: str, kind: Movement.Kind, key: str, cause: Cause
) -> Posted:
    """End a pending reservation, once: the conditional UPDATE lets one of several rivals through."""

    def post() -> Posted:
        with connection.cursor() as cursor:
            cursor.execute(
                """UPDATE inventory_reservations SET status = %s, updated_at = now()
                   WHERE tenant_id = %s AND id = %s AND status = 'PENDING'
                   RETURNING product_id, location_id, quantity""",
                [status, tenant.pk, reservation_id],
            )
            row = cursor.fetchone()
        if row is None:
            raise _why_not_ended(tenant, reservation_id)
        product_id, location_id, quantity = row
        leaves = quantity if kind == Movement.Kind.CONFIRM else 0
        return _move(tenant, product_id, location_id, kind, -leaves, -quantity, cause, reservation_id=reservation_id)

    return _once(tenant, key, ["end", str(reservation_id), status], post, lambda answer: Posted(**answer))


def _why_not_ended(tenant: Tenant, reservation_id: uuid.UUID | str) -> LedgerError:
    reservation = Reservation.objects.filter(tenant=tenant, pk=reservation_id).first()
    if reservation is None:
        return UnknownReservation("this tenant has no such reservation; nothing was changed")
    return ReservationEnded(reservation.status)


MOVE = """
WITH moved AS (
    UPDATE inventory_balances
       SET quantity_on_hand = quantity_on_hand + %(on_hand_delta)s,
           quantity_reserved = quantity_reserved + %(reserved_delta)s,
           version = version + 1,
           oversold_since = CASE
               WHEN quantity_on_hand + %(on_hand_delta)s < quantity_reserved + %(reserved_delta)s
               THEN COALESCE(oversold_since, now()) END,
           counted_at = CASE WHEN %(is_counting)s THEN COALESCE(counted_at, now()) ELSE counted_at END,
           last_updated = now()
     WHERE tenant_id = %(tenant_id)s AND product_id = %(product_id)s AND location_id = %(location_id)s
    RETURNING tenant_id, product_id, location_id, quantity_on_hand, quantity_reserved, version
)
INSERT INTO inventory_ledger (
    tenant_id, product_id, location_id, kind, transaction_type, on_hand_delta, reserved_delta,
    on_hand_after, reserved_after, version, reservation_id, unit_cost, reason, reference_type, reference_id,
    actor, source, source_key, trace_id, occurred_at)
SELECT tenant_id, product_id, location_id, %(kind)s, %(transaction_type)s, %(on_hand_delta)s, %(reserved_delta)s,
       quantity_on_hand, quantity_reserved, version, %(reservation_id)s, %(unit_cost)s, %(reason)s,
       %(reference_type)s, %(reference_id)s, %(actor)s, %(source)s, %(source_key)s, %(trace_id)s,
       COALESCE(%(occurred_at)s, now())
  FROM moved
RETURNING id, on_hand_after, reserved_after, version
"""


def _move(
    tenant: Tenant,
    product_id: int,
    location_id: int,
    kind: Movement.Kind,
    on_hand_delta: int,
    reserved_delta: int,
    cause: Cause,
    *,
    reservation_id: uuid.UUID | str | None = None,
    unit_cost: Decimal | None = None,
) -> Posted:
    """Change one balance and write its movement, in one statement. The balance row exists.

    Raises InvalidQuantity when the balance would be larger than the database can hold.
    """
    values = {
        "tenant_id": tenant.pk,
        "product_id": product_id,
        "location_id": location_id,
        "kind": kind.value,
        "transaction_type": Movement.TRANSACTION_TYPES[kind],
        "is_counting": kind in COUNTING_KINDS,
        "on_hand_delta": on_hand_delta,
        "reserved_delta": reserved_delta,
        "reservation_id": reservation_id,
        "unit_cost": unit_cost,
        **asdict(cause),
    }
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(MOVE, values)
            movement_id, on_hand, reserved, version = cursor.fetchone()
    except DataError as overflow:
        raise InvalidQuantity(f"the movement does not fit ({overflow}); nothing was changed") from None
    return Posted(movement_id, kind.value, product_id, location_id, on_hand, reserved, version)
