"""What the channel says about one order, read with its own calls and without a transaction (step 3 of the road).

A **reading** is what moves stock: the order and its parcel. **Details** are what people need to hand it over: the other
orders of its pack, the label, the recipient. Stock comes first: details are read when it has been moved.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from apps.connectors.channel import Buyer, Channel, ChannelError, Label, OrderSnapshot, ShipmentSnapshot
from apps.connectors.models import Connector
from apps.orders import rules
from apps.orders.models import Order, Recipient

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """An order and its parcel as they were a moment ago.

    shipment: None when the order has none, the channel does not know it, or it could not be read (`trouble`).
    trouble: why the parcel could not be read; what it would decide waits until it can.
    """

    order: OrderSnapshot
    shipment: ShipmentSnapshot | None = None
    trouble: ChannelError | None = None

    @property
    def words(self) -> rules.Words:
        """Return the words that decide what becomes of order and stock."""
        parcel = self.shipment
        return rules.Words(
            order=self.order.status,
            tags=self.order.tags,
            shipment=parcel.status if parcel else "",
            substatus=parcel.substatus if parcel else "",
            logistic_type=parcel.logistic_type if parcel else "",
        )

    def content_hash(self) -> str:
        """Return a hash of everything that matters to the hub: two readings with one hash carry no news."""
        parcel = self.shipment
        parts = [self.order.content_hash()]
        if parcel:
            parts += [parcel.external_id, parcel.status, parcel.substatus, parcel.logistic_type]
            parts += [parcel.tracking_number, str(parcel.weight_g), parcel.dimensions]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Details:
    """What is needed to hand an order over; None for what there is not yet, or what the hub has already."""

    pack: frozenset[str]  # the orders that leave together, this one among them
    label: Label | None
    buyer: Buyer | None


def read(channel: Channel, connector: Connector, external_id: str) -> Reading:
    """Return the order and its parcel as they stand now.

    Raises ChannelError, `foreign_order` when the sale is another seller's: a buyer may read an order too (contract
    §3.1). Trouble with the parcel alone does not keep a sale from being taken in: it is told in the reading.
    """
    order = channel.order(external_id)
    if order.seller_id not in {"", connector.user_id}:
        raise ChannelError(
            "the order is another seller's; this account is its buyer", code="foreign_order", permanent=True
        )
    if not order.shipment_id:
        return Reading(order)
    try:
        return Reading(order, channel.shipment(order.shipment_id))
    except ChannelError as trouble:
        if trouble.account:
            raise
        log.warning("shipment_not_read", shipment_id=order.shipment_id, code=trouble.code)
        return Reading(order, None, trouble)


def read_details(
    channel: Channel,
    connector: Connector,
    reading: Reading,
    *,
    may_be_new: bool = False,
    read_label: Callable[[str], Label | None] | None = None,
) -> Details:
    """Return what else is needed of an order that was taken in, asking only for what the hub does not have.

    may_be_new: the order need not have been taken in yet.
    read_label: asked for a parcel's label instead of the channel, for which to give it means that it is printed.
    """
    order, words = reading.order, reading.words
    if rules.judge(words).state not in (rules.State.RECEIVED, rules.State.PICKED_UP):
        return Details(frozenset(), None, None)
    known = (
        Order.objects.filter(tenant=connector.tenant_id, channel=connector.kind, external_id=order.external_id)
        .select_related("package")
        .first()
    )
    has_label = known is not None and known.package is not None and known.package.label_enc != ""
    has_buyer = not may_be_new if known is None else Recipient.objects.filter(order=known).exists()
    return Details(
        pack=channel.pack(order.pack_id) if order.pack_id else frozenset(),
        label=(read_label or channel.label)(order.shipment_id) if rules.is_printable(words) and not has_label else None,
        buyer=None if has_buyer else channel.buyer(order),
    )
