"""The port's verbs, against the sandbox over real HTTP; what happened is asked of the sandbox, not of us."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from apps.connectors.channel import (
    ChannelError,
    Decide,
    DepotStock,
    StockAnswer,
    StockNumbers,
    StockShown,
    StockTarget,
    open_channel,
)
from apps.connectors.mercadolivre import client, parsing
from apps.connectors.mercadolivre.channel import MercadoLivre
from apps.sandbox.server import Sandbox
from tests.connectors.mercadolivre.conftest import Tokens, calls, misbehave

Seller = dict[str, Any]

SHIRT: dict[str, Any] = {
    "title": "Camiseta lisa",
    "price": 60,
    "available_quantity": 0,
    "user_product": False,
    "variations": [
        {"seller_sku": "CAM-P", "gtin": "7890000000017", "available_quantity": 5},
        {"seller_sku": "CAM-M", "available_quantity": 6},
        {"seller_sku": "CAM-G", "available_quantity": 7},
    ],
}


def create(box: Sandbox, seller: Seller, **fields: Any) -> str:
    [item_id] = box.control.create_items(seller["user_id"], [{"available_quantity": 9, **fields}])
    return item_id


def variations(box: Sandbox, item_id: str) -> dict[str, int]:
    return {str(one["id"]): one["available_quantity"] for one in box.control.item(item_id)["variations"]}


def refused(shop: MercadoLivre, item_id: str, variation_id: str = "", quantity: int = 3) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        shop.put_stock(StockTarget(item_id, variation_id), told(quantity))
    return caught.value


def told(number: int) -> Decide:
    return lambda _shown: StockNumbers(number)


def test_the_port_opens_this_channel(tokens: Tokens, seller: Seller) -> None:
    assert open_channel("ML", tokens).account().user_id == str(seller["user_id"])


def test_the_account_says_whose_token_it_is(shop: MercadoLivre, seller: Seller) -> None:
    account = shop.account()
    assert (account.user_id, account.nickname) == (str(seller["user_id"]), seller["nickname"])
    assert account.site_id == "MLB"


def test_a_partial_account_will_do(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    misbehave(box, path="/users/me", action="partial", missing=["seller_reputation"])
    assert shop.account().user_id == str(seller["user_id"])


# --- Orders --------------------------------------------------------------------------------------------------------


def test_a_sale_is_read_as_it_stands(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    item_id = create(box, seller, seller_sku="CANECA", title="Caneca", price=49.9)
    sale = box.control.sell(item_id, 2)
    order = shop.order(str(sale["order_id"]))
    assert (order.external_id, order.status, order.is_complete) == (str(sale["order_id"]), "paid", True)
    assert (order.currency, order.total_amount) == ("BRL", Decimal("99.8"))
    assert order.shipment_id == str(sale["shipment_id"])
    (line,) = order.lines
    assert (line.item_id, line.seller_sku, line.quantity) == (item_id, "CANECA", 2)
    assert (line.variation_id, line.unit_price) == ("", Decimal("49.9"))


def test_a_sale_of_a_variation_names_it(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    item_id = create(box, seller, **SHIRT)
    variation_id = list(variations(box, item_id))[1]
    sale = box.control.sell(item_id, 1, variation_id=int(variation_id))
    (line,) = shop.order(str(sale["order_id"])).lines
    assert (line.item_id, line.variation_id, line.seller_sku) == (item_id, variation_id, "CAM-M")


def test_two_readings_of_an_unchanged_order_have_one_hash_and_a_cancellation_another(
    box: Sandbox, shop: MercadoLivre, seller: Seller
) -> None:
    sale = box.control.sell(create(box, seller))
    first, second = (shop.order(str(sale["order_id"])) for _ in range(2))
    assert first.content_hash() == second.content_hash()
    box.control.cancel(sale["order_id"])
    cancelled = shop.order(str(sale["order_id"]))
    assert cancelled.status == "cancelled"
    assert cancelled.content_hash() != first.content_hash()


def test_an_order_with_parts_missing_is_marked_incomplete(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    sale = box.control.sell(create(box, seller))
    misbehave(box, path="/orders/", action="partial", missing=["buyer", "shipping"])
    order = shop.order(str(sale["order_id"]))
    assert (order.is_complete, order.status, order.shipment_id) == (False, "paid", "")


def test_an_order_that_is_another_one_is_refused(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    sale = box.control.sell(create(box, seller))
    body = {**box.control.order(sale["order_id"]), "id": 2000000000000001}
    misbehave(box, path="/orders/", action="status", status=200, body=body)
    with pytest.raises(ChannelError, match="answered order 2000000000000001") as caught:
        shop.order(str(sale["order_id"]))
    assert (caught.value.code, caught.value.permanent) == ("unreadable_answer", False)


def test_another_sellers_order_is_forbidden(box: Sandbox, shop: MercadoLivre, application: dict[str, Any]) -> None:
    other = box.control.account(client_id=application["client_id"])
    [item_id] = box.control.create_items(other["user_id"], [{"available_quantity": 9}])
    sale = box.control.sell(item_id)
    with pytest.raises(ChannelError) as caught:
        shop.order(str(sale["order_id"]))
    assert caught.value.status in (403, 404)
    assert not caught.value.account


# --- Listings ------------------------------------------------------------------------------------------------------


def test_every_sellable_number_is_listed_variations_one_by_one(
    box: Sandbox, shop: MercadoLivre, seller: Seller
) -> None:
    plain = box.control.create_many(seller["user_id"], 45, sku_prefix="SKU-")
    shirt = create(box, seller, **SHIRT)
    full = create(box, seller, seller_sku="FULL", logistic_type="fulfillment")
    found = list(shop.listings())
    assert len(found) == 45 + 3 + 1
    assert {one.item_id for one in found} == {*plain, shirt, full}
    assert {one.seller_sku: one.quantity for one in found if one.item_id == shirt} == {
        "CAM-P": 5,
        "CAM-M": 6,
        "CAM-G": 7,
    }
    by_sku = {one.seller_sku: one for one in found}
    assert (by_sku["CAM-P"].gtin, by_sku["CAM-P"].title, by_sku["CAM-P"].status) == (
        "7890000000017",
        "Camiseta lisa",
        "active",
    )
    assert by_sku["FULL"].logistic_type == "fulfillment"
    assert by_sku["SKU-00001"].user_product_id.startswith("MLBU")
    assert len(calls(box, "/items/bulk")) == 3


def test_listings_come_alike_through_the_older_multiget(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    box.control.create_many(seller["user_id"], 3)
    create(box, seller, **SHIRT)
    new = sorted(map(repr, shop.listings()))
    misbehave(box, path="^/items/bulk", action="status", status=405)
    assert sorted(map(repr, shop.listings())) == new


def test_a_row_the_multiget_could_not_give_is_read_alone(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    ids = box.control.create_many(seller["user_id"], 3)
    other = box.control.item(ids[0])
    rows = [
        {"id": ids[0], "status_code": 500, "body": {"error": "internal_error"}},
        {"id": ids[1], "status_code": 200},
        {"id": ids[2], "status_code": 200, "body": other},
        {"id": "MLB999", "status_code": 200, "body": {**other, "id": "MLB999"}},
    ]
    misbehave(box, path="^/items/bulk", action="status", status=200, body=rows)
    assert sorted(one.item_id for one in shop.listings()) == sorted(ids)


def test_a_listing_that_cannot_be_read_hides_no_other_and_is_logged(
    box: Sandbox, shop: MercadoLivre, seller: Seller
) -> None:
    ids = box.control.create_many(seller["user_id"], 3)
    misbehave(box, path="^/items/bulk", action="status", status=200, body=[])
    misbehave(box, path=f"^/items/{ids[0]}", action="status", status=404)
    misbehave(box, path=f"^/items/{ids[1]}", action="status", status=200, body={"id": ids[1], "status": "active"})
    with capture_logs() as lines:
        assert [one.item_id for one in shop.listings()] == [ids[2]]
    left_out = {line["item_id"]: line["code"] for line in lines if line["event"] == "ml.listing_left_out"}
    assert left_out == {ids[0]: "item_not_found", ids[1]: "unreadable_answer"}


def test_a_seller_without_listings_has_none(shop: MercadoLivre) -> None:
    assert list(shop.listings()) == []


def test_one_listing_is_read_as_it_stands(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    item_id = create(box, seller, seller_sku="CANECA", title="Caneca")
    box.control.sell(item_id, 2)
    (found,) = shop.listing(item_id)
    assert (found.item_id, found.variation_id, found.seller_sku, found.quantity) == (item_id, "", "CANECA", 7)
    assert [call["path"] for call in calls(box, "/items")] == [f"/items/{item_id}"]


def test_one_listing_with_variations_is_one_number_each_as_in_the_whole_list(
    box: Sandbox, shop: MercadoLivre, seller: Seller
) -> None:
    item_id = create(box, seller, **SHIRT)
    found = shop.listing(item_id)
    assert [(one.seller_sku, one.quantity) for one in found] == [("CAM-P", 5), ("CAM-M", 6), ("CAM-G", 7)]
    assert found == list(shop.listings())


def test_one_listing_that_does_not_exist_is_a_labelled_error(shop: MercadoLivre) -> None:
    with pytest.raises(ChannelError) as caught:
        shop.listing("MLB1")
    assert (caught.value.code, caught.value.permanent, caught.value.account) == ("item_not_found", True, False)


def test_one_listing_that_is_another_one_is_refused(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    asked, other = create(box, seller), create(box, seller)
    misbehave(box, path=f"^/items/{asked}$", action="status", status=200, body=box.control.item(other))
    with pytest.raises(ChannelError, match=f"answered listing {other}") as caught:
        shop.listing(asked)
    assert (caught.value.code, caught.value.permanent) == ("unreadable_answer", False)


# --- Shipments -----------------------------------------------------------------------------------------------------


def test_a_parcel_is_read_with_its_size_and_receiver(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    sale = box.control.sell(create(box, seller))
    box.control.edit_order(sale["order_id"], shipment_status="ready_to_ship", shipment_substatus="ready_to_print")
    parcel = shop.shipment(str(sale["shipment_id"]))
    assert parcel is not None
    assert (parcel.status, parcel.substatus) == ("ready_to_ship", "ready_to_print")
    assert (parcel.weight_g, parcel.dimensions) == (500, "10 x 20 x 30")
    assert parcel.receiver_name
    assert parcel.receiver_name not in repr(parcel)


def test_a_label_is_unpacked_and_there_is_none_before_it_may_be_printed(
    box: Sandbox, shop: MercadoLivre, seller: Seller
) -> None:
    sale = box.control.sell(create(box, seller))
    shipment_id = str(sale["shipment_id"])
    box.control.edit_order(sale["order_id"], shipment_status="handling", shipment_substatus="invoice_pending")
    assert shop.label(shipment_id) is None
    box.control.edit_order(sale["order_id"], shipment_status="ready_to_ship", shipment_substatus="ready_to_print")
    label = shop.label(shipment_id)
    assert label is not None
    assert (label.format, label.content[:5]) == ("PDF", b"%PDF-")


def test_the_buyer_is_asked_for_where_the_order_says(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    sale = box.control.sell(create(box, seller))
    order = shop.order(str(sale["order_id"]))
    buyer = shop.buyer(order)
    assert buyer.name
    assert len(buyer.document) in (11, 14)
    assert buyer.document not in repr(buyer)


def test_parcels_payments_and_packs_lead_back_to_their_orders(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    sale = box.control.sell(create(box, seller))
    order_id = str(sale["order_id"])
    raw, _ = shop.client.order(order_id)
    assert isinstance(raw, dict)
    assert shop.orders_behind("shipments", str(sale["shipment_id"])) == {order_id}
    assert shop.orders_behind("collections", str(raw["payments"][0]["id"])) == {order_id}
    assert shop.orders_behind("packs", "2000000000000001") == frozenset()


def test_a_shipment_is_asked_for_in_the_new_format(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    sale = box.control.sell(create(box, seller))
    shipment = shop.client.shipment(str(sale["shipment_id"]))
    assert isinstance(shipment, dict)
    assert "logistic" in shipment  # the old format has it flat, as logistic_type
    assert "logistic_type" not in shipment


def test_a_shipment_that_does_not_exist_is_none(box: Sandbox, shop: MercadoLivre) -> None:
    assert shop.shipment("47999999999") is None
    assert [call["status"] for call in calls(box, "/shipments/")] == [404]


@pytest.mark.parametrize(("status", "code"), [(500, "server_error"), (403, "forbidden"), (429, "rate_limited")])
def test_a_shipment_that_cannot_be_read_is_no_answer_either_way(
    box: Sandbox, shop: MercadoLivre, status: int, code: str
) -> None:
    misbehave(box, path="^/shipments/", action="status", status=status)
    with pytest.raises(ChannelError) as caught:
        shop.shipment("47000000001")
    assert (caught.value.code, caught.value.account) == (code, False)


# --- Stock ---------------------------------------------------------------------------------------------------------


def test_a_number_put_is_the_number_shown(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    item_id = create(box, seller)
    assert shop.put_stock(StockTarget(item_id, ""), told(4)) == StockAnswer(4, "active", 200)
    assert box.control.item(item_id)["available_quantity"] == 4
    (call,) = calls(box, f"/items/{item_id}")
    assert (call["method"], call["body"]) == ("PUT", {"available_quantity": 4})


def test_zero_pauses_and_stock_wakes_again(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    item_id = create(box, seller)
    assert shop.put_stock(StockTarget(item_id, ""), told(0)).listing_status == "paused"
    assert shop.put_stock(StockTarget(item_id, ""), told(1)).listing_status == "active"


def test_a_listing_its_seller_paused_stays_paused(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    item_id = create(box, seller)
    box.control.edit_item(item_id, status="paused", sub_status=["paused_by_seller"])
    assert shop.put_stock(StockTarget(item_id, ""), told(4)) == StockAnswer(4, "paused", 200)
    assert box.control.item(item_id)["status"] == "paused"


def test_a_variation_is_set_and_its_sisters_survive(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    item_id = create(box, seller, **SHIRT)
    small, medium, large = variations(box, item_id)
    box.control.sell(item_id, 2, variation_id=int(large))  # after whatever was read at import
    assert shop.put_stock(StockTarget(item_id, medium), told(1)) == StockAnswer(1, "active", 200)
    assert variations(box, item_id) == {small: 5, medium: 1, large: 5}


def test_a_variation_added_by_hand_survives_too(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    item_id = create(box, seller, **SHIRT)
    small = next(iter(variations(box, item_id)))
    box.control.edit_item(item_id, variations=[{"seller_sku": "CAM-GG", "available_quantity": 8}])
    shop.put_stock(StockTarget(item_id, small), told(2))
    assert sorted(variations(box, item_id).values()) == [2, 6, 7, 8]


def test_a_variation_that_is_gone_is_a_labelled_error_and_nothing_is_written(
    box: Sandbox, shop: MercadoLivre, seller: Seller
) -> None:
    item_id = create(box, seller, **SHIRT)
    before = variations(box, item_id)
    error = refused(shop, item_id, "999999")
    assert (error.code, error.permanent, error.account) == ("variation_not_found", True, False)
    assert variations(box, item_id) == before
    assert [call["method"] for call in calls(box, f"/items/{item_id}")] == ["GET"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"status": "closed"}, "item_closed"),
        ({"status": "under_review"}, "item_under_review"),
        ({"logistic_type": "fulfillment"}, "stock_managed_by_channel"),
        ({"condition": "used", "available_quantity": 1}, "quantity_invalid"),
    ],
)
def test_a_listing_that_takes_no_number_is_a_labelled_error(
    box: Sandbox, shop: MercadoLivre, seller: Seller, fields: dict[str, Any], code: str
) -> None:
    error = refused(shop, create(box, seller, **fields))
    assert (error.code, error.permanent, error.account) == (code, True, False)


def test_an_item_that_does_not_exist_is_a_labelled_error(shop: MercadoLivre) -> None:
    error = refused(shop, "MLB1")
    assert (error.code, error.permanent, error.account, error.status) == ("item_not_found", True, False, 404)


@pytest.mark.parametrize("has_variations", [False, True])
def test_a_200_that_changed_nothing_shows_the_old_number(
    box: Sandbox, shop: MercadoLivre, seller: Seller, has_variations: bool
) -> None:
    item_id = create(box, seller, **(SHIRT if has_variations else {"available_quantity": 5}))
    variation_id = next(iter(variations(box, item_id)), "")
    misbehave(box, method="PUT", path="^/items/", action="lie")
    assert shop.put_stock(StockTarget(item_id, variation_id), told(3)) == StockAnswer(5, "active", 200)


def test_a_seller_with_depots_shows_that_the_number_was_ignored(box: Sandbox, application: dict[str, Any]) -> None:
    depot = box.control.account(
        client_id=application["client_id"], tags=["user_product_seller", "warehouse_management"]
    )
    [item_id] = box.control.create_items(depot["user_id"], [{"available_quantity": 9}])
    own = Tokens(application["client_id"], application["client_secret"], depot["refresh_token"])
    assert MercadoLivre(own).put_stock(StockTarget(item_id, ""), told(3)).quantity == 9


@pytest.mark.parametrize("action", ["wrong_json", "empty"])
def test_an_acceptance_that_shows_no_number_is_read_back(
    box: Sandbox, shop: MercadoLivre, seller: Seller, action: str
) -> None:
    item_id = create(box, seller)
    misbehave(box, method="PUT", path="^/items/", action=action, times=1)
    answer = shop.put_stock(StockTarget(item_id, ""), told(3))
    assert (answer.quantity, answer.listing_status) == (3, "active")
    assert [call["method"] for call in calls(box, f"/items/{item_id}")] == ["PUT", "GET"]


def test_a_number_that_a_user_product_ignored_is_read_back_before_it_is_called_so(
    box: Sandbox, shop: MercadoLivre, seller: Seller
) -> None:
    item_id = create(box, seller)
    misbehave(box, method="PUT", path="^/items/", action="lie", times=1)
    target = StockTarget(item_id, "", user_product_id=box.control.item(item_id)["user_product_id"])
    assert shop.put_stock(target, told(3)).quantity == 9
    assert [call["method"] for call in calls(box, f"/items/{item_id}")] == ["PUT", "GET"]


@pytest.mark.parametrize("has_variations", [False, True])
def test_what_is_shown_just_before_is_what_the_number_is_decided_on(
    box: Sandbox, shop: MercadoLivre, seller: Seller, has_variations: bool
) -> None:
    item_id = create(box, seller, **(SHIRT if has_variations else {"available_quantity": 5}))
    variation_id = next(iter(variations(box, item_id)), "")
    seen: list[StockShown | None] = []

    def one_less(shown: StockShown | None) -> StockNumbers:
        seen.append(shown)
        return StockNumbers(4)

    target = StockTarget(item_id, variation_id, reads_first=not has_variations)
    assert shop.put_stock(target, one_less).quantity == 4
    assert seen == [StockShown(5)]


# --- Stock by depot --------------------------------------------------------------------------------------------------

DEPOTS = ["user_product_seller", "warehouse_management", "multiwarehouse"]


@pytest.fixture
def multi(box: Sandbox, application: dict[str, Any]) -> tuple[MercadoLivre, StockTarget, Seller]:
    """An account with two depots that sells one user product, nine units of it in the first depot."""
    depot = box.control.account(client_id=application["client_id"], tags=DEPOTS)
    item_id = create(box, depot)
    own = Tokens(application["client_id"], application["client_secret"], depot["refresh_token"])
    product_id = box.control.item(item_id)["user_product_id"]
    return MercadoLivre(own), StockTarget(item_id, "", product_id, has_depots=True), depot


def spread(*quantities: int) -> Decide:
    """Decide these quantities, in the order in which the depots are shown."""

    def decide(shown: StockShown | None) -> StockNumbers:
        assert shown is not None
        rows = tuple(
            DepotStock(one.store_id, one.network_node_id, quantity)
            for one, quantity in zip(shown.depots, quantities, strict=True)
        )
        return StockNumbers(sum(quantities), rows)

    return decide


def test_the_depots_of_an_account_are_listed(box: Sandbox, multi: tuple[MercadoLivre, StockTarget, Seller]) -> None:
    shop, _, seller = multi
    stores = [(one["id"], one["network_node_id"], one["description"]) for one in seller["stores"]]
    assert [(one.store_id, one.network_node_id, one.name) for one in shop.depots()] == stores
    assert len(stores) == 2


def test_every_depot_is_told_its_number(box: Sandbox, multi: tuple[MercadoLivre, StockTarget, Seller]) -> None:
    shop, target, _ = multi
    answer = shop.put_stock(target, spread(4, 3))
    assert (answer.quantity, answer.http_status) == (7, 200)
    assert [one.quantity for one in answer.depots] == [4, 3]
    assert [one["quantity"] for one in box.control.item(target.item_id)["locations"]] == [4, 3]


def test_depots_that_show_what_they_should_are_not_written(
    box: Sandbox, multi: tuple[MercadoLivre, StockTarget, Seller]
) -> None:
    shop, target, _ = multi
    assert shop.put_stock(target, spread(9, 0)).quantity == 9
    assert [call["method"] for call in calls(box, "/user-products/")] == ["GET"]


def test_a_sale_between_reading_and_writing_is_decided_anew(
    box: Sandbox, multi: tuple[MercadoLivre, StockTarget, Seller]
) -> None:
    shop, target, _ = multi
    seen: list[int | None] = []

    def sells_meanwhile(shown: StockShown | None) -> StockNumbers:
        assert shown is not None
        assert shown.quantity is not None
        seen.append(shown.quantity)
        if len(seen) == 1:
            box.control.sell(target.item_id, 2)
        return spread(shown.quantity - 1, 0)(shown)

    assert shop.put_stock(target, sells_meanwhile).quantity == 6
    assert seen == [9, 7]
    assert box.control.item(target.item_id)["available_quantity"] == 6


def test_after_three_lost_races_the_number_waits(box: Sandbox, multi: tuple[MercadoLivre, StockTarget, Seller]) -> None:
    shop, target, _ = multi
    misbehave(box, method="PUT", path="^/user-products/", action="status", status=409)
    with pytest.raises(ChannelError) as caught:
        shop.put_stock(target, spread(4, 3))
    assert (caught.value.code, caught.value.permanent, caught.value.status) == ("conflict", False, 409)
    assert [call["method"] for call in calls(box, "/user-products/")] == ["GET", "PUT"] * 3


@pytest.mark.parametrize("action", ["empty", "wrong_json", "lie"])
def test_depots_whose_answer_proves_nothing_are_read_back(
    box: Sandbox, multi: tuple[MercadoLivre, StockTarget, Seller], action: str
) -> None:
    shop, target, _ = multi
    misbehave(box, method="PUT", path="^/user-products/", action=action, times=1)
    assert shop.put_stock(target, spread(4, 3)).quantity == (9 if action == "lie" else 7)


def test_a_depot_that_is_no_more_is_a_labelled_error(
    box: Sandbox, multi: tuple[MercadoLivre, StockTarget, Seller]
) -> None:
    shop, target, _ = multi
    with pytest.raises(ChannelError) as caught:
        shop.put_stock(target, lambda _: StockNumbers(3, (DepotStock("77", "X", 3),)))
    assert (caught.value.code, caught.value.permanent, caught.value.account) == ("depot_refused", True, False)


# --- Prices ---------------------------------------------------------------------------------------------------------


def test_a_price_goes_in_a_call_of_its_own(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    item_id = create(box, seller, price=60)
    assert shop.put_price(item_id, Decimal("79.90")).price == Decimal("79.9")
    assert box.control.item(item_id)["price"] == 79.9
    (call,) = calls(box, f"/items/{item_id}")
    assert (call["method"], call["body"]) == ("PUT", {"price": 79.9})


def test_an_automated_price_is_a_labelled_error(box: Sandbox, shop: MercadoLivre, seller: Seller) -> None:
    item_id = create(box, seller, price=60, price_automated=True)
    with pytest.raises(ChannelError) as caught:
        shop.put_price(item_id, Decimal(70))
    assert (caught.value.code, caught.value.permanent, caught.value.account) == ("price_not_modifiable", True, False)
    assert shop.put_stock(StockTarget(item_id, ""), told(3)).quantity == 3


def test_an_answer_lost_after_the_write_is_repeated_to_the_same_end(
    box: Sandbox, shop: MercadoLivre, seller: Seller
) -> None:
    item_id = create(box, seller)
    misbehave(box, method="PUT", path="^/items/", action="reset_after_applying", times=1)
    assert refused(shop, item_id).code == "connection_failed"
    assert shop.put_stock(StockTarget(item_id, ""), told(3)).quantity == 3


@pytest.mark.parametrize("action", ["timeout", "slow_header"])
def test_no_call_takes_more_than_five_seconds_in_all(
    box: Sandbox, shop: MercadoLivre, seller: Seller, action: str
) -> None:
    item_id = create(box, seller)
    shop.account()
    misbehave(box, method="PUT", path="^/items/", action=action, delay_ms=400 if action == "slow_header" else 7000)
    started = time.monotonic()
    error = refused(shop, item_id)
    assert 4.9 < time.monotonic() - started < 6
    assert (error.code, error.permanent, error.account, error.status) == ("timeout", False, False, 0)
    assert "may have taken effect" in str(error)


# --- what no notification told --------------------------------------------------------------------------------------


def test_a_search_is_widened_to_whole_hours_and_asks_for_one_page(
    box: Sandbox, seller: Seller, shop: MercadoLivre
) -> None:
    item_id = create(box, seller)
    sold = [str(box.control.sell(item_id)["order_id"]) for _ in range(3)]
    now = datetime.now(UTC)
    page = shop.orders_changed(str(seller["user_id"]), now - timedelta(minutes=1), now)
    assert ([order.external_id for order in page.orders], page.total) == (sold, 3)
    assert all(order.status == "paid" and order.updated_at == order.touched_at for order in page.orders)
    [asked] = calls(box, "/orders/search")
    query = asked["query"]
    since, until = (datetime.fromisoformat(query[f"order.date_last_updated.{end}"]) for end in ("from", "to"))
    assert (since.minute, since.second, until.minute, until.second) == (0, 0, 0, 0)
    assert since <= now - timedelta(minutes=1) < now <= until < now + timedelta(hours=1)
    assert (query["sort"], query["limit"], "order.status" in query) == ("date_asc", "50", False)


def test_a_search_finds_cancelled_orders_when_asked_and_pages_both_ways(
    box: Sandbox, seller: Seller, shop: MercadoLivre
) -> None:
    item_id = create(box, seller)
    sold = [str(box.control.sell(item_id)["order_id"]) for _ in range(4)]
    box.control.cancel(int(sold[1]))
    now = datetime.now(UTC)
    search = partial(shop.orders_changed, str(seller["user_id"]), now, now)
    assert [order.external_id for order in search(is_cancelled=True).orders] == [sold[1]]
    assert [order.external_id for order in search(offset=1).orders] == sold[2:]
    assert [order.external_id for order in search(newest_first=True).orders] == [sold[3], sold[2], sold[0]]


def test_another_accounts_search_is_refused_without_stopping_this_one(shop: MercadoLivre) -> None:
    now = datetime.now(UTC)
    with pytest.raises(ChannelError) as caught:
        shop.orders_changed("1", now, now)
    assert (caught.value.permanent, caught.value.account) == (True, False)


def test_missed_notifications_come_as_they_were_page_by_page(
    box: Sandbox, seller: Seller, shop: MercadoLivre, application: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FEED_PAGE_SIZE", 2)
    box.control.application(client_id=application["client_id"], notification_url="http://127.0.0.1:9/")
    box.control.notifications(drop_percent=100, drop_to_missed_feeds=True)
    sold = str(box.control.sell(create(box, seller))["order_id"])
    notices = [parsing.read_notice(body) for page in shop.missed_notices(application["client_id"]) for body in page]
    assert sold in {notice.resource_id for notice in notices if notice.topic == "orders_v2"}
    assert {notice.application_id for notice in notices} == {application["client_id"]}
    again = [parsing.read_notice(body) for page in shop.missed_notices(application["client_id"]) for body in page]
    assert [notice.delivery_key for notice in again] == [notice.delivery_key for notice in notices]
    assert {call["query"].get("topic", "") for call in calls(box, "/missed_feeds")} == {"", "items"}
