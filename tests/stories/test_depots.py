"""One stock behind several listings, and one stock in several depots."""

import pytest

from apps.connectors.importing import import_listings
from apps.connectors.models import Connector, Depot, Listing
from apps.inventory import ledger
from apps.inventory.models import Location
from apps.sandbox.server import Sandbox
from apps.sync import queue
from apps.sync.models import SyncLog
from tests.market import Market, let_time_pass, open_market, work_until_quiet

DEPOTS = ["user_product_seller", "warehouse_management", "multiwarehouse"]


def writes(market: Market, after: int = 0) -> list[str]:
    """Return the paths of the calls that wrote stock."""
    rows = market.control.journal(after)
    return [row["path"] for row in rows if row["method"] == "PUT" and not row.get("control")]


def seq(market: Market) -> int:
    return int(market.control.journal()[-1]["seq"])


@pytest.fixture
def classic_and_premium(market: Market) -> Market:
    """A second listing of the SHIRT's user product, on the same product here."""
    product_id = market.listing("SHIRT").user_product_id
    market.control.create_items(
        market.seller_id, [{"seller_sku": "SHIRT", "title": "Camisa Premium", "user_product_id": product_id}]
    )
    import_listings(market.connector)
    work_until_quiet()
    assert Listing.objects.filter(user_product_id=product_id, product__sku="SHIRT").count() == 2
    return market


def test_one_change_is_one_write_however_many_listings_share_the_stock(classic_and_premium: Market) -> None:
    market = classic_and_premium
    before = seq(market)
    market.receive("SHIRT", 5)
    work_until_quiet()
    assert len(writes(market, before)) == 1
    rows = Listing.objects.filter(seller_sku="SHIRT")
    assert [(row.accepted_quantity, row.sync_state, row.due_at) for row in rows] == [(15, "SUCCESS", None)] * 2
    assert [market.control.item(row.item_id)["available_quantity"] for row in rows] == [15, 15]
    assert queue.sweep() == 0


def test_the_sister_speaks_when_a_listing_cannot(classic_and_premium: Market) -> None:
    market = classic_and_premium
    first, second = Listing.objects.filter(seller_sku="SHIRT").order_by("pk")
    market.control.faults({"method": "PUT", "path": f"^/items/{first.item_id}$", "action": "status", "status": 503})
    market.receive("SHIRT", 5)
    work_until_quiet()
    let_time_pass()
    work_until_quiet()
    second.refresh_from_db()
    assert (second.accepted_quantity, market.control.item(second.item_id)["available_quantity"]) == (15, 15)


def test_one_stock_on_two_products_is_told_to_nobody(classic_and_premium: Market) -> None:
    market = classic_and_premium
    second = Listing.objects.filter(seller_sku="SHIRT").latest("pk")
    Listing.objects.filter(pk=second.pk).update(product=market.product("MUG"))
    before = seq(market)
    market.receive("SHIRT", 5)
    work_until_quiet()
    assert writes(market, before) == []
    log = SyncLog.objects.filter(product__sku="SHIRT").latest("pk")
    assert (log.status, log.error_code, log.http_status) == ("ERROR", "user_product_shared", None)
    Listing.objects.filter(pk=second.pk).update(product=market.product("SHIRT"))
    queue.mark_now(Listing.objects.all())
    work_until_quiet()
    assert market.control.item(second.item_id)["available_quantity"] == 15


@pytest.fixture
def two_depots(sandbox: Sandbox, live_server, transactional_db) -> Market:
    """An account with two depots, ten units of LAMP at one place of the hub and four at another."""
    items = [{"seller_sku": "LAMP", "title": "Luminária", "available_quantity": 10}]
    market = open_market(sandbox.control, live_server.url, items=items, tags=DEPOTS)
    other = Location.objects.create(tenant=market.tenant, code="CD2", name="Outro")
    ledger.receive(market.tenant, market.product("LAMP").pk, other.pk, 4, key="cd2", cause=ledger.Cause(actor="test"))
    work_until_quiet()
    return market


def shown(market: Market) -> list[int]:
    locations = market.control.item(market.listing("LAMP").item_id)["locations"]
    return [one["quantity"] for one in locations]


def test_several_depots_wait_for_somebody_to_say_which_places_they_are(two_depots: Market) -> None:
    listing = two_depots.listing("LAMP")
    assert (listing.capability, listing.last_error_code) == ("MULTI_ORIGEM", "depots_not_mapped")
    assert shown(two_depots) == [10, 0]
    assert Connector.objects.get().status == "ATIVO"


def test_each_depot_shows_its_place(two_depots: Market) -> None:
    market = two_depots
    first, second = Depot.objects.filter(connector=market.connector).order_by("store_id")
    Depot.objects.filter(pk=first.pk).update(location=market.location)
    Depot.objects.filter(pk=second.pk).update(location=Location.objects.get(code="CD2"))
    queue.mark_now(Listing.objects.all())
    work_until_quiet()
    assert shown(market) == [10, 4]
    assert market.listing("LAMP").accepted_quantity == 14
    market.sell("LAMP", 3)
    market.settle()
    assert sum(shown(market)) == 11
    assert queue.sweep() == 0


def test_a_depot_that_is_no_place_of_ours_stays_as_it_is(two_depots: Market) -> None:
    market = two_depots
    first, _second = Depot.objects.filter(connector=market.connector).order_by("store_id")
    market.control.account(user_id=market.seller_id, client_id=market.connector.client_id, tags=DEPOTS)
    Depot.objects.filter(pk=first.pk).update(location=market.location)
    market.connector.locations.set([market.location])
    market.receive("LAMP", 2)
    queue.mark_now(Listing.objects.all())
    work_until_quiet()
    assert (shown(market), market.listing("LAMP").accepted_quantity) == ([12, 0], 12)


def test_a_single_depot_needs_no_choice(sandbox: Sandbox, live_server, transactional_db) -> None:
    items = [{"seller_sku": "LAMP", "title": "Luminária", "available_quantity": 10}]
    market = open_market(sandbox.control, live_server.url, items=items, tags=DEPOTS[:2])
    market.receive("LAMP", 7)
    work_until_quiet()
    assert (shown(market), market.listing("LAMP").accepted_quantity) == ([17], 17)
    assert all(path.startswith("/user-products/") for path in writes(market))


def test_a_listing_imported_later_takes_the_shared_rule_over(market: Market) -> None:
    """One stock has one rule: else the number would change with the listing that happens to speak."""
    first = market.listing("SHIRT")
    Listing.objects.filter(pk=first.pk).update(margin_percent=50, buffer_units=1)
    same = {"seller_sku": "SHIRT", "title": "Camisa Premium", "user_product_id": first.user_product_id}
    market.control.create_items(market.seller_id, [same, {"seller_sku": "MUG", "title": "Caneca sem par"}])
    import_listings(market.connector)
    work_until_quiet()
    rules = Listing.objects.filter(seller_sku="SHIRT").values_list("margin_percent", "buffer_units")
    assert list(rules) == [(50, 1)] * 2
    assert not Listing.objects.filter(seller_sku="MUG", margin_percent__isnull=False).exists()
    Listing.objects.filter(pk=first.pk).update(margin_percent=None, buffer_units=None)
    import_listings(market.connector)  # read again, it keeps what it has
    assert Listing.objects.filter(margin_percent=50).count() == 1
