"""What a number was made of gives that number again."""

import random
from uuid import uuid4

import pytest

from apps.connectors.models import Listing
from apps.inventory import ledger
from apps.inventory.models import Location
from apps.sync import inputs, queue
from apps.sync.inputs import Inputs, Place
from tests import factories

pytestmark = pytest.mark.django_db


def test_an_oversold_place_counts_as_zero_and_the_rule_follows() -> None:
    shop, depot = Place(1, "S1", on_hand=9, reserved=2, blocked=1), Place(2, "CD1", on_hand=1, reserved=4)
    made_of = Inputs((shop, depot), margin_percent=50, buffer_units=1, end_when_units=0, cap_units=None)
    assert (shop.available, depot.available, made_of.pool, made_of.number) == (6, -3, 6, 2)


def test_what_is_stored_comes_back_whole() -> None:
    place = Place(1, "S1", on_hand=9, blocked=1)
    made_of = Inputs((place,), margin_percent=100, buffer_units=0, end_when_units=0, cap_units=3)
    kept = made_of.stored()
    assert list(kept["places"]) == [
        {"location_id": 1, "code": "S1", "on_hand": 9, "blocked": 1}
    ]  # no zeros: rows are many
    assert inputs.restored(kept) == made_of


def test_a_product_that_the_hub_was_never_told_of_has_none() -> None:
    listing = factories.ListingFactory()
    assert inputs.read(listing.pk) is None
    sold = ledger.Line(listing.product_id, 1, factories.LocationFactory(tenant=listing.tenant).pk)
    ledger.reserve(listing.tenant, [sold], key="sale", cause=ledger.Cause(actor="test"), is_fact=True)
    assert inputs.read(listing.pk) is None
    assert queue.target_of(listing.pk) is None


def test_it_is_the_number_that_the_queue_compares_with_whatever_happens() -> None:
    dice = random.Random(5)
    listing = factories.ListingFactory()
    places = [factories.LocationFactory(tenant=listing.tenant) for _ in range(3)]
    factories.stocked(listing.product, places[0], 5)
    for _ in range(60):
        something_happens(dice, listing, places)
        made_of = inputs.read(listing.pk)
        assert made_of is not None
        assert made_of.number == queue.target_of(listing.pk)
        assert inputs.restored(made_of.stored()).number == made_of.number


def something_happens(dice: random.Random, listing: Listing, places: list[Location]) -> None:
    """Move stock, change the rule of the connector or the listing, or choose other places."""
    place, units, what = dice.choice(places), dice.randint(1, 9), dice.randrange(5)
    if what == 0:
        factories.stocked(listing.product, place, units)
    elif what == 1:
        line = ledger.Line(listing.product_id, units, place.pk)
        ledger.reserve(listing.tenant, [line], key=uuid4().hex, cause=ledger.Cause(actor="test"), is_fact=True)
    elif what == 2:
        listing.connector.locations.set(dice.sample(places, dice.randint(0, 3)))
    else:
        row = listing.connector if what == 3 else listing
        row.margin_percent = dice.choice([0, 33, 50, 100])
        row.buffer_units = dice.randint(0, 3)
        row.end_when_units = dice.randint(0, 2)
        row.cap_units = dice.choice([None, 0, 4])
        row.save()
