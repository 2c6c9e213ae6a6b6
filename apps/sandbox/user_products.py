"""User products and their stock by location, guarded by ``x-version`` (contract §5.5, §5.6)."""

from __future__ import annotations

from typing import NoReturn

from .call import Answer, Call, Doc, Json, refuse
from .clock import zulu
from .items import attribute
from .marketplace import Marketplace, refuse_foreign
from .stock import MAX_QUANTITY, show_product_stock

SITES_WITH_SELLING_ADDRESS = ("MLA", "MLC")
"""Where the stock at the seller's address may be written beside Full (contract §5.3)."""


def get_user_product(market: Marketplace, call: Call, product_id: str) -> Answer:
    """``GET /user-products/{id}``."""
    with market.state.lock:
        product = _own_product(market, call, product_id)
        item = market.state.tables["item"][product["item_ids"][0]]
        shown = [attribute("BRAND", "Marca", "Genérica")]
        if item["seller_sku"]:
            shown.append(attribute("SELLER_SKU", "SKU", item["seller_sku"]))
        body = {
            "id": product_id,
            "name": product["name"],
            "user_id": product["user_id"],
            "domain_id": None,
            "attributes": [{"id": one["id"], "name": one["name"], "values": one["values"]} for one in shown],
            "pictures": [],
            "thumbnail": None,
            "catalog_product_id": None,
            "family_id": product["family_id"],
            "tags": [],
            "date_created": zulu(item["date_created"])[:-1] + "+0000",
            "last_updated": zulu(product["last_updated"])[:-1] + "+0000",
        }
    return Answer(200, body)


def get_stock(market: Marketplace, call: Call, product_id: str) -> Answer:
    """``GET /user-products/{id}/stock``: locations, and the version in the ``x-version`` header."""
    with market.state.lock:
        product = _own_product(market, call, product_id)
        if not product["locations"]:
            refuse(404, "not_found", "stock-locations not found")
        return Answer(200, _body(product), {"x-version": str(product["version"])})


def put_seller_warehouse(market: Marketplace, call: Call, product_id: str) -> Answer:
    """``PUT …/stock/type/seller_warehouse``: the listed depots take the numbers; depots not listed keep theirs.

    Whether the list is the whole set is not documented (contract §5.6, §9.4), so a careful client sends all.
    """
    with market.state.change():
        product = _own_product(market, call, product_id)
        account = market.account(product["user_id"])
        if "warehouse_management" not in account["tags"]:
            _refuse_400("the seller does not have warehouse management")
        _check_version_sent(call)
        asked = call.json_object().get("locations")
        if not isinstance(asked, list) or not asked:
            _refuse_400("locations cannot be null or empty")
        _check_depots(account, asked)
        _check_version(call, product)
        if not call.fault_is("lie"):
            _set_depots(market, call, product, asked)
        body = {**_body(product), "product_release_date": None}
        version = str(product["version"])
    if call.lie_echoes():
        body["locations"] = [{**one, "type": "seller_warehouse"} for one in asked]
    return Answer(200, body, {"x-version": version})


def put_selling_address(market: Marketplace, call: Call, product_id: str) -> Answer:
    """``PUT …/stock/type/selling_address``: 204; the Brazilian site refuses it (contract §5.3)."""
    with market.state.change():
        product = _own_product(market, call, product_id)
        account = market.account(product["user_id"])
        _check_version_sent(call)
        if "warehouse_management" in account["tags"]:
            _refuse_400("seller with a single warehouse cannot update selling address stock")
        if account["site_id"] not in SITES_WITH_SELLING_ADDRESS:
            _refuse_400("the site is blocked for modifications to the selling address")
        types = {location["type"] for location in product["locations"]}
        if types == {"meli_facility"}:
            _refuse_400(
                "You cannot modify selling address stock if associated items are fulfillment only"
                " or no items are associated."
            )
        quantity = _quantity(call.json_object().get("quantity"))
        _check_version(call, product)
        if not call.fault_is("lie"):
            for location in product["locations"]:
                if location["type"] == "selling_address":
                    location["quantity"] = call.quantity_to_keep(quantity)
            show_product_stock(market, product, call.applied)
        version = str(product["version"])
    return Answer(204, None, {"x-version": version})


def _own_product(market: Marketplace, call: Call, product_id: str) -> Doc:
    product = market.state.get("user_product", product_id)
    if product is None:
        refuse(404, "not_found", f"user product {product_id} not found")
    if product["user_id"] != call.user_id:
        refuse_foreign()
    return product


def _refuse_400(message: str) -> NoReturn:
    refuse(400, "bad_request", message)


def _check_version_sent(call: Call) -> None:
    if not (call.headers.get("x-version") or "").strip():
        _refuse_400("Missing X-Version header")


def _check_version(call: Call, product: Doc) -> None:
    if (call.headers.get("x-version") or "").strip() != str(product["version"]):
        refuse(409, "conflict", "Version mismatch")


def _quantity(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_QUANTITY:
        _refuse_400(f"invalid quantity: it must be a whole number from 0 to {MAX_QUANTITY}")
    return value


def _check_depots(account: Doc, asked: list[Json]) -> None:
    stores = {store["id"]: store for store in account["stores"]}
    for one in asked:
        store_id = str(one.get("store_id") or "") if isinstance(one, dict) else ""
        if not store_id:
            _refuse_400("store cannot be null or empty")
        if store_id not in stores:
            _refuse_400(f"store not found: {store_id}")
        if "stock_location" not in stores[store_id]["tags"]:
            _refuse_400("store is not configured to be a stock location")
        _quantity(one.get("quantity"))
    if len(asked) > 1 and "multiwarehouse" not in account["tags"]:
        _refuse_400("seller with a single warehouse cannot update stock across multiple network nodes")


def _set_depots(market: Marketplace, call: Call, product: Doc, asked: list[Doc]) -> None:
    nodes = {store["id"]: store["network_node_id"] for store in market.account(product["user_id"])["stores"]}
    by_store = {one["store_id"]: one for one in product["locations"] if one["type"] == "seller_warehouse"}
    for one in asked:
        store_id = str(one["store_id"])
        quantity = call.quantity_to_keep(one["quantity"])
        if store_id in by_store:
            by_store[store_id]["quantity"] = quantity
        else:
            product["locations"].append(
                {
                    "type": "seller_warehouse",
                    "network_node_id": nodes[store_id],
                    "store_id": store_id,
                    "quantity": quantity,
                }
            )
    show_product_stock(market, product, call.applied)


def _body(product: Doc) -> Doc:
    return {
        "locations": [dict(location) for location in product["locations"]],
        "user_id": product["user_id"],
        "id": product["id"],
    }
