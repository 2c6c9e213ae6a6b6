"""Sales that the channel made and the hub has not heard of yet.

A write is absolute. A buyer who bought a second ago lowered the channel's number; a number that the hub computed before
it heard of that sale raises it again, and the unit is sold twice (contract §7.4, 8). Two things stand against that:

- notices of orders that lie unread in the hub are taken in before a number goes out (`take_in`);
- where the channel's number was just read, what is missing there counts. Between two numbers told to one listing,

      what it showed then = what it shows now + sales the channel made since

  and the sales that the hub took in since are known too; the rest is **in flight**, and the number is lowered by it.
  All of it is one sum: `sales_baseline` is the number told, the units in flight then and the units taken in until then;
  less what is shown and what is taken in now, it gives the units in flight now. A sale whose order comes at last is
  thus taken off once. Sales taken in and the stock are read in one snapshot of the database, so no order falls between.

A number that a person lowered by hand at the channel looks the same, and so does a lower number of ours whose answer
got lost. It is believed for `SYNC_IN_FLIGHT_SECONDS` while the hub searches for orders that no notice told of; then
the hub's own number goes out.

Orders are rooms to the right of this one: `events` gives this module its `Orders` when the apps are ready.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.connectors.models import Listing

log = structlog.get_logger(__name__)

TAKE_IN_MAX = 20
"""Unread orders taken in before one number; past these the listing's own number is read instead."""

TAKE_IN_SECONDS = 2.0
"""No order is begun after this long."""

LOOK_AGAIN_SECONDS = 3.0
"""A number lowered by sales in flight is told again after this, and later and later while nothing explains them."""

LONGEST_TRANSACTION = timedelta(minutes=1)
"""No order is taken in for longer than this between its row and its commit."""

SEARCH_AFTER_SECONDS = 10.0
"""A sale in flight for longer was probably told of by no notice: the hub searches for it."""


class Orders(Protocol):
    """What this room needs to know of orders."""

    def take_in(self, connector_id: int, *, at_most: int, seconds: float) -> bool:
        """Take unread notices of the account's orders in. Returns whether none is left."""
        ...

    def units_sold(self, listing_ids: Collection[int], since: datetime) -> Mapping[int, int]:
        """Return, by listing, the units in orders taken in since then, less those of older ones given up since."""
        ...

    def search_soon(self, connector_id: int) -> None:
        """Ask the channel at the next tick for orders that no notice told of."""
        ...


class _NoOrders:
    """Before `register`: a hub without order rooms hears of no sales."""

    def take_in(self, connector_id: int, *, at_most: int, seconds: float) -> bool:
        return True

    def units_sold(self, listing_ids: Collection[int], since: datetime) -> Mapping[int, int]:
        return {}

    def search_soon(self, connector_id: int) -> None:
        return None


_orders: Orders = _NoOrders()


def register(orders: Orders) -> None:
    """Let this room hear of orders. Called once, when the apps are ready."""
    global _orders
    _orders = orders


def take_in(connector_id: int) -> bool:
    """Take in what lies unread of the account's orders, within bounds. Returns whether none is left."""
    return _orders.take_in(connector_id, at_most=TAKE_IN_MAX, seconds=TAKE_IN_SECONDS)


@contextmanager
def snapshot() -> Iterator[None]:
    """Let the queries inside see one moment of the database: an order is in all of their answers or in none."""
    with transaction.atomic():
        if not _is_nested():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _is_nested() -> bool:
    return len(connection.savepoint_ids) > 0


@dataclass(frozen=True, slots=True)
class Anchor:
    """Units that the hub took in of a listing's orders since a moment, counted when its number was computed."""

    since: datetime
    units: int


def anchor(sharing_ids: Collection[int]) -> Anchor:
    """Begin to count sales anew. The moment lies a little back, for orders whose transactions are not over yet."""
    since = timezone.now() - LONGEST_TRANSACTION
    return Anchor(since, sum(_orders.units_sold(sharing_ids, since).values()))


def anchors(listing_ids: Collection[int]) -> dict[int, Anchor]:
    """Return the same for listings that share their stock with none."""
    since = timezone.now() - LONGEST_TRANSACTION
    sold = _orders.units_sold(listing_ids, since)
    return {listing_id: Anchor(since, sold.get(listing_id, 0)) for listing_id in listing_ids}


@dataclass(frozen=True, slots=True)
class Flight:
    """The units of one listing in flight: negative when units came back there that the hub has not taken back yet.

    since: when the hub first met with just these; None when there are none.
    """

    units: int = 0
    since: datetime | None = None

    @property
    def is_on(self) -> bool:
        """Tell whether a number must be lowered."""
        return self.units > 0

    def lowered(self, number: int) -> int:
        """Return the number that may be told while these are in flight."""
        return max(0, number - max(0, self.units))

    def look_again_at(self) -> datetime:
        """Return when the listing should be told again."""
        now = timezone.now()
        waited = (now - (self.since or now)).total_seconds()
        return now + timedelta(seconds=max(LOOK_AGAIN_SECONDS, waited))


def units(listing: Listing, sharing_ids: Collection[int], shown: int | None, *, is_guarded: bool) -> Flight:
    """Return what is in flight of a listing that shows `shown` now; nothing when too little is known to tell.

    sharing_ids: the listings whose sales lower this number, itself among them. is_guarded: the channel refuses a write
    that a sale preceded. Without that a write may have hidden sales, so that units seem to have come back: those are
    not counted, for they would hide the next sales too.
    """
    if shown is None or listing.sales_baseline is None or listing.sales_since is None:
        return Flight()
    taken_in = sum(_orders.units_sold(sharing_ids, listing.sales_since).values())
    missing = listing.sales_baseline - shown - taken_in
    if missing == 0 or (missing < 0 and not is_guarded):
        return Flight()
    now = timezone.now()
    is_same = missing == listing.in_flight_units and listing.in_flight_since is not None
    since = listing.in_flight_since if is_same and listing.in_flight_since else now
    waited = now - since
    if waited > timedelta(seconds=settings.SYNC_IN_FLIGHT_SECONDS):
        log.warning("in_flight_given_up", listing_id=listing.pk, units=missing, shown=shown)
        return Flight()
    return Flight(missing, since)


FORGOTTEN: dict[str, int | None] = {
    "sales_baseline": None,
    "sales_since": None,
    "in_flight_units": 0,
    "in_flight_since": None,
}
"""Values of a listing of which somebody made sure that the channel shows no sale unheard of: `units` begins anew."""


def search_if_lasting(listing: Listing, flight: Flight) -> None:
    """Have orders searched for that no notice told of, once units have been in flight for longer than notices take."""
    if flight.since and timezone.now() - flight.since > timedelta(seconds=SEARCH_AFTER_SECONDS):
        _orders.search_soon(listing.connector_id)
