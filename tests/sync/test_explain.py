"""Why a number is what it is, and what would make it one more."""

import random
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.utils import timezone
from msgspec import structs

from apps.connectors.breaker import Breaker
from apps.connectors.models import Connector, Listing
from apps.inventory import ledger
from apps.sync import explain, inputs
from apps.sync.explain import Change, Hindrance, State, Step, Way, what_would_raise
from apps.sync.inputs import Inputs, Place
from apps.sync.models import SyncLog
from apps.tenants import flags
from tests import factories


def of(*places: Place, margin: int = 100, buffer: int = 0, end: int = 0, cap: int | None = None) -> Inputs:
    return Inputs(places, margin_percent=margin, buffer_units=buffer, end_when_units=end, cap_units=cap)


def test_the_steps_are_those_the_rule_has_and_end_in_the_number() -> None:
    plain = of(Place(1, "S1", 7))
    assert explain.steps_of(plain) == (Step("pool", None, 7),)
    ruled = of(Place(1, "S1", 30, 4), Place(2, "S2", 1, 5), margin=50, buffer=2, end=3, cap=8)
    assert explain.steps_of(ruled) == (
        Step("pool", None, 26),
        Step("margin", 50, 13),
        Step("buffer", 2, 11),
        Step("end", 3, 11),
        Step("cap", 8, 8),
    )
    assert explain.steps_of(of(Place(1, "S1", 3), end=3))[-1] == Step("end", 3, 0)


RAISED: dict[str, tuple[Inputs, int, list[Change]]] = {
    "one more unit": (of(Place(1, "S1", 7)), 8, [Change(Way.UNITS, 1)]),
    "a hold is freed": (of(Place(1, "S1", 9, reserved=2)), 8, [Change(Way.UNITS, 1), Change(Way.FREE, 1)]),
    "a blocked batch": (of(Place(1, "S1", 9, blocked=2)), 8, [Change(Way.UNITS, 1), Change(Way.UNBLOCK, 1)]),
    "an oversold place first pays its debt": (
        of(Place(1, "S1", 0, reserved=3), Place(2, "S2", 5)),
        6,
        [Change(Way.UNITS, 1)],
    ),
    "freeing it does it when it holds more": (
        of(Place(1, "S1", 2, reserved=4)),
        1,
        [Change(Way.UNITS, 1), Change(Way.FREE, 3)],
    ),
    "a share takes more than one": (
        of(Place(1, "S1", 10), margin=30),
        4,
        [Change(Way.UNITS, 4), Change(Way.MARGIN, 40)],
    ),
    "nothing is published at all": (of(Place(1, "S1", 10), margin=0), 1, [Change(Way.MARGIN, 10)]),
    "a buffer": (of(Place(1, "S1", 10), buffer=3), 8, [Change(Way.UNITS, 1), Change(Way.BUFFER, 2)]),
    "an end": (of(Place(1, "S1", 3), end=3), 4, [Change(Way.UNITS, 1), Change(Way.END, 2)]),
    "a cap alone": (of(Place(1, "S1", 20), cap=5), 6, [Change(Way.CAP, 6)]),
    "a cap and too few": (of(Place(1, "S1", 5), cap=5), 6, [Change(Way.UNITS, 1, False), Change(Way.CAP, 6, False)]),
}


@pytest.mark.parametrize("name", RAISED)
def test_what_would_make_it_more(name: str) -> None:
    made_of, goal, changes = RAISED[name]
    wanted = what_would_raise(made_of)
    assert (wanted.goal, list(wanted.changes)) == (goal, changes)


def test_what_is_said_to_be_enough_is_enough_and_one_less_is_not() -> None:
    dice = random.Random(7)
    for _ in range(800):
        made_of = random_inputs(dice)
        wanted = what_would_raise(made_of)
        assert wanted.goal > made_of.number
        assert wanted.changes
        for change in wanted.changes:
            goal = made_of.number + 1 if change.way is Way.END else wanted.goal
            if change.is_enough:
                assert raised(made_of, change, change.value).number >= goal, (made_of, change)
            short = change.value + (1 if change.way in (Way.BUFFER, Way.END) else -1)
            assert raised(made_of, change, short).number < goal, (made_of, change)
        if not any(change.is_enough for change in wanted.changes):  # then all of them together are
            together = made_of
            for change in wanted.changes:
                if change.way in (Way.UNITS, Way.MARGIN, Way.CAP):
                    together = raised(together, change, change.value)
            assert together.number >= wanted.goal


def random_inputs(dice: random.Random) -> Inputs:
    places = [Place(n, f"S{n}", dice.randint(0, 9), dice.randint(0, 9), dice.randint(0, 2)) for n in range(2)]
    return of(
        *places,
        margin=dice.choice([0, 1, 33, 50, 99, 100]),
        buffer=dice.randint(0, 3),
        end=dice.randint(0, 3),
        cap=dice.choice([None, 0, 3, 50]),
    )


def raised(made_of: Inputs, change: Change, value: int) -> Inputs:
    """Return the inputs after a change was made, at the place where it does most."""
    names = {
        Way.MARGIN: "margin_percent",
        Way.BUFFER: "buffer_units",
        Way.END: "end_when_units",
        Way.CAP: "cap_units",
    }
    if change.way in names:
        values = {name: getattr(made_of, name) for name in made_of.__struct_fields__}
        return Inputs(**{**values, names[change.way]: value})
    if change.way is Way.UNITS:  # at a place of its own, or one that owes nothing
        return Inputs((*made_of.places, Place(99, "NEW", value)), *list(struct_rest(made_of)))
    name = "reserved" if change.way is Way.FREE else "blocked"
    best = made_of
    for index, place in enumerate(made_of.places):
        fewer = {n: getattr(place, n) for n in place.__struct_fields__}
        fewer[name] = max(0, fewer[name] - value)
        places = list(made_of.places)
        places[index] = Place(**fewer)
        candidate = Inputs(tuple(places), *struct_rest(made_of))
        best = max(best, candidate, key=lambda one: one.pool)
    return best


def struct_rest(made_of: Inputs) -> tuple[int, int, int, int | None]:
    return made_of.margin_percent, made_of.buffer_units, made_of.end_when_units, made_of.cap_units


# --- on live rows ---------------------------------------------------------------------------------------------------


@pytest.fixture
def listing(db: None) -> Listing:
    row: Listing = factories.ListingFactory(accepted_quantity=7)
    store = factories.LocationFactory(tenant=row.tenant, code="S1")
    factories.stocked(row.product, store, 10)
    return row


def promised(listing: Listing, quantity: int, order: str = "17") -> None:
    line = ledger.Line(listing.product_id, quantity)
    cause = ledger.Cause(actor="test", reference_type="order", reference_id=order)
    ledger.reserve(listing.tenant, [line], key=uuid4().hex, cause=cause)


def test_holds_are_named_with_their_documents(listing: Listing) -> None:
    promised(listing, 2, "17")
    promised(listing, 1, "18")
    why = explain.explain(listing)
    assert [(hold.code, hold.quantity, hold.reference_id) for hold in why.holds] == [("S1", 2, "17"), ("S1", 1, "18")]
    assert (why.number, why.held_besides, why.state, why.hindrance) == (7, 0, State.RIGHT, None)
    assert why.wanted is not None
    assert why.wanted.goal == 8


def test_many_holds_are_summed(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "HOLDS_MAX", 2)
    for number in range(4):
        promised(listing, 1, str(number))
    why = explain.explain(listing)
    assert (len(why.holds), why.held_besides) == (2, 2)


def test_stock_that_this_account_does_not_sell_is_said(listing: Listing) -> None:
    depot = factories.LocationFactory(tenant=listing.tenant, code="CD1")
    factories.stocked(listing.product, depot, 40)
    listing.connector.locations.set([p.location_id for p in inputs.read(listing.pk).places if p.code == "S1"])  # type: ignore[union-attr]
    why = explain.explain(listing)
    assert (why.number, why.elsewhere) == (10, {"CD1": 40})
    assert why.wanted is not None
    assert Change(Way.PLACES, 40) in why.wanted.changes


def test_another_tenants_holds_are_not_there(listing: Listing) -> None:
    stranger = factories.ListingFactory()
    factories.stocked(stranger.product, factories.LocationFactory(tenant=stranger.tenant), 10)
    promised(stranger, 3)
    assert explain.explain(listing).holds == ()


def test_the_newest_try_that_ended_is_the_channels_word(listing: Listing) -> None:
    factories.SyncLogFactory(listing=listing, new_value=9, shown_value=9)
    factories.SyncLogFactory(listing=listing, new_value=7, status=SyncLog.Status.PENDING, finished_at=None)
    told = explain.explain(listing).told
    assert told is not None
    assert (told.new_value, told.shown_value) == (9, 9)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"product": None}, State.NOT_MAPPED),
        ({"capability": Listing.Capability.FULL}, State.KEPT_BY_CHANNEL),
        ({"lease_expires_at": timedelta(minutes=9)}, State.TELLING),
        ({"due_at": timedelta(minutes=9)}, State.RETRY),
        ({"due_at": timedelta(minutes=-9)}, State.WAITING),
        ({"due_at": timedelta(0), "held_at": timedelta(0)}, State.HELD),
        ({"accepted_quantity": 3}, State.DIFFERS),
        ({"accepted_quantity": 10}, State.RIGHT),
    ],
)
def test_where_it_stands(listing: Listing, changed: dict[str, object], state: State) -> None:
    now = timezone.now()  # the test's own: it may run long after it was collected
    values = {name: now + value if isinstance(value, timedelta) else value for name, value in changed.items()}
    Listing.objects.filter(pk=listing.pk).update(**values)
    assert explain.explain(Listing.objects.select_related("connector", "tenant").get()).state is state


def test_in_shadow_mode_nothing_is_promised_to_be_sent(listing: Listing) -> None:
    Listing.objects.update(accepted_quantity=3, due_at=None)
    Connector.objects.update(shadow_since=timezone.now())
    why = explain.explain(Listing.objects.select_related("connector", "tenant").get())
    assert (why.state, why.hindrance) == (State.SHADOWED, Hindrance.SHADOWED)


def test_sales_in_flight_are_a_step_of_the_number(listing: Listing) -> None:
    Listing.objects.update(accepted_quantity=8, in_flight_units=2, in_flight_since=timezone.now())
    why = explain.explain(Listing.objects.select_related("connector", "tenant").get())
    assert why.steps == (Step("pool", None, 10), Step("in_flight", 2, 8))
    assert (why.number, why.state) == (8, State.RIGHT)
    assert why.wanted is not None
    assert (why.wanted.goal, why.wanted.changes[0]) == (9, Change(Way.UNITS, 1))


def test_what_lies_at_no_depot_is_a_step_of_the_number() -> None:
    made_of = structs.replace(of(Place(1, "S1", 6), Place(2, "S2", 4)), depots=(("D1", 1),))
    assert explain.steps_of(made_of)[-1] == Step("depots", None, made_of.number)
    assert made_of.number == 6


def test_a_product_that_was_never_received_has_no_number(db: None) -> None:
    why = explain.explain(factories.ListingFactory())
    assert (why.number, why.steps, why.wanted, why.state) == (None, (), None, State.STOCK_UNKNOWN)


def test_what_holds_the_whole_account_up_is_said(listing: Listing) -> None:
    breaker = Breaker(listing.connector_id)
    for _ in range(5):
        breaker.failed()
    assert explain.explain(listing).hindrance is Hindrance.LEFT_ALONE
    cache.clear()
    flags.switch(listing.tenant, flags.integration("ML"), is_enabled=False, actor="test")
    assert explain.explain(listing).hindrance is Hindrance.SWITCHED_OFF
    listing.connector.status = Connector.Status.REAUTHORIZE
    assert explain.explain(listing).hindrance is Hindrance.STOPPED
