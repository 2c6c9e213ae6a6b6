"""Sales, packs, parcels and the search with its hour precision (contract §3, §4)."""

import io
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from apps.sandbox.client import ControlError


def test_a_sale_takes_stock_and_a_cancel_gives_it_back(shop) -> None:
    item_id = shop.item(available_quantity=5, seller_sku="A")
    sale = shop.control.sell(item_id, 5)
    assert sale["available_quantity"] == 0
    item = shop.get(f"/items/{item_id}").json
    assert (item["available_quantity"], item["sold_quantity"], item["sub_status"]) == (0, 5, ["out_of_stock"])
    shop.control.cancel(sale["order_id"])
    shop.control.cancel(sale["order_id"])
    item = shop.get(f"/items/{item_id}").json
    assert (item["available_quantity"], item["sold_quantity"], item["status"]) == (5, 0, "active")
    order = shop.get(f"/orders/{sale['order_id']}").json
    assert (order["status"], order["cancel_detail"]["group"]) == ("cancelled", "buyer")
    assert order["payments"][0]["status"] == "refunded"
    assert "paid" not in order["tags"]


def test_nothing_comes_back_once_the_parcel_left(shop) -> None:
    item_id = shop.item(available_quantity=5)
    sale = shop.control.sell(item_id, 2)
    shop.control.edit_order(sale["order_id"], shipment_status="shipped")
    shop.control.cancel(sale["order_id"])
    assert shop.shown(item_id) == 3


def test_an_unpaid_order_takes_stock_when_it_is_paid(shop) -> None:
    item_id = shop.item(available_quantity=5)
    sale = shop.control.sell(item_id, 2, status="payment_in_process")
    order = shop.get(f"/orders/{sale['order_id']}").json
    assert (order["date_closed"], shop.shown(item_id)) == (None, 5)
    shop.control.edit_order(sale["order_id"], status="paid")
    assert shop.shown(item_id) == 3
    assert shop.get(f"/orders/{sale['order_id']}").json["date_closed"]


def test_an_unpaid_order_that_is_cancelled_gives_nothing_back(shop) -> None:
    item_id = shop.item(available_quantity=5)
    sale = shop.control.sell(item_id, 2, status="payment_required")
    shop.control.cancel(sale["order_id"])
    assert shop.shown(item_id) == 5
    assert shop.get(f"/items/{item_id}").json["sold_quantity"] == 0


def test_more_than_there_is_cannot_be_sold(shop) -> None:
    item_id = shop.item(available_quantity=2)
    with pytest.raises(ControlError) as refused:
        shop.control.sell(item_id, 3)
    assert refused.value.status == 409
    assert refused.value.body["cause"] == [{"available_quantity": 2}]
    with pytest.raises(ControlError):
        shop.control.sell_cart([{"item_id": item_id, "quantity": 1}, {"item_id": item_id, "quantity": 2}])
    assert (shop.shown(item_id), shop.control.orders()) == (2, [])
    shop.control.sell(item_id, 3, force=True)
    assert shop.shown(item_id) == 0


def test_the_shape_of_an_order(shop) -> None:
    product = shop.item(seller_sku="UP-1", price=10.5)
    order = shop.get(f"/orders/{shop.control.sell(product, 2)['order_id']}").json
    line = order["order_items"][0]
    assert isinstance(order["id"], int)
    assert len(str(order["id"])) == 16
    assert (order["pack_id"], order["status"], order["total_amount"]) == (None, "paid", 21.0)
    assert (line["quantity"], line["unit_price"], line["stock"]) == (2, 10.5, None)
    assert (line["item"]["variation_id"], line["item"]["seller_sku"]) == (None, "UP-1")
    assert line["item"]["user_product_id"].startswith("MLBU")
    assert order["seller"] == {"id": shop.user_id}
    assert order["date_created"].endswith("-04:00")
    old = shop.item(variations=[{"seller_sku": "V-1", "available_quantity": 3}])
    variation_id = shop.get(f"/items/{old}/variations").json[0]["id"]
    sale = shop.control.sell(old, variation_id=variation_id)
    line = shop.get(f"/orders/{sale['order_id']}").json["order_items"][0]["item"]
    assert (line["variation_id"], line["user_product_id"], line["seller_sku"]) == (variation_id, None, "V-1")
    assert sale["available_quantity"] == 2


def test_orders_that_cannot_be_read(shop, make_shop) -> None:
    sale = shop.control.sell(shop.item(), pack=True)
    assert shop.get("/orders/abc").json["error"] == "invalid_order_id"
    missing = shop.get(f"/orders/{sale['pack_id']}")
    assert (missing.status, missing.json["error"], missing.json["cause"]) == (404, "order_not_found", "")
    assert shop.get(f"/packs/{sale['order_id']}").json["error"] == "pack_not_found"
    other = make_shop()
    assert other.get(f"/orders/{sale['order_id']}").json["error"] == "not_owned_order"
    assert other.get(f"/packs/{sale['pack_id']}").status == 403
    assert other.get(f"/shipments/{sale['shipment_id']}").status == 403
    assert other.get(f"/orders/search?seller={shop.user_id}").json["error"] == "caller.id.invalid"


def test_an_order_may_be_unreadable_soon_after_its_sale(shop) -> None:
    sale = shop.control.sell(shop.item(), visible_after_ms=60_000)
    assert shop.get(f"/orders/{sale['order_id']}").status == 404
    assert shop.get(f"/orders/search?seller={shop.user_id}").json["results"] == []
    shop.box.market.state.tables["order"][str(sale["order_id"])]["visible_at"] -= 61
    assert shop.get(f"/orders/{sale['order_id']}").status == 200


def test_a_partial_order(shop) -> None:
    sale = shop.control.sell(shop.item())
    shop.control.faults({"path": "^/orders/", "action": "partial", "times": 1})
    reply = shop.get(f"/orders/{sale['order_id']}")
    assert (reply.status, reply.headers["X-Content-Missing"], reply.json["buyer"]) == (206, "buyer, feedback", None)
    assert shop.get(f"/orders/{sale['order_id']}").json["buyer"]["id"]


def test_a_cart_is_a_pack_of_orders_with_one_parcel(shop) -> None:
    first, second = shop.item(seller_sku="A"), shop.item(seller_sku="B")
    sale = shop.control.sell_cart([{"item_id": first, "quantity": 2}, {"item_id": second}])
    pack = shop.get(f"/packs/{sale['pack_id']}").json
    assert [order["id"] for order in pack["orders"]] == sale["order_ids"]
    assert (pack["status"], pack["shipment"]["id"]) == ("released", sale["shipment_id"])
    assert pack["date_created"].endswith("-0400")
    rows = shop.get(f"/shipments/{sale['shipment_id']}/orders", X_New_Domain="true").json
    assert [row["order_id"] for row in rows] == [str(order_id) for order_id in sale["order_ids"]]
    assert shop.get(f"/orders/{sale['order_ids'][0]}").json["pack_id"] == sale["pack_id"]
    shop.control.cancel(sale["order_ids"][0])
    assert shop.get(f"/packs/{sale['pack_id']}").json["status"] == "released"
    shop.control.cancel(sale["order_ids"][1])
    assert shop.get(f"/packs/{sale['pack_id']}").json["status"] == "cancelled"
    assert shop.get(f"/shipments/{sale['shipment_id']}").json["status"] == "cancelled"
    assert (shop.shown(first), shop.shown(second)) == (10, 10)


def test_parcels_in_both_formats(shop) -> None:
    sale = shop.control.sell(shop.item())
    path = f"/shipments/{sale['shipment_id']}"
    new = shop.get(path, x_format_new="true").json
    assert (new["logistic"]["type"], new["substatus"]) == ("xd_drop_off", "invoice_pending")
    assert "order_id" not in new
    assert new["destination"]["shipping_address"]["zip_code"]
    old = shop.get(path).json
    assert (old["order_id"], old["logistic_type"]) == (sale["order_id"], "xd_drop_off")
    assert shop.get(f"/orders/{sale['order_id']}/shipments", X_New_Domain="true").json == [
        {"id": sale["shipment_id"], "type": "forward"}
    ]
    assert shop.get(f"/orders/{sale['order_id']}/shipments").json["id"] == sale["shipment_id"]
    assert shop.get(f"{path}/items").json[0]["quantity"] == 1
    assert shop.get(f"{path}/sla").json["status"] == "on_time"


def test_a_sale_to_agree_with_the_seller_has_no_parcel(shop) -> None:
    sale = shop.control.sell(shop.item(), shipment=False)
    order = shop.get(f"/orders/{sale['order_id']}").json
    assert (order["shipping"], "no_shipping" in order["tags"]) == ({"id": None}, True)
    assert shop.get(f"/orders/{sale['order_id']}/shipments", X_New_Domain="true").status == 204
    shop.control.cancel(sale["order_id"])


@pytest.mark.parametrize(("kind", "start"), [("pdf", b"%PDF"), ("zpl2", b"^XA")])
def test_a_label_comes_zipped_once_the_invoice_is_there(shop, kind: str, start: bytes) -> None:
    sale = shop.control.sell(shop.item())
    path = f"/shipment_labels?shipment_ids={sale['shipment_id']}&response_type={kind}"
    refused = shop.get(path)
    assert (refused.status, refused.json["failed_shipments"][0]["message"]) == (400, "invoice_pending")
    invoice = f"/shipments/{sale['shipment_id']}/invoice_data?siteId=MLB"
    assert shop.call("POST", invoice, {"nfe": 1}).status == 400
    assert shop.call("POST", invoice, b"<nfeProc/>", {"Content-Type": "application/xml"}).status == 201
    label = shop.get(path).raw
    assert label.startswith(b"PK")
    with zipfile.ZipFile(io.BytesIO(label)) as archive:
        assert archive.read(archive.namelist()[0]).startswith(start)
    assert shop.get(f"/shipments/{sale['shipment_id']}").json["substatus"] == "printed"


def test_billing_info_and_payment(shop, make_shop) -> None:
    sale = shop.control.sell(shop.item(), buyer={"first_name": "Zélia", "document_number": "00000000191"})
    order = shop.get(f"/orders/{sale['order_id']}").json
    path = f"/orders/billing-info/MLB/{order['buyer']['billing_info']['id']}"
    info = shop.get(path).json["buyer"]["billing_info"]
    assert (info["name"], info["identification"]) == ("Zélia", {"type": "CPF", "number": "00000000191"})
    assert make_shop().get(path).status == 404
    payment = shop.get(f"/collections/{order['payments'][0]['id']}").json
    assert payment["order_id"] == str(sale["order_id"])


def backdate(shop, order_id: int, at: datetime) -> None:
    """Make an order look made, closed and changed at an instant."""
    order = shop.box.market.state.tables["order"][str(order_id)]
    order["created"] = order["closed"] = order["updated"] = at.timestamp()


def test_the_search_cuts_dates_to_the_hour(shop) -> None:
    item_id = shop.item(available_quantity=10)
    early, late = (shop.control.sell(item_id)["order_id"] for _ in range(2))
    hour = datetime(2026, 8, 27, 10, tzinfo=UTC)
    backdate(shop, early, hour + timedelta(minutes=5))
    backdate(shop, late, hour + timedelta(minutes=55))

    def found(**bounds: datetime) -> list[int]:
        query = "".join(
            f"&order.date_last_updated.{name.strip('_')}={at.isoformat().replace('+', '%2B')}"
            for name, at in bounds.items()
        )
        rows = shop.get(f"/orders/search?seller={shop.user_id}{query}").json["results"]
        return [row["id"] for row in rows]

    half = hour + timedelta(minutes=30)
    assert found(from_=half) == [early, late]
    assert found(to=half) == []
    assert found(from_=half, to=hour + timedelta(hours=1)) == [early, late]
    assert found(from_=hour + timedelta(hours=1)) == []
    ignored = shop.get(f"/orders/search?seller={shop.user_id}&order.last_updated.from=2030-01-01T00:00:00Z").json
    assert ignored["paging"]["total"] == 2
    assert shop.get(f"/orders/search?seller={shop.user_id}&order.date_created.from=soon").status == 400


def test_search_sorts_pages_and_hides_the_cancelled(shop) -> None:
    item_id = shop.item(available_quantity=99)
    ids = [shop.control.sell(item_id)["order_id"] for _ in range(5)]
    start = datetime(2026, 8, 1, tzinfo=UTC)
    for number, order_id in enumerate(ids):
        backdate(shop, order_id, start + timedelta(hours=number))
    shop.control.cancel(ids[2])
    path = f"/orders/search?seller={shop.user_id}"
    whole = shop.get(path).json
    kept = [ids[0], ids[1], ids[3], ids[4]]
    assert [row["id"] for row in whole["results"]] == kept
    assert (whole["sort"]["id"], whole["paging"]) == ("date_asc", {"total": 4, "offset": 0, "limit": 50})
    row = whole["results"][0]
    assert row["date_last_updated"].endswith("Z")
    assert row["last_updated"].endswith("-04:00")
    newest = shop.get(f"{path}&sort=date_desc&limit=2&offset=1").json["results"]
    assert [row["id"] for row in newest] == [ids[3], ids[1]]
    cancelled = shop.get(f"{path}&order.status=cancelled,invalid").json["results"]
    assert [row["id"] for row in cancelled] == [ids[2]]
    assert shop.get(f"{path}&limit=500").json["paging"]["limit"] == 51
    assert shop.get(f"{path}&q={ids[1]}").json["paging"]["total"] == 1
    assert shop.get("/orders/search").status == 400


def test_tags_can_be_put(shop) -> None:
    sale = shop.control.sell(shop.item())
    shop.control.edit_order(sale["order_id"], tags=["paid", "fraud_risk_detected"])
    assert "fraud_risk_detected" in shop.get(f"/orders/{sale['order_id']}").json["tags"]
