"""The pages: who sees what, what each shows, what its buttons do, and what it costs.

The cast: Alice manages a shop, Bob works there, Anna only reads; Charlie has a shop of his own.
"""

import ast
import gettext as gettext_files
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.template import loader
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation.template import templatize

from apps.common.error_codes import ADVICE
from apps.common.http import Answer
from apps.connectors.mercadolivre import client as ml_client
from apps.connectors.mercadolivre import oauth as ml_oauth
from apps.connectors.models import Connector, Errand, Listing
from apps.console import filters, masking
from apps.events.models import IntegrationEvent, SilentTopic, Watch
from apps.inventory import ledger
from apps.inventory.models import Balance, Movement
from apps.notifications.models import Notification, PickupCounter
from apps.orders.models import Order
from apps.sync.models import Divergence, SyncLog
from apps.tenants.models import Membership, Tenant
from tests import factories

pytestmark = pytest.mark.django_db

QUERIES_MAX = 15
"""No page asks the database more often than this, however many rows it shows; one is the menu's count."""


@dataclass
class Shop:
    """One tenant with one of everything, joined as a sale joins them."""

    tenant: Tenant
    connector: Connector
    listing: Listing
    unmapped: Listing
    event: IntegrationEvent
    parked: IntegrationEvent
    order: Order
    log: SyncLog
    movement: Movement
    divergence: Divergence


def open_shop(name: str) -> Shop:
    tenant = factories.TenantFactory(name=name)
    connector = factories.ConnectorFactory(tenant=tenant)
    location = factories.LocationFactory(tenant=tenant)
    product = factories.ProductFactory(tenant=tenant, sku=f"VASO-{name}", name=f"Vaso de {name}")
    factories.stocked(product, location, 12)
    listing = factories.ListingFactory(tenant=tenant, connector=connector, product=product, accepted_quantity=12)
    order = factories.OrderFactory(tenant=tenant, connector=connector, item=None)
    factories.OrderItemFactory(order=order, listing=listing)
    event = factories.EventFactory(
        tenant=tenant,
        connector=connector,
        external_id=order.external_id,
        status=IntegrationEvent.Status.PROCESSED,
        attempts=1,
        processed_at=timezone.now(),
    )
    ledger.reserve(
        tenant,
        [ledger.Line(product_id=product.pk, quantity=2)],
        key=f"order:{order.pk}:reserve",
        cause=ledger.Cause(
            actor="worker:orders",
            reason="sale",
            reference_type="order",
            reference_id=str(order.pk),
            trace_id=event.trace_id,
        ),
        is_fact=True,
    )
    movement = Movement.objects.get(tenant=tenant, kind=Movement.Kind.RESERVE)
    log = factories.SyncLogFactory(
        listing=listing, old_value=12, new_value=10, movement_id=movement.pk, trace_id=event.trace_id
    )
    unmapped = factories.ListingFactory(tenant=tenant, connector=connector, product=None)
    parked = factories.EventFactory(
        tenant=tenant,
        connector=connector,
        status=IntegrationEvent.Status.MAPPING,
        error_code="mapping_needed",
        error_msg=f"not mapped to a product: {unmapped.item_id}",
        waiting_for=[unmapped.item_id],
    )
    divergence = factories.DivergenceFactory(listing=listing, hub_quantity=10, channel_quantity=99)
    return Shop(tenant, connector, listing, unmapped, event, parked, order, log, movement, divergence)


@pytest.fixture
def shop() -> Shop:
    return open_shop("Alice")


@pytest.fixture
def charlies() -> Shop:
    return open_shop("Charlie")


def signed_in(user: User) -> Client:
    client = Client(headers={"accept-language": "pt-BR"})
    client.force_login(user)
    return client


@pytest.fixture
def alice(shop: Shop) -> Client:
    return signed_in(factories.member(shop.tenant, Membership.Role.MANAGER, first_name="Alice", last_name="Prado"))


@pytest.fixture
def bob(shop: Shop) -> Client:
    return signed_in(factories.member(shop.tenant, Membership.Role.OPERATOR))


@pytest.fixture
def anna(shop: Shop) -> Client:
    return signed_in(factories.member(shop.tenant, Membership.Role.ANALYST))


@pytest.fixture
def charlie(charlies: Shop) -> Client:
    return signed_in(factories.member(charlies.tenant, Membership.Role.ADMIN))


LISTS = ["events", "syncs", "orders", "stock", "listings", "connectors", "divergences"]

DETAILS: dict[str, Callable[[Shop], int]] = {
    "event": lambda shop: shop.event.pk,
    "order": lambda shop: shop.order.pk,
    "movements": lambda shop: shop.listing.product_id or 0,
    "listing": lambda shop: shop.listing.pk,
    "connector": lambda shop: shop.connector.pk,
    "why": lambda shop: shop.listing.pk,
    "told": lambda shop: shop.log.pk,
}

BUTTONS: dict[str, Callable[[Shop], int]] = {
    "notify": lambda shop: shop.order.pk,
    "reprocess": lambda shop: shop.event.pk,
    "simulate": lambda shop: shop.event.pk,
    "map": lambda shop: shop.unmapped.pk,
    "sync-now": lambda shop: shop.listing.pk,
    "sync-product": lambda shop: shop.listing.product_id or 0,
    "test-connector": lambda shop: shop.connector.pk,
    "sync-connector": lambda shop: shop.connector.pk,
    "import-listings": lambda shop: shop.connector.pk,
    "cancel-import": lambda shop: shop.connector.pk,
    "compare-connector": lambda shop: shop.connector.pk,
    "cancel-compare": lambda shop: shop.connector.pk,
    "pause-connector": lambda shop: shop.connector.pk,
    "resume-connector": lambda shop: shop.connector.pk,
    "enter-shadow": lambda shop: shop.connector.pk,
    "leave-shadow": lambda shop: shop.connector.pk,
    "send-ours": lambda shop: shop.divergence.pk,
    "ignore-divergence": lambda shop: shop.divergence.pk,
    "heed-divergence": lambda shop: shop.divergence.pk,
}

MARKS: dict[str, Callable[[Shop], str]] = {
    "events": lambda shop: shop.event.external_id,
    "syncs": lambda shop: shop.listing.item_id,
    "orders": lambda shop: shop.order.external_id,
    "stock": lambda shop: shop.log.product.sku,
    "listings": lambda shop: shop.unmapped.item_id,
    "connectors": lambda shop: shop.connector.notification_url,
    "divergences": lambda shop: shop.listing.item_id,
    "event": lambda shop: str(shop.event.trace_id),
    "order": lambda shop: shop.listing.item_id,
    "movements": lambda shop: shop.order.external_id,
    "listing": lambda shop: shop.listing.title,
    "connector": lambda shop: shop.connector.notification_url,
    "why": lambda shop: shop.order.external_id,
    "told": lambda shop: shop.listing.item_id,
}


def address(name: str, shop: Shop) -> str:
    pk = {**DETAILS, **BUTTONS}.get(name)
    return reverse(f"console:{name}", args=[pk(shop)] if pk else [])


# --- Who sees what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*LISTS, *DETAILS])
def test_owner_and_team_see_their_rows_and_nobody_elses(
    name: str, shop: Shop, charlies: Shop, alice: Client, bob: Client, anna: Client
) -> None:
    for client in (alice, bob, anna):
        answer = client.get(address(name, shop))
        assert answer.status_code == 200
        page = answer.content.decode()
        assert MARKS[name](shop) in page
        assert MARKS[name](charlies) not in page
        assert "Charlie" not in page


@pytest.mark.parametrize("name", DETAILS)
def test_a_strangers_row_is_not_found(name: str, shop: Shop, charlie: Client) -> None:
    answer = charlie.get(address(name, shop))
    assert answer.status_code == 404
    assert MARKS[name](shop) not in answer.content.decode()


@pytest.mark.parametrize("name", BUTTONS)
def test_a_strangers_button_is_not_found_and_does_nothing(name: str, shop: Shop, charlie: Client) -> None:
    before = _state(shop)
    assert charlie.post(address(name, shop), {"sku": shop.log.product.sku}).status_code == 404
    assert _state(shop) == before


@pytest.mark.parametrize("name", BUTTONS)
def test_who_only_reads_may_press_no_button(name: str, shop: Shop, anna: Client) -> None:
    before = _state(shop)
    answer = anna.post(address(name, shop), {"sku": shop.log.product.sku})
    assert answer.status_code == 403
    assert "Seu papel não permite isto" in answer.content.decode()
    assert _state(shop) == before


def test_who_only_reads_is_shown_no_button(shop: Shop, anna: Client, bob: Client) -> None:
    for name in ("event", "listing", "listings", "connector"):
        writes = re.compile(r'method="post" action="/console/(?!idioma|empresa|visoes|exportacoes)')  # one's own
        assert writes.search(bob.get(address(name, shop)).content.decode()), name
        assert not writes.search(anna.get(address(name, shop)).content.decode()), name


@pytest.mark.parametrize("name", BUTTONS)
def test_a_button_is_never_a_link(name: str, shop: Shop, alice: Client) -> None:
    assert alice.get(address(name, shop)).status_code == 405


@pytest.mark.parametrize("name", [*LISTS, *DETAILS, *BUTTONS])
def test_strangers_to_the_house_are_sent_to_the_login(name: str, shop: Shop, client: Client) -> None:
    send = client.post if name in BUTTONS else client.get
    answer = send(address(name, shop))
    assert answer.status_code == 302
    assert answer["Location"] == f"/entrar/?next={address(name, shop)}"


def test_a_person_without_a_tenant_is_told_so(shop: Shop) -> None:
    answer = signed_in(factories.UserFactory()).get(reverse("console:events"))
    assert answer.status_code == 404
    assert "não pertence a nenhuma empresa" in answer.content.decode()


def test_a_person_of_two_tenants_changes_between_them(shop: Shop, charlies: Shop) -> None:
    both = factories.member(shop.tenant)
    factories.MembershipFactory(tenant=charlies.tenant, user=both)
    client = signed_in(both)
    client.post(reverse("console:tenant"), {"tenant": charlies.tenant.pk})
    page = client.get(reverse("console:orders")).content.decode()
    assert charlies.order.external_id in page
    assert shop.order.external_id not in page


def test_nobody_changes_into_a_tenant_they_do_not_belong_to(shop: Shop, charlies: Shop, bob: Client) -> None:
    bob.post(reverse("console:tenant"), {"tenant": charlies.tenant.pk})
    assert charlies.order.external_id not in bob.get(reverse("console:orders")).content.decode()


def _state(shop: Shop) -> tuple[Any, ...]:
    return (
        list(IntegrationEvent.objects.order_by("pk").values_list("pk", "status", "next_attempt_at", "reprocess_count")),
        list(Listing.objects.order_by("pk").values_list("pk", "product_id", "due_at")),
        list(Notification.objects.order_by("pk").values_list("pk", "status", "due_at")),
        list(Errand.objects.order_by("pk").values_list("pk", "status", "cancel_asked_at")),
    )


# --- Buttons ----------------------------------------------------------------------------------------------------


def test_reprocessing_puts_the_event_back_in_the_queue(shop: Shop, bob: Client) -> None:
    answer = bob.post(address("reprocess", shop), follow=True)
    event = IntegrationEvent.objects.get(pk=shop.event.pk)
    assert event.status == IntegrationEvent.Status.RECEIVED
    assert event.next_attempt_at is not None
    assert event.reprocess_count == 1
    assert "O evento voltou à fila" in answer.content.decode()


def test_reprocessing_something_unreadable_says_that_it_stays_so(shop: Shop, bob: Client) -> None:
    poison = factories.EventFactory(
        tenant=shop.tenant,
        connector=shop.connector,
        status=IntegrationEvent.Status.QUARANTINED,
        error_code="unreadable",
        external_id="",
        payload=None,
        body=b"{not json",
    )
    answer = bob.post(reverse("console:reprocess", args=[poison.pk]), follow=True)
    assert "continua sem ter o que fazer" in answer.content.decode()
    poison.refresh_from_db()
    assert poison.status == IntegrationEvent.Status.QUARANTINED


def test_mapping_says_how_many_events_now_come_in_and_sends_the_number(shop: Shop, bob: Client) -> None:
    page = bob.get(reverse("console:listings")).content.decode()
    assert "1 evento espera este mapeamento" in page
    answer = bob.post(address("map", shop), {"sku": shop.log.product.sku, "confirmed": "1"}, follow=True)
    shop.unmapped.refresh_from_db()
    assert shop.unmapped.product_id == shop.log.product_id
    assert shop.unmapped.due_at is not None
    page = answer.content.decode()
    assert f"{shop.unmapped.item_id} agora vende {shop.log.product.sku}" in page
    assert "1 evento que esperava por ele é processado sozinho em um segundo" in page


def test_mapping_to_another_tenants_product_is_refused(shop: Shop, charlies: Shop, bob: Client) -> None:
    answer = bob.post(address("map", shop), {"sku": charlies.log.product.sku})
    assert answer.status_code == 422
    assert "Nenhum produto tem o SKU" in answer.content.decode()
    shop.unmapped.refresh_from_db()
    assert shop.unmapped.product_id is None


def test_synchronise_now_makes_the_listing_due(shop: Shop, bob: Client) -> None:
    other = factories.ListingFactory(tenant=shop.tenant, connector=shop.connector)
    answer = bob.post(address("sync-now", shop), {"next": reverse("console:listings")}, follow=True)
    assert answer.redirect_chain == [(reverse("console:listings"), 302)]
    shop.listing.refresh_from_db()
    other.refresh_from_db()
    assert shop.listing.due_at is not None
    assert other.due_at is None


def test_a_listing_that_the_channel_counts_is_not_said_to_sell_nothing(shop: Shop, bob: Client) -> None:
    Listing.objects.filter(pk=shop.listing.pk).update(capability=Listing.Capability.FULL)
    page = bob.post(address("sync-now", shop), follow=True).content.decode()
    assert "ainda não vende nenhum produto" not in page
    shop.listing.refresh_from_db()
    assert shop.listing.due_at is None


def test_a_button_never_leads_to_another_site(shop: Shop, bob: Client) -> None:
    answer = bob.post(address("sync-now", shop), {"next": "https://evil.example/"})
    assert answer["Location"] == address("listing", shop)


@pytest.fixture
def ready(shop: Shop) -> Order:
    """Alice's order, ready at a counter that is told by e-mail."""
    PickupCounter.objects.create(connector=shop.connector, name="Hub", address="Rua 1", hours="9-18", email="h@b.co")
    return factories.ready(shop.order)


def test_sending_the_notification_again_queues_it_and_says_who(shop: Shop, bob: Client, ready: Order) -> None:
    page = bob.get(address("order", shop)).content.decode()
    assert address("notify", shop) in page
    bob.post(address("notify", shop))
    row = Notification.objects.get(order=ready, round=1)
    assert row.status == Notification.Status.PENDING
    assert re.fullmatch(r"user:\d+", row.requested_by)
    page = bob.get(address("order", shop)).content.decode()
    assert row.requested_by in page
    answer = bob.post(address("notify", shop), {"next": address("event", shop)})
    assert answer["Location"] == address("event", shop)
    assert address("notify", shop) in bob.get(address("event", shop)).content.decode()


def test_nobody_is_told_of_an_order_that_is_not_ready(shop: Shop, bob: Client, anna: Client, ready: Order) -> None:
    assert address("notify", shop) not in anna.get(address("order", shop)).content.decode()
    Order.objects.filter(pk=ready.pk).update(status=Order.Status.PICKED_UP, picked_up_at=timezone.now())
    assert address("notify", shop) not in bob.get(address("order", shop)).content.decode()
    answer = bob.post(address("notify", shop), follow=True)
    assert 'class="message' in answer.content.decode()
    assert Notification.objects.filter(order=ready, round__gt=0).count() == 0


# --- Filters, pages, cost ---------------------------------------------------------------------------------------


def test_sync_filters_narrow_the_list_and_stay_in_the_url(shop: Shop, alice: Client) -> None:
    failed = factories.SyncLogFactory(
        listing=factories.ListingFactory(tenant=shop.tenant, connector=shop.connector),
        status=SyncLog.Status.ERROR,
        error_code="item_closed",
    )
    old = factories.SyncLogFactory(listing=shop.listing)
    SyncLog.objects.filter(pk=old.pk).update(timestamp=timezone.now() - timedelta(days=3))
    url = reverse("console:syncs")

    def shown(query: str) -> set[int]:
        return set(map(int, re.findall(r'data-row="(\d+)"', alice.get(url + query).content.decode())))

    assert shown("") == {shop.log.pk, failed.pk, old.pk}
    assert shown("?status=ERROR") == {failed.pk}
    assert shown(f"?product={shop.log.product.sku.lower()}") == {shop.log.pk, old.pk}
    assert shown("?product=vaso de ali") == {shop.log.pk, old.pk}
    assert shown(f"?product={failed.listing.item_id}") == {failed.pk}
    assert shown("?period=24h") == {shop.log.pk, failed.pk}
    today = timezone.localdate(timezone=ZoneInfo(shop.tenant.time_zone))
    assert shown(f"?since={today:%Y-%m-%d}") == {shop.log.pk, failed.pk}
    assert shown(f"?until={today - timedelta(days=2):%Y-%m-%d}") == {old.pk}
    assert shown(f"?listing={shop.listing.pk}&status=SUCCESS") == {shop.log.pk, old.pk}
    page = alice.get(url + "?status=ERROR&product=SKU").content.decode()
    assert '<option value="ERROR" selected>' in page
    assert 'value="SKU"' in page


@pytest.mark.parametrize("matches_max", [200, 0], ids=["few", "very many"])
@pytest.mark.parametrize(
    ("name", "asked"), [("divergences", "text"), ("listings", "text"), ("orders", "text"), ("syncs", "product")]
)
def test_a_text_finds_the_same_whether_few_or_very_many_match(
    name: str, asked: str, matches_max: int, shop: Shop, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond some number of matches another query is asked; it must not mean anything else."""
    monkeypatch.setattr(filters, "MATCHES_MAX", matches_max)
    marks = {}
    for sku, called in (("LUM-77", "Luminária azul"), ("VASO-88", "Vaso de barro")):
        product = factories.ProductFactory(tenant=shop.tenant, sku=sku, name=called)
        listing = factories.ListingFactory(
            connector=shop.connector, tenant=shop.tenant, product=product, seller_sku=f"no-canal-{sku}"
        )
        order = factories.OrderFactory(tenant=shop.tenant, connector=shop.connector, item=None)
        factories.OrderItemFactory(order=order, listing=listing)
        factories.SyncLogFactory(listing=listing)
        factories.DivergenceFactory(listing=listing)
        marks[sku] = order.external_id if name == "orders" else listing.item_id
    texts = ["luminária", "lum-77", "LUM"] + ([marks["LUM-77"].lower()] if name != "orders" else [])
    texts += ["no-canal-LUM"] if name in ("divergences", "listings") else []
    for text in texts:
        page = alice.get(reverse(f"console:{name}"), {asked: text}).content.decode()
        assert (marks["LUM-77"] in page, marks["VASO-88"] in page) == (True, False), text


def test_a_filter_that_is_nonsense_is_said_so_and_no_failure(alice: Client) -> None:
    for name in LISTS:
        nonsense = "?status=NADA&period=ontem&since=31-02&listing=x&location=zz&state=y&before=%FF&after=e30"
        assert alice.get(reverse(f"console:{name}") + nonsense).status_code == 200
    assert "field-error" in alice.get(reverse("console:syncs") + "?status=NADA").content.decode()


def test_events_that_need_a_person_are_one_filter_away(shop: Shop, alice: Client) -> None:
    ignored = factories.EventFactory(
        tenant=shop.tenant, connector=shop.connector, topic="items", status=IntegrationEvent.Status.IGNORED
    )

    def shown(status: str) -> set[int]:
        page = alice.get(reverse("console:events"), {"status": status}).content.decode()
        return set(map(int, re.findall(r'data-row="(\d+)"', page)))

    assert shown("") == {shop.event.pk, shop.parked.pk, ignored.pk}
    assert shown("attention") == {shop.parked.pk}
    assert shown("used") == {shop.event.pk, shop.parked.pk}
    assert shown("PROCESSADO") == {shop.event.pk}


def test_an_order_is_found_by_the_path_that_notifications_carry(shop: Shop, alice: Client) -> None:
    page = alice.get(reverse("console:events"), {"resource": f"/orders/{shop.order.external_id}"}).content.decode()
    assert shop.event.external_id in page
    assert shop.parked.external_id not in page


def test_stock_filters_find_what_is_oversold(shop: Shop, alice: Client) -> None:
    product = factories.ProductFactory(tenant=shop.tenant)
    short = factories.stocked(product, factories.LocationFactory(tenant=shop.tenant), 1)
    ledger.reserve(
        shop.tenant,
        [ledger.Line(product_id=product.pk, quantity=3)],
        key="short",
        cause=ledger.Cause(actor="test"),
        is_fact=True,
    )
    page = alice.get(reverse("console:stock"), {"state": "oversold"}).content.decode()
    assert product.sku in page
    assert shop.log.product.sku not in page
    assert page.count('class="is-oversold"') == 1
    assert "−2" in page
    assert Balance.objects.get(product=product, location_id=short.location_id).available == -2


def test_pages_walk_over_every_row_once_and_keep_the_filters(shop: Shop, alice: Client) -> None:
    same_moment = timezone.now()
    rows = factories.SyncLogFactory.create_batch(120, listing=shop.listing, status=SyncLog.Status.ERROR)
    SyncLog.objects.filter(pk__in=[row.pk for row in rows]).update(timestamp=same_moment)
    url, query, seen, pages = reverse("console:syncs"), "?status=ERROR", [], []
    while query:
        page = alice.get(url + query).content.decode()
        assert "status=ERROR" in query
        pages.append(re.findall(r'data-row="(\d+)"', page))
        seen += pages[-1]
        older = re.search(r'href="(\?[^"]+)" rel="next"', page)
        newer = re.search(r'href="(\?[^"]+)" rel="prev"', page)
        query = older[1].replace("&amp;", "&") if older else ""
    assert [len(rows) for rows in pages] == [50, 50, 20]
    assert [int(pk) for pk in seen] == sorted((row.pk for row in rows), reverse=True)
    assert newer is not None
    back = alice.get(url + newer[1].replace("&amp;", "&")).content.decode()
    assert re.findall(r'data-row="(\d+)"', back) == pages[1]


def test_ascending_pages_walk_over_every_balance_once(shop: Shop, alice: Client) -> None:
    place = factories.LocationFactory(tenant=shop.tenant)
    for product in factories.ProductFactory.create_batch(60, tenant=shop.tenant):
        factories.stocked(product, place, 1)
    first = alice.get(reverse("console:stock")).content.decode()
    pages = [first]
    while older := re.search(r'href="(\?[^"]+)" rel="next"', pages[-1]):
        pages.append(alice.get(reverse("console:stock") + older[1]).content.decode())
    seen = re.findall(r'data-row="(\d+)"', "".join(pages))
    assert len(pages) > 2
    assert len(seen) == len(set(seen)) == 61


@pytest.mark.parametrize("name", [*LISTS, *DETAILS])
def test_a_page_of_many_rows_costs_no_more_queries_than_one_of_few(name: str, shop: Shop, alice: Client) -> None:
    url = address(name, shop)
    alice.get(url)
    few = _queries(alice, url)
    _fill(shop)
    many = _queries(alice, url)
    # a few lookups are left out while nothing on the page needs them
    assert len(many) <= QUERIES_MAX, "\n".join(many)
    assert len(many) <= len(few) + 2, "\n".join(many)
    assert not [sql for sql in many if "COUNT(*)" in sql]


def _queries(client: Client, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


def _fill(shop: Shop) -> None:
    place = factories.LocationFactory(tenant=shop.tenant)
    for _number in range(15):
        listing = factories.ListingFactory(tenant=shop.tenant, connector=shop.connector)
        factories.stocked(listing.product, place, 3, actor=f"user:{_number}")
        order = factories.OrderFactory(tenant=shop.tenant, connector=shop.connector, item=None)
        factories.OrderItemFactory(order=order, listing=listing)
        factories.OrderItemFactory(order=shop.order, listing=listing)
        factories.EventFactory(tenant=shop.tenant, connector=shop.connector, external_id=order.external_id)
        factories.EventFactory(tenant=shop.tenant, connector=shop.connector, external_id=shop.order.external_id)
        factories.SyncLogFactory(listing=listing, movement_id=shop.movement.pk)
        factories.SyncLogFactory(listing=shop.listing, movement_id=shop.movement.pk, trace_id=uuid4())
        factories.stocked(shop.log.product, place, 1, actor=f"user:{_number}")
        factories.ListingFactory(tenant=shop.tenant, connector=shop.connector, product=None)
        factories.DivergenceFactory(listing=listing)


# --- What the pages say -----------------------------------------------------------------------------------------


def test_a_failed_sync_says_what_it_means_and_what_to_do(shop: Shop, alice: Client) -> None:
    factories.SyncLogFactory(
        listing=shop.listing,
        status=SyncLog.Status.ERROR,
        error_code="item_closed",
        error_message="<script>alert(1)</script>",
    )
    page = alice.get(reverse("console:syncs")).content.decode()
    assert "O anúncio está encerrado, por isso o estoque não pode mudar." in page
    assert "Republique-o no canal" in page
    assert "<script>alert" not in page


def test_an_event_that_was_given_up_is_not_said_to_be_tried_again(shop: Shop, alice: Client) -> None:
    IntegrationEvent.objects.filter(pk=shop.event.pk).update(
        status=IntegrationEvent.Status.ERROR, error_code="timeout", error_msg="no answer within 5 s"
    )
    page = alice.get(address("event", shop)).content.decode()
    assert "O Saldo tentou várias vezes e parou" in page
    assert "tenta de novo sozinho" not in page


def test_a_sync_leads_to_the_order_that_caused_it(shop: Shop, alice: Client) -> None:
    page = alice.get(reverse("console:syncs")).content.decode()
    assert address("order", shop) in page
    assert address("listing", shop) in page


@pytest.mark.parametrize("name", ["event", "order"])
def test_the_timeline_goes_from_the_notification_to_the_channel(name: str, shop: Shop, alice: Client) -> None:
    page = alice.get(address(name, shop)).content.decode()
    timeline = page[page.index('<ol class="timeline">') : page.index("</ol>")]
    steps = ["Notificação recebida", f"Pedido {shop.order.external_id} registrado", "Reserva", shop.listing.item_id]
    for step in steps:
        assert step in timeline
    assert f"{shop.log.old_value} → {shop.log.new_value}" in timeline
    assert timeline.count("timeline-delay") == timeline.count("timeline-step") - 1


def test_a_movement_is_explained_by_who_why_and_which_document(shop: Shop, alice: Client) -> None:
    user = User.objects.get(first_name="Alice")
    place = factories.LocationFactory(tenant=shop.tenant)
    factories.stocked(shop.log.product, place, 5, actor=f"user:{user.pk}", reason="Nota 4821")
    page = alice.get(address("movements", shop)).content.decode()
    assert "Alice Prado" in page
    assert "Nota 4821" in page
    assert "Saldo, sozinho" in page
    assert "+5" in page
    assert address("order", shop) in page


def test_a_page_of_many_thousands_shows_them_the_brazilian_way(shop: Shop, alice: Client) -> None:
    product = factories.ProductFactory(tenant=shop.tenant, sku="MUITOS")
    factories.stocked(product, factories.LocationFactory(tenant=shop.tenant), 1_234_567)
    assert "1.234.567" in alice.get(reverse("console:stock"), {"product": "MUITOS"}).content.decode()


def test_connectors_show_no_secret(shop: Shop, alice: Client) -> None:
    Connector.objects.filter(pk=shop.connector.pk).update(
        client_secret_enc="sealed-client-secret",
        refresh_token_enc="sealed-refresh",
        access_token_enc="sealed-access",
        status=Connector.Status.REAUTHORIZE,
    )
    page = alice.get(reverse("console:connectors")).content.decode()
    assert "sealed" not in page
    assert "Precisa de autorização" in page
    assert "Autorize a conta de novo no canal" in page


def test_a_connector_says_which_topic_fell_silent_and_how_far_orders_were_searched(shop: Shop, alice: Client) -> None:
    now = timezone.now()
    Watch.objects.create(
        connector=shop.connector,
        searched_until=now,
        search_at=now,
        error_code="rate_limited",
        error_msg="Mercado Livre answered 429",
    )
    SilentTopic.objects.create(connector=shop.connector, topic="orders_v2", last_heard_at=now - timedelta(hours=5))
    page = alice.get(reverse("console:connectors")).content.decode()
    assert "orders_v2" in page
    assert "rate_limited: Mercado Livre answered 429" in page
    stranger = signed_in(factories.member(factories.TenantFactory()))
    assert "orders_v2" not in stranger.get(reverse("console:connectors")).content.decode()


def test_empty_lists_say_why_and_what_next() -> None:
    client = signed_in(factories.member(factories.TenantFactory()))
    for name in LISTS:
        page = client.get(reverse(f"console:{name}")).content.decode()
        assert 'class="empty"' in page, name
    found_nothing = client.get(reverse("console:syncs"), {"product": "zzz"}).content.decode()
    assert "Nada corresponde a estes filtros" in found_nothing


def test_pages_hold_no_inline_script_or_style(shop: Shop, alice: Client, client: Client) -> None:
    pages = [alice.get(address(name, shop)).content.decode() for name in [*LISTS, *DETAILS]]
    pages += [client.get("/entrar/").content.decode(), loader.render_to_string("500.html")]
    for page in pages:
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//(?!testserver|127\.0\.0\.1)""", page)


def test_signing_in_and_out(shop: Shop, client: Client) -> None:
    factories.member(shop.tenant, username="bia")
    page = client.get("/entrar/").content.decode()
    assert 'autocomplete="username"' in page
    assert 'autocomplete="current-password"' in page
    wrong = client.post("/entrar/", {"username": "bia", "password": "no"})
    assert 'role="alert"' in wrong.content.decode()
    right = client.post("/entrar/", {"username": "bia", "password": factories.PASSWORD})
    assert right["Location"] == reverse("console:home")
    assert client.post("/sair/")["Location"] == "/entrar/"
    assert client.get(reverse("console:events")).status_code == 302


def test_the_language_can_be_switched(shop: Shop, alice: Client) -> None:
    assert '<html lang="pt-br">' in alice.get(reverse("console:events")).content.decode()
    alice.post(reverse("console:language"), {"language": "en", "next": "/console/eventos/"})
    page = alice.get(reverse("console:events")).content.decode()
    assert '<html lang="en">' in page
    assert "What the channels told Saldo" in page


@pytest.mark.parametrize(
    ("demo", "development", "staging", "words"),
    [
        (True, True, True, "DEMONSTRAÇÃO"),
        (False, True, True, "DESENVOLVIMENTO"),
        (False, False, True, "HOMOLOGAÇÃO"),
        (False, False, False, "PRODUÇÃO"),
    ],
)
def test_the_bar_says_which_installation_this_is(
    demo: bool, development: bool, staging: bool, words: str, client: Client, settings: SimpleNamespace
) -> None:
    settings.SALDO_DEMO, settings.IS_DEVELOPMENT, settings.SALDO_STAGING = demo, development, staging
    assert f"<strong>{words}</strong>" in client.get("/entrar/").content.decode()


# --- Masking ----------------------------------------------------------------------------------------------------

PERSONAL = {
    "topic": "orders_v2",
    "resource": "/orders/2000003508419013",
    "access_token": "APP_USR-6092-3246532-cb45c82853f6e620bb0deda096b128d3-8035443",
    "buyer": {
        "id": 89660613,
        "nickname": "JOAO.SILVA",
        "first_name": "João",
        "last_name": "da Silva",
        "email": "joao@example.com",
        "phone": {"area_code": "11", "number": "987654321"},
        "billing_info": {"doc_type": "CPF", "doc_number": "12345678909"},
        "identification": {"type": "CPF", "number": "98765432100"},
    },
    "shipping": {"receiver_address": {"street_name": "Rua das Flores", "zip_code": "01310100", "number": 77}},
    "receiver_name": "Maria",
    "note": "write to maria@example.com, CPF 111.222.333-44, Bearer abcdef",
    "items": [{"title": "Vaso", "client_secret": "s3cr3t", "quantity": 2}],
}
SECRETS = [
    *("APP_USR", "JOAO.SILVA", "João", "da Silva", "@example.com", "987654321", "12345678909", "98765432100"),
    *("Rua das Flores", "01310100", "77", "Maria", "111.222.333-44", "abcdef", "s3cr3t"),
]


def test_the_payload_is_shown_without_secrets_and_people(shop: Shop, alice: Client) -> None:
    event = factories.EventFactory(tenant=shop.tenant, connector=shop.connector, payload=PERSONAL)
    page = alice.get(reverse("console:event", args=[event.pk])).content.decode()
    payload = page[page.index('<pre class="payload"') : page.index("</pre>")]
    for kept in ("orders_v2", "/orders/2000003508419013", "Vaso", "&quot;quantity&quot;: 2"):
        assert kept in payload
    for secret in SECRETS:
        assert secret not in payload, secret


@pytest.mark.parametrize("wrap", [b"%s", b"%s, broken", b"x=%s"], ids=["whole", "cut", "prefixed"])
def test_a_body_that_is_not_json_is_masked_as_well(wrap: bytes, shop: Shop, alice: Client) -> None:
    body = (
        b'{"access_token": "APP_USR-123-456-abcdef", "email": "joao@example.com", "first_name": "Jo", '
        b"doc_number=12345678909&client_secret=s3cr3t \x1b[31m \xe2\x80\xae <script>alert(1)</script>"
    )
    event = factories.EventFactory(
        tenant=shop.tenant,
        connector=shop.connector,
        status=IntegrationEvent.Status.QUARANTINED,
        error_code="unreadable",
        external_id="",
        payload=None,
        body=wrap % body,
    )
    page = alice.get(reverse("console:event", args=[event.pk])).content.decode()
    payload = page[page.index('<pre class="payload"') : page.index("</pre>")]
    for secret in ("APP_USR", "joao@", '"Jo"', "12345678909", "s3cr3t", "<script", "\x1b", "\u202e"):
        assert secret not in payload, secret
    assert "\\u202e" in payload


@pytest.mark.parametrize("unit", [b"a", b"a.", b"ab=", b'"', b"ab: ", b'ab:"\\', b"eyJ", b"a@", b" "])
def test_a_huge_body_is_cut_and_takes_no_time(unit: bytes) -> None:
    started = time.process_time()
    shown = masking.masked_text(unit * (300_000 // len(unit)))
    assert len(shown) < masking.SHOWN_MAX * 4
    masking.masked_json({"title": (unit * (200_000 // len(unit))).decode()})
    assert time.process_time() - started < 2


# --- Words ------------------------------------------------------------------------------------------------------

ROOT = Path(settings.BASE_DIR)
CATALOGUE = ROOT / "locale" / "pt_BR" / "LC_MESSAGES" / "django"


def test_every_text_is_translated() -> None:
    """Every text marked for translation, in code and templates, has its Portuguese in the compiled catalogue."""
    with CATALOGUE.with_suffix(".mo").open("rb") as compiled:
        portuguese = gettext_files.GNUTranslations(compiled)._catalog  # type: ignore[attr-defined]
    known = {key[0] if isinstance(key, tuple) else key for key, text in portuguese.items() if text}
    missing = {text: place for place, text in _marked_texts() if text not in known}
    assert not missing, "run manage.py makemessages and compilemessages (see locale/pt_BR/LC_MESSAGES/django.po)"


def test_the_catalogue_has_no_doubtful_or_empty_entry_and_is_compiled() -> None:
    source = CATALOGUE.with_suffix(".po").read_text()
    assert "#, fuzzy" not in source
    assert "\n#~" not in source
    entries = _entries(source)
    empty = [msgid for msgid, texts in entries.items() if not all(texts)]
    assert not empty
    with translation.override("pt-br"):
        # `ngettext` for those with a plural: older Pythons do not find them by `gettext`
        stale = {
            msgid: texts
            for msgid, texts in entries.items()
            if translation.gettext(msgid) not in texts and translation.ngettext(msgid, msgid, 1) not in texts
        }
    assert not stale, "the compiled catalogue is older than its source: run manage.py compilemessages"


def _entries(source: str) -> dict[str, list[str]]:
    entries: dict[str, list[str]] = {}
    for block in source.split("\n\n")[1:]:
        texts: dict[str, str] = {}
        field = ""
        for line in block.splitlines():
            if not line.startswith("#"):
                word, _space, quoted = line.partition(' "') if line[0] != '"' else (field, "", line[1:])
                field = word
                texts[field] = texts.get(field, "") + ast.literal_eval(f'"{quoted}')
        if "msgid" in texts and "msgctxt" not in texts:
            entries[texts["msgid"]] = [text for name, text in texts.items() if name.startswith("msgstr")]
    return entries


def _marked_texts() -> Iterator[tuple[Path, str]]:
    for folder in ("apps", "config"):
        for path in (ROOT / folder).rglob("*.py"):
            if "sandbox" not in path.parts and "migrations" not in path.parts:
                yield from ((path, text) for text in _marked_in(path.read_text()))
    for path in (ROOT / "templates").rglob("*.html"):
        code = templatize(path.read_text())
        for found in re.finditer(r"gettext\((?:u)?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", code):
            yield path, ast.literal_eval(found[1])


def _marked_in(code: str) -> Iterator[str]:
    markers = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in markers and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def test_every_error_code_of_the_rooms_is_explained() -> None:
    """Codes are given by name in the rooms' code, and by the channel's tables of what its answers mean."""
    rooms = [
        path
        for room in ("common", "connectors", "sync", "events", "notifications")
        for path in (ROOT / "apps" / room).rglob("*.py")
    ]
    pattern = re.compile(
        r'\b(?:missing_|error_)?code="([a-z_]+)"'
        r'|(?:_quarantine\(event|_settle_failure\(claim), *"([a-z_]+)"|HttpFailure\(\s*"([a-z_]+)"'
        r'|(?:NotSent|Outcome|CannotResend)\(\s*"([a-z_]+)"'
    )
    codes = {next(filter(None, found)) for path in rooms for found in pattern.findall(path.read_text())}
    codes |= {ml_client.refusal(Answer(status, {}, b"", 0.0), asked="").code for status in range(300, 600)}
    codes |= {code for _word, code in ml_client.KNOWN_WORDS} | set(ml_oauth.GRANT_IS_GONE)
    assert len(codes) > 25
    assert codes - set(ADVICE) == set()
