"""Take an order in: the order, its items and their effect on stock, in one transaction (steps 4 and 5 of the road).

The caller holds the transaction (T2) and has claimed the effect's key in it, so a crash anywhere leaves either all of
this or nothing.
"""

import uuid
from collections.abc import Sequence
from enum import Enum

from django.db import transaction

from apps.connectors.channel import OrderLine, OrderSnapshot
from apps.connectors.models import Connector, Listing
from apps.inventory import ledger
from apps.inventory.models import Reservation
from apps.orders import rules
from apps.orders.models import Order, OrderItem

ACTOR = "worker:orders"
REFERENCE_TYPE = "order"


class Outcome(Enum):
    """What taking a reading in did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"  # the hub knew all of this
    OUTDATED = "outdated"  # an older content than the one the hub holds
    NOT_A_SALE = "not_a_sale"  # not paid yet, or ended before it was paid


class MappingNeeded(Exception):
    """Some items of the order are not mapped to products; nothing was written."""

    def __init__(self, lines: list[OrderLine]) -> None:
        super().__init__(", ".join(listing_key(line.item_id, line.variation_id) for line in lines))
        self.lines = lines
        self.item_ids = {line.item_id for line in lines}


def listing_key(item_id: str, variation_id: str) -> str:
    """Return how a listing is named in messages and waiting lists: `MLB1` or `MLB1/22`."""
    return f"{item_id}/{variation_id}" if variation_id else item_id


def take_in(connector: Connector, snapshot: OrderSnapshot, *, trace_id: uuid.UUID, goods_left: bool = False) -> Outcome:
    """Write what the channel says about an order, and move stock accordingly. Returns what that changed.

    goods_left: the order's goods were shipped already; asked of the channel only when the order ended.

    Raises MappingNeeded when an item is not mapped to a product. A shortage is not an error: the sale was made, so the
    units are promised and the balance opens an oversell.
    """
    with transaction.atomic():
        order = (
            Order.objects.select_for_update()
            .filter(tenant=connector.tenant, channel=connector.kind, external_id=snapshot.external_id)
            .first()
        )
        if order and order.content_hash == snapshot.content_hash():
            return Outcome.UNCHANGED
        if order and _is_older(snapshot, order):
            return Outcome.OUTDATED
        effect = rules.effect(
            is_known=order is not None,
            is_cancelled=order is not None and order.status == Order.Status.CANCELLED,
            channel_status=snapshot.status,
            goods_left=goods_left,
        )
        if order is None:
            return _first_seen(connector, snapshot, effect, trace_id)
        if effect in {rules.Effect.RELEASE, rules.Effect.CONFIRM}:
            order.status = Order.Status.CANCELLED
            _end(order, effect, trace_id)
        _describe(order, snapshot)
        order.save()
        return Outcome.UPDATED


def _is_older(snapshot: OrderSnapshot, order: Order) -> bool:
    known, read = order.channel_updated_at, snapshot.updated_at
    return known is not None and read is not None and read < known


def _first_seen(connector: Connector, snapshot: OrderSnapshot, effect: rules.Effect, trace_id: uuid.UUID) -> Outcome:
    """Take in an order the hub did not know: a sale, an end without a beginning, or nothing yet.

    An ended order is kept too, without units: a slower worker may hold an older reading that says "paid", and must find
    something newer here.
    """
    if effect is rules.Effect.RESERVE:
        return _create(connector, snapshot, trace_id)
    if snapshot.status in rules.ENDED:
        _new_order(connector, snapshot, Order.Status.CANCELLED)
    return Outcome.NOT_A_SALE


def _new_order(connector: Connector, snapshot: OrderSnapshot, status: Order.Status) -> Order:
    order = Order(
        tenant=connector.tenant,
        connector=connector,
        channel=connector.kind,
        external_id=snapshot.external_id,
        status=status,
    )
    _describe(order, snapshot)
    order.save()
    return order


def _create(connector: Connector, snapshot: OrderSnapshot, trace_id: uuid.UUID) -> Outcome:
    sold = _mapped(connector, snapshot.lines)
    order = _new_order(connector, snapshot, Order.Status.RECEIVED)
    OrderItem.objects.bulk_create(
        OrderItem(
            order=order,
            listing=listing,
            product_id=product_id,
            seller_sku=line.seller_sku[:100],
            title=line.title[:300],
            quantity=line.quantity,
            unit_price=line.unit_price,
            is_own_stock=listing.is_writable,
        )
        for line, listing, product_id in sold
    )
    _reserve(order, sold, trace_id)
    return Outcome.CREATED


def _describe(order: Order, snapshot: OrderSnapshot) -> None:
    order.channel_status = snapshot.status[:64]
    order.pack_id = snapshot.pack_id
    order.shipment_id = snapshot.shipment_id
    order.total_amount = snapshot.total_amount
    order.currency = snapshot.currency[:3]
    order.ordered_at = snapshot.created_at
    order.channel_updated_at = snapshot.updated_at
    order.content_hash = snapshot.content_hash()


Sold = tuple[OrderLine, Listing, int]  # a line, its listing, and the product that the listing is mapped to


def _mapped(connector: Connector, lines: Sequence[OrderLine]) -> list[Sold]:
    """Return every line with its listing and product. Raises MappingNeeded with the lines that have none."""
    known = {
        (listing.item_id, listing.variation_id): listing
        for listing in Listing.objects.filter(connector=connector, item_id__in={line.item_id for line in lines})
    }
    sold: list[Sold] = []
    unmapped: list[OrderLine] = []
    for line in lines:
        listing = known.get((line.item_id, line.variation_id))
        if listing is None or listing.product_id is None:
            unmapped.append(line)
        else:
            sold.append((line, listing, listing.product_id))
    if unmapped:
        raise MappingNeeded(unmapped)
    return sold


def _reserve(order: Order, sold: list[Sold], trace_id: uuid.UUID) -> None:
    """Promise the sold units, wherever the connector's locations have them. What the channel keeps is its own."""
    own = [
        ledger.Line(product_id=product_id, quantity=line.quantity)
        for line, listing, product_id in sold
        if listing.is_writable
    ]
    if not own:
        return
    locations = list(order.connector.locations.values_list("pk", flat=True))
    ledger.reserve(
        order.tenant,
        own,
        key=f"order:{order.pk}:reserve",
        cause=_cause(order, "sale", trace_id),
        among=locations or None,
        is_fact=True,
    )


def _end(order: Order, effect: rules.Effect, trace_id: uuid.UUID) -> None:
    """End what is still promised for the order, in the ledger's lock order: take it back, or let the goods be gone."""
    end = ledger.release if effect is rules.Effect.RELEASE else ledger.confirm
    reason = "cancellation" if effect is rules.Effect.RELEASE else "cancelled after shipment"
    open_reservations = Reservation.objects.filter(
        tenant=order.tenant,
        reference_type=REFERENCE_TYPE,
        reference_id=str(order.pk),
        status=Reservation.Status.PENDING,
    ).order_by("product_id", "location_id")
    for reservation in open_reservations:
        end(
            order.tenant,
            reservation.pk,
            key=f"reservation:{reservation.pk}:{effect.value}",
            cause=_cause(order, reason, trace_id),
        )


def _cause(order: Order, reason: str, trace_id: uuid.UUID) -> ledger.Cause:
    return ledger.Cause(
        actor=ACTOR,
        reason=reason,
        reference_type=REFERENCE_TYPE,
        reference_id=str(order.pk),
        source=order.channel,
        source_key=order.external_id,
        trace_id=trace_id,
        occurred_at=order.channel_updated_at,
    )
