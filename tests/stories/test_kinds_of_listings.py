"""What kind of number each listing is, and what becomes of mappings when the channel replaces listings."""

import pytest

from apps.connectors.importing import import_listings
from apps.connectors.models import Connector, Listing
from apps.inventory.models import Product
from apps.sync import queue
from tests.market import Market, let_time_pass, work_until_quiet

VARIATIONS = [
    {
        "seller_sku": f"CUP-{colour}",
        "available_quantity": 4,
        "attribute_combinations": [{"id": "COLOR", "name": "Cor", "value_name": colour}],
    }
    for colour in ("RED", "BLUE")
]


def kinds(market: Market) -> dict[str, str]:
    rows = Listing.objects.filter(connector=market.connector).order_by("pk")
    return {row.seller_sku: row.capability for row in rows}


def test_the_kind_of_each_listing_is_found_and_kept(market: Market) -> None:
    market.control.create_items(
        market.seller_id,
        [
            {"seller_sku": "OLD", "available_quantity": 3, "user_product": False},
            {"seller_sku": "FULL", "available_quantity": 3, "logistic_type": "fulfillment"},
            {"seller_sku": "KIT", "available_quantity": 3, "bundle": {"type": "KIT"}, "user_product": False},
            {"title": "Copo", "variations": VARIATIONS},
        ],
    )
    import_listings(market.connector)
    found = kinds(market)
    assert found["SHIRT"] == "USER_PRODUCT"
    assert (found["OLD"], found["FULL"], found["KIT"]) == ("SIMPLES", "FULL", "KIT")
    assert (found["CUP-RED"], found["CUP-BLUE"]) == ("VARIACAO", "VARIACAO")


def test_depots_make_user_products_multi_origin(market: Market) -> None:
    tags = ["normal", "user_product_seller", "warehouse_management"]
    market.control.account(user_id=market.seller_id, client_id=market.connector.client_id, tags=tags)
    import_listings(market.connector)
    assert kinds(market)["SHIRT"] == "MULTI_ORIGEM"
    assert Connector.objects.get().has_depots


@pytest.mark.parametrize("how", [{"logistic_type": "fulfillment"}, {"bundle": {"type": "KIT"}}], ids=["full", "kit"])
def test_what_the_channel_counts_itself_is_never_told(market: Market, how: dict[str, object]) -> None:
    market.control.create_items(market.seller_id, [{"seller_sku": "OWN", "available_quantity": 3, **how}])
    import_listings(market.connector, create_products=True)
    market.receive("OWN", 9)
    work_until_quiet()
    assert queue.sweep() == 0
    assert queue.target_of(market.listing("OWN").pk) is None
    assert market.shown("OWN") == 3


@pytest.mark.parametrize("by", ["notification", "import"])
def test_mappings_outlive_the_migration_to_user_products(market: Market, by: str) -> None:
    [item_id] = market.control.create_items(market.seller_id, [{"title": "Copo", "variations": VARIATIONS}])
    import_listings(market.connector)
    red, blue = (Product.objects.create(tenant=market.tenant, sku=name, name=name) for name in ("VERMELHO", "AZUL"))
    for product, sku in ((red, "CUP-RED"), (blue, "CUP-BLUE")):
        Listing.objects.filter(connector=market.connector, seller_sku=sku).update(product=product)
        market.receive(product.sku, 6)
    work_until_quiet()

    moved = market.control.migrate(item_id)["new_items"]
    if by == "import":
        import_listings(market.connector)
        work_until_quiet()
    else:
        market.control.wait_until_notified()
        let_time_pass()  # a listing's news waits for more of it
        market.settle()
    by_item = {row.item_id: row for row in Listing.objects.filter(item_id__in=[one["new_item_id"] for one in moved])}
    old = {row.variation_id: row for row in Listing.objects.filter(item_id=item_id)}
    assert len(by_item) == len(old) == 2
    for one in moved:
        heir = by_item[one["new_item_id"]]
        assert heir.product_id == old[str(one["variation_id"])].product_id
        assert (heir.accepted_quantity, market.control.item(heir.item_id)["available_quantity"]) == (6, 6)
    assert {row.capability for row in old.values()} == {"MIGRADO"}
    assert queue.sweep() == 0  # the closed one is told nothing any more
    if by == "notification":
        order_id = market.control.sell(moved[0]["new_item_id"], 2)["order_id"]
        market.settle()
        assert market.numbers(by_item[moved[0]["new_item_id"]].product.sku) == (6, 2), order_id
