"""Before a mapping is saved: what waits for it, in the order sold, and what that would change; then each once."""

import re
from collections.abc import Iterator

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.connectors.models import Listing, SkuMapping, StatusMapping
from apps.events import inbox, waiting
from apps.events.models import IntegrationEvent
from apps.inventory.models import Reservation
from apps.orders.models import Order
from apps.tenants.models import AuditEntry
from tests.market import Market, let_time_pass, work_until_quiet
from tests.stories.test_orders import call_it
from tests.stories.test_plan_pages import person, text_of
from tests.stories.test_plans import heard, witness


@pytest.fixture
def parked(market: Market) -> Iterator[tuple[Market, list[str]]]:
    """Three sales of a listing that nobody mapped; the hub heard of the last one first."""
    market.control.notifications(enabled=False)
    shirt = market.listing("SHIRT")
    Listing.objects.filter(pk=shirt.pk).update(seller_sku="camisa-ml", product=None)
    orders = [str(market.control.sell(shirt.item_id, 1)["order_id"]) for _ in range(3)]
    for order_id in reversed(orders):
        heard(market, order_id, status="RECEBIDO", error_code="", next_attempt_at="2026-01-01T00:00Z")
    work_until_quiet()
    assert set(IntegrationEvent.objects.filter(external_id__in=orders).values_list("status", flat=True)) == {
        "MAPEAMENTO"
    }
    return market, orders


def post(client: Client, name: str, *args: int, **form: str) -> HttpResponse:
    return client.post(reverse(f"console:{name}", args=args), form)  # type: ignore[return-value]


def turns(answer: HttpResponse, orders: list[str]) -> list[str]:
    page = answer.content.decode()
    return sorted(orders, key=lambda number: page.index(f">{number}<"))


def test_a_sku_shows_what_waits_then_takes_each_in_once_as_sold(parked: tuple[Market, list[str]]) -> None:
    market, orders = parked
    client = person(market.tenant)
    before = witness(), AuditEntry.objects.count()
    form = {"external_sku": "camisa-ml", "sku": "SHIRT"}
    answer = post(client, "map-sku", **form)
    assert answer.status_code == 200
    assert (witness(), AuditEntry.objects.count()) == before
    assert not SkuMapping.objects.exists()
    assert turns(answer, orders) == orders  # not as they were heard of
    shown = text_of(answer)
    assert "de 0 → para 3" in shown
    assert all(number in shown for number in orders)
    assert 'name="confirmed" value="1"' in answer.content.decode()

    assert post(client, "map-sku", confirmed="1", **form).status_code == 302
    work_until_quiet()
    assert market.numbers("SHIRT") == (10, 3)
    made = Order.objects.order_by("pk")
    assert [order.external_id for order in made] == orders
    assert Reservation.objects.count() == 3
    assert set(IntegrationEvent.objects.filter(external_id__in=orders).values_list("status", flat=True)) == {
        "PROCESSADO"
    }


def test_a_listing_of_its_own_page_shows_it_too(parked: tuple[Market, list[str]]) -> None:
    market, orders = parked
    client = person(market.tenant)
    listing = Listing.objects.get(seller_sku="camisa-ml")
    answer = post(client, "map", listing.pk, sku="SHIRT", next="/console/anuncios/")
    assert turns(answer, orders) == orders
    assert 'name="next" value="/console/anuncios/"' in answer.content.decode()
    assert Listing.objects.get(pk=listing.pk).product is None
    answer = post(client, "map", listing.pk, sku="SHIRT", next="/console/anuncios/", confirmed="1")
    assert answer["Location"] == "/console/anuncios/"
    work_until_quiet()
    assert market.numbers("SHIRT") == (10, 3)


def test_what_waits_for_another_listing_too_is_not_set_free(parked: tuple[Market, list[str]]) -> None:
    market, orders = parked
    IntegrationEvent.objects.filter(external_id=orders[0]).update(waiting_for=["MLB1", "MLB2"])
    shown = waiting.preview(
        market.tenant, lambda: Listing.objects.filter(seller_sku="camisa-ml").update(product=market.product("SHIRT"))
    )
    assert [event.external_id for event in shown.events] == orders[1:]
    assert shown.count == 2


def test_thousands_that_wait_are_counted_and_twenty_are_read(parked: tuple[Market, list[str]]) -> None:
    market, orders = parked
    example = IntegrationEvent.objects.get(external_id=orders[0])
    IntegrationEvent.objects.bulk_create(
        IntegrationEvent(
            tenant=market.tenant,
            connector=market.connector,
            channel="ML",
            topic="orders_v2",
            resource_kind="orders",
            external_id=f"9{number:09}",
            body=b"",
            status="MAPEAMENTO",
            error_code="mapping_needed",
            waiting_for=example.waiting_for,
        )
        for number in range(5000)
    )
    with CaptureQueriesContext(connection) as queries:
        answer = post(person(market.tenant), "map-sku", external_sku="camisa-ml", sku="SHIRT")
    assert answer.status_code == 200
    shown = text_of(answer)
    assert re.search(r"20 (de|of) 5\.?003", shown)
    assert len(queries) < 400
    assert not SkuMapping.objects.exists()


def test_a_channel_that_does_not_answer_is_said_and_the_mapping_may_be_made(
    parked: tuple[Market, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    market, orders = parked
    client = person(market.tenant)
    monkeypatch.setattr(waiting, "READ_SECONDS", 0.0)
    form = {"external_sku": "camisa-ml", "sku": "SHIRT"}
    answer = post(client, "map-sku", **form)
    assert answer.status_code == 200
    assert turns(answer, orders) == orders
    monkeypatch.undo()
    market.control.faults({"path": "^/orders/", "action": "status", "status": 503})
    answer = post(client, "map-sku", **form)
    assert f"Pedido {orders[0]}" in text_of(answer)
    market.control.clear_faults()
    post(client, "map-sku", confirmed="1", **form)
    let_time_pass()
    work_until_quiet()
    assert market.numbers("SHIRT") == (10, 3)


def test_a_status_shows_its_orders_and_events(market: Market) -> None:
    known = market.sell("SHIRT")
    market.settle()
    new = market.sell("MUG", notify=False)
    for order_id in (known, new):
        call_it(market, order_id, "on_hold")
    client = person(market.tenant)
    before = witness()
    form = {"external_status": "on_hold", "meaning": "CANCELADO"}
    answer = post(client, "map-status", **form)
    assert answer.status_code == 200
    assert witness() == before
    assert not StatusMapping.objects.exists()
    shown = text_of(answer)
    assert known in shown
    assert new in shown
    assert "SHIRT · CD1" in shown
    assert "de 1 → para 0" in shown
    post(client, "map-status", confirmed="1", **form)
    work_until_quiet()
    assert market.numbers("SHIRT") == (10, 0)
    assert Order.objects.get(external_id=known).status == "CANCELADO"


def test_nothing_waits_so_nothing_is_asked(market: Market) -> None:
    client = person(market.tenant)
    assert post(client, "map-sku", external_sku="outro", sku="SHIRT").status_code == 302
    assert SkuMapping.objects.count() == 1


def test_those_that_waited_are_due_at_once_in_the_order_of_their_sales(parked: tuple[Market, list[str]]) -> None:
    market, orders = parked
    Listing.objects.filter(seller_sku="camisa-ml").update(product=market.product("SHIRT"))
    assert inbox.wake_mapped() == 3
    claimed = [inbox.claim_due() for _ in orders]
    assert [claim.external_id for claim in claimed if claim] == orders
