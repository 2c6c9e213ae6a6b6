"""Stock by location, guarded by x-version (contract §5.6)."""

import pytest

MULTI = ["user_product_seller", "warehouse_management", "multiwarehouse"]


def product_of(shop, item_id: str) -> str:
    return shop.get(f"/items/{item_id}").json["user_product_id"]


def test_stock_shows_locations_and_version(shop) -> None:
    product = product_of(shop, shop.item(available_quantity=6))
    reply = shop.get(f"/user-products/{product}/stock")
    assert reply.json == {
        "locations": [{"type": "selling_address", "quantity": 6}],
        "user_id": shop.user_id,
        "id": product,
    }
    assert reply.headers["x-version"].isdigit()
    assert shop.get(f"/user-products/{product}").json["family_id"]
    assert shop.get("/user-products/MLBU1/stock").status == 404


def test_depots_are_written_with_the_version_they_were_read_with(make_shop) -> None:
    shop = make_shop(tags=MULTI)
    item_id = shop.item(available_quantity=6)
    product = product_of(shop, item_id)
    stores = shop.get(f"/users/{shop.user_id}/stores/search?tags=stock_location").json["results"]
    path = f"/user-products/{product}/stock"
    version = shop.get(path).headers["x-version"]
    wanted = [
        {"store_id": store["id"], "network_node_id": store["network_node_id"], "quantity": 10 + number}
        for number, store in enumerate(stores)
    ]
    put = f"{path}/type/seller_warehouse"
    assert shop.put(put, {"locations": wanted}).json["message"] == "Missing X-Version header"
    done = shop.put(put, {"locations": wanted}, x_version=version)
    assert (done.status, [one["quantity"] for one in done.json["locations"]]) == (200, [10, 11])
    assert shop.shown(item_id) == 21
    stale = shop.put(put, {"locations": wanted}, x_version=version)
    assert (stale.status, stale.json["message"]) == (409, "Version mismatch")


def test_a_sale_moves_the_version_and_names_its_depot(make_shop) -> None:
    shop = make_shop(tags=MULTI)
    item_id = shop.item(available_quantity=6)
    product = product_of(shop, item_id)
    before = shop.get(f"/user-products/{product}/stock")
    sale = shop.control.sell(item_id, 2)
    order = shop.get(f"/orders/{sale['order_id']}").json
    depot = before.json["locations"][0]
    assert order["order_items"][0]["stock"] == [
        {"store_id": depot["store_id"], "network_node_id": depot["network_node_id"]}
    ]
    after = shop.get(f"/user-products/{product}/stock")
    assert after.headers["x-version"] != before.headers["x-version"]
    assert after.json["locations"][0]["quantity"] == 4
    wanted = [{"store_id": depot["store_id"], "network_node_id": depot["network_node_id"], "quantity": 6}]
    path = f"/user-products/{product}/stock/type/seller_warehouse"
    assert shop.put(path, {"locations": wanted}, x_version=before.headers["x-version"]).status == 409
    shop.control.cancel(sale["order_id"])
    assert shop.get(f"/user-products/{product}/stock").json["locations"][0]["quantity"] == 6


@pytest.mark.parametrize(
    ("locations", "message"),
    [
        ([], "locations cannot be null or empty"),
        ([{"quantity": 1}], "store cannot be null or empty"),
        ([{"store_id": "77", "quantity": 1}], "store not found: 77"),
        ("both", "seller with a single warehouse cannot update stock across multiple network nodes"),
    ],
)
def test_wrong_depots(make_shop, locations, message: str) -> None:
    shop = make_shop(tags=["warehouse_management"])
    product = product_of(shop, shop.item())
    version = shop.get(f"/user-products/{product}/stock").headers["x-version"]
    if locations == "both":
        depot = shop.account["stores"][0]
        locations = [{"store_id": depot["id"], "quantity": 1}] * 2
    path = f"/user-products/{product}/stock/type/seller_warehouse"
    reply = shop.put(path, {"locations": locations}, x_version=version)
    assert (reply.status, reply.json["message"]) == (400, message)


def test_the_selling_address_is_closed_in_brazil_and_open_elsewhere(shop, make_shop) -> None:
    product = product_of(shop, shop.item())
    path = f"/user-products/{product}/stock/type/selling_address"
    assert shop.put(path, {"quantity": 3}).json["message"] == "Missing X-Version header"
    blocked = shop.put(path, {"quantity": 3}, x_version="1")
    assert blocked.json["message"] == "the site is blocked for modifications to the selling address"
    other = make_shop(site_id="MLA")
    item_id = other.item(logistic_type="fulfillment", flex=True, available_quantity=5)
    product = product_of(other, item_id)
    version = other.get(f"/user-products/{product}/stock").headers["x-version"]
    path = f"/user-products/{product}/stock/type/selling_address"
    assert other.put(path, {"quantity": 3}, x_version=version + "9").status == 409
    assert other.put(path, {"quantity": 3}, x_version=version).status == 204
    assert other.get(f"/user-products/{product}/stock").json["locations"] == [
        {"type": "meli_facility", "quantity": 5},
        {"type": "selling_address", "quantity": 3},
    ]


def test_another_sellers_stock_is_closed(shop, make_shop) -> None:
    product = product_of(shop, shop.item())
    other = make_shop()
    assert other.get(f"/user-products/{product}/stock").status == 403
    assert other.get(f"/user-products/{product}").status == 403
    assert other.get(f"/users/{shop.user_id}/stores/search").status == 403


def test_full_stock_is_read_by_its_inventory(shop) -> None:
    item_id = shop.item(logistic_type="fulfillment", available_quantity=7)
    inventory = shop.get(f"/items/{item_id}").json["inventory_id"]
    assert shop.get(f"/inventories/{inventory}/stock/fulfillment").json["available_quantity"] == 7
    assert shop.get("/inventories/X/stock/fulfillment").status == 404
