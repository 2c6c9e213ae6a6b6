"""What one push does on the wire: which write, which number, and how often it is computed anew.

The number is computed after whatever had to be read first, right before each write; a write that lost a race against
the channel's version is computed again, never repeated (law 6). What is read first, and why, `in_flight` says.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from django.conf import settings
from msgspec import structs

from apps.connectors import credentials
from apps.connectors.channel import (
    ChannelError,
    DepotStock,
    StockAnswer,
    StockNumbers,
    StockShown,
    StockTarget,
)
from apps.connectors.models import Depot, Listing
from apps.sync import in_flight, inputs, sharing
from apps.sync.in_flight import Anchor, Flight
from apps.sync.inputs import Inputs

SELLING_MINUTES = 10
"""A listing is near zero when what it has would be sold in so many minutes, going by the last one."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How a push ended that the channel answered.

    answer: what the channel shows; its quantity counts the depots that the hub decides on.
    made_of: what was written, which is not what the push set out with if the stock moved meanwhile.
    flight: the sales in flight that it was lowered by.
    anchor: where sales are counted from on.
    """

    answer: StockAnswer
    made_of: Inputs
    flight: Flight
    anchor: Anchor

    def remembered(self, shown: int) -> dict[str, object]:
        """Return the values of the listing from which the next push finds what is in flight; it shows `shown` now."""
        return {
            "sales_baseline": shown + self.flight.units + self.anchor.units,
            "sales_since": self.anchor.since,
            "in_flight_units": self.flight.units,
            "in_flight_since": self.flight.since,
        }


class NotTold(Exception):
    """The channel refused, failed or could not be reached (`refusal`) when it was told what was `made_of` that."""

    def __init__(self, refusal: ChannelError, made_of: Inputs) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.made_of = made_of


def made_of(listing: Listing) -> Inputs | None:
    """Return what the listing should show now; None when it is not ours to tell, or its stock is not known."""
    is_ours = listing.product_id is not None and listing.is_writable
    return inputs.read(listing.pk) if is_ours else None


def begin(listing: Listing) -> "Telling | None":
    """Take in what lies unread of the account's orders, and compute the listing's number; None as `made_of`."""
    if listing.product_id is None or not listing.is_writable:
        return None
    has_depots = listing.capability == Listing.Capability.MULTI_ORIGIN
    # Where a version guards the stock, what is shown is read anyway, and tells of every sale.
    is_all_read = has_depots or in_flight.take_in(listing.connector_id)
    sharing_ids = sharing.ids_sharing(listing)
    with in_flight.snapshot():
        anchor = in_flight.anchor(sharing_ids)
        found = inputs.read(listing.pk)
    return None if found is None else Telling(listing, found, has_depots, is_all_read, sharing_ids, anchor)


def begin_together(listings: Collection[Listing]) -> dict[int, "Telling"]:
    """Do the same for several at once, by listing: one trip to the database instead of one each.

    Only for those that share their stock with no other listing and have no depots; without those whose number is not
    known.
    """
    ids = [listing.pk for listing in listings]
    is_all_read = {account: in_flight.take_in(account) for account in {one.connector_id for one in listings}}
    with in_flight.snapshot():
        anchors = in_flight.anchors(ids)
        found = inputs.read_many(ids)
    return {
        one.pk: Telling(one, found[one.pk], False, is_all_read[one.connector_id], [one.pk], anchors[one.pk])
        for one in listings
        if one.pk in found
    }


def send(telling: "Telling") -> Sent:
    """Tell the listing's channel its number, computed anew whenever something was read first. Raises NotTold."""
    listing = telling.listing
    channel = credentials.open_connector(listing.connector, prepaid_calls=1, is_just_read=True)  # the turn's
    target = StockTarget(
        item_id=listing.item_id,
        variation_id=listing.variation_id,
        user_product_id=listing.user_product_id,
        has_depots=telling.has_depots,
        reads_first=not telling.is_all_read or telling.is_low(),
    )
    try:
        answer = channel.put_stock(target, telling.decide)
    except ChannelError as refusal:
        raise NotTold(refusal, telling.made_of) from refusal
    in_flight.search_if_lasting(listing, telling.flight)
    return telling.sent(answer)


@dataclass(slots=True)
class Telling:
    """One listing's number on its way out.

    is_all_read: no order of the account lay unread when it was computed.
    driven: the depots whose number the hub decides.
    """

    listing: Listing
    made_of: Inputs
    has_depots: bool
    is_all_read: bool
    sharing_ids: list[int]
    anchor: Anchor
    flight: Flight = field(default_factory=Flight)
    driven: frozenset[str] = frozenset()

    def compute(self, shown: int | None) -> None:
        """Compute the number as the ledger has it now, less what is in flight; one unknown by now stays as it was.

        shown: what the channel was just seen to show; None when it did not say.
        """
        with in_flight.snapshot():
            self.flight = in_flight.units(self.listing, self.sharing_ids, shown, is_guarded=self.has_depots)
            self.anchor = in_flight.anchor(self.sharing_ids)
            made_of = inputs.read(self.listing.pk) or self.made_of
        self.made_of = structs.replace(made_of, in_flight=max(0, self.flight.units))

    def is_low(self) -> bool:
        """Tell whether sales in flight could be the last units': then the listing is read before it is told.

        That is near zero, and the nearer the faster it sells at this channel.
        """
        known = [units for units in (self.made_of.number, self.listing.accepted_quantity) if units is not None]
        return min(known) <= settings.SYNC_READ_FIRST_UNITS + SELLING_MINUTES * max(0, self.anchor.units)

    def decide(self, shown: StockShown | None) -> StockNumbers:
        """Return what to write, given what the channel shows (`channel.Decide`)."""
        if shown is None:
            return StockNumbers(self.made_of.number)
        if not self.has_depots:
            self.compute(shown.quantity)
            return StockNumbers(self.made_of.number)
        depots = self._depots(shown)
        self.compute(sum(one.quantity for one in depots if one.store_id in self.driven))
        return self._by_depot(depots)

    def sent(self, answer: StockAnswer) -> Sent:
        """Return what the answer to the last write shows."""
        if self.has_depots:
            shown = sum(one.quantity for one in answer.depots if one.store_id in self.driven)
            answer = replace(answer, quantity=shown)
        return Sent(answer, self.made_of, self.flight, self.anchor)

    def _depots(self, shown: StockShown) -> list[DepotStock]:
        """Return every depot of the product, those without stock there too, and note which ones the hub decides on.

        Raises ChannelError when there are several and nobody said which of the hub's places they are.
        """
        rows = list(shown.depots)
        known = list(Depot.objects.filter(connector_id=self.listing.connector_id))
        has_stock = {one.store_id for one in rows}
        rows += [DepotStock(one.store_id, one.network_node_id, 0) for one in known if one.store_id not in has_stock]
        if len(rows) == 1:
            self.driven = frozenset({rows[0].store_id})
        else:
            self.driven = frozenset(one.store_id for one in known if one.location_id is not None)
        if not self.driven:
            raise ChannelError(
                "the account sells from several depots and nobody said which of the hub's places each of them is;"
                " its stock stays as the channel shows it. Choose the places on the connector's page",
                code="depots_not_mapped",
                permanent=True,
            )
        return rows

    def _by_depot(self, depots: list[DepotStock]) -> StockNumbers:
        """Share the number out over the depots as their places have stock; the others stay as they are shown."""
        if len(depots) == 1:
            number = self.made_of.number
            return StockNumbers(number, (replace(depots[0], quantity=number),))
        places = Depot.objects.filter(connector_id=self.listing.connector_id, location__isnull=False)
        pairs = tuple(places.order_by("store_id").values_list("store_id", "location_id"))
        self.made_of = structs.replace(self.made_of, depots=pairs)
        shares = self.made_of.shares
        rows = (replace(one, quantity=shares.get(one.store_id, one.quantity)) for one in depots)
        return StockNumbers(self.made_of.number, tuple(one for one in rows if one.quantity or one.store_id in shares))
