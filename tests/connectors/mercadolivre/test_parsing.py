"""Reading Mercado Livre: every quirk of the contract in; out come plain snapshots, or what is missing by its name."""

import copy
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.channel import ChannelError, Poison, StockAnswer
from apps.connectors.mercadolivre import parsing

ORDER: dict[str, Any] = {
    "id": 2000009911223344,
    "status": "paid",
    "status_detail": None,
    "date_created": "2026-09-01T10:00:00.000-04:00",
    "date_closed": "2026-09-01T10:00:02.000-04:00",
    "last_updated": "2026-09-01T11:30:00.000-04:00",
    "pack_id": None,
    "total_amount": 99.9,
    "currency_id": "BRL",
    "order_items": [
        {
            "item": {
                "id": "MLB4000000001",
                "title": "Caneca esmaltada 300 ml",
                "variation_id": None,
                "seller_sku": "CANECA-300",
                "seller_custom_field": None,
                "user_product_id": "MLBU4000000001",
            },
            "quantity": 2,
            "unit_price": 49.95,
            "currency_id": "BRL",
        }
    ],
    "shipping": {"id": 47000000001},
    "tags": ["paid", "not_delivered"],
}

ITEM: dict[str, Any] = {
    "id": "MLB4000000001",
    "title": "Caneca esmaltada 300 ml",
    "price": 49.95,
    "status": "active",
    "sub_status": [],
    "available_quantity": 7,
    "user_product_id": "MLBU4000000001",
    "seller_custom_field": None,
    "attributes": [
        {"id": "BRAND", "value_name": "Serra"},
        {"id": "SELLER_SKU", "value_name": "CANECA-300"},
        {"id": "GTIN", "value_name": "7890000000017"},
    ],
    "variations": [],
    "shipping": {"mode": "me2", "logistic_type": "xd_drop_off"},
}

LEGACY_ITEM: dict[str, Any] = {
    **ITEM,
    "id": "MLB4000000002",
    "user_product_id": None,
    "available_quantity": 12,
    "attributes": [{"id": "SELLER_SKU", "value_name": "NEVER-INHERITED"}],
    "variations": [
        {
            "id": 180000000001,
            "price": 60,
            "available_quantity": 5,
            "seller_custom_field": None,
            "attributes": [{"id": "SELLER_SKU", "value_name": None, "values": [{"id": None, "name": "CAM-P"}]}],
        },
        {
            "id": 180000000002,
            "price": None,
            "available_quantity": 7,
            "seller_custom_field": "CAM-M",
            "attributes": [{"id": "EAN", "value_name": "7890000000024"}],
        },
    ],
}


def order(**changes: object) -> dict[str, Any]:
    return {**copy.deepcopy(ORDER), **changes}


def order_with_line(**changes: object) -> dict[str, Any]:
    document = copy.deepcopy(ORDER)
    document["order_items"][0].update(changes)
    return document


def order_with_item(**changes: object) -> dict[str, Any]:
    document = copy.deepcopy(ORDER)
    document["order_items"][0]["item"].update(changes)
    return document


# --- Orders --------------------------------------------------------------------------------------------------------


def test_an_order_is_read_whole() -> None:
    read = parsing.order(ORDER)
    assert (read.external_id, read.status, read.tags) == ("2000009911223344", "paid", ("not_delivered", "paid"))
    assert read.created_at == datetime(2026, 9, 1, 14, 0, tzinfo=UTC)
    assert read.updated_at == datetime(2026, 9, 1, 15, 30, tzinfo=UTC)
    assert (read.pack_id, read.shipment_id) == ("", "47000000001")
    assert (read.total_amount, read.currency, read.is_complete) == (Decimal("99.9"), "BRL", True)
    (line,) = read.lines
    assert (line.item_id, line.variation_id, line.user_product_id) == ("MLB4000000001", "", "MLBU4000000001")
    assert (line.seller_sku, line.quantity, line.unit_price) == ("CANECA-300", 2, Decimal("49.95"))


def test_ids_are_text_whatever_they_came_as() -> None:
    as_numbers = parsing.order(order(id=2000009911223344, pack_id=2000000000000009))
    as_text = parsing.order(order(id="2000009911223344", pack_id="2000000000000009"))
    assert as_numbers == as_text
    assert as_numbers.pack_id == "2000000000000009"


def test_an_id_beyond_64_bits_survives() -> None:
    assert parsing.order(order(pack_id=18446744000000000615)).pack_id == "18446744000000000615"


@pytest.mark.parametrize("none", [None, 0, "0", "", False])
def test_a_line_without_variation_has_none_however_they_say_so(none: object) -> None:
    assert parsing.order(order_with_item(variation_id=none)).lines[0].variation_id == ""


def test_a_line_with_a_legacy_variation_names_it() -> None:
    assert parsing.order(order_with_item(variation_id=180000000001)).lines[0].variation_id == "180000000001"


def test_the_sku_of_a_line_falls_back_to_the_custom_field() -> None:
    assert parsing.order(order_with_item(seller_sku=None, seller_custom_field="OLD-1")).lines[0].seller_sku == "OLD-1"
    assert parsing.order(order_with_item(seller_sku=None)).lines[0].seller_sku == ""


@pytest.mark.parametrize("shipping", [None, {}, {"id": None}, [], "none"])
def test_a_shipment_may_not_exist_yet(shipping: object) -> None:
    assert parsing.order(order(shipping=shipping)).shipment_id == ""


@pytest.mark.parametrize("field", ["date_created", "last_updated", "pack_id", "total_amount", "currency_id", "tags"])
def test_parts_the_hub_can_do_without_may_be_missing(field: str) -> None:
    document = order()
    del document[field]
    assert parsing.order(document, is_complete=False).is_complete is False


def test_an_unknown_status_and_odd_tags_pass() -> None:
    read = parsing.order(order(status="Partially_Teleported", tags=["b", None, 7, "a", "b"]))
    assert (read.status, read.tags) == ("partially_teleported", ("a", "b"))


def test_two_readings_that_differ_only_in_spelling_have_one_hash() -> None:
    other = order(id=str(ORDER["id"]), tags=["not_delivered", "paid"], total_amount="99.90")
    other["date_created"] = "2026-09-01T14:00:00Z"
    other["last_updated"] = "2026-09-01T12:00:00.000-0400"
    other["order_items"][0]["quantity"] = "2"
    assert parsing.order(other).content_hash() == parsing.order(ORDER).content_hash()


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (order(id=None), "id"),
        (order(id=True), "id"),
        (order(id="../../users/me"), "id"),
        (order(status=None), "status"),
        (order(status=7), "status"),
        (order(order_items=None), "order_items"),
        (order(order_items=[]), "order_items"),
        (order(order_items=["x"]), "line 1 of order 2000009911223344 has no usable JSON object"),
        (order_with_item(id=None), "line 1 of order 2000009911223344 has no usable item.id"),
        (order_with_line(item=None), "item.id"),
        (order_with_line(quantity=0), "line 1 of order 2000009911223344 has no usable quantity"),
        (order_with_line(quantity=-1), "quantity"),
        (order_with_line(quantity=1.5), "quantity"),
        (order_with_line(quantity=True), "quantity"),
        (order_with_line(quantity=float("inf")), "quantity"),
        (order_with_line(quantity=float("nan")), "quantity"),
        (order_with_line(quantity=2**31), "quantity"),
        (order_with_line(quantity="many"), "quantity"),
        (order_with_line(quantity=None), "quantity"),
        ([], "the order has no usable JSON object"),
        (None, "JSON object"),
    ],
)
def test_an_order_the_hub_cannot_act_on_is_refused_by_the_fields_name(document: object, field: str) -> None:
    with pytest.raises(ChannelError) as caught:
        parsing.order(document)
    assert field in str(caught.value)
    assert (caught.value.code, caught.value.permanent, caught.value.account) == ("unreadable_answer", False, False)


@pytest.mark.parametrize(("value", "read"), [(3, 3), (3.0, 3), ("3", 3), (" 3 ", 3), (0, 0), (2**31 - 1, 2**31 - 1)])
def test_a_count_is_read_from_number_or_text(value: object, read: int) -> None:
    assert parsing.whole_number(value) == read


@pytest.mark.parametrize("value", [True, False, 3.5, -1, "-1", "3.0", "٣", "", None, [], {}, "9" * 5000, 1e300])
def test_what_is_no_count_is_none(value: object) -> None:
    assert parsing.whole_number(value) is None


@pytest.mark.parametrize(
    ("value", "read"),
    [(10, "10"), (10.0, "10"), ("10.00", "10"), (49.97, "49.97"), (0, "0"), (-5.5, "-5.5"), (0.1 + 0.2, "0.3")],
)
def test_money_has_one_spelling(value: object, read: str) -> None:
    assert str(parsing.money(value)) == read


@pytest.mark.parametrize(
    "value", [True, None, "free", "NaN", float("inf"), pytest.param(10**5000, id="vast"), 1e300, [], {}]
)
def test_what_is_no_amount_is_none(value: object) -> None:
    assert parsing.money(value) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-08-27T09:14:28.000-04:00",
        "2026-08-27T09:14:28.000-0400",
        "2026-08-27T13:14:28Z",
        "2026-08-27T10:14:28-03:00",
        "2026-08-27T13:14:28.000000000Z",
    ],
)
def test_the_forms_of_a_time_mean_one_moment(text: str) -> None:
    assert parsing.moment(text) == datetime(2026, 8, 27, 13, 14, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", 1756300468, "0001-01-01T00:00:00+14:00", "2026-13-01T00:00:00Z"]
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert parsing.moment(value) is None


def test_texts_that_no_column_takes_are_cleaned() -> None:
    read = parsing.order(order_with_item(title="a\x00b\ud800" + "c" * 1000))
    assert read.lines[0].title.startswith("ab?c")
    assert len(read.lines[0].title) == 255


# --- Listings ------------------------------------------------------------------------------------------------------


def test_a_listing_without_variations_is_one_number() -> None:
    (listing,) = parsing.listings(ITEM)
    assert (listing.item_id, listing.variation_id, listing.user_product_id) == ("MLB4000000001", "", "MLBU4000000001")
    assert (listing.seller_sku, listing.gtin, listing.quantity) == ("CANECA-300", "7890000000017", 7)
    assert (listing.status, listing.sub_status, listing.logistic_type) == ("active", (), "xd_drop_off")
    assert listing.price == Decimal("49.95")


def test_a_listing_with_variations_is_one_number_each_with_skus_of_their_own() -> None:
    small, medium = parsing.listings(LEGACY_ITEM)
    assert [one.variation_id for one in (small, medium)] == ["180000000001", "180000000002"]
    assert [one.seller_sku for one in (small, medium)] == ["CAM-P", "CAM-M"]
    assert [one.quantity for one in (small, medium)] == [5, 7]
    assert [one.price for one in (small, medium)] == [Decimal(60), Decimal("49.95")]
    assert [one.gtin for one in (small, medium)] == ["", "7890000000024"]


def test_the_attribute_wins_over_the_custom_field_as_sku() -> None:
    (listing,) = parsing.listings({**ITEM, "seller_custom_field": "PRIVATE"})
    assert listing.seller_sku == "CANECA-300"
    (listing,) = parsing.listings({**ITEM, "attributes": None, "seller_custom_field": "PRIVATE"})
    assert listing.seller_sku == "PRIVATE"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": None}, "id"),
        ({"status": None}, "status"),
        ({"available_quantity": None}, "available_quantity"),
        ({"available_quantity": True}, "available_quantity"),
        ({"variations": [{"id": None, "available_quantity": 1}]}, "variation 1"),
        ({"variations": [{"id": 1}]}, "variation 1"),
        ({"variations": ["x"]}, "variation 1"),
    ],
)
def test_a_listing_the_hub_cannot_use_is_refused_by_the_fields_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ChannelError, match=field):
        parsing.listings({**ITEM, **change})


def test_both_multiget_forms_read_alike_and_keep_their_error_rows() -> None:
    gone = {"message": "Item with id MLB9 not found", "error": "not_found", "status": 404, "cause": []}
    new = [{"id": "MLB4000000001", "status_code": 200, "body": ITEM}, {"id": "MLB9", "status_code": 404, "body": gone}]
    old = [{"code": 200, "body": ITEM}, {"code": 404, "body": gone}, "noise", None]
    assert list(parsing.multiget_rows(new)) == [("MLB4000000001", 200, ITEM), ("MLB9", 404, gone)]
    assert list(parsing.multiget_rows(old)) == [("MLB4000000001", 200, ITEM), ("", 404, gone)]


def test_a_multiget_row_that_names_no_status_counts_as_answered() -> None:
    assert list(parsing.multiget_rows([{"body": ITEM}])) == [("MLB4000000001", 200, ITEM)]


def test_a_multiget_that_is_no_list_is_refused() -> None:
    with pytest.raises(ChannelError, match="multiget"):
        list(parsing.multiget_rows({"message": "x"}))


# --- Shipments -----------------------------------------------------------------------------------------------------

NEW_SHIPMENT = {
    "id": 47000000001,
    "status": "shipped",
    "substatus": "out_for_delivery",
    "logistic": {"mode": "me2", "type": "cross_docking", "direction": "forward"},
    "destination": {"shipping_address": None},
}
OLD_SHIPMENT = {
    "id": 47000000001,
    "mode": "me1",
    "logistic_type": "default",
    "status": "shipped",
    "order_id": 2000009911223344,
    "status_history": {"date_shipped": "2026-09-01T10:00:00.000-04:00", "date_delivered": None},
}


@pytest.mark.parametrize("raw", [NEW_SHIPMENT, OLD_SHIPMENT], ids=["new", "old"])
def test_a_shipment_is_read_in_either_format(raw: dict[str, Any]) -> None:
    parcel = parsing.shipment({**raw, "status": "Delivered"})
    assert (parcel.external_id, parcel.status) == (str(raw["id"]), "delivered")
    assert parcel.logistic_type


@pytest.mark.parametrize(
    "raw", [None, [], "<html>", {}, {"id": 1, "status": None}, {"id": 1, "status": 7}, {"id": 1, "status": " "}]
)
def test_a_shipment_without_a_status_says_nothing_either_way(raw: object) -> None:
    with pytest.raises(ChannelError, match="has no usable") as caught:
        parsing.shipment(raw)
    assert (caught.value.code, caught.value.permanent) == ("unreadable_answer", False)


# --- Stock ---------------------------------------------------------------------------------------------------------


def test_a_stock_answer_is_what_the_answer_shows() -> None:
    assert parsing.stock_answer(ITEM, variation_id="", http_status=200) == StockAnswer(7, "active", 200)
    assert parsing.stock_answer(LEGACY_ITEM, variation_id="180000000002", http_status=200).quantity == 7


@pytest.mark.parametrize(
    "raw", [None, [], {}, {"available_quantity": None}, {**LEGACY_ITEM, "variations": []}, "<html>"]
)
def test_a_stock_answer_that_does_not_show_the_number_says_so(raw: object) -> None:
    assert parsing.stock_answer(raw, variation_id="180000000001", http_status=200).quantity is None


def test_a_variation_is_written_together_with_all_its_sisters() -> None:
    assert parsing.variation_quantities(LEGACY_ITEM, variation_id="180000000001", quantity=3) == [
        {"id": 180000000001, "available_quantity": 3},
        {"id": 180000000002, "available_quantity": 7},
    ]


def test_a_sister_whose_number_cannot_be_read_is_named_without_one() -> None:
    item = copy.deepcopy(LEGACY_ITEM)
    del item["variations"][1]["available_quantity"]
    entries = parsing.variation_quantities(item, variation_id="180000000001", quantity=3)
    assert entries == [{"id": 180000000001, "available_quantity": 3}, {"id": 180000000002}]


def test_a_sister_without_an_id_stops_the_write_for_it_would_be_created_anew() -> None:
    item = copy.deepcopy(LEGACY_ITEM)
    del item["variations"][1]["id"]
    with pytest.raises(ChannelError, match="variation 2"):
        parsing.variation_quantities(item, variation_id="180000000001", quantity=3)


@pytest.mark.parametrize("variations", [None, [], LEGACY_ITEM["variations"]])
def test_a_variation_that_is_gone_is_not_written(variations: object) -> None:
    item = {**LEGACY_ITEM, "variations": variations}
    assert parsing.variation_quantities(item, variation_id="999", quantity=3) is None


def test_an_account_needs_only_its_id() -> None:
    read = parsing.account({"id": 123456789, "nickname": "LOJA", "site_id": "MLB", "tags": ["user_product_seller"]})
    assert (read.user_id, read.nickname, read.site_id, read.tags) == (
        "123456789",
        "LOJA",
        "MLB",
        ("user_product_seller",),
    )
    assert parsing.account({"id": "123456789"}).user_id == "123456789"
    with pytest.raises(ChannelError, match="id"):
        parsing.account({"nickname": "LOJA"})


# --- Notifications -------------------------------------------------------------------------------------------------

NOTIFICATION: dict[str, Any] = {
    "_id": "0b6b6c1c-7d0a-4a53-9a39-000000000001",
    "resource": "/orders/2000009911223344",
    "user_id": 123456789,
    "topic": "orders_v2",
    "application_id": 5500000000000001,
    "attempts": 1,
    "sent": "2026-09-01T14:00:03.006Z",
    "received": "2026-09-01T14:00:02.984Z",
}


def body(**changes: object) -> bytes:
    document = {**NOTIFICATION, **changes}
    return json.dumps({key: value for key, value in document.items() if value is not ...}).encode()


def test_a_notification_is_understood() -> None:
    notice = parsing.read_notice(body())
    assert (notice.topic, notice.resource) == ("orders_v2", "/orders/2000009911223344")
    assert (notice.resource_kind, notice.resource_id) == ("orders", "2000009911223344")
    assert (notice.user_id, notice.application_id) == ("123456789", "5500000000000001")
    assert notice.sent_at == datetime(2026, 9, 1, 14, 0, 3, 6000, tzinfo=UTC)
    assert notice.delivery_key == NOTIFICATION["_id"]


@pytest.mark.parametrize(
    ("resource", "kind", "identifier"),
    [
        ("orders/1", "orders", "1"),
        ("/items/MLB4000000001", "items", "MLB4000000001"),
        ("/user-products/MLBU1/stock", "user-products", "MLBU1"),
        ("/shipments/47000000001", "shipments", "47000000001"),
        ("/collections/1", "collections", "1"),
    ],
)
def test_a_resource_on_the_list_may_be_read(resource: str, kind: str, identifier: str) -> None:
    notice = parsing.read_notice(body(resource=resource))
    assert (notice.resource_kind, notice.resource_id) == (kind, identifier)


@pytest.mark.parametrize(
    "resource",
    [
        "http://169.254.169.254/latest/meta-data",
        "//evil.example/orders/1",
        "/orders/../users/me",
        "/orders/1?access_token=x",
        "/orders/1#x",
        "/orders/1/stock",
        "/orders/1\n/x",
        "/orders/1/x",
        "/orders/",
        "/orders/٣",
        "/orders/" + "1" * 65,
        "/items/MLB1/price_to_win",
        "/sites/MLB/user-products-families/1",
        "3f6da1e35ac84f70a24af7360d24c7bc",
        "/users/1",
    ],
)
def test_any_other_resource_is_not_passed_on(resource: str) -> None:
    notice = parsing.read_notice(body(resource=resource))
    assert (notice.resource, notice.resource_kind, notice.resource_id) == ("", "", "")


def test_unknown_topics_are_understood_for_people_switch_them_on() -> None:
    assert parsing.read_notice(body(topic="marketplace_moon_landings")).topic == "marketplace_moon_landings"


def test_quirks_of_the_printed_examples_are_accepted() -> None:
    notice = parsing.read_notice(
        body(_id=..., id="aaa123", user_id="123456789", actions=["created"], application_id=...)
    )
    assert (notice.delivery_key, notice.user_id, notice.application_id) == ("aaa123", "123456789", "")


def test_an_id_of_an_unforeseen_shape_is_still_a_key() -> None:
    first, second = (parsing.read_notice(body(_id=one)).delivery_key for one in ("a:b/c", "a:b/d"))
    assert first != second
    assert len(first) == 64


def test_without_an_id_one_sending_has_one_key_and_the_next_another() -> None:
    def key(**changes: object) -> str:
        return parsing.read_notice(body(_id=..., **changes)).delivery_key

    assert key() == key(attempts=2, received="2026-09-01T15:00:00Z")
    others = {key(sent="2026-09-01T14:00:04Z"), key(topic="items"), key(user_id=1), key(resource="/orders/2")}
    assert len(others | {key()}) == 5


def test_without_id_and_time_nothing_is_taken_for_a_repetition() -> None:
    one, another = (parsing.read_notice(body(_id=..., sent=...)) for _ in range(2))
    assert one.delivery_key != another.delivery_key


POISON = {
    "empty": b"",
    "not JSON": b"{",
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "latin-1": '{"topic":"ação"}'.encode("latin-1"),
    "UTF-16": json.dumps(NOTIFICATION).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + body(),
    "nested 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "brackets 30,000 deep": b"[" * 30_000,
    "nested 33 deep": body(extra=json.loads("[" * 32 + "]" * 32)),
    "NaN": body(extra=float("nan")),
    "Infinity": body(extra=float("inf")),
    "a float that overflows": body()[:-1] + b',"extra":1e400}',
    "an exponent of 130,000": body()[:-1] + b',"extra":1e130000}',
    "an integer of 5,000 digits": body()[:-1] + b',"extra":' + b"9" * 5000 + b"}",
    "an integer of 40 digits": body()[:-1] + b',"extra":' + b"9" * 40 + b"}",
    "a NUL": body(extra="\x00"),
    "a NUL in a key": body(**{"\x00": 1}),
    "a lone surrogate": body()[:-1] + b',"extra":"\\ud800"}',
    "70 kB": body(extra="x" * 70_000),
    "no topic": body(topic=...),
    "an empty topic": body(topic=" "),
    "a topic that is a number": body(topic=7),
    "a topic of 65 letters": body(topic="x" * 65),
    "no resource": body(resource=None),
    "a resource that is an object": body(resource={"id": 1}),
    "no user": body(user_id=...),
    "a user that is true": body(user_id=True),
    "a user that is zero": body(user_id=0),
    "a negative user": body(user_id=-1),
    "a user that is a float": body(user_id=1.5),
    "a user that is a path": body(user_id="../1"),
    "an application that is a list": body(application_id=[]),
    "an id that is an object": body(_id={}),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_poison_is_refused_with_a_reason_and_nothing_else(poison: bytes) -> None:
    with pytest.raises(Poison) as caught:
        parsing.read_notice(poison)
    assert str(caught.value)


def test_nesting_up_to_the_limit_is_no_poison() -> None:
    assert parsing.read_notice(body(extra=json.loads("[" * 31 + "]" * 31))).topic == "orders_v2"


# --- Anything at all -----------------------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
READERS: tuple[Callable[[Any], object], ...] = (
    parsing.account,
    parsing.order,
    parsing.listings,
    parsing.shipment,
    parsing.buyer,
    parsing.order_ids,
    parsing.own_units,
    lambda raw: list(parsing.multiget_rows(raw)),
    lambda raw: parsing.stock_answer(raw, variation_id="1", http_status=200),
    lambda raw: parsing.variation_quantities(raw, variation_id="1", quantity=1),
)


def _read_by_all(raw: object) -> None:
    for reader in READERS:
        try:
            reader(copy.deepcopy(raw))
        except ChannelError as error:
            assert error.code == "unreadable_answer"  # noqa: PT017  any other exception fails the test by itself


def _mutations(document: Any, value: object) -> Iterator[Any]:
    """Yield copies of the document with one value each replaced, at every depth."""
    parts = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, part in list(parts):
        for mutated in (value, *_mutations(part, value)):
            changed = copy.copy(document)
            changed[key] = mutated
            yield changed


@pytest.mark.parametrize(
    ("locations", "units"),
    [
        ([{"type": "meli_facility", "quantity": 7}, {"type": "seller_warehouse", "quantity": 3}], 3),
        ([{"type": "seller_warehouse", "quantity": "2"}, {"type": "seller_warehouse", "quantity": 0}], 2),
        ([{"type": "selling_address", "quantity": 0}], 0),
        ([{"type": "meli_facility", "quantity": 7}], None),
        ([], None),
    ],
)
def test_only_the_sellers_own_places_count(locations: list[object], units: int | None) -> None:
    assert parsing.own_units({"locations": locations}) == units


@given(ANY_JSON)
def test_one_wrong_value_anywhere_never_raises_anything_else(value: object) -> None:
    for document in (ORDER, ITEM, LEGACY_ITEM, [{"id": "MLB1", "status_code": 200, "body": {"id": "MLB1"}}]):
        for mutated in _mutations(document, value):
            _read_by_all(mutated)


@given(st.binary(max_size=200) | ANY_JSON.map(lambda raw: json.dumps(raw).encode()))
def test_any_bytes_are_a_notice_or_poison(raw: bytes) -> None:
    try:
        parsing.read_notice(raw)
    except Poison as poison:
        assert str(poison)  # noqa: PT017


@given(ANY_JSON)
def test_one_wrong_value_in_a_notification_is_a_notice_or_poison(value: object) -> None:
    for mutated in _mutations(NOTIFICATION, value):
        try:
            assert len(parsing.read_notice(json.dumps(mutated).encode()).delivery_key) <= 64
        except Poison as poison:
            assert str(poison)  # noqa: PT017


@given(st.binary(max_size=300))
def test_any_bytes_are_a_label_or_none(raw: bytes) -> None:
    for content in (raw, b"PK\x03\x04" + raw):
        found = parsing.label(content)
        assert found is None or found.format in ("PDF", "ZPL")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"%PDF-1.4", "PDF"),
        (b"^XA^FO40,40^FDhello^FS^XZ", "ZPL"),
        (b"", None),
        (b"<html>", None),
        (b"PK broken", None),
    ],
)
def test_a_label_is_known_by_its_first_bytes(content: bytes, expected: str | None) -> None:
    found = parsing.label(content)
    assert (found and found.format) == expected


def test_a_label_that_unfolds_to_more_than_a_label_is_none() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("label.pdf", b"%PDF" + bytes(parsing.LABEL_BYTES_MAX))
    assert parsing.label(packed.getvalue()) is None


PAYLOADS = os.environ.get("SALDO_CONTRACT_PAYLOADS", "")


@pytest.mark.skipif(not PAYLOADS, reason="SALDO_CONTRACT_PAYLOADS names no folder of captured answers")
def test_captured_answers_never_raise_anything_else() -> None:
    files = sorted(Path(PAYLOADS).glob("*.json"))
    assert files
    for file in files:
        _read_by_all(json.loads(file.read_bytes()))
        try:
            parsing.read_notice(file.read_bytes())
        except Poison as poison:
            assert not file.name.startswith("notification_"), f"{file.name}: {poison}"  # noqa: PT017


# --- what no notification told --------------------------------------------------------------------------------------

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_row_of_a_search_that_cannot_be_read_keeps_its_place() -> None:
    page = parsing.order_page(
        {
            "results": [
                {"id": 2000000000000001, "status": "Paid", "last_updated": "2026-11-22T08:00:00.000-04:00"},
                {"status": "paid"},
                None,
            ],
            "paging": {"total": 7, "offset": 0, "limit": 50},
        },
        reach=100,
    )
    assert [order.external_id for order in page.orders] == ["2000000000000001", "", ""]
    first = page.orders[0]
    assert (first.status, first.updated_at, first.touched_at) == ("paid", NOON, NOON)
    assert (page.total, page.reach) == (7, 100)


def test_a_search_goes_by_a_time_of_its_own() -> None:
    row = {
        "id": 1,
        "status": "paid",
        "last_updated": "2026-11-22T08:00:00.000-04:00",
        "date_last_updated": "2026-11-22T12:05:00Z",
    }
    [order] = parsing.order_page({"results": [row], "paging": {"total": 1}}, reach=100).orders
    assert (order.updated_at, order.touched_at) == (NOON, NOON + timedelta(minutes=5))


@pytest.mark.parametrize("answer", [None, [], {}, {"results": []}, {"results": [], "paging": {"total": "many"}}])
def test_a_search_without_rows_or_total_is_refused(answer: object) -> None:
    with pytest.raises(ChannelError) as caught:
        parsing.order_page(answer, reach=100)
    assert (caught.value.code, caught.value.permanent) == ("unreadable_answer", False)


def test_a_missed_notification_is_recognised_each_time_it_comes_again() -> None:
    row = {
        "resource": "/orders/2000000000000001",
        "user_id": 1,
        "topic": "orders_v2",
        "application_id": 7,
        "attempts": 8,
        "request": {"url": "https://hub.example.com", "data": "{}"},
        "response": {"http_code": 500, "body": "no"},
    }
    [kept] = parsing.missed_rows({"messages": [row]})
    first, again = (parsing.read_notice(parsing.missed_notice(kept)) for _ in range(2))
    assert first == again  # it has neither an id nor a time
    named = parsing.missed_notice({**row, "_id": "abc"})
    assert parsing.read_notice(named).delivery_key == "abc"
    assert b"response" not in named


@pytest.mark.parametrize("answer", [None, [], {}, {"messages": None}])
def test_a_list_of_missed_ones_that_is_none_is_refused(answer: object) -> None:
    with pytest.raises(ChannelError) as caught:
        parsing.missed_rows(answer)
    assert caught.value.code == "unreadable_answer"
