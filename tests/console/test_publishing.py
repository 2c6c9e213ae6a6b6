"""The rules of publication: who may change them, what a change does, what it leaves alone."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.connectors.models import Connector, Listing
from apps.tenants.models import AuditEntry, Membership
from tests import factories

pytestmark = pytest.mark.django_db

RULE = {
    "margin_percent": 80,
    "buffer_units": 2,
    "end_when_units": 1,
    "cap_units": 50,
    "calls_per_minute": 300,
    "zero_limit_percent": 30,
}


@pytest.fixture
def listing() -> Listing:
    row: Listing = factories.ListingFactory()
    return row


def signed_in(listing: Listing, role: str = Membership.Role.MANAGER) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(factories.member(listing.tenant, role))
    return client


def test_a_rule_is_kept_and_written_down(listing: Listing) -> None:
    address = reverse("console:connector-rule", args=[listing.connector_id])
    client = signed_in(listing)
    assert 'value="100"' in client.get(address).content.decode()
    answer = client.post(address, RULE)
    assert answer.url == reverse("console:connector", args=[listing.connector_id])  # type: ignore[attr-defined]
    row = Connector.objects.get()
    assert {part: getattr(row, part) for part in RULE} == RULE
    entry = AuditEntry.objects.get(action="publication_rule_changed")
    assert entry.subject == f"connector:{row.pk}"
    assert entry.details["changes"]["margin_percent"] == [100, 80]


def test_listings_that_share_a_stock_share_the_rule(listing: Listing) -> None:
    shared = {"user_product_id": "MLBU7", "capability": Listing.Capability.USER_PRODUCT}
    Listing.objects.update(**shared)
    same = {"tenant": listing.tenant, "connector": listing.connector, "product": listing.product}
    factories.ListingFactory(**same, **shared)
    other = factories.ListingFactory(**same, user_product_id="MLBU8", capability=Listing.Capability.USER_PRODUCT)
    address = reverse("console:listing-rule", args=[listing.pk])
    client = signed_in(listing)
    assert "These listings share its stock" in client.get(address).content.decode()
    client.post(address, {"margin_percent": "", "buffer_units": "3", "end_when_units": "", "cap_units": ""})
    shown = Listing.objects.exclude(pk=other.pk).values_list("buffer_units", flat=True)
    assert list(shown) == [3, 3]
    other.refresh_from_db()
    assert other.buffer_units is None


def test_a_listing_departs_and_comes_back(listing: Listing) -> None:
    address = reverse("console:listing-rule", args=[listing.pk])
    client = signed_in(listing)
    assert 'placeholder="100"' in client.get(address).content.decode()
    client.post(address, {"margin_percent": "", "buffer_units": "3", "end_when_units": "", "cap_units": ""})
    listing.refresh_from_db()
    assert (listing.margin_percent, listing.buffer_units, listing.has_own_rule) == (None, 3, True)
    page = client.get(reverse("console:listing", args=[listing.pk])).content.decode()
    assert "a rule of its own" in page
    client.post(address, {"margin_percent": "", "buffer_units": "", "end_when_units": "", "cap_units": ""})
    listing.refresh_from_db()
    assert not listing.has_own_rule


@pytest.mark.parametrize(
    "wrong", [{"margin_percent": "101"}, {"buffer_units": "-1"}, {"cap_units": "x"}, {"zero_limit_percent": "200"}]
)
def test_a_wrong_rule_is_refused_and_changes_nothing(listing: Listing, wrong: dict[str, str]) -> None:
    address = reverse("console:connector-rule", args=[listing.connector_id])
    answer = signed_in(listing).post(address, {**RULE, **wrong})
    assert answer.status_code == 422
    assert "field-error" in answer.content.decode()
    assert Connector.objects.get().margin_percent == 100
    assert not AuditEntry.objects.exists()


def test_a_change_leaves_alone_what_workers_change_meanwhile(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page read the row; before it writes, the stock moves and the listing becomes due."""
    from apps.console import publishing

    moment = timezone.now()
    is_valid = publishing.ListingRule.is_valid

    def meanwhile(form: Any) -> bool:
        Listing.objects.update(due_at=moment, accepted_quantity=3)
        return is_valid(form)

    monkeypatch.setattr(publishing.ListingRule, "is_valid", meanwhile)
    signed_in(listing).post(reverse("console:listing-rule", args=[listing.pk]), {"margin_percent": "50"})
    listing.refresh_from_db()
    assert (listing.margin_percent, listing.due_at, listing.accepted_quantity) == (50, moment, 3)


def test_readers_see_and_strangers_find_nothing(listing: Listing) -> None:
    reader, stranger = signed_in(listing, Membership.Role.ANALYST), signed_in(factories.ListingFactory())
    for name, pk in (("connector-rule", listing.connector_id), ("listing-rule", listing.pk)):
        address = reverse(f"console:{name}", args=[pk])
        assert reader.get(address).status_code == 200
        assert reader.post(address, RULE).status_code == 403
        assert stranger.get(address).status_code == 404
        assert stranger.post(address, RULE).status_code == 404
    zeros = reverse("console:let-zeros-through", args=[listing.connector_id])
    assert (reader.post(zeros).status_code, stranger.post(zeros).status_code) == (403, 404)
    assert not AuditEntry.objects.exists()


def test_held_zeros_show_on_the_connectors_page_and_one_click_lets_them_through(listing: Listing) -> None:
    client, page = signed_in(listing), reverse("console:connector", args=[listing.connector_id])
    assert "waits for you" not in client.get(page).content.decode()
    Listing.objects.update(held_at=timezone.now(), zeroing_since=timezone.now(), due_at=timezone.now())
    assert "waits for you" in client.get(page).content.decode()
    client.post(reverse("console:let-zeros-through", args=[listing.connector_id]))
    listing.refresh_from_db()
    assert listing.held_at is None
    assert AuditEntry.objects.get(action="zeros_let_through").details == {"count": 1}
