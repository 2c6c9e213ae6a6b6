"""The demo's past: made by the house's own verbs, in the order of time, once; and a sandbox that sells by itself."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.connectors.models import Connector
from apps.console.demo import catalogue, history, people, shop, told, whole
from apps.console.demo.past import begin_balances, past
from apps.inventory.models import Balance, Movement
from apps.inventory.prove import prove
from apps.orders.models import Order
from apps.sandbox.server import Sandbox
from apps.sync.models import SyncLog
from apps.tenants.models import Membership, Tenant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def market(settings: object) -> Iterator[Sandbox]:
    with Sandbox() as box:
        settings.MERCADOLIVRE_API_URL = settings.MERCADOLIVRE_AUTH_URL = box.url  # type: ignore[attr-defined]
        yield box


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day and a half of a small shop instead of two weeks of a large one."""
    monkeypatch.setattr(history, "DAYS", 1)
    monkeypatch.setattr(catalogue, "ASSORTMENT", [*catalogue.KITCHEN[:6], *catalogue.PANTRY[:3]])
    monkeypatch.setattr(catalogue, "PERISHABLE", frozenset(row[0] for row in catalogue.PANTRY[:3]))


def _play(market: Sandbox) -> tuple[Tenant, Connector]:
    tenant = Tenant.objects.get(slug=shop.SLUG)
    connector = Connector.objects.get(tenant=tenant)
    people.hire(tenant)
    opened_at = tenant.created_at - timedelta(days=history.DAYS + 1)
    whole._stock_shelves(connector, market.control, opened_at.timestamp())
    whole.import_listings(connector, create_products=True)
    with past() as move_to:
        opened = history.open_shop(tenant, connector, market.control, move_to)
        begin_balances(tenant, opened.products.values(), opened.places.values(), opened_at)
        history.play(opened, lambda _done, _of: None)
    return tenant, connector


def _clock() -> object:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def test_the_past_is_lived_once_in_its_order_and_everything_holds(short: None, market: Sandbox) -> None:
    shop.load(market.url, opened_ago=timedelta(days=2))
    tenant, connector = _play(market)
    rows = Movement.objects.filter(tenant=tenant).exclude(product__sku="SKU-001")
    assert prove() == []
    assert rows.count() > 100
    assert not rows.filter(recorded_at__gt=tenant.created_at).exists()
    assert {"RECEIPT", "SALE", "RESERVE", "CONFIRM"} <= set(rows.values_list("kind", flat=True))
    assert Order.objects.filter(tenant=tenant, created_at__lt=tenant.created_at).count() > 5

    counts = rows.count(), Order.objects.count(), Balance.objects.count(), Membership.objects.count()
    _play(market)
    assert (rows.count(), Order.objects.count(), Balance.objects.count(), Membership.objects.count()) == counts

    since = tenant.created_at - timedelta(days=1)
    written = told.write(connector, since, tenant.created_at)
    assert written == SyncLog.objects.filter(timestamp__lt=tenant.created_at).count() > 20
    assert told.write(connector, since, tenant.created_at) == 0


def test_the_clock_is_the_machines_again_afterwards() -> None:
    with past() as move_to:
        move_to(timezone.now() - timedelta(days=9))
        assert timezone.now() - _clock() > timedelta(days=8)  # type: ignore[operator]
    assert abs(timezone.now() - _clock()) < timedelta(minutes=1)  # type: ignore[operator]


def test_a_sandbox_sells_by_itself_only_when_asked(market: Sandbox) -> None:
    assert market.market.selling._thread is None
    market.control.application(client_id="1")
    market.control.account(user_id=7, client_id="1")
    [item] = market.control.create_items(7, [{"title": "Bule", "available_quantity": 50}])
    for _ in range(60):
        market.market.selling.happen()
    sold = market.control.orders()
    assert {order["order_items"][0]["item"]["id"] for order in sold} == {item}
    assert market.control.selling(pace_seconds=[20, 10]) == {"on": True, "pace_seconds": [10, 20]}
    assert market.market.selling._thread is not None
    market.control.selling(on=False)


def test_a_call_at_another_moment_happens_then(market: Sandbox) -> None:
    market.control.application(client_id="1")
    market.control.account(user_id=7, client_id="1")
    [item] = market.control.create_items(7, [{"title": "Bule", "available_quantity": 5}])
    market.control.at_seconds = 1_700_000_000
    order = market.control.sell(item)["order_id"]
    market.control.at_seconds = None
    assert market.control.order(order)["date_created"].startswith("2023-11-14T")
    assert not market.control.order(market.control.sell(item)["order_id"])["date_created"].startswith("2023")
