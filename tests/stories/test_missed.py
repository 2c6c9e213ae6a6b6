"""Nothing missed: the receiver is down for minutes, hours, a day; the search is paged, raced and killed.

The marketplace's clock is set back by the length of the outage and then moved on to now, so that its own retries, its
`/missed_feeds` and its topics behave as they would in that time.
"""

import signal
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from pytest_django import Settings
from structlog.testing import capture_logs

from apps.connectors.connecting import connect
from apps.connectors.mercadolivre import channel as ml_channel
from apps.connectors.mercadolivre import client as ml_client
from apps.connectors.models import Connector, Listing
from apps.events import missed, search
from apps.events.models import IntegrationEvent, Watch
from apps.inventory.models import Reservation
from apps.sandbox.server import Sandbox
from apps.tenants import flags
from tests.market import Market, orders_of, work_until_quiet
from tests.stories.dying_worker import SEARCH_POINTS
from tests.stories.test_kill import work_until_death

MINUTE, HOUR = 60, 3600
NOBODY = "http://127.0.0.1:9/"
"""The address of a hub that is down."""


def is_due(market: Market, *, searched_ago_seconds: int | None = None) -> None:
    """Let the account's search be due; and, if so asked, let the hub have searched until so long ago."""
    search.watch_new_accounts()
    now = timezone.now()
    changes = {"search_at": now}
    if searched_ago_seconds is not None:
        changes["searched_until"] = now - timedelta(seconds=searched_ago_seconds)
    Watch.objects.filter(pk=market.connector.pk).update(**changes)


def search_all(market: Market) -> None:
    """Do what the tick does, until no account is due."""
    is_due(market)
    while search.search_next():
        pass


def watch_of(market: Market) -> Watch:
    return Watch.objects.get(pk=market.connector.pk)


def found_by_search() -> list[str]:
    """Return the orders of the events that the search stored."""
    return sorted(IntegrationEvent.objects.filter(topic=search.TOPIC).values_list("external_id", flat=True))


def application_of(market: Market) -> dict[str, Any]:
    applications = market.control.state()["applications"]
    return next(one for one in applications if one["client_id"] == market.connector.client_id)


def set_address(market: Market, url: str) -> None:
    market.control.application(client_id=market.connector.client_id, notification_url=url)


class Outage:
    """The hub is down from `seconds` ago until now, by the marketplace's clock."""

    def __init__(self, market: Market, seconds: int) -> None:
        self.market, self.ago_seconds = market, seconds
        self.address = application_of(market)["notification_url"]
        market.control.clock(-seconds)
        market.control.notifications(retry_seconds=HOUR, disable_topic_after=3)
        set_address(market, NOBODY)
        is_due(market, searched_ago_seconds=seconds)

    def pass_time_until(self, ago_seconds: int) -> None:
        """Let the marketplace's clock go on, its retries made on the way."""
        while self.ago_seconds > ago_seconds:
            self.ago_seconds = max(ago_seconds, self.ago_seconds - 10 * MINUTE)
            self.market.control.clock(-self.ago_seconds)
            self.market.control.wait_until_notified(which="due")

    def end(self) -> None:
        """The hub is back, now; what the marketplace still tries by itself arrives within its hour."""
        self.pass_time_until(0)
        set_address(self.market, self.address)
        self.market.control.clock(HOUR)
        self.market.control.wait_until_notified()
        self.market.control.clock(0)
        work_until_quiet()


def assert_each_once(market: Market, orders: list[str]) -> None:
    assert sorted(order.external_id for order in orders_of(market)) == sorted(orders)
    assert Reservation.objects.count() == len(orders)
    assert market.numbers("SHIRT") == (10, Reservation.objects.filter(status="PENDING").count())
    assert market.shown("SHIRT") == 10 - market.numbers("SHIRT")[1]


def walk_all_nets(market: Market) -> None:
    """Read the missed notifications and search, twice, and work through what comes of it."""
    for _ in range(2):
        missed.read_all()
        search_all(market)
        work_until_quiet()


def test_down_for_five_minutes(market: Market) -> None:
    """The marketplace's own retries are enough; the nets find nothing to add."""
    outage = Outage(market, 5 * MINUTE)
    orders = [market.sell("SHIRT"), market.sell("SHIRT")]
    outage.pass_time_until(2 * MINUTE)
    orders.append(market.sell("SHIRT"))
    outage.end()
    assert_each_once(market, orders)
    events = IntegrationEvent.objects.count()
    walk_all_nets(market)
    assert_each_once(market, orders)
    assert found_by_search() == []
    assert IntegrationEvent.objects.count() == events


def test_down_for_two_hours(market: Market) -> None:
    """The first sales are given up after an hour: they stand among the missed notifications."""
    outage = Outage(market, 2 * HOUR)
    orders = [market.sell("SHIRT"), market.sell("SHIRT")]
    outage.pass_time_until(20 * MINUTE)
    orders.append(market.sell("SHIRT"))
    outage.end()
    assert [order.external_id for order in orders_of(market)] == orders[2:]
    missed.read_all()
    work_until_quiet()
    assert_each_once(market, orders)
    events = IntegrationEvent.objects.count()
    walk_all_nets(market)
    assert_each_once(market, orders)
    assert (found_by_search(), IntegrationEvent.objects.count()) == ([], events)


def test_down_for_twenty_six_hours(market: Market) -> None:
    """Topics are switched off after three that were given up: the rest nobody tells, and only the search finds."""
    market.control.clock(-27 * HOUR)
    known = market.sell("SHIRT")
    market.settle()
    outage = Outage(market, 26 * HOUR)
    orders = [market.sell("SHIRT") for _ in range(3)]
    outage.pass_time_until(20 * HOUR)
    assert "orders_v2" not in application_of(market)["topics"]
    market.control.cancel(int(known))
    orders.append(market.sell("SHIRT"))
    outage.pass_time_until(HOUR)
    orders.append(market.sell("SHIRT"))
    outage.end()
    assert [order.external_id for order in orders_of(market)] == [known]
    missed.read_all()
    work_until_quiet()
    assert sorted(order.external_id for order in orders_of(market)) == sorted([known, *orders[:3]])
    search_all(market)
    work_until_quiet()
    assert_each_once(market, [known, *orders])
    assert [order.status for order in orders_of(market) if order.external_id == known] == ["CANCELADO"]
    assert found_by_search() == sorted(orders[3:])  # the cancellation was told by its parcel, before that was off too
    walk_all_nets(market)
    assert_each_once(market, [known, *orders])
    assert len(found_by_search()) == 2


# --- the search ------------------------------------------------------------------------------------------------------


@pytest.fixture
def quiet(market: Market) -> Market:
    """A market that tells nothing, searched until an hour ago."""
    market.control.notifications(enabled=False)
    is_due(market, searched_ago_seconds=HOUR)
    return market


def test_pages_that_change_while_they_are_read_hide_no_order(quiet: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders that are cancelled between two pages leave the list; all behind them move up."""
    monkeypatch.setattr(ml_client, "SEARCH_PAGE_SIZE", 4)
    orders = [quiet.sell("SHIRT" if number % 2 else "MUG") for number in range(12)]
    ask = ml_client.Client.orders_changed
    to_cancel = [orders[0], orders[1], orders[5], orders[6]]

    def ask_and_cancel(self: ml_client.Client, *args: Any, **options: Any) -> object:
        page = ask(self, *args, **options)
        for order_id in (to_cancel.pop(0), to_cancel.pop(0)) if to_cancel else ():
            quiet.control.cancel(int(order_id))
        return page

    monkeypatch.setattr(ml_client.Client, "orders_changed", ask_and_cancel)
    search_all(quiet)
    assert set(found_by_search()) == set(orders)


def test_a_full_window_is_halved_and_the_watermark_follows(quiet: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty orders over six hours, three a window, four pages a round."""
    monkeypatch.setattr(search, "WINDOW_ORDERS_MAX", 3)
    monkeypatch.setattr(search, "PAGES_MAX", 4)
    is_due(quiet, searched_ago_seconds=8 * HOUR)
    orders = []
    for ago_hours in range(6, 0, -1):
        quiet.control.clock(-ago_hours * HOUR)
        orders += [quiet.sell("SHIRT"), quiet.sell("MUG")]
    quiet.control.clock(0)
    marks = [watch_of(quiet).searched_until]
    while search.search_next():
        marks.append(watch_of(quiet).searched_until)
    assert len(marks) > 3
    assert marks == sorted(marks)
    assert found_by_search() == sorted(orders)
    assert timezone.now() - marks[-1] < timedelta(minutes=61)


def test_an_hour_with_more_orders_than_paging_reaches_is_read_from_both_ends(
    quiet: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ml_client, "SEARCH_PAGE_SIZE", 3)
    monkeypatch.setattr(ml_channel, "SEARCH_REACH", 6)
    monkeypatch.setattr(search, "WINDOW_ORDERS_MAX", 3)
    orders = [quiet.sell("SHIRT") for _ in range(10)]
    search_all(quiet)
    assert found_by_search() == sorted(orders)
    for _ in range(5):
        quiet.sell("MUG")
    search_all(quiet)
    assert watch_of(quiet).error_code == "too_many_orders"
    assert found_by_search() == sorted(orders)


def test_two_workers_with_one_window_store_it_once(quiet: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [quiet.sell("SHIRT") for _ in range(3)]
    both_have_read = threading.Barrier(2)
    keep = search.keep

    def keep_together(*args: Any) -> int:
        both_have_read.wait(30)
        return keep(*args)

    monkeypatch.setattr(search, "keep", keep_together)
    stored = in_two_threads(lambda: _search_and_count(quiet.connector))
    assert sorted(stored) == [0, 3]
    assert found_by_search() == sorted(orders)
    work_until_quiet()
    assert_each_once(quiet, orders)


def _search_and_count(connector: Connector) -> int:
    run = search.Search(connector)
    run.run()
    return run.stored


def in_two_threads(work: Callable[[], int]) -> list[int]:
    answers: list[int] = []

    def do() -> None:
        try:
            answers.append(work())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


@pytest.mark.parametrize("point", SEARCH_POINTS)
def test_a_search_killed_when(quiet: Market, sandbox: Sandbox, point: str) -> None:
    orders = [quiet.sell("SHIRT") for _ in range(3)]
    assert work_until_death(point, sandbox) == -signal.SIGKILL
    is_committed = point == "events and watermark are committed"
    assert found_by_search() == (sorted(orders) if is_committed else [])
    search_all(quiet)
    assert found_by_search() == sorted(orders)
    work_until_quiet()
    assert_each_once(quiet, orders)


def test_an_account_is_searched_at_once_when_it_is_authorised_again(quiet: Market) -> None:
    search_all(quiet)
    Connector.objects.filter(pk=quiet.connector.pk).update(status=Connector.Status.REAUTHORIZE)
    is_due(quiet)
    order = quiet.sell("SHIRT")
    assert not search.search_next()
    application = application_of(quiet)
    connect(
        quiet.tenant,
        kind="ML",
        client_id=application["client_id"],
        client_secret=application["client_secret"],
        refresh_token=quiet.control.grant(quiet.seller_id)["refresh_token"],
    )
    assert search.search_next()
    assert found_by_search() == [order]


def test_an_integration_that_is_switched_off_is_asked_nothing_and_catches_up(quiet: Market) -> None:
    flag = flags.integration("ML")
    flags.switch(quiet.tenant, flag, is_enabled=False, actor="test")
    order = quiet.sell("SHIRT")
    calls = len(quiet.control.journal())
    assert not search.search_next()
    assert missed.read_all() == 0
    assert len(quiet.control.journal()) == calls
    flags.switch(quiet.tenant, flag, is_enabled=True, actor="test")
    assert search.search_next()
    assert found_by_search() == [order]


def test_the_first_search_begins_at_the_connection_or_so_many_hours_before(market: Market, settings: Settings) -> None:
    market.control.notifications(enabled=False)
    market.control.clock(-3 * HOUR)
    before = market.sell("SHIRT")
    market.control.clock(0)
    after = market.sell("SHIRT")
    search_all(market)
    assert found_by_search() == [after]
    Watch.objects.all().delete()
    settings.ORDER_SEARCH_FIRST_HOURS = 4
    search_all(market)
    assert found_by_search() == sorted([before, after])


def test_a_cancellation_that_nobody_told_is_found(market: Market) -> None:
    order = market.sell("SHIRT", 2)
    market.settle()
    market.control.notifications(enabled=False)
    market.control.cancel(int(order))
    search_all(market)
    assert found_by_search() == [order]
    work_until_quiet()
    assert [one.status for one in orders_of(market)] == ["CANCELADO"]
    assert market.numbers("SHIRT") == (10, 0)


def test_a_channel_in_trouble_leaves_the_watermark_and_says_why(quiet: Market, settings: Settings) -> None:
    order = quiet.sell("SHIRT")
    before = watch_of(quiet)
    quiet.control.faults(
        {"path": "^/orders/search", "action": "status", "status": 429, "headers": {"Retry-After": "900"}}
    )
    assert search.search_next()
    watch = watch_of(quiet)
    assert (watch.error_code, watch.searched_until) == ("rate_limited", before.searched_until)
    assert watch.search_at > timezone.now() + timedelta(seconds=800)
    assert not search.search_next()
    quiet.control.clear_faults()
    search_all(quiet)
    assert (found_by_search(), watch_of(quiet).error_code) == ([order], "")


def test_an_order_that_was_told_and_read_is_not_found_again(market: Market) -> None:
    market.sell("SHIRT")
    market.settle()
    with capture_logs() as logs:
        search_all(market)
    [entry] = [entry for entry in logs if entry["event"] == "orders_searched"]
    assert (entry["found"], entry["stored"], entry["pages"]) == (1, 0, 2)
    assert found_by_search() == []


def test_an_order_that_waits_to_be_mapped_is_not_found_besides(market: Market) -> None:
    Listing.objects.filter(connector=market.connector).update(product=None)
    [item] = market.control.create_items(market.seller_id, [{"seller_sku": "HAT", "available_quantity": 5}])
    market.control.sell(item)
    market.settle()
    assert IntegrationEvent.objects.filter(status="MAPEAMENTO").count() == 1
    search_all(market)
    assert found_by_search() == []


# --- missed notifications --------------------------------------------------------------------------------------------


@pytest.fixture
def lossy(market: Market) -> Market:
    """A market that loses every notification, to be read among the missed ones."""
    market.control.notifications(drop_percent=100, drop_to_missed_feeds=True)
    IntegrationEvent.objects.all().delete()
    return market


def test_the_same_missed_notifications_are_stored_once(lossy: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ml_client, "FEED_PAGE_SIZE", 2)
    orders = [lossy.sell("SHIRT"), lossy.sell("SHIRT")]
    assert missed.read_all() > len(orders)
    assert missed.read_all() == 0
    topics = Counter(IntegrationEvent.objects.values_list("topic", flat=True))
    assert (topics["orders_v2"], topics["items"]) == (2, 2)
    work_until_quiet()
    assert_each_once(lossy, orders)


def test_two_readers_of_the_missed_store_each_once(lossy: Market) -> None:
    lossy.sell("SHIRT")
    stored = in_two_threads(missed.read_all)
    assert sum(stored) == IntegrationEvent.objects.count() > 0
    keys = Counter(IntegrationEvent.objects.values_list("delivery_key", flat=True))
    assert set(keys.values()) == {1}


def test_what_one_account_may_not_read_another_of_the_application_reads(lossy: Market) -> None:
    """The list belongs to the application; whose token it wants nobody says."""
    application = application_of(lossy)
    other = lossy.control.account(client_id=application["client_id"], nickname="OUTRA")
    second = connect(
        lossy.tenant,
        kind="ML",
        client_id=application["client_id"],
        client_secret=application["client_secret"],
        refresh_token=other["refresh_token"],
    )
    search.watch_new_accounts()
    order = lossy.sell("SHIRT")
    lossy.control.faults({"path": "^/missed_feeds", "user_id": lossy.seller_id, "action": "status", "status": 403})
    assert missed.read_all() > 0
    assert {watch.pk: watch.reads_missed_feeds for watch in Watch.objects.all()} == {
        lossy.connector.pk: False,
        second.pk: True,
    }
    event = IntegrationEvent.objects.get(topic="orders_v2")
    assert (event.connector, event.external_id) == (lossy.connector, order)
    calls = len(lossy.control.journal())
    missed.read_all()
    asked = [call for call in lossy.control.journal()[calls:] if call["path"].startswith("/missed_feeds")]
    assert {str(call["user_id"]) for call in asked} == {second.user_id}


def test_a_person_has_days_searched_again_that_the_hub_took_for_searched(market: Market) -> None:
    """The watermark says that everything before is stored; who knows better asks, and the mark itself stays."""
    market.control.clock(-5 * HOUR)
    set_address(market, NOBODY)
    orders = [market.sell("SHIRT") for _ in range(3)]
    market.control.clock(0)
    is_due(market, searched_ago_seconds=MINUTE)
    search_all(market)
    assert found_by_search() == []  # by its watermark the hub has them all
    before = watch_of(market).searched_until
    assert search.look_back(market.connector, timezone.now() - timedelta(days=1))
    while search.search_next():
        pass
    assert found_by_search() == sorted(orders)
    assert watch_of(market).asked_from is None
    assert watch_of(market).searched_until >= before
    work_until_quiet()
    assert_each_once(market, orders)


def test_what_is_asked_for_during_a_search_is_not_lost(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    is_due(market)
    first, second = (timezone.now() - timedelta(days=days) for days in (1, 3))
    search.look_back(market.connector, first)
    keep = search.keep

    def asked_meanwhile(*arguments: Any) -> int:
        search.look_back(market.connector, second)
        return keep(*arguments)

    monkeypatch.setattr(search, "keep", asked_meanwhile)
    search.search_next()
    assert watch_of(market).asked_from == second
