"""The order search: what no notification told is found by asking (contract §3.3), account by account.

A **window** is a span of time whose changed orders are asked for. The **watermark** (`Watch.searched_until`) is the
moment before which everything is stored; it moves in the very transaction that stores a window, and never back. Orders
that the hub has not read since they changed become events, which walk the ordinary road of the inbox.

Their search is precise to the hour, pages by offset up to a ceiling, leaves cancelled orders out unless asked, and
changes while it is paged. So windows are widened by the channel and what is known already is left out here; a window
with too many orders is halved; cancelled orders are asked for besides; and every page must begin with an order that
the page before has shown, else orders have moved up and the search steps back.
"""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Max, Q, Value
from django.db.models.functions import Coalesce, Least, Now
from django.utils import timezone

from apps.connectors import credentials
from apps.connectors.channel import Channel, ChannelError, FoundOrder, OrderPage
from apps.connectors.models import Connector
from apps.events.inbox import KIND_ORDERS
from apps.events.models import IntegrationEvent, Watch
from apps.orders.models import Order
from apps.tenants.flags import IS_OFF

log = structlog.get_logger(__name__)

TOPIC = "orders_search"
"""What an event says that was found by asking, where others say the topic of their notification."""

LEASE_SECONDS = 600
"""A search whose worker died is taken up again after this long."""

PAGES_MAX = 40
"""Pages read before a search pauses and lets other accounts have their turn; a window once begun is finished."""

WINDOW_ORDERS_MAX = 1_000
"""A window with more is halved, while it can be: what was read is stored and done with sooner."""

WINDOW_MIN = timedelta(hours=1)
"""A shorter window finds no less (contract §3.3)."""

STEPS_BACK_MAX = 20
"""A list that moves under the search so often is left for the next search."""

CLOCKS_APART = timedelta(seconds=5)
"""An order read so soon after its change, by two clocks, may have been read before it."""

READ = (IntegrationEvent.Status.PROCESSED, IntegrationEvent.Status.DUPLICATE)
"""States of an event whose order was read to the end."""

PARKED = (IntegrationEvent.Status.MAPPING, IntegrationEvent.Status.HELD)
"""States of an event whose order will be read when a person has done something."""


@dataclass(frozen=True, slots=True)
class Window:
    """Changes from `since` to `until`."""

    since: datetime
    until: datetime

    def halves(self) -> "tuple[Window, Window] | None":
        """Return the earlier and the later half, met at a full hour; None when there is no such hour inside."""
        middle = self.since + (self.until - self.since) / 2
        middle = middle.replace(minute=0, second=0, microsecond=0)
        if middle <= self.since:
            middle += WINDOW_MIN
        return (Window(self.since, middle), Window(middle, self.until)) if middle < self.until else None


# --- whose turn it is ------------------------------------------------------------------------------------------------

WATCH_NEW = """
INSERT INTO integracao_vigia (connector_id, searched_until, search_at, error_code, error_msg, updated_at)
SELECT c.id, c.created_at - make_interval(hours => %s), now(), '', '', now()
  FROM integracao_conector c
 WHERE c.status = 'ATIVO' AND NOT EXISTS (SELECT FROM integracao_vigia v WHERE v.connector_id = c.id)
ON CONFLICT DO NOTHING
"""

CLAIM = f"""
UPDATE integracao_vigia v SET search_at = now() + make_interval(secs => %s)
  FROM (SELECT v.connector_id FROM integracao_vigia v JOIN integracao_conector c ON c.id = v.connector_id
         WHERE v.search_at <= now() AND c.status = 'ATIVO' AND NOT {IS_OFF}
         ORDER BY v.search_at LIMIT 1 FOR UPDATE OF v SKIP LOCKED) due
 WHERE v.connector_id = due.connector_id
RETURNING v.connector_id
"""  # noqa: S608  every part is a constant of ours


def watch_new_accounts() -> None:
    """Give every account that works a watermark, where it has none: its connection, or so many hours before."""
    with connection.cursor() as cursor:
        cursor.execute(WATCH_NEW, [settings.ORDER_SEARCH_FIRST_HOURS])


def search_next() -> bool:
    """Search the account that waited longest. Returns False when none is due.

    An account that was not searched for a while is due at once: the hub was down, the account had to be authorised
    anew, its integration was off. Never raises for a channel's failure or a defect of ours: the reason is kept with the
    watermark, which stays, and the search is tried again. Raises OperationalError or InterfaceError when the database
    is away.
    """
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [LEASE_SECONDS])
        claimed = cursor.fetchone()
    if claimed is None:
        return False
    [connector_id] = claimed
    with structlog.contextvars.bound_contextvars(connector_id=connector_id):
        try:
            is_over = Search(Connector.objects.get(pk=connector_id)).run()
        except ChannelError as refusal:
            if refusal.account:
                credentials.stop(connector_id, refusal)
            log.warning("order_search_failed", code=refusal.code, reason=str(refusal))
            _end(connector_id, refusal.retry_after_seconds or 0, refusal.code, str(refusal))
        except (OperationalError, InterfaceError):  # the database is away: the lease ends by itself
            log.exception("order_search_interrupted")
            raise
        except Exception as defect:
            log.exception("order_search_failed")
            _end(connector_id, 0, "internal_error", f"{type(defect).__name__}; see the log")
        else:
            _end(connector_id, 0 if is_over else None)
    return True


def look_back(connector: Connector, since: datetime) -> bool:
    """Have an account's orders searched again from a moment on. Returns False when it has no watermark.

    The watermark itself stays: what is asked for is a mark of its own, which the search moves on as it goes.
    """
    watch = Watch.objects.filter(pk=connector.pk)
    return bool(watch.update(asked_from=Least(Coalesce("asked_from", Value(since)), Value(since)), search_at=Now()))


def _end(connector_id: int, at_least_seconds: float | None, code: str = "", reason: str = "") -> None:
    """Set when the account is searched again: at once for None, for then there is more to find."""
    pause_seconds = 0.0
    if at_least_seconds is not None:
        pause_seconds = max(settings.ORDER_SEARCH_EVERY_SECONDS, at_least_seconds)
    Watch.objects.filter(pk=connector_id).update(
        search_at=timezone.now() + timedelta(seconds=pause_seconds),
        error_code=code,
        error_msg=reason[:500],
        updated_at=timezone.now(),
    )


# --- one search ------------------------------------------------------------------------------------------------------


Keep = Callable[[Connector, Sequence[FoundOrder], datetime], int]


@dataclass(slots=True)
class Search:
    """One account's search, from its watermark to now. `keep` is handed the orders of each window, and its end."""

    connector: Connector
    keep: "Keep | None" = None  # None: `keep`, which stores what is news
    pages: int = 0
    found: int = 0
    stored: int = 0
    channel: Channel = field(init=False)

    def __post_init__(self) -> None:
        self.channel = credentials.open_connector(self.connector)

    def run(self) -> bool:
        """Search window by window, the oldest first. Returns False when it paused before the last. Raises ChannelError.

        The last stretch before now stays below the watermark's reach: what changed there may show in the search later,
        and their clock need not be ours.
        """
        now = timezone.now()
        settled = now - timedelta(minutes=settings.ORDER_SEARCH_OVERLAP_MINUTES)
        watch = Watch.objects.get(pk=self.connector.pk)
        asked_from = watch.asked_from
        since = min(watch.searched_until, settled, asked_from or settled)
        windows = [Window(since, now)]
        while windows and self.pages < PAGES_MAX:
            window = windows.pop()
            halves = window.halves()
            orders = self._orders_of(window, is_last=halves is None)
            if orders is None and halves:
                windows += reversed(halves)
                continue
            inside = [order for order in orders or () if order.touched_at is None or order.touched_at >= window.since]
            self.found += len(inside)
            self.stored += (self.keep or keep)(self.connector, inside, min(window.until, settled))
            if asked_from and not self.keep:
                asked_from = self._answer(asked_from, window.until if windows else None)
        log.info("orders_searched", pages=self.pages, found=self.found, stored=self.stored, windows_left=len(windows))
        return not windows

    def _answer(self, asked_from: datetime, until: datetime | None) -> datetime | None:
        """Move on what a person asked for; None ends it. What was asked for meanwhile stays for the next search."""
        watch = Watch.objects.filter(pk=self.connector.pk, asked_from=asked_from)
        return until if watch.update(asked_from=until) else None

    def _orders_of(self, window: Window, *, is_last: bool) -> Collection[FoundOrder] | None:
        """Return the window's orders; None when they are too many, unless it is the last window that can be."""
        orders: dict[str, FoundOrder] = {}
        for is_cancelled in (False, True):
            ask = partial(self._ask, window, is_cancelled=is_cancelled)
            first = ask(0)
            if first.total > WINDOW_ORDERS_MAX and not is_last:
                return None
            orders |= all_pages(first, ask)
            if first.total > first.reach:
                orders |= self._from_the_end(first.total, partial(ask, newest_first=True))
        if orders.pop("", None):
            log.warning("order_search_row_unreadable")
        return orders.values()

    def _from_the_end(self, total: int, ask: Callable[[int], OrderPage]) -> dict[str, FoundOrder]:
        """Read what paging from the start does not reach, from the other end; only so much can be reached."""
        first = ask(0)
        if total > 2 * first.reach:
            raise ChannelError(
                f"{total} orders changed within one hour, more than the search shows. It is tried again; nothing is"
                " lost while notifications arrive.",
                code="too_many_orders",
            )
        return all_pages(first, ask)

    def _ask(self, window: Window, offset: int, *, is_cancelled: bool, newest_first: bool = False) -> OrderPage:
        self.pages += 1
        return self.channel.orders_changed(
            self.connector.user_id,
            window.since,
            window.until,
            offset=offset,
            is_cancelled=is_cancelled,
            newest_first=newest_first,
        )


def all_pages(first: OrderPage, ask: Callable[[int], OrderPage]) -> dict[str, FoundOrder]:
    """Return the orders of all pages, by id; `ask` gives the page that begins at an offset.

    An order that changes meanwhile may leave the list, and all behind it move up: past the place where the next page
    begins. So pages overlap by one order; a page that begins with a stranger, or beyond the end, is left for one
    further ahead. Whatever joins the list meanwhile changed just now: the next search finds it.
    Raises ChannelError when the list does not hold still.
    """
    found: dict[str, FoundOrder] = {}
    page, offset, steps_back = first, 0, 0
    while True:
        if offset and not (page.orders and page.orders[0].external_id in found):
            steps_back += 1
            if steps_back > STEPS_BACK_MAX:
                raise ChannelError("The list of orders changes faster than it can be read.", code="list_keeps_moving")
            offset = max(0, offset - max(len(first.orders) - 1, 1))
        else:
            found |= {order.external_id: order for order in page.orders}
            behind = offset + len(page.orders)
            if not page.orders or behind >= min(page.total, page.reach):
                return found
            offset = behind - 1 if len(page.orders) > 1 else behind
        page = ask(offset)


# --- what is kept ----------------------------------------------------------------------------------------------------


def keep(connector: Connector, orders: Iterable[FoundOrder], until: datetime) -> int:
    """Store an event for each order that is news, and move the watermark to `until`, both or neither.

    The watermark's row is locked, so that two workers with the same window store it once. Returns how many are news.
    """
    with transaction.atomic():
        watch = Watch.objects.select_for_update(no_key=True).get(pk=connector.pk)
        news = _news(connector, {_delivery_key(order): order for order in orders})
        now = timezone.now()
        IntegrationEvent.objects.bulk_create(
            (
                IntegrationEvent(
                    tenant_id=connector.tenant_id,
                    connector=connector,
                    channel=connector.kind,
                    topic=TOPIC,
                    resource_kind=KIND_ORDERS,
                    external_id=order.external_id,
                    delivery_key=key,
                    body=json.dumps(_pointer(order)).encode(),
                    payload=_pointer(order),
                    next_attempt_at=now,
                )
                for key, order in news.items()
            ),
            batch_size=500,
        )
        if until > watch.searched_until:
            watch.searched_until = until
            watch.save(update_fields=["searched_until", "updated_at"])
    return len(news)


def news(connector: Connector, orders: Iterable[FoundOrder]) -> set[str]:
    """Return the ids of those orders that the hub would have to read; writes nothing."""
    found = _news(connector, {_delivery_key(order): order for order in orders})
    return {order.external_id for order in found.values()}


def _news(connector: Connector, orders: dict[str, FoundOrder]) -> dict[str, FoundOrder]:
    """Return those orders, by delivery key, that the hub has not read since they changed and is not about to read."""
    ids = {order.external_id for order in orders.values()}
    held = dict(
        Order.objects.filter(tenant=connector.tenant_id, channel=connector.kind, external_id__in=ids).values_list(
            "external_id", "channel_updated_at"
        )
    )
    events = IntegrationEvent.objects.filter(tenant=connector.tenant_id, connector=connector)
    about_orders = events.filter(external_id__in=ids, resource_kind=KIND_ORDERS)
    last_read = dict(about_orders.filter(status__in=READ).values_list("external_id").annotate(Max("processed_at")))
    told = set(events.filter(delivery_key__in=orders).values_list("delivery_key", flat=True))
    will_be_read = set(
        about_orders.filter(Q(next_attempt_at__isnull=False) | Q(status__in=PARKED)).values_list(
            "external_id", flat=True
        )
    )
    return {
        key: order
        for key, order in orders.items()
        if key not in told
        and order.external_id not in will_be_read
        and is_news(order, held.get(order.external_id), last_read.get(order.external_id))
    }


def is_news(order: FoundOrder, held: datetime | None, last_read: datetime | None) -> bool:
    """Tell whether the hub has to read an order. `held`: the order's own time of change in the hub; None: no order.

    The search may go by a later time than the order tells of itself (contract §3.3). Then it counts when the hub last
    read the order, by the hub's own clock.
    """
    if held is None or order.updated_at is None or order.updated_at > held:
        return True
    if order.touched_at is None or order.touched_at <= held:
        return False
    return last_read is None or last_read < order.touched_at + CLOCKS_APART


def _delivery_key(order: FoundOrder) -> str:
    changed_at = max((at for at in (order.updated_at, order.touched_at) if at), default=None)
    version = changed_at.astimezone(UTC).isoformat() if changed_at else order.status[:32]
    return f"search:{order.external_id}:{version}"[:128]


def _pointer(order: FoundOrder) -> dict[str, str]:
    """Return what a person is shown of the event: the form of a notification, nothing about anybody."""
    changed_at = order.touched_at or order.updated_at
    return {
        "topic": TOPIC,
        "resource": f"/orders/{order.external_id}",
        "status": order.status,
        "last_updated": changed_at.isoformat() if changed_at else "",
    }
