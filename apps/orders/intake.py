"""Take an order in: the order, its items and where their goods are, in one transaction (steps 4 and 5 of the road).

The caller holds the transaction (T2) and has claimed the effect's key in it, so a crash anywhere leaves either all of
this or nothing. Stock is moved to where the newest reading says the goods are, whatever was read before: a reading that
never came, came twice or came late ends in the same numbers.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import Enum

from django.db import connection, transaction
from django.db.models import Case, Sum, Value, When
from django.db.models.functions import Concat
from django.utils import timezone

from apps.connectors import mappings
from apps.connectors.channel import OrderLine, OrderSnapshot, ShipmentSnapshot
from apps.connectors.models import Connector, Listing, StatusMapping
from apps.inventory import ledger
from apps.inventory.models import Movement, Reservation
from apps.orders import recipients, rules
from apps.orders.models import Order, OrderItem, Package
from apps.orders.reading import Details, Reading
from apps.orders.rules import Flag, Goods, State, Verdict

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


class StatusUnknown(Exception):
    """An order that the hub does not have is in a state that nobody has said the meaning of; nothing was written."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


MEANINGS = {
    StatusMapping.Meaning.OPEN: rules.Sale.OPEN,
    StatusMapping.Meaning.RECEIVED: rules.Sale.SOLD,
    StatusMapping.Meaning.CANCELLED: rules.Sale.ENDED,
}


def _mapped_word(connector: Connector, word: str) -> dict[str, rules.Sale]:
    """Return what the tenant's people said of a status that the rules do not know."""
    if word in rules.ORDER_WORDS:
        return {}
    mapping = mappings.meaning_of(connector.tenant_id, connector.kind, word)
    return {word: MEANINGS[StatusMapping.Meaning(mapping.meaning)]} if mapping else {}


def meaning_version(connector: Connector, word: str) -> str:
    """Return which decision about a status counts now; "" for those that need none. The same content may mean more."""
    mapping = None
    if word not in rules.ORDER_WORDS:
        mapping = mappings.meaning_of(connector.tenant_id, connector.kind, word)
    return f":m{mapping.version}" if mapping else ""


def listing_key(item_id: str, variation_id: str) -> str:
    """Return how a listing is named in messages and waiting lists: `MLB1` or `MLB1/22`."""
    return f"{item_id}/{variation_id}" if variation_id else item_id


LISTING_KEY = Case(When(variation_id="", then="item_id"), default=Concat("item_id", Value("/"), "variation_id"))
"""The same of rows of listings, made by the database."""


def take_in(connector: Connector, reading: Reading, *, trace_id: uuid.UUID) -> Outcome:
    """Write what the channel says about an order, and move stock accordingly. Returns what that changed.

    Raises MappingNeeded when an item is not mapped to a product, StatusUnknown for a new order in a state that has no
    meaning yet. A shortage is not an error: the sale was made, so the units are promised and the balance opens an
    oversell.
    """
    snapshot = reading.order
    with transaction.atomic():
        order = _locked(connector, snapshot.external_id)
        if order and order.content_hash == reading.content_hash() and reading.trouble is None:
            return Outcome.UNCHANGED
        if order and _is_older(reading, order):
            return Outcome.OUTDATED
        words = _lasting_words(connector, _newest_words(reading, order), order)
        extra = _mapped_word(connector, words.order)
        verdict = rules.judge(words, was_sold=order is not None and order.items.exists(), extra=extra)
        if reading.trouble is not None and verdict.goods is not Goods.HELD:
            return Outcome.UNCHANGED  # where the goods are is the parcel's to say: the caller reads it again
        if order is None and verdict.state is None:
            if verdict.goods is Goods.UNKNOWN:
                raise StatusUnknown(words.order)
            return Outcome.NOT_A_SALE
        is_new = order is None
        order = order or Order(tenant=connector.tenant, connector=connector, channel=connector.kind)
        _describe(order, reading, words, verdict)
        order.save()
        is_sold = verdict.state in {State.RECEIVED, State.PICKED_UP} or verdict.goods is Goods.GONE
        if is_sold and not order.items.exists():
            _keep_items(order, snapshot, reading.shipment)
        _move_goods(order, verdict.goods, trace_id)
        return Outcome.CREATED if is_new and verdict.state is not State.CANCELLED else Outcome.UPDATED


def add_details(connector: Connector, reading: Reading, details: Details) -> None:
    """Add what is needed to hand an order over; if nothing is in the way any more, it is ready, and so is its pack.

    Orders of one pack are taken in one after the other, so that the last one finds all the others.
    """
    with transaction.atomic():
        _lock_pack(connector, reading.order.pack_id)
        order = _locked(connector, reading.order.external_id)
        if order is None or order.content_hash != reading.content_hash():
            return  # somebody has read something newer meanwhile, and its details
        if details.buyer:
            phone = reading.shipment.receiver_phone if reading.shipment else ""
            recipients.keep(order, name=details.buyer.name, document=details.buyer.document, phone=phone)
        if details.label and order.package:
            recipients.keep_label(order.package, details.label)
        _make_ready(connector, order, details.pack | {order.external_id})


def _locked(connector: Connector, external_id: str) -> Order | None:
    return (
        Order.objects.select_for_update(of=["self"])
        .select_related("package")
        .filter(tenant=connector.tenant, channel=connector.kind, external_id=external_id)
        .first()
    )


def _lock_pack(connector: Connector, pack_id: str) -> None:
    if pack_id:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"pack/{connector.tenant_id}/{pack_id}"]
            )


def _is_older(reading: Reading, order: Order) -> bool:
    """Tell whether the hub has something newer of the order, or (of the same order) of its parcel."""
    known, read = order.channel_updated_at, reading.order.updated_at
    if known is None or read is None or known != read:
        return known is not None and read is not None and read < known
    return order.package is not None and _is_older_parcel(reading.shipment, order.package)


def _newest_words(reading: Reading, order: Order | None) -> rules.Words:
    """Return the words that count: beside a newer order, what the hub has of its parcel may be the newer."""
    kept = order.package if order else None
    if kept is None or not _is_older_parcel(reading.shipment, kept):
        return reading.words
    return replace(reading.words, shipment=kept.channel_status, substatus=kept.channel_substatus)


def _lasting_words(connector: Connector, words: rules.Words, order: Order | None) -> rules.Words:
    """Return the same words, with the order's own kept when the tenant said that nothing comes after it."""
    known = order.channel_status if order else ""
    if known in {"", words.order} or known in rules.ORDER_WORDS:
        return words
    terminal = mappings.terminal_words(connector.tenant_id, connector.kind, {known, words.order})
    return replace(words, order=rules.word_that_counts(known, words.order, terminal=terminal))


def _is_older_parcel(parcel: ShipmentSnapshot | None, kept: Package) -> bool:
    if parcel is None or parcel.external_id != kept.external_id:
        return False
    known, read = kept.channel_updated_at, parcel.updated_at
    return known is not None and read is not None and read < known


def _describe(order: Order, reading: Reading, words: rules.Words, verdict: Verdict) -> None:
    snapshot = reading.order
    order.external_id = snapshot.external_id
    order.channel_status = words.order[:64]
    order.pack_id = snapshot.pack_id
    order.shipment_id = snapshot.shipment_id
    order.total_amount = snapshot.total_amount
    order.currency = snapshot.currency[:3]
    order.ordered_at = snapshot.created_at
    order.channel_updated_at = snapshot.updated_at
    order.content_hash = "" if reading.trouble else reading.content_hash()  # "": the next reading is news
    order.flags = [flag.value for flag in verdict.flags]
    if reading.shipment:
        order.package = _keep_package(order, reading.shipment, words)
    if verdict.state is not None and not (verdict.may_be_ready and order.status == Order.Status.READY):
        order.status = verdict.state.value
    if order.status == Order.Status.PICKED_UP and order.picked_up_at is None:
        order.picked_up_at = (reading.shipment and reading.shipment.updated_at) or timezone.now()


def _keep_package(order: Order, parcel: ShipmentSnapshot, words: rules.Words) -> Package:
    """Write the parcel down. An older reading of it than the hub's, beside a newer order, changes nothing of it."""
    package, is_new = Package.objects.select_for_update().get_or_create(
        tenant=order.tenant,
        channel=order.channel,
        external_id=parcel.external_id,
        defaults={"connector": order.connector},
    )
    if not is_new and _is_older_parcel(parcel, package):
        return package
    package.channel_status, package.channel_substatus = parcel.status[:64], parcel.substatus[:64]
    package.logistic_type = parcel.logistic_type[:32]
    package.tracking_number = parcel.tracking_number[:64]
    package.weight_g, package.dimensions = parcel.weight_g, parcel.dimensions[:64]
    package.channel_updated_at = parcel.updated_at
    if rules.has_left(words):
        package.status = Package.Status.PICKED_UP
    elif parcel.status == "cancelled":
        package.status = Package.Status.CANCELLED
    else:
        package.status = Package.Status.READY if package.label_enc else Package.Status.WAITING
    package.save()
    return package


def _make_ready(connector: Connector, order: Order, companions: Iterable[str]) -> None:
    """Let the orders that leave together be ready, once all are here with a label and nothing holds one back."""
    together = list(
        Order.objects.select_for_update(of=["self"])
        .select_related("package")
        .filter(tenant=connector.tenant, channel=connector.kind, external_id__in=set(companions))
        .order_by("pk")
    )
    alive = [one for one in together if one.status != Order.Status.CANCELLED]
    is_complete = {one.external_id for one in together} >= set(companions)
    is_free = not any(Flag.FRAUD_RISK in one.flags for one in alive)
    has_labels = all(one.package and one.package.status == Package.Status.READY for one in alive)
    if not (is_complete and is_free and has_labels):
        return
    for one in alive:
        if one.status == Order.Status.RECEIVED:
            one.status = Order.Status.READY
            one.ready_at = one.ready_at or timezone.now()
            one.save(update_fields=["status", "ready_at", "updated_at"])


# --- items ----------------------------------------------------------------------------------------------------------

Sold = tuple[OrderLine, Listing, int]  # a line, its listing, and the product that the listing is mapped to


def _keep_items(order: Order, snapshot: OrderSnapshot, parcel: ShipmentSnapshot | None) -> None:
    """Write down what was sold. Whose stock it was, the parcel says; before that, the listing (contract §4.4)."""
    OrderItem.objects.bulk_create(
        OrderItem(
            order=order,
            listing=listing,
            product_id=product_id,
            seller_sku=line.seller_sku[:100],
            title=line.title[:300],
            quantity=line.quantity,
            unit_price=line.unit_price,
            is_own_stock=parcel.logistic_type != rules.FULL if parcel and parcel.logistic_type else listing.is_writable,
        )
        for line, listing, product_id in _mapped(order.connector, snapshot.lines)
    )


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


# --- goods ----------------------------------------------------------------------------------------------------------


def _move_goods(order: Order, goods: Goods, trace_id: uuid.UUID) -> None:
    """Move stock from where the hub has the order's goods to where they are."""
    if goods is Goods.UNKNOWN:
        return
    if goods is Goods.ELSEWHERE:
        order.items.update(is_own_stock=False)
    held = _reservations(order, Reservation.Status.PENDING)
    gone = _gone(order)
    if goods in {Goods.HELD, Goods.GONE} and not held and not gone:
        _reserve(order, trace_id)
        held = _reservations(order, Reservation.Status.PENDING)
    if goods is Goods.GONE:
        for reservation in held:
            _confirm(order, reservation, trace_id)
    elif goods is not Goods.HELD:
        for reservation in held:
            _release(order, reservation, trace_id)
    if goods is Goods.BACK and gone:
        _return(order, gone, trace_id)


def _reservations(order: Order, *states: Reservation.Status) -> list[Reservation]:
    """Return the order's reservations in those states, in the ledger's order of locks."""
    rows = Reservation.objects.filter(tenant=order.tenant, reference_type=REFERENCE_TYPE, reference_id=str(order.pk))
    return list(rows.filter(status__in=states).order_by("product_id", "location_id", "id"))


def _gone(order: Order) -> dict[tuple[int, int], int]:
    """Return how many of the order's units have left and are not back: {(product, location): units}."""
    units: dict[tuple[int, int], int] = {}
    for row in _reservations(order, Reservation.Status.CONFIRMED):
        place = (row.product_id, row.location_id)
        units[place] = units.get(place, 0) + row.confirmed_quantity
    if units:
        returned = Movement.objects.filter(
            tenant=order.tenant,
            reference_type=REFERENCE_TYPE,
            reference_id=str(order.pk),
            kind=Movement.Kind.RETURN,
        )
        for product_id, location_id, back in returned.values_list("product_id", "location_id").annotate(
            Sum("on_hand_delta")
        ):
            units[product_id, location_id] -= back
    return {place: left for place, left in units.items() if left > 0}


def _reserve(order: Order, trace_id: uuid.UUID) -> None:
    """Promise the sold units, wherever the connector's locations have them. What the channel keeps is its own."""
    own = [
        ledger.Line(product_id=item.product_id, quantity=item.quantity)
        for item in order.items.filter(is_own_stock=True).order_by("pk")
    ]
    if not own:
        return
    before = Reservation.objects.filter(
        tenant=order.tenant, reference_type=REFERENCE_TYPE, reference_id=str(order.pk)
    ).count()  # an order that was given up and then sold after all is promised anew
    ledger.reserve(
        order.tenant,
        own,
        key=f"order:{order.pk}:reserve:{before}",
        cause=_cause(order, "sale", trace_id),
        among=list(order.connector.locations.values_list("pk", flat=True)) or None,
        is_fact=True,
    )


def _confirm(order: Order, reservation: Reservation, trace_id: uuid.UUID) -> None:
    reason = "shipped" if order.status != Order.Status.CANCELLED else "cancelled after shipment"
    key, cause = f"reservation:{reservation.pk}:confirm", _cause(order, reason, trace_id)
    ledger.confirm(order.tenant, reservation.pk, key=key, cause=cause)


def _release(order: Order, reservation: Reservation, trace_id: uuid.UUID) -> None:
    key, cause = f"reservation:{reservation.pk}:release", _cause(order, "cancellation", trace_id)
    ledger.release(order.tenant, reservation.pk, key=key, cause=cause)


def _return(order: Order, gone: dict[tuple[int, int], int], trace_id: uuid.UUID) -> None:
    """Put goods that came back on the shelf they left from."""
    for (product_id, location_id), units in sorted(gone.items()):
        ledger.post_one(
            order.tenant,
            ledger.Move(
                kind=Movement.Kind.RETURN,
                product_id=product_id,
                location_id=location_id,
                quantity=units,
                cause=_cause(order, "returned", trace_id),
                key=f"order:{order.pk}:return:{product_id}:{location_id}",
            ),
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
