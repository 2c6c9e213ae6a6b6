"""What a channel sold, or took back, and the hub has not taken in: why a channel may rightly show another number.

`sync.reconcile` asks this before it raises a number; the answer needs orders and events, which are rooms above it. The
orders that nobody told of are found by the ordinary search, which stores an event for each: that is their repair. Those
that wait in the inbox, for whatever reason, are known already. All of them are read, to see of which listings they are.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog

from apps.connectors import credentials
from apps.connectors.channel import ChannelError, FoundOrder, OrderSnapshot
from apps.connectors.models import Connector
from apps.events.inbox import KIND_ORDERS
from apps.events.models import IntegrationEvent, Watch
from apps.events.search import TOPIC, Search, news, watch_new_accounts
from apps.orders.intake import listing_key
from apps.orders.models import Order
from apps.orders.rules import ORDER_WORDS, Sale
from apps.sync.drift import Heard, Sales

log = structlog.get_logger(__name__)

Status = IntegrationEvent.Status

STUCK = (Status.MAPPING, Status.ERROR, Status.HELD, Status.QUARANTINED)
WAITING = (Status.RECEIVED, Status.RETRY, *STUCK)

ORDERS_MAX = 50
"""Orders that are read to explain a number; with more in waiting, nothing can be said of any."""


def find_sales(connector: Connector, is_read_only: bool) -> dict[str, Sales] | None:
    """Return what was sold or cancelled and not taken in, by listing and by user product (`reconcile.FindSales`).

    is_read_only: store no event for what the search finds.
    None when it cannot be told: the search failed, is not over, or an order cannot be read just now. Raises
    ChannelError only for the account's own trouble.
    """
    try:
        found = _search(connector, is_read_only=is_read_only)
        return None if found is None else _sales(connector, found)
    except ChannelError as refusal:
        if refusal.account:
            raise
        log.warning("unheard_sales_unknown", connector_id=connector.pk, code=refusal.code, reason=str(refusal))
        return None


def _search(connector: Connector, *, is_read_only: bool) -> set[str] | None:
    """Search for orders that nobody told of and return their ids, stored as events or not; None when cut short."""
    if not Watch.objects.filter(pk=connector.pk).exists():
        watch_new_accounts()
    if not Watch.objects.filter(pk=connector.pk).exists():
        return None
    unread: set[str] = set()

    def collect(connector: Connector, orders: Sequence[FoundOrder], until: datetime) -> int:
        unread.update(news(connector, orders))
        return 0

    is_over = Search(connector, keep=collect if is_read_only else None).run()
    return unread if is_over else None


def _sales(connector: Connector, unread: set[str]) -> dict[str, Sales] | None:
    heard = dict.fromkeys(unread, Heard.NO) | _waiting(connector)
    if len(heard) > ORDERS_MAX:
        return None
    known = {
        order.external_id: order
        for order in Order.objects.filter(
            tenant=connector.tenant_id, channel=connector.kind, external_id__in=heard
        ).prefetch_related("items")
    }
    channel = credentials.open_connector(connector)
    sales: dict[str, Sales] = {}
    for external_id, how in sorted(heard.items()):
        try:
            order = channel.order(external_id)
        except ChannelError:
            if how is Heard.STUCK:
                continue  # it may never be readable; what is readable must not wait for it
            raise
        for name, one in _effect(order, known.get(external_id), how):
            sales[name] = sales[name] + one if name in sales else one
    return sales


def _waiting(connector: Connector) -> dict[str, Heard]:
    """Return {order: how the hub knows of it} for the orders that wait in the inbox."""
    events = IntegrationEvent.objects.filter(
        tenant_id=connector.tenant_id, connector=connector, resource_kind=KIND_ORDERS, status__in=WAITING
    ).exclude(external_id="")
    found: dict[str, Heard] = {}
    rows = events.order_by("-id").values_list("external_id", "status", "topic")
    for external_id, status, topic in rows[: ORDERS_MAX * 10]:
        how = Heard.STUCK if status in STUCK else Heard.NO if topic == TOPIC else Heard.ON_ITS_WAY
        found[external_id] = max(found.get(external_id, how), how, key=list(Heard).index)
    return found


def _effect(order: OrderSnapshot, known: Order | None, how: Heard) -> list[tuple[str, Sales]]:
    """Return what the order did to each listing's number at the channel, and did not do here yet."""
    was_sold = known is not None and bool(known.items.all())
    is_gone_here = known is not None and known.status == Order.Status.CANCELLED
    sale = ORDER_WORDS.get(order.status)
    effects = []
    for line in order.lines:
        if sale is Sale.SOLD and not was_sold:
            one = Sales(sold=line.quantity, heard=how, orders=(order.external_id,))
        elif sale is Sale.ENDED and was_sold and not is_gone_here:
            one = Sales(returned=line.quantity, heard=how, orders=(order.external_id,))
        else:
            continue
        names = {listing_key(line.item_id, line.variation_id), line.user_product_id} - {""}
        effects += [(name, one) for name in names]
    return effects
