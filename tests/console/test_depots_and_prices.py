"""The pages on which people say which places depots are, and what a listing costs."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from apps.connectors.models import Connector, Depot, Listing, ListingPrice
from apps.tenants.models import AuditEntry, Membership
from tests import factories


@pytest.fixture
def connector(db: None) -> Connector:
    row = factories.ConnectorFactory(has_depots=True)
    for number in (1, 2):
        Depot.objects.create(tenant=row.tenant, connector=row, store_id=str(number), name=f"Depósito {number}")
    return row


@pytest.fixture
def listing(connector: Connector) -> Listing:
    return factories.ListingFactory(connector=connector, tenant=connector.tenant, capability="MULTI_ORIGEM")


def sign_in(connector: Connector, role: str = Membership.Role.MANAGER) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(factories.member(connector.tenant, role))
    return client


def test_depots_are_given_places_and_the_account_sells_from_those(connector: Connector, listing: Listing) -> None:
    one, two, three = (factories.LocationFactory(tenant=connector.tenant) for _ in range(3))
    connector.locations.set([three])
    client, page = sign_in(connector), reverse("console:depots", args=[connector.pk])
    assert client.get(page).status_code == 200
    answer = client.post(page, {"1": one.pk, "2": two.pk})
    assert (answer.status_code, answer["Location"]) == (302, reverse("console:connector", args=[connector.pk]))
    assert list(connector.depots.order_by("store_id").values_list("location_id", flat=True)) == [one.pk, two.pk]
    assert set(connector.locations.all()) == {one, two}
    assert AuditEntry.objects.get().details == {"changes": {"1": [None, one.code], "2": [None, two.code]}}
    listing.refresh_from_db()
    assert listing.due_at is not None
    assert client.post(page, {"1": two.pk, "2": one.pk}).status_code == 302  # they change places
    assert client.get(reverse("console:connector", args=[connector.pk])).status_code == 200


def test_a_place_is_one_depot_at_most(connector: Connector) -> None:
    place = factories.LocationFactory(tenant=connector.tenant)
    answer = sign_in(connector).post(reverse("console:depots", args=[connector.pk]), {"1": place.pk, "2": place.pk})
    assert answer.status_code == 422
    assert "was chosen twice" in answer.content.decode()
    assert not Depot.objects.filter(location__isnull=False).exists()


def test_a_place_of_strangers_is_no_choice(connector: Connector) -> None:
    theirs = factories.LocationFactory()
    page = reverse("console:depots", args=[connector.pk])
    client = sign_in(connector)
    assert theirs.name not in client.get(page).content.decode()
    assert client.post(page, {"1": theirs.pk}).status_code == 422
    assert not Depot.objects.filter(location__isnull=False).exists()


@pytest.mark.parametrize("name", ["console:depots", "console:price"])
def test_strangers_and_readers_change_nothing(connector: Connector, listing: Listing, name: str) -> None:
    page = reverse(name, args=[connector.pk if name == "console:depots" else listing.pk])
    stranger = Client()
    stranger.force_login(factories.member(factories.TenantFactory()))
    assert stranger.get(page).status_code == 404
    assert stranger.post(page, {"price": "10"}).status_code == 404
    reader = sign_in(connector, Membership.Role.ANALYST)
    assert reader.get(page).status_code == 200
    assert reader.post(page, {"price": "10"}).status_code == 403
    assert not ListingPrice.objects.exists()


def test_a_price_is_given_and_due(connector: Connector, listing: Listing) -> None:
    client, page = sign_in(connector), reverse("console:price", args=[listing.pk])
    assert client.post(page, {"price": "79.90", "is_meant": "on"}).status_code == 302
    row = ListingPrice.objects.get()
    assert (row.price, row.due_at is not None, row.asked_by[:5]) == (Decimal("79.90"), True, "user:")
    assert "79.90" in client.get(reverse("console:listing", args=[listing.pk])).content.decode()


@pytest.mark.parametrize("price", ["0", "-1", "abc", "", "1.234", "1e5", "99999999999"])
def test_what_is_no_price_is_refused(connector: Connector, listing: Listing, price: str) -> None:
    answer = sign_in(connector).post(reverse("console:price", args=[listing.pk]), {"price": price})
    assert answer.status_code == 422
    assert not ListingPrice.objects.exists()


def test_a_price_is_read_as_it_is_written_here(connector: Connector, listing: Listing) -> None:
    page, headers = reverse("console:price", args=[listing.pk]), {"accept-language": "pt-br"}
    for written, price in (("1.234,56", "1234.56"), ("12.345.678,9", "12345678.90"), ("79,90", "79.90")):
        answer = sign_in(connector).post(page, {"price": written, "is_meant": "on"}, headers=headers)
        assert (answer.status_code, ListingPrice.objects.get().price) == (302, Decimal(price))


def test_a_slip_is_asked_about(connector: Connector, listing: Listing) -> None:
    client, page = sign_in(connector), reverse("console:price", args=[listing.pk])
    first = client.post(page, {"price": "100"})
    assert first.status_code == 422
    assert 'type="checkbox" name="is_meant"' in first.content.decode()
    client.post(page, {"price": "100", "is_meant": "on"})
    ListingPrice.objects.update(accepted_price=100)
    answer = client.post(page, {"price": "10"})
    assert answer.status_code == 422
    assert 'type="checkbox"' in answer.content.decode()
    assert ListingPrice.objects.get().price == 100
    assert client.post(page, {"price": "10", "is_meant": "on"}).status_code == 302
    assert ListingPrice.objects.get().price == 10


def test_a_listing_without_a_product_gets_no_price(connector: Connector, listing: Listing) -> None:
    Listing.objects.update(product=None, due_at=None)
    answer = sign_in(connector).post(reverse("console:price", args=[listing.pk]), {"price": "10"})
    assert answer.status_code == 422
    assert not ListingPrice.objects.exists()
