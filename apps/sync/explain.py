"""Why is this number 7? What made it, who holds what, what the channel answered, what waits, what would make it 8.

Everything is read as it is now; a number that was told before is computed again from what the log kept with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from django.db.models import Sum
from django.utils import timezone
from msgspec import structs

from apps.connectors import breaker
from apps.connectors.models import Listing
from apps.inventory.models import Balance, Reservation
from apps.sync import inputs
from apps.sync.inputs import Inputs
from apps.sync.models import SyncLog
from apps.tenants import flags

HOLDS_MAX = 50
"""Holds that are named, the oldest first; of the others only the sum is said."""

PLACES_MAX = 50
"""Places named that hold units which this account does not sell."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step from the stock to the number: `units` after it, and what the rule says there."""

    name: str  # pool, margin, buffer, end, cap, in_flight, depots
    rule: int | None
    units: int


@dataclass(frozen=True, slots=True)
class Hold:
    """An open promise of units: `reference` names its document, such as ("order", "17")."""

    reservation_id: UUID
    code: str  # of the place
    quantity: int
    reference_type: str
    reference_id: str
    requester_id: str
    expires_at: datetime | None
    created_at: datetime


class Way(Enum):
    """What somebody could do for the number to be higher."""

    UNITS = "more_units"  # received, or freed from holds or blocks
    FREE = "free_held"  # ending holds suffices
    UNBLOCK = "unblock"
    PLACES = "sell_from_more_places"
    MARGIN = "raise_margin"
    BUFFER = "lower_buffer"
    END = "lower_end"  # shows what there is, which is more than nothing but less than the goal
    CAP = "raise_cap"


@dataclass(frozen=True, slots=True)
class Change:
    """One way to `goal`: `value` is how many units, or what the rule would have to say."""

    way: Way
    value: int
    is_enough: bool = True  # False: it takes this and another one


@dataclass(frozen=True, slots=True)
class Wanted:
    """What would make the number higher: the next number there can be, and the ways to it."""

    goal: int
    changes: tuple[Change, ...]


class State(Enum):
    """Where telling a listing's number stands."""

    NOT_MAPPED = "not_mapped"
    KEPT_BY_CHANNEL = "kept_by_channel"  # Full, a kit, or replaced: the hub never tells it a number
    STOCK_UNKNOWN = "stock_unknown"  # nothing was received or counted yet
    TELLING = "being_told"
    WAITING = "in_queue"
    RETRY = "retry"
    HELD = "held"  # one zero of too many at once: a person must let it through (waves.py)
    SHADOWED = "shadowed"  # computed and logged, not sent: the account is in shadow mode
    DIFFERS = "differs"  # nothing is under way: the comparison finds it within a minute
    RIGHT = "right"


class Hindrance(Enum):
    """Why nothing is told to the whole account now."""

    STOPPED = "connector_stopped"
    SWITCHED_OFF = "switched_off"
    SHADOWED = "shadow_mode"
    LEFT_ALONE = "circuit_open"


@dataclass(frozen=True, slots=True)
class Why:
    """The answer. `number` is what the listing should show, `listing.accepted_quantity` what the channel last said."""

    listing: Listing
    made_of: Inputs | None
    holds: tuple[Hold, ...]
    held_besides: int  # units of holds that are not among `holds`
    elsewhere: dict[str, int]  # available units by place, of places that this account does not sell from
    told: SyncLog | None  # the newest try that ended
    state: State
    hindrance: Hindrance | None
    wanted: Wanted | None

    @property
    def number(self) -> int | None:
        """Return what the listing should show now; None when the hub does not know."""
        return None if self.made_of is None else self.made_of.number

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the way from the stock to the number."""
        return () if self.made_of is None else steps_of(self.made_of)


def explain(listing: Listing) -> Why:
    """Return why a listing shows its number. `listing` comes with its connector and tenant; six small queries."""
    made_of = made_of_many([listing]).get(listing.pk)
    places = [place.location_id for place in made_of.places] if made_of else []
    holds, besides = _holds(listing, places)
    elsewhere = _elsewhere(listing, places)
    told = SyncLog.objects.filter(listing=listing, sync_type=SyncLog.SyncType.STOCK)
    newest = told.exclude(status=SyncLog.Status.PENDING).order_by("-timestamp", "-id").first()
    state = state_of(listing, made_of)
    tells_nothing = state in (State.NOT_MAPPED, State.KEPT_BY_CHANNEL)
    wanted = None if made_of is None or tells_nothing else what_would_raise(made_of, sum(elsewhere.values()))
    return Why(listing, made_of, holds, besides, elsewhere, newest, state, hindrance_of(listing), wanted)


def made_of_many(listings: Iterable[Listing]) -> dict[int, Inputs]:
    """Return what the number of each listing is made of now, by listing id; without those that have none. One query."""
    mapped = {row.pk: row for row in listings if row.product_id}
    found = inputs.read_many(mapped) if mapped else {}
    for pk, made_of in found.items():
        units = mapped[pk].in_flight_units
        if units > 0:  # as it was told; in_flight.py decides for how long that is believed
            found[pk] = structs.replace(made_of, in_flight=units)
    return found


def steps_of(made_of: Inputs) -> tuple[Step, ...]:
    """Return the way to the number, step by step, as `Inputs.number` goes it; only those steps that there are."""
    rule, units = made_of.rule, made_of.pool
    steps = [Step("pool", None, units)]
    if rule.margin_percent != 100:
        units = units * rule.margin_percent // 100
        steps.append(Step("margin", rule.margin_percent, units))
    if rule.buffer_units:
        units = max(0, units - rule.buffer_units)
        steps.append(Step("buffer", rule.buffer_units, units))
    if rule.end_when_units:
        units = 0 if units <= rule.end_when_units else units
        steps.append(Step("end", rule.end_when_units, units))
    if rule.cap_units is not None:
        units = min(units, rule.cap_units)
        steps.append(Step("cap", rule.cap_units, units))
    if made_of.in_flight > 0:
        steps.append(Step("in_flight", made_of.in_flight, made_of.whole))
    if made_of.number != made_of.whole:
        steps.append(Step("depots", None, made_of.number))
    return tuple(steps)


def what_would_raise(made_of: Inputs, units_elsewhere: int = 0) -> Wanted:
    """Return the next number there can be, and each change that leads to it.

    More units come first, then the parts of the rule. Each change is enough alone, except where a cap or a margin of
    nothing stands in the way of all others: then each says so, and together they are enough.
    """
    rule = made_of.rule
    number = made_of.number
    goal = number + 1 if number or not rule.end_when_units else rule.end_when_units + 1
    uncapped = _with(made_of, cap_units=None)
    is_capped = rule.cap_units is not None and rule.cap_units < goal
    changes: list[Change] = []
    missing = _missing_units(uncapped, goal)
    if missing:
        changes.append(Change(Way.UNITS, missing, not is_capped))
        held = _freeing(made_of, "reserved", missing)
        blocked = _freeing(made_of, "blocked", missing)
        changes += [Change(Way.FREE, held, not is_capped)] if held else []
        changes += [Change(Way.UNBLOCK, blocked, not is_capped)] if blocked else []
        changes += [Change(Way.PLACES, units_elsewhere, not is_capped)] if units_elsewhere >= missing else []
    changes += _rule_changes(uncapped, goal, is_enough=not is_capped)
    if missing is None and not changes:  # nothing is published, and all that is there would not be enough
        at_most = _with(uncapped, margin_percent=100)
        changes += [Change(Way.UNITS, _missing_units(at_most, goal) or 0, False), Change(Way.MARGIN, 100, False)]
    if is_capped:
        changes.append(Change(Way.CAP, goal, uncapped.number >= goal))
    return Wanted(goal, tuple(changes))


def _missing_units(made_of: Inputs, goal: int) -> int | None:
    """Return how many more available units lead to `goal`; 0 when none, None when no number of them does."""
    margin = made_of.margin_percent
    if margin == 0:
        return None
    needed = -(-(goal + made_of.buffer_units + made_of.in_flight) * 100 // margin)
    return max(0, needed - made_of.pool)


def _freeing(made_of: Inputs, name: str, missing: int) -> int:
    """Return how many units must be freed at one place for `missing` more to count; 0 when no place has so many."""
    ways = [missing + max(0, -place.available) for place in made_of.places]
    possible = [units for units, place in zip(ways, made_of.places, strict=True) if getattr(place, name) >= units]
    return min(possible, default=0)


def _rule_changes(made_of: Inputs, goal: int, *, is_enough: bool) -> Iterable[Change]:
    """Yield what each part of the rule would have to say for `goal`, where that part alone can do it."""
    if made_of.number >= goal:
        return
    margins = range(made_of.margin_percent + 1, 101)
    margin = next((m for m in margins if _with(made_of, margin_percent=m).number >= goal), None)
    if margin is not None:
        yield Change(Way.MARGIN, margin, is_enough)
    left = made_of.pool * made_of.margin_percent // 100
    if made_of.buffer_units and left - goal >= 0 and _with(made_of, buffer_units=left - goal).number >= goal:
        yield Change(Way.BUFFER, left - goal, is_enough)
    before_end = left - made_of.buffer_units
    if 0 < before_end <= made_of.end_when_units:
        yield Change(Way.END, before_end - 1, is_enough)


def _with(made_of: Inputs, **changed: int | None) -> Inputs:
    values = {name: getattr(made_of, name) for name in made_of.__struct_fields__}
    return Inputs(**(values | changed))


def _holds(listing: Listing, places: Sequence[int]) -> tuple[tuple[Hold, ...], int]:
    """Return the open holds at these places, the oldest first, and how many units the unnamed ones keep."""
    if not places or listing.product_id is None:
        return (), 0
    rows = Reservation.objects.filter(
        tenant_id=listing.tenant_id,
        product_id=listing.product_id,
        location_id__in=places,
        status=Reservation.Status.PENDING,
    )
    found = list(rows.select_related("location").order_by("id")[: HOLDS_MAX + 1])
    named = tuple(_hold(row) for row in found[:HOLDS_MAX])
    if len(found) <= HOLDS_MAX:
        return named, 0
    all_units = rows.aggregate(units=Sum("quantity"))["units"] or 0
    return named, max(0, all_units - sum(hold.quantity for hold in named))


def _hold(row: Reservation) -> Hold:
    return Hold(
        row.pk,
        row.location.code,
        row.quantity,
        row.reference_type,
        row.reference_id,
        row.requester_id,
        row.expires_at,
        row.created_at,
    )


def _elsewhere(listing: Listing, places: Sequence[int]) -> dict[str, int]:
    """Return what is available at places that this account does not sell from."""
    if listing.product_id is None:
        return {}
    rows = Balance.objects.filter(tenant_id=listing.tenant_id, product_id=listing.product_id, available__gt=0)
    found = rows.exclude(location_id__in=places).order_by("location__code")
    return dict(found.values_list("location__code", "available")[:PLACES_MAX])


def state_of(listing: Listing, made_of: Inputs | None) -> State:
    """Return where telling the number stands; `made_of` as `inputs.read` gives it now."""
    now = timezone.now()
    if listing.product_id is None:
        return State.NOT_MAPPED
    if not listing.is_writable:
        return State.KEPT_BY_CHANNEL
    if made_of is None:
        return State.STOCK_UNKNOWN
    if listing.held_at:
        return State.HELD
    if listing.lease_expires_at and listing.lease_expires_at > now:
        return State.TELLING
    if listing.due_at and listing.due_at > now:
        return State.RETRY
    if listing.due_at or listing.lease_expires_at:
        return State.WAITING
    if listing.accepted_quantity == made_of.number:
        return State.RIGHT
    return State.SHADOWED if listing.is_shadowed else State.DIFFERS


def hindrance_of(listing: Listing) -> Hindrance | None:
    """Return what holds the listing's whole account up. `listing` comes with its connector and tenant."""
    connector = listing.connector
    if not connector.is_running:
        return Hindrance.STOPPED
    if not flags.is_on(listing.tenant, flags.integration(connector.kind)):
        return Hindrance.SWITCHED_OFF
    if listing.is_shadowed:
        return Hindrance.SHADOWED
    if breaker.states([connector.pk])[connector.pk] is not breaker.State.CLOSED:
        return Hindrance.LEFT_ALONE
    return None


def recomputed(log: SyncLog) -> int | None:
    """Return the number that a try's kept inputs give: what it told, always; None when it kept none."""
    return None if log.inputs is None else inputs.restored(log.inputs).number
