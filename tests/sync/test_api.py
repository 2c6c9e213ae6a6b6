"""The sync over HTTP: why a number is what it is, telling it now, and for whom there is nothing."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.connectors.models import Connector, Listing
from apps.inventory import ledger
from apps.sync.models import SyncLog
from apps.tenants.models import ApiKey, Tenant
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def listing() -> Listing:
    row: Listing = factories.ListingFactory(accepted_quantity=7, product__sku="SHIRT/M")
    factories.stocked(row.product, factories.LocationFactory(tenant=row.tenant, code="S1"), 10)
    line = ledger.Line(row.product_id, 2)
    cause = ledger.Cause(actor="test", reference_type="order", reference_id="17")
    ledger.reserve(row.tenant, [line], key="sale", cause=cause)
    return row


def with_key(tenant: Tenant, *scopes: str) -> Client:
    allowed = list(scopes or ["integrations:read", "integrations:write"])
    key = ApiKey.issue(tenant, name="ERP", scopes=allowed)[1]
    return Client(headers={"X-Api-Key": key, "Accept-Language": "en"})


def ask(tenant: Tenant, product: object) -> tuple[int, Any]:
    answer = with_key(tenant).post(f"/api/integrations/mercadolivre/sync-stock/{product}")
    return answer.status_code, answer.json()


def test_why_says_all_that_makes_the_number(listing: Listing) -> None:
    Connector.objects.update(buffer_units=1)
    factories.SyncLogFactory(listing=listing, new_value=7, shown_value=7)
    answer = with_key(listing.tenant).get(f"/v1/listings/{listing.pk}/why").json()
    assert (answer["number"], answer["shown"], answer["state"], answer["heldUpBy"]) == (7, 7, "right", None)
    assert answer["steps"] == [
        {"step": "pool", "rule": None, "units": 8},
        {"step": "buffer", "rule": 1, "units": 7},
    ]
    assert answer["places"] == [
        {"storeId": "S1", "onHand": 10, "reserved": 2, "blocked": 0, "available": 8, "counted": 8}
    ]
    [hold] = answer["holds"]
    assert (hold["quantity"], hold["referenceType"], hold["referenceId"]) == (2, "order", "17")
    assert (answer["told"]["newValue"], answer["told"]["shownValue"], answer["told"]["httpStatus"]) == (7, 7, 200)
    assert answer["nextNumber"] == {
        "number": 8,
        "ways": [
            {"way": "more_units", "value": 1, "isEnough": True},
            {"way": "free_held", "value": 1, "isEnough": True},
            {"way": "lower_buffer", "value": 0, "isEnough": True},
        ],
    }


def test_a_listing_without_product_or_stock_is_answered_too() -> None:
    unmapped = factories.ListingFactory(product=None)
    answer = with_key(unmapped.tenant).get(f"/v1/listings/{unmapped.pk}/why").json()
    assert (answer["number"], answer["state"], answer["sku"], answer["nextNumber"]) == (None, "not_mapped", None, None)


@pytest.mark.parametrize("number", [0, 999, 2**70])
def test_a_listing_that_is_not_there(listing: Listing, number: int) -> None:
    answer = with_key(listing.tenant).get(f"/v1/listings/{number}/why")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_listing")


def test_strangers_find_nothing(listing: Listing) -> None:
    charlie = with_key(factories.TenantFactory())
    assert charlie.get(f"/v1/listings/{listing.pk}/why").json()["code"] == "unknown_listing"
    product = listing.product.public_id
    assert charlie.get(f"/v1/products/{product}/syncs").json()["code"] == "unknown_product"
    answer = charlie.post(f"/api/integrations/mercadolivre/sync-stock/{product}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_product")
    listing.refresh_from_db()
    assert listing.due_at is None


def test_a_key_that_only_reads_tells_nothing(listing: Listing) -> None:
    reader = with_key(listing.tenant, "integrations:read")
    answer = reader.post(f"/api/integrations/mercadolivre/sync-stock/{listing.product.public_id}")
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert with_key(listing.tenant, "stock:read").get(f"/v1/listings/{listing.pk}/why").status_code == 403


def test_asking_jumps_the_queue_and_names_where_it_shows(listing: Listing) -> None:
    before = factories.SyncLogFactory(listing=listing)
    for product in (listing.product.public_id, "SHIRT/M"):
        Listing.objects.update(due_at=None, due_trigger="")
        status, body = ask(listing.tenant, product)
        assert status == 202
        assert body["sku"] == "SHIRT/M"
        assert body["listings"] == [
            {
                "listingId": listing.pk,
                "itemId": listing.item_id,
                "variationId": "",
                "state": "in_queue",
                "heldUpBy": None,
            }
        ]
        assert body["statusUrl"] == f"/v1/products/{listing.product.public_id}/syncs?after={before.pk}"
        listing.refresh_from_db()
        assert (listing.due_at is not None, listing.due_trigger) == (True, "manual")


def test_the_status_shows_only_what_came_of_it(listing: Listing) -> None:
    client = with_key(listing.tenant)
    factories.SyncLogFactory(listing=listing)
    asked = client.post(f"/api/integrations/mercadolivre/sync-stock/{listing.product.public_id}")
    url = asked.headers["Location"]
    assert url == asked.json()["statusUrl"]
    waiting = client.get(url).json()
    assert (waiting["items"], waiting["listings"][0]["state"]) == ([], "in_queue")
    Listing.objects.update(due_at=None, accepted_quantity=8)
    log = factories.SyncLogFactory(listing=listing, trigger="manual")
    done = client.get(url).json()
    assert ([row["logId"] for row in done["items"]], done["listings"][0]["state"]) == ([log.pk], "right")
    assert [row["trigger"] for row in done["items"]] == ["manual"]


def test_the_tries_come_in_pages(listing: Listing) -> None:
    logs = [factories.SyncLogFactory(listing=listing).pk for _ in range(5)]
    client, url, seen = with_key(listing.tenant), f"/v1/products/{listing.product.public_id}/syncs?limit=2", []
    while url:
        answer = client.get(url).json()
        seen += [row["logId"] for row in answer["items"]]
        url = answer["next"]
    assert seen == logs[::-1]


def test_an_account_that_is_stopped_is_said(listing: Listing) -> None:
    Connector.objects.update(status=Connector.Status.REAUTHORIZE)
    status, body = ask(listing.tenant, listing.product.public_id)
    assert (status, body["listings"][0]["heldUpBy"]) == (202, "connector_stopped")


@pytest.mark.parametrize("product", [uuid4(), "NOTHING", 7, "x" * 3000, "%20"])
def test_an_unknown_product_is_404(listing: Listing, product: object) -> None:
    status, body = ask(listing.tenant, product)
    assert (status, body["code"]) == (404, "unknown_product")


def test_what_nobody_sells_there_is_409(listing: Listing) -> None:
    product = factories.ProductFactory(tenant=listing.tenant)
    status, body = ask(listing.tenant, product.public_id)
    assert (status, body["code"], body["sku"]) == (409, "product_not_mapped", product.sku)


def test_what_was_never_received_is_409() -> None:
    listing = factories.ListingFactory()
    status, body = ask(listing.tenant, listing.product.public_id)
    assert (status, body["code"]) == (409, "stock_unknown")
    listing.refresh_from_db()
    assert listing.due_at is None


@pytest.mark.parametrize("kept", [{"logistic_type": "fulfillment"}, {"capability": "KIT"}, {"capability": "MIGRADO"}])
def test_what_the_channel_keeps_itself_is_422(listing: Listing, kept: dict[str, str]) -> None:
    Listing.objects.update(**kept)
    status, body = ask(listing.tenant, listing.product.public_id)
    assert (status, body["code"]) == (422, "stock_kept_by_channel")
    assert SyncLog.objects.count() == 0


def test_of_several_listings_those_that_can_are_told(listing: Listing) -> None:
    full = factories.ListingFactory(
        tenant=listing.tenant, connector=listing.connector, product=listing.product, logistic_type="fulfillment"
    )
    status, body = ask(listing.tenant, listing.product.public_id)
    states = {row["listingId"]: row["state"] for row in body["listings"]}
    assert (status, states) == (202, {listing.pk: "in_queue", full.pk: "kept_by_channel"})
