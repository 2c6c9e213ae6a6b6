"""The pages that answer why, the button of a product, and the page of pending matters."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from apps.connectors.models import Connector, Listing
from apps.console.why import way_in_words
from apps.notifications import troubles
from apps.notifications.models import Trouble
from apps.sync.explain import Change, Way
from apps.sync.models import SyncLog
from apps.tenants.models import Membership
from tests import factories

from .test_pages import Shop, open_shop, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    return open_shop("Alice")


@pytest.fixture
def alice(shop: Shop) -> Client:
    client = signed_in(factories.member(shop.tenant, Membership.Role.MANAGER))
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    return client


def read(client: Client, name: str, *arguments: object) -> str:
    answer = client.get(reverse(f"console:{name}", args=arguments), headers={"accept-language": "en"})
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_the_page_says_what_makes_the_number_and_what_would_make_it_one_more(shop: Shop, alice: Client) -> None:
    Connector.objects.update(buffer_units=3)
    page = read(alice, "why", shop.listing.pk)
    assert "Why is this number 7?" in page  # 12 there, 2 held, 3 held back
    assert "Available at the places that count 10 Held back: 3 7" in page
    assert f"order {shop.order.external_id}" in page
    assert "What would make it 8" in page
    for way in ("1 more unit available", "free 1 held unit", "hold back 2 only"):
        assert way in page


def test_a_number_that_was_told_is_explained_as_it_was_then(shop: Shop, alice: Client) -> None:
    kept = {
        "places": [{"location_id": 1, "code": "CD-OLD", "on_hand": 30, "reserved": 4}],
        "margin_percent": 50,
        "buffer_units": 0,
        "end_when_units": 0,
        "cap_units": 9,
    }
    log = factories.SyncLogFactory(listing=shop.listing, new_value=9, shown_value=9, inputs=kept, trigger="sweep")
    page = read(alice, "told", log.pk)
    assert "Why was 9 told?" in page
    assert "CD-OLD 30 4 0 26 26" in page
    assert "Available at the places that count 26 Share published: 50% 13 At most 9 9" in page
    assert "Comparison" in page


def test_a_number_from_before_says_that_nothing_was_kept(shop: Shop, alice: Client) -> None:
    assert "Nothing was kept of this one" in read(alice, "told", shop.log.pk)


@pytest.mark.parametrize("changed", [{"product": None}, {"capability": "FULL"}, {"sync_state": "ERROR"}])
def test_every_listing_has_the_page(shop: Shop, alice: Client, changed: dict[str, object]) -> None:
    Listing.objects.filter(pk=shop.listing.pk).update(**changed)
    assert "At the channel" in read(alice, "why", shop.listing.pk)


@pytest.mark.parametrize("way", Way)
def test_every_way_has_words_for_one_and_for_many(way: Way) -> None:
    with translation.override("en"):
        one, many = way_in_words(Change(way, 1)), way_in_words(Change(way, 40))
    assert ("1" in one, "40" in many) == (True, True)


def test_the_products_button_puts_its_listings_first(shop: Shop, alice: Client) -> None:
    answer = alice.post(reverse("console:sync-product", args=[shop.listing.product_id]))
    assert answer["Location"] == f"/console/sincronizacoes/?product={shop.log.product.sku}"
    shop.listing.refresh_from_db()
    assert (shop.listing.due_at is not None, shop.listing.due_trigger) == (True, "manual")


def test_a_button_that_can_do_nothing_says_why(shop: Shop, alice: Client) -> None:
    Listing.objects.filter(pk=shop.listing.pk).update(capability="FULL")
    answer = alice.post(reverse("console:sync-product", args=[shop.listing.product_id]), follow=True)
    assert [message.level_tag for message in answer.context["messages"]] == ["warning"]
    assert SyncLog.objects.count() == 1


def test_pending_matters_are_counted_on_every_page_and_ones_own(shop: Shop, alice: Client) -> None:
    stranger = open_shop("Charlie")
    Connector.objects.filter(pk=stranger.connector.pk).update(name="Conta do Charlie")
    Listing.objects.filter(pk__in=[shop.listing.pk, stranger.listing.pk]).update(
        sync_state="ERROR", last_error_code="item_closed"
    )
    troubles.look()
    mine = Trouble.objects.filter(tenant=shop.tenant, closed_at=None)
    count = mine.count()
    assert mine.filter(cause="item_closed").exists()
    page = read(alice, "troubles")
    assert f"Pending matters {count} " in page
    assert shop.connector.name in page
    assert "Conta do Charlie" not in page
    assert f"Pending matters {count} " in read(alice, "orders")
    Listing.objects.update(sync_state="SUCCESS")
    troubles.look()
    assert f"Pending matters {count - 1} " in read(alice, "orders")
