"""Listings: reading, searching and the PUT with its traps (contract §5.1 to §5.4)."""

import pytest

BLUE = {"id": "COLOR", "name": "Cor", "value_name": "Azul"}
RED = {"id": "COLOR", "name": "Cor", "value_name": "Vermelho"}


def shirt(shop, **spec) -> tuple[str, list[int]]:
    """A listing of the older kind with two variations: 3 blue and 2 red."""
    item_id = shop.item(
        title="Camiseta",
        variations=[
            {"seller_sku": "CAM-AZ", "available_quantity": 3, "attribute_combinations": [BLUE]},
            {"seller_sku": "CAM-VM", "available_quantity": 2, "attribute_combinations": [RED]},
        ],
        **spec,
    )
    return item_id, [variation["id"] for variation in shop.get(f"/items/{item_id}/variations").json]


def sku_of(body) -> str | None:
    return next((one["value_name"] for one in body.get("attributes", []) if one["id"] == "SELLER_SKU"), None)


def test_an_item_shows_sku_stock_and_user_product(shop) -> None:
    item_id = shop.item(seller_sku="A-1", title="Caneca", price=39.9)
    body = shop.get(f"/items/{item_id}").json
    assert (body["id"], body["seller_id"], body["available_quantity"], body["price"]) == (
        item_id,
        shop.user_id,
        10,
        39.9,
    )
    assert sku_of(body) == "A-1"
    assert (body["status"], body["variations"], body["tags"]) == ("active", [], ["user_product_listing"])
    assert body["user_product_id"].startswith("MLBU")
    assert shop.get(f"/items/{item_id}?attributes=id,status").json == {"id": item_id, "status": "active"}
    assert shop.get("/items/MLB1").status == 404


def test_variation_skus_need_include_attributes_or_their_own_path(shop) -> None:
    item_id, (blue, _) = shirt(shop)
    assert "attributes" not in shop.get(f"/items/{item_id}").json["variations"][0]
    whole = shop.get(f"/items/{item_id}?include_attributes=all").json
    assert [sku_of(variation) for variation in whole["variations"]] == ["CAM-AZ", "CAM-VM"]
    assert sku_of(shop.get(f"/items/{item_id}/variations/{blue}").json) == "CAM-AZ"
    assert whole["available_quantity"] == 5
    assert whole["user_product_id"] is None


def test_others_see_bands_and_no_sku(shop, make_shop) -> None:
    item_id = shop.item(seller_sku="A-1", available_quantity=140, seller_custom_field="own")
    other = make_shop()
    seen = other.get(f"/items/{item_id}").json
    assert (seen["available_quantity"], sku_of(seen), seen["seller_custom_field"]) == (100, None, None)
    assert other.put(f"/items/{item_id}", {"available_quantity": 1}).status == 403
    assert other.get(f"/items/{item_id}/variations").status == 403
    assert other.get(f"/users/{shop.user_id}/items/search").status == 403


def test_multiget_in_both_forms(shop) -> None:
    ids = [shop.item(seller_sku=f"S{number}") for number in range(3)]
    old = shop.get(f"/items?ids={','.join(ids)},MLB1").json
    assert [row["code"] for row in old] == [200, 200, 200, 404]
    assert [row["body"].get("id") for row in old] == [*ids, None]
    assert shop.get(f"/items?ids={ids[0]}&attributes=id").json == [{"code": 200, "body": {"id": ids[0]}}]
    bulk = shop.get(f"/items/bulk?ids={','.join(ids)},MLB1").json
    assert [(row["id"], row["status_code"]) for row in bulk] == [*((one, 200) for one in ids), ("MLB1", 404)]
    assert bulk[0]["body"]["available_quantity"] == 10
    chosen = shop.get(f"/items/bulk?ids={ids[0]}&attributes=body.id,body.status").json
    assert chosen == [{"id": ids[0], "status_code": 200, "body": {"id": ids[0], "status": "active"}}]
    assert "body" not in shop.get(f"/items/bulk?ids={ids[0]}&attributes=status").json[0]
    many = ",".join(f"MLB{number}" for number in range(21))
    assert shop.get(f"/items?ids={many}").status == shop.get(f"/items/bulk?ids={many}").status == 400


def test_search_by_offset_status_sku_and_user_product(shop) -> None:
    ids = shop.control.create_many(shop.user_id, 60, "P-", 4)
    shop.put(f"/items/{ids[0]}", {"status": "paused"})
    path = f"/users/{shop.user_id}/items/search"
    page = shop.get(f"{path}?offset=50&limit=20").json
    assert (page["results"], page["paging"]) == (ids[50:], {"limit": 20, "offset": 50, "total": 60})
    assert shop.get(f"{path}?status=paused").json["results"] == [ids[0]]
    assert shop.get(f"{path}?seller_sku=P-00007").json["results"] == [ids[6]]
    product = shop.get(f"/items/{ids[6]}").json["user_product_id"]
    twin = shop.control.create_items(shop.user_id, [{"user_product_id": product, "seller_sku": "P-00007"}])[0]
    assert shop.get(f"{path}?user_product_id={product}").json["results"] == [ids[6], twin]
    assert shop.get(f"{path}?orders=last_updated_desc&limit=1").json["results"] == [twin]
    assert shop.get(f"{path}?limit=101").status == 400
    assert shop.get(f"{path}?offset=1001").status == 400


def test_scan_moves_on_ends_and_expires(shop) -> None:
    ids = shop.control.create_many(shop.user_id, 230)
    path = f"/users/{shop.user_id}/items/search?search_type=scan&limit=100"
    seen: list[str] = []
    reply = shop.get(path).json
    while reply["results"]:
        seen += reply["results"]
        reply = shop.get(f"{path}&scroll_id={reply['scroll_id']}").json
    assert seen == ids
    assert reply["scroll_id"] is None
    assert shop.get(f"{path}&offset=10").status == 400
    first = shop.get(path).json
    shop.box.market.scrolls[first["scroll_id"]]["expires"] -= 301
    assert shop.get(f"{path}&scroll_id={first['scroll_id']}").status == 400


def test_put_quantity_and_the_status_that_follows(shop) -> None:
    item_id = shop.item(available_quantity=5)
    reply = shop.put(f"/items/{item_id}", {"available_quantity": 0})
    assert reply.status == 200
    assert (reply.json["available_quantity"], reply.json["status"], reply.json["sub_status"]) == (
        0,
        "paused",
        ["out_of_stock"],
    )
    reply = shop.put(f"/items/{item_id}", {"available_quantity": 7})
    assert (reply.json["status"], reply.json["sub_status"], shop.shown(item_id)) == ("active", [], 7)
    shop.put(f"/items/{item_id}", {"status": "paused"})
    reply = shop.put(f"/items/{item_id}", {"available_quantity": 9})
    assert (reply.json["status"], reply.json["sub_status"]) == ("paused", ["paused_by_seller"])
    assert shop.put(f"/items/{item_id}", {"status": "active"}).json["status"] == "active"
    entry = shop.control.journal()[-2]
    assert entry["applied"] == [{"item": item_id, "available_quantity": [7, 9]}]


def test_variations_left_out_are_deleted_and_one_without_id_is_new(shop) -> None:
    item_id, (blue, red) = shirt(shop)
    both = [{"id": blue, "available_quantity": 8}, {"id": red}]
    reply = shop.put(f"/items/{item_id}", {"variations": both}).json
    assert [(one["id"], one["available_quantity"]) for one in reply["variations"]] == [(blue, 8), (red, 2)]
    assert reply["available_quantity"] == 10
    reply = shop.put(
        f"/items/{item_id}", {"variations": [{"id": blue, "available_quantity": 4}, {"available_quantity": 6}]}
    )
    left = reply.json["variations"]
    assert [(one["id"], one["available_quantity"]) for one in left] == [(blue, 4), (left[1]["id"], 6)]
    assert left[1]["id"] not in (blue, red)
    applied = shop.control.journal()[-1]["applied"]
    assert {"item": item_id, "variation": red, "deleted": True, "available_quantity": [2, 0]} in applied


@pytest.mark.parametrize(
    ("spec", "body", "code"),
    [
        ({"logistic_type": "fulfillment"}, {"available_quantity": 1}, "item.available_quantity.not_modifiable"),
        ({}, {"available_quantity": -1}, "item.available_quantity.invalid"),
        ({}, {"available_quantity": "5"}, "body.invalid_field_types"),
        ({}, {"available_quantity": True}, "body.invalid_field_types"),
        ({}, {"stock": 5}, "body.invalid_fields"),
        ({}, {"variations": [{"available_quantity": 1}]}, "item.variations.invalid"),
        ({"condition": "used", "available_quantity": 1}, {"available_quantity": 2}, "item.available_quantity.invalid"),
        ({"status": "closed"}, {"available_quantity": 1}, "item.status.not_modifiable"),
        ({"status": "under_review"}, {"available_quantity": 1}, "item.status.not_modifiable"),
        ({"available_quantity": 0}, {"status": "active"}, "item.status.invalid"),
        ({}, {"status": "sold"}, "item.status.invalid"),
        ({}, {"deleted": "true"}, "item.status.invalid"),
    ],
)
def test_refused_writes_change_nothing(shop, spec, body, code: str) -> None:
    item_id = shop.item(**spec)
    before = shop.get(f"/items/{item_id}").json
    reply = shop.put(f"/items/{item_id}", body)
    assert (reply.status, reply.json["error"]) == (400, "validation_error")
    assert [(cause["code"], cause["type"]) for cause in reply.json["cause"]] == [(code, "error")]
    assert shop.get(f"/items/{item_id}").json == before


def test_variations_of_another_item_are_refused(shop) -> None:
    item_id, (blue, red) = shirt(shop)
    reply = shop.put(f"/items/{item_id}", {"variations": [{"id": blue}, {"id": red + 1_000_000}]})
    assert reply.json["cause"][0]["code"] == "item.variations.id.invalid"
    assert shop.put(f"/items/{item_id}", {"available_quantity": 3}).status == 400
    assert len(shop.get(f"/items/{item_id}").json["variations"]) == 2


def test_closing_then_deleting(shop) -> None:
    item_id = shop.item()
    assert shop.put(f"/items/{item_id}", {"status": "closed"}).json["status"] == "closed"
    assert shop.put(f"/items/{item_id}", {"deleted": "true"}).json["sub_status"] == ["deleted"]


def test_a_multi_origin_seller_gets_200_and_no_change(make_shop) -> None:
    shop = make_shop(tags=["user_product_seller", "warehouse_management"])
    item_id = shop.item(available_quantity=5)
    reply = shop.put(f"/items/{item_id}", {"available_quantity": 9})
    assert (reply.status, reply.json["available_quantity"], shop.shown(item_id)) == (200, 5, 5)
    assert shop.control.journal()[-2]["applied"] == []


def test_items_of_one_user_product_share_the_stock(shop) -> None:
    first = shop.item(available_quantity=5)
    product = shop.get(f"/items/{first}").json["user_product_id"]
    [second] = shop.control.create_items(shop.user_id, [{"user_product_id": product}])
    shop.put(f"/items/{first}", {"available_quantity": 8})
    assert shop.shown(second) == 8
    shop.control.sell(second, 8)
    assert (shop.shown(first), shop.get(f"/items/{first}").json["status"]) == (0, "paused")


def test_a_hand_edit_changes_only_what_it_names(shop) -> None:
    item_id, (blue, red) = shirt(shop)
    edited = shop.control.edit_item(item_id, variations=[{"id": blue, "available_quantity": 1}])
    assert [one["available_quantity"] for one in edited["variations"]] == [1, 2]
    edited = shop.control.edit_item(item_id, delete_variations=[red])
    assert [one["id"] for one in edited["variations"]] == [blue]
    edited = shop.control.edit_item(item_id, status="under_review", sub_status=["waiting_for_patch"])
    assert (edited["status"], edited["sub_status"]) == ("under_review", ["waiting_for_patch"])


def test_migrated_variations_become_items(shop) -> None:
    item_id, (blue, _) = shirt(shop)
    shop.control.migrate(item_id)
    old = shop.get(f"/items/{item_id}").json
    assert (old["status"], "variations_migration_source" in old["tags"]) == ("closed", True)
    links = shop.get(f"/items/{item_id}/migration_live_listing").json["new_items"]
    new = shop.get(f"/items/{links[0]['new_item_id']}").json
    assert (links[0]["variation_id"], sku_of(new), new["available_quantity"]) == (blue, "CAM-AZ", 3)
    assert "variations_migration_uptin" in new["tags"]


def test_an_automated_price_is_refused_alone_and_ignored_beside_stock(shop) -> None:
    item_id = shop.item(price=60, price_automated=True)
    alone = shop.put(f"/items/{item_id}", {"price": 70})
    assert (alone.status, alone.json["cause"][0]["code"]) == (400, "item.price.not_modifiable")
    mixed = shop.put(f"/items/{item_id}", {"price": 70, "available_quantity": 3})
    assert (mixed.status, mixed.json["price"], mixed.json["available_quantity"]) == (200, 60, 3)
    assert [(one["cause_id"], one["type"]) for one in mixed.json["warnings"]] == [(502, "warning")]
