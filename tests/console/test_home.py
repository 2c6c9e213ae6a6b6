"""The start page: what its tiles say and how grave that is, what its charts add up to, where each of them leads."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from redis import RedisError

from apps.connectors.models import Connector, Listing
from apps.console import answer_times, charts, figures, hours
from apps.console.models import HourFigures
from apps.inventory import ledger
from apps.inventory.models import Movement
from apps.notifications.models import Trouble
from apps.sync.models import SyncLog
from apps.tenants.models import Membership, Tenant
from tests import factories

pytestmark = pytest.mark.django_db

QUERIES_MAX = 15


@pytest.fixture
def listing() -> Listing:
    tenant = factories.TenantFactory()
    connector = factories.ConnectorFactory(tenant=tenant, name="Conta da Alice")
    product = factories.ProductFactory(tenant=tenant)
    factories.stocked(product, factories.LocationFactory(tenant=tenant), 5)
    return factories.ListingFactory(tenant=tenant, connector=connector, product=product)


def client_of(tenant: Tenant) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(factories.member(tenant, Membership.Role.ANALYST))
    return client


def tile(page: str, name: str) -> str:
    """Return the text of one tile, its tone first."""
    found = re.search(rf'<li class="tile tile-(\w+)">\s*<h2>{re.escape(name)}</h2>(.*?)</li>', page, re.DOTALL)
    assert found, name
    return f"{found[1]} {' '.join(re.sub('<[^>]+>', ' ', found[2]).split())}"


def shown(listing: Listing) -> str:
    cache.clear()
    answer = client_of(listing.tenant).get(reverse("console:home"))
    assert answer.status_code == 200
    return answer.content.decode()


def moved(listing: Listing) -> int:
    return int(Movement.objects.filter(tenant=listing.tenant).latest("id").pk)


def test_whoever_signs_in_comes_to_the_start_page(client: Client) -> None:
    assert client.get("/").url == reverse("console:home")
    assert client.get(reverse("console:home")).url.startswith("/entrar/")


def test_with_nothing_to_do_every_tile_says_so(listing: Listing) -> None:
    page = shown(listing)
    assert tile(page, "Oversell cases").startswith("ok 0 None open")
    assert tile(page, "Freshness, 95%").startswith("quiet — Nothing to measure")
    assert tile(page, "Error rate").startswith("quiet — Nothing to measure")
    assert tile(page, "Events in the queue").startswith("ok 0 Nothing waits")


@pytest.mark.parametrize(("seconds", "words"), [(3, "ok 3.0 s Good"), (90, "warn 1 min Slow"), (900, "bad 15 min Too")])
def test_freshness_is_judged_by_thirty_seconds_and_five_minutes(seconds: int, words: str, listing: Listing) -> None:
    recorded = Movement.objects.get(pk=moved(listing)).recorded_at
    factories.SyncLogFactory(
        listing=listing,
        movement_id=moved(listing),
        due_at=recorded,
        finished_at=recorded + timedelta(seconds=seconds),
    )
    assert tile(shown(listing), "Freshness, 95%").startswith(words)


@pytest.mark.parametrize(("failed", "words"), [(1, "ok 1.0%"), (3, "bad 2.9%")])
def test_more_than_one_failure_in_a_hundred_is_too_many(failed: int, words: str, listing: Listing) -> None:
    factories.SyncLogFactory.create_batch(100 - failed % 2, listing=listing)
    for _ in range(failed):
        factories.SyncLogFactory(listing=listing, status=SyncLog.Status.ERROR, error_code="x", http_status=429)
    page = shown(listing)
    assert tile(page, "Error rate").startswith(words)
    assert tile(page, "Too many calls").startswith(words.replace("bad", "ok"))


def test_a_backlog_says_how_old_it_is(listing: Listing) -> None:
    event = factories.EventFactory(
        tenant=listing.tenant, connector=listing.connector, next_attempt_at=timezone.now() + timedelta(minutes=1)
    )
    type(event).objects.filter(pk=event.pk).update(received_at=timezone.now() - timedelta(minutes=8))
    Listing.objects.filter(pk=listing.pk).update(due_at=timezone.now() - timedelta(seconds=20))
    page = shown(listing)
    assert tile(page, "Events in the queue").startswith("bad 1 It piles up")
    assert "The oldest waits for 8 min." in tile(page, "Events in the queue")
    assert tile(page, "Numbers to be told").startswith("ok 1 Flowing")


def test_what_was_sold_and_is_not_there_is_the_first_tile(listing: Listing) -> None:
    assert listing.product_id
    line = ledger.Line(product_id=listing.product_id, quantity=9)
    ledger.reserve(listing.tenant, [line], key="k", cause=ledger.Cause(actor="worker:orders"), is_fact=True)
    page = shown(listing)
    assert tile(page, "Oversell cases").startswith("bad 1 Sold more than there is 4 units")
    assert page.index("Oversell cases") < page.index("Freshness, 95%")


def test_an_account_shows_its_troubles_and_another_companys_show_nowhere(listing: Listing) -> None:
    stranger = factories.ConnectorFactory(name="Conta do Charlie")
    for connector in (listing.connector, stranger):
        Trouble.objects.create(
            tenant=connector.tenant, connector=connector, kind=Trouble.Kind.CONNECTOR, cause="reauthorize", count=1
        )
    page = shown(listing)
    assert tile(page, "Pending matters").startswith("bad 1 Somebody must look")
    assert "Conta da Alice" in page
    assert "Conta do Charlie" not in page


def test_no_secret_is_read_for_the_page(listing: Listing) -> None:
    client = client_of(listing.tenant)
    cache.clear()
    with CaptureQueriesContext(connection) as captured:
        assert client.get(reverse("console:home")).status_code == 200
    asked = [query["sql"] for query in captured.captured_queries]
    assert len(asked) <= QUERIES_MAX, "\n".join(asked)
    assert not [sql for sql in asked if "secret_enc" in sql or "token_enc" in sql]


def test_the_page_needs_no_redis(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object, **_options: object) -> None:
        raise RedisError

    for name in ("get", "set", "get_many"):
        monkeypatch.setattr(cache, name, away)
    assert client_of(listing.tenant).get(reverse("console:home")).status_code == 200
    assert figures.told(listing.tenant_id).tries == 0


# --- Hours and charts -------------------------------------------------------------------------------------------------


def test_an_hour_adds_up_what_happened_in_it(listing: Listing) -> None:
    assert listing.product_id
    order = ledger.Cause(actor="worker:orders", reference_type="order", reference_id="1")
    line = ledger.Line(product_id=listing.product_id, quantity=3)
    ledger.reserve(listing.tenant, [line], key="k", cause=order, is_fact=True)
    recorded = Movement.objects.get(pk=moved(listing)).recorded_at
    told = {"listing": listing, "movement_id": moved(listing)}
    factories.SyncLogFactory(**told, finished_at=recorded + timedelta(seconds=4))
    factories.SyncLogFactory(**told, status=SyncLog.Status.ERROR, error_code="too_many", http_status=429)
    factories.SyncLogFactory(**told, status=SyncLog.Status.SHADOW)
    while hours.follow():
        pass
    hours.follow()  # the hour under way is added up afresh, not on top
    [hour] = hours.of_tenant(listing.tenant_id, timezone.now() - timedelta(hours=2))
    assert (hour.tries, hour.errors, hour.throttled, hour.movements, hour.sold_units) == (2, 1, 1, 2, 3)
    assert hour.p95_seconds == pytest.approx(4, abs=0.01)


def test_hours_that_nobody_added_up_are_made_up_for(listing: Listing) -> None:
    log = factories.SyncLogFactory(listing=listing)
    SyncLog.objects.filter(pk=log.pk).update(timestamp=timezone.now() - timedelta(days=9))
    assert hours.follow()  # a day at a time
    while hours.follow():
        pass
    assert sum(hour.tries for hour in hours.of_tenant(listing.tenant_id, timezone.now() - timedelta(days=14))) == 1


def test_old_hours_are_forgotten(listing: Listing) -> None:
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for days in (1, 20):
        HourFigures.objects.create(tenant=listing.tenant, hour=now - timedelta(days=days), tries=1)
    hours.forget_old()
    assert HourFigures.objects.count() == 1


def test_the_table_beside_a_chart_says_what_the_chart_shows(listing: Listing) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    HourFigures.objects.create(tenant=listing.tenant, hour=hour, tries=200, errors=6, movements=40, sold_units=17)
    page = shown(listing)
    data = re.search(r'<script id="chart-sales" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert data
    shapes = json.loads(data[1])
    assert (len(shapes["labels"]), shapes["series"][0]["data"][-1], sum(shapes["series"][0]["data"])) == (24, 17, 17)
    local = timezone.localtime(hour, timezone.get_default_timezone())
    assert '<td class="number">17</td><td class="number">40</td>' in page
    assert "6 of 200 tries failed: 3.0%" in page
    assert shapes["urls"][-1].startswith(f"/console/pedidos/?at={local:%Y}")
    assert "<details" in page.partition("chart-sales")[2]


def test_fourteen_days_go_by_the_readers_calendar(listing: Listing) -> None:
    listing.tenant.time_zone = "America/Sao_Paulo"
    listing.tenant.save()
    late = datetime(2026, 3, 10, 1, tzinfo=UTC)  # 22:00 of the ninth in São Paulo
    now = datetime(2026, 3, 10, 15, tzinfo=UTC)
    with timezone.override("America/Sao_Paulo"):
        days = charts.by_day([hours.Hour(late, sold_units=3)], now)
        assert [slot.figures.sold_units for slot in days][-2:] == [3, 0]
        assert days[-2].query == "at=2026-03-09"
        assert charts.first_moment(now) == datetime(2026, 2, 25, 3, tzinfo=UTC)


def test_a_point_leads_to_the_rows_of_its_hour(listing: Listing) -> None:
    now = timezone.localtime(timezone.now(), timezone.get_default_timezone())
    client = client_of(listing.tenant)
    factories.SyncLogFactory(listing=listing)
    tenant_now = timezone.localtime(timezone=__import__("zoneinfo").ZoneInfo(listing.tenant.time_zone))
    here = client.get(reverse("console:syncs"), {"at": f"{tenant_now:%Y-%m-%dT%H}"}).content.decode()
    assert listing.item_id in here
    assert "Only what happened from" in here
    before = client.get(reverse("console:syncs"), {"at": f"{now - timedelta(days=3):%Y-%m-%d}"}).content.decode()
    assert listing.item_id not in before
    assert client.get(reverse("console:syncs"), {"at": "2026-99"}).status_code == 200


# --- Answers to notifications -----------------------------------------------------------------------------------------


def test_answer_times_of_all_processes_add_up(listing: Listing) -> None:
    for _ in range(98):
        answer_times.count(8)
    answer_times.flush()
    for took in (140, 620):  # another process' turn
        answer_times.count(took)
    answer_times.flush()
    answer_times.flush()  # nothing twice
    assert answer_times.quantile_ms(0.5, hours=1) == 10
    assert answer_times.quantile_ms(0.99, hours=1) == 150
    assert answer_times.quantile_ms(1, hours=1) == 750
    assert tile(shown(listing), "Answer to notifications, 99%").startswith("ok ≤ 150 ms Good")


def test_only_notifications_are_timed(listing: Listing) -> None:
    answered = answer_times.timed(lambda environ, start: [b"ok"], "web:test:1")
    answered({"PATH_INFO": "/console/"}, lambda *_: None)
    answer_times.flush()
    assert answer_times.quantile_ms(0.99, hours=1) is None
    answered({"PATH_INFO": f"/api/integracoes/ml/notificacoes/{Connector.objects.get().notification_token}"}, print)
    answer_times.flush()
    assert answer_times.quantile_ms(0.99, hours=1) is not None
