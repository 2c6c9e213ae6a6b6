"""Listings: read, multiget, search, scan, and the PUT with all its refusals (contract §5.1 to §5.4)."""

from __future__ import annotations

import re
import secrets
import unicodedata
from bisect import bisect_right
from typing import NoReturn

from .call import Answer, Call, Doc, Json, refusal, refuse, refuse_validation
from .clock import now_seconds, zulu
from .marketplace import Marketplace, caller, must_be_caller, refuse_foreign
from .stock import MAX_QUANTITY, is_full, set_available, touch_item, variation_of

MULTIGET_MAX = 20
PAGE_MAX = 100
OFFSET_MAX = 1000
SCROLL_LIFE_SECONDS = 300
BANDS = (0, 1, 50, 100, 150, 200, 250, 500, 5000, 50000)
"""What others see of a quantity (contract §5.1)."""
WRITABLE = frozenset(
    {"available_quantity", "variations", "status", "price", "deleted", "title", "seller_custom_field", "attributes"}
)
SORTS: dict[str, tuple[str, bool]] = {
    "start_time_asc": ("date_created", False),
    "start_time_desc": ("date_created", True),
    "last_updated_asc": ("last_updated", False),
    "last_updated_desc": ("last_updated", True),
    "available_quantity_asc": ("available_quantity", False),
    "available_quantity_desc": ("available_quantity", True),
    "price_asc": ("price", False),
    "price_desc": ("price", True),
}


# --- read ----------------------------------------------------------------------------------------------------------


def get_item(market: Marketplace, call: Call, item_id: str) -> Answer:
    """``GET /items/{id}``; ``attributes=`` chooses fields, ``include_attributes=all`` fills the variations'."""
    with market.state.lock:
        body = _found(market, call, item_id)
    return Answer(200, select(body, call.query.get("attributes", "")))


def get_items_old(market: Marketplace, call: Call) -> Answer:
    """``GET /items?ids=``: rows of ``{code, body}``, errors inside a 200 (contract §5.1, the old form)."""
    rows = []
    with market.state.lock:
        for item_id in _ids(call):
            status, body = _row(market, call, item_id)
            chosen = select(body, call.query.get("attributes", "")) if status == 200 else body
            rows.append({"code": status, "body": chosen})
    return Answer(200, rows)


def get_items_bulk(market: Marketplace, call: Call) -> Answer:
    """``GET /items/bulk?ids=``: rows of ``{id, status_code, body}``; ``attributes`` wants the ``body.`` prefix."""
    wanted = [name for name in call.query.get("attributes", "").split(",") if name]
    inner = ",".join(name[5:] for name in wanted if name.startswith("body."))
    rows = []
    with market.state.lock:
        for item_id in _ids(call):
            status, body = _row(market, call, item_id)
            row: Doc = {"id": item_id, "status_code": status}
            if status != 200 or not wanted or "body" in wanted:
                row["body"] = body
            elif inner:
                row["body"] = select(body, inner)
            rows.append(row)
    return Answer(200, rows)


def get_variations(market: Marketplace, call: Call, item_id: str) -> Answer:
    """``GET /items/{id}/variations``: each with its ``attributes``, where the SKU sits."""
    with market.state.lock:
        item = own_item(market, call, item_id)
        return Answer(200, [_variation(item, variation, True) for variation in item["variations"]])


def get_variation(market: Marketplace, call: Call, item_id: str, variation_id: str) -> Answer:
    """``GET /items/{id}/variations/{variation}``."""
    with market.state.lock:
        item = own_item(market, call, item_id)
        variation = variation_of(item, int(variation_id))
        if variation is None:
            refuse(404, "not_found", f"Variation {variation_id} of item {item_id} not found")
        return Answer(200, _variation(item, variation, True))


def get_migration(market: Marketplace, call: Call, item_id: str) -> Answer:
    """``GET /items/{id}/migration_live_listing``: the items that took the place of a migrated one (contract §5.5)."""
    with market.state.lock:
        item = own_item(market, call, item_id)
        if not item.get("migrated_to"):
            refuse(404, "not_found", f"Item {item_id} has no migration")
        return Answer(200, {"item_id": item_id, "new_items": item["migrated_to"]})


def get_fulfillment_stock(market: Marketplace, call: Call, inventory_id: str) -> Answer:
    """``GET /inventories/{id}/stock/fulfillment`` (contract §5.7)."""
    with market.state.lock:
        for item_id in market.state.items_of.get(caller(call), []):
            item = market.state.tables["item"][item_id]
            if item["inventory_id"] == inventory_id:
                quantity = item["available_quantity"]
                body = {
                    "inventory_id": inventory_id,
                    "total": quantity,
                    "available_quantity": quantity,
                    "not_available_quantity": 0,
                    "not_available_detail": [],
                    "external_references": [{"type": "item", "id": item_id, "variation_id": None}],
                }
                return Answer(200, body)
    raise refusal(404, "seller_product_not_found", f"seller_product {inventory_id} not found")


def select(body: Doc, attributes: str) -> Doc:
    """The fields named in ``attributes`` (comma separated), or all."""
    names = [name for name in attributes.split(",") if name]
    return {name: body[name] for name in names if name in body} if names else body


def own_item(market: Marketplace, call: Call, item_id: str) -> Doc:
    """A listing of the caller.

    Raises: Refusal 404 when unknown, 403 when another seller's.
    """
    item = market.state.get("item", item_id)
    if item is None:
        refuse(404, "not_found", f"Item with id {item_id} not found")
    if item["user_id"] != call.user_id:
        refuse_foreign()
    return item


def _found(market: Marketplace, call: Call, item_id: str) -> Doc:
    status, body = _row(market, call, item_id)
    if status != 200:
        refuse(status, body["error"], body["message"])
    return body


def _row(market: Marketplace, call: Call, item_id: str) -> tuple[int, Doc]:
    item = market.state.get("item", item_id)
    if item is None:
        message = f"Item with id {item_id} not found"
        return 404, {"message": message, "error": "not_found", "status": 404, "cause": []}
    everything = call.query.get("include_attributes") == "all"
    return 200, render(item, owner=item["user_id"] == call.user_id, everything=everything)


def _ids(call: Call) -> list[str]:
    ids = [item_id.strip() for item_id in call.query.get("ids", "").split(",") if item_id.strip()]
    if not ids:
        refuse(400, "bad_request", "ids is a required parameter")
    if len(ids) > MULTIGET_MAX:
        refuse(400, "bad_request", f"The maximum number of ids is {MULTIGET_MAX}")
    return ids


def render(item: Doc, *, owner: bool, everything: bool = False) -> Doc:
    """A listing as the API shows it; to strangers with a band for the quantity and without the SKU."""
    quantity = item["available_quantity"]
    digits = item["id"][3:]
    return {
        "id": item["id"],
        "site_id": item["id"][:3],
        "title": item["title"],
        "family_name": item["family_name"],
        "family_id": item["family_id"],
        "seller_id": item["user_id"],
        "category_id": item["category_id"],
        "user_product_id": item["user_product_id"],
        "official_store_id": None,
        "price": item["price"],
        "base_price": item["price"],
        "original_price": None,
        "inventory_id": item["inventory_id"],
        "currency_id": "BRL",
        "initial_quantity": item["initial_quantity"],
        "available_quantity": quantity if owner else BANDS[bisect_right(BANDS, quantity) - 1],
        "sold_quantity": item["sold_quantity"],
        "sale_terms": [],
        "buying_mode": "buy_it_now",
        "listing_type_id": item["listing_type_id"],
        "start_time": zulu(item["date_created"]),
        "stop_time": zulu(item["date_created"] + 20 * 365 * 86400),
        "condition": item["condition"],
        "permalink": f"https://produto.mercadolivre.com.br/MLB-{digits}-{_slug(item['title'])}-_JM",
        "thumbnail": "",
        "pictures": [],
        "accepts_mercadopago": True,
        "shipping": {
            "mode": "me2",
            "methods": [],
            "tags": ["self_service_in"] if item.get("flex") else [],
            "dimensions": None,
            "local_pick_up": False,
            "free_shipping": False,
            "logistic_type": item["logistic_type"],
            "store_pick_up": False,
        },
        "attributes": _attributes(item, owner),
        "variations": [_variation(item, variation, everything, owner) for variation in item["variations"]],
        "status": item["status"],
        "sub_status": list(item["sub_status"]),
        "tags": list(item["tags"]),
        "warranty": None,
        "catalog_product_id": None,
        "catalog_listing": False,
        "domain_id": None,
        "seller_custom_field": item["seller_custom_field"] if owner else None,
        "channels": ["marketplace"],
        "bundle": item.get("bundle"),
        "date_created": zulu(item["date_created"]),
        "last_updated": zulu(item["last_updated"]),
        "health": None,
    }


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def attribute(attribute_id: str, name: str, value: str, value_id: str | None = None) -> Doc:
    """One attribute as items and user products carry it."""
    return {
        "id": attribute_id,
        "name": name,
        "value_id": value_id,
        "value_name": value,
        "values": [{"id": value_id, "name": value, "struct": None}],
        "value_type": "string",
    }


def _attributes(item: Doc, owner: bool) -> list[Doc]:
    used = item["condition"] != "new"
    shown = [
        attribute("ITEM_CONDITION", "Condição do item", "Usado" if used else "Novo", "2230581" if used else "2230284")
    ]
    shown.append(attribute("BRAND", "Marca", "Genérica"))
    if item["gtin"] and not item["variations"]:
        shown.append(attribute("GTIN", "Código universal de produto", item["gtin"]))
    if item["seller_sku"] and not item["variations"] and owner:
        shown.append(attribute("SELLER_SKU", "SKU", item["seller_sku"]))
    return shown


def _variation(item: Doc, variation: Doc, everything: bool, owner: bool = True) -> Doc:
    body: Doc = {
        "id": variation["id"],
        "price": item["price"],
        "attribute_combinations": variation["attribute_combinations"],
        "available_quantity": variation["available_quantity"],
        "sold_quantity": variation["sold_quantity"],
        "sale_terms": [],
        "picture_ids": [],
        "seller_custom_field": None,
        "catalog_product_id": None,
        "inventory_id": None,
        "user_product_id": None,
    }
    if everything:
        body["attributes"] = []
        if variation["seller_sku"] and owner:
            body["attributes"].append(attribute("SELLER_SKU", "SKU", variation["seller_sku"]))
        if variation["gtin"]:
            body["attributes"].append(attribute("GTIN", "Código universal de produto", variation["gtin"]))
    return body


# --- search --------------------------------------------------------------------------------------------------------


def get_search(market: Marketplace, call: Call, user_id: str) -> Answer:
    """``GET /users/{id}/items/search``: ids only; by offset up to 1000, or ``search_type=scan`` (contract §5.1)."""
    must_be_caller(call, int(user_id))
    limit = call.number("limit", 50)
    if limit > PAGE_MAX:
        refuse(400, "bad_request", f"The limit must be at most {PAGE_MAX}")
    with market.state.lock:
        if call.query.get("search_type") == "scan":
            return _scan(market, call, int(user_id), limit)
        offset = call.number("offset", 0)
        if offset > OFFSET_MAX:
            refuse(400, "bad_request", f"Invalid offset: the maximum is {OFFSET_MAX}, use search_type=scan")
        found = _matching(market, call, int(user_id))
        order = call.query.get("orders", "")
        if order in SORTS:
            field, descending = SORTS[order]
            items = market.state.tables["item"]
            found = sorted(found, key=lambda item_id: items[item_id][field], reverse=descending)
        return Answer(200, _envelope(user_id, found[offset : offset + limit], limit, offset, len(found), order))


def _envelope(user_id: str, page: list[str], limit: int, offset: int, total: int, order: str) -> Doc:
    return {
        "seller_id": user_id,
        "query": None,
        "paging": {"limit": limit, "offset": offset, "total": total},
        "results": page,
        "orders": [{"id": order or "stop_time_asc", "name": order or "Order by stop time ascending"}],
        "available_orders": [{"id": name, "name": name} for name in SORTS],
    }


def _scan(market: Marketplace, call: Call, user_id: int, limit: int) -> Answer:
    """One page of a scan. Its place moves on at each call, so a page that was lost is not given again."""
    if call.query.get("offset"):
        refuse(400, "bad_request", "offset is not allowed with search_type=scan")
    _forget_old_scrolls(market)
    scroll_id = call.query.get("scroll_id", "")
    if scroll_id:
        scroll = market.scrolls.get(scroll_id)
        if scroll is None or scroll["user_id"] != user_id:
            refuse(400, "bad_request", "Invalid or expired scroll_id")
    else:
        scroll_id = secrets.token_urlsafe(48)
        scroll = {"user_id": user_id, "ids": list(_matching(market, call, user_id)), "place": 0}
        market.scrolls[scroll_id] = scroll
    page = scroll["ids"][scroll["place"] : scroll["place"] + limit]
    scroll["place"] += len(page)
    scroll["expires"] = now_seconds() + SCROLL_LIFE_SECONDS
    body = _envelope(str(user_id), page, limit, 0, len(scroll["ids"]), "")
    del body["paging"]["offset"]
    body["scroll_id"] = scroll_id if page else None
    if not page:
        del market.scrolls[scroll_id]
    return Answer(200, body)


def _forget_old_scrolls(market: Marketplace) -> None:
    now = now_seconds()
    for scroll_id in [one for one, scroll in market.scrolls.items() if scroll["expires"] <= now]:
        del market.scrolls[scroll_id]


def _matching(market: Marketplace, call: Call, user_id: int) -> list[str]:
    """Ids of the seller's listings that pass the filters of the query."""
    state = market.state
    items = state.tables["item"]
    query = call.query
    found: list[str] = state.items_of.get(user_id, [])
    if query.get("seller_sku"):
        wanted = query["seller_sku"].split(",")
        found = [item_id for sku in wanted for item_id in state.items_by_sku.get((user_id, sku), {})]
    if query.get("user_product_id"):
        products = [state.get("user_product", product_id) for product_id in query["user_product_id"].split(",")]
        of_products = [
            i for product in products if product and product["user_id"] == user_id for i in product["item_ids"]
        ]
        found = of_products if not query.get("seller_sku") else [i for i in found if i in set(of_products)]
    if query.get("sku"):
        found = [item_id for item_id in found if items[item_id]["seller_custom_field"] == query["sku"]]
    for name in ("status", "logistic_type", "listing_type_id"):
        if query.get(name):
            allowed = set(query[name].split(","))
            found = [item_id for item_id in found if items[item_id][name] in allowed]
    if query.get("sub_status"):
        allowed = set(query["sub_status"].split(","))
        found = [item_id for item_id in found if allowed & set(items[item_id]["sub_status"])]
    return found


# --- write ---------------------------------------------------------------------------------------------------------


def put_item(market: Marketplace, call: Call, item_id: str) -> Answer:
    """``PUT /items/{id}`` with quantity, variations, status, price (contract §5.4). Answers the whole listing."""
    body = call.json_object()
    with market.state.change():
        item = own_item(market, call, item_id)
        _check_fields(item, body)
        if not call.fault_is("lie"):
            _apply(market, call, item, body)
        answer = render(item, owner=True, everything=True)
        if "price" in body and item.get("price_automated"):
            answer["warnings"] = [_price_cause("warning")]
    if call.lie_echoes():
        _echo(answer, body)
    return Answer(200, answer)


def _check_fields(item: Doc, body: Doc) -> None:
    unknown = sorted(set(body) - WRITABLE)
    if unknown or not body:
        name = unknown[0] if unknown else ""
        refuse_validation(
            "body.invalid_fields", f"The fields [{name}] are invalid for requested call.", 100, [f"item.{name}"]
        )
    if item["status"] in ("closed", "under_review") and not (item["status"] == "closed" and set(body) == {"deleted"}):
        message = f"Item in status {item['status']} is not possible to modify."
        refuse_validation("item.status.not_modifiable", message, 319, ["item.status"])
    if set(body) == {"price"} and item.get("price_automated"):
        refuse(400, "validation_error", "Validation error", [_price_cause("error")])
    if "available_quantity" in body:
        _check_quantity(item, body["available_quantity"], "item.available_quantity")
    if "variations" in body:
        _check_variations(item, body["variations"])
    for name, kind in (("price", (int, float)), ("status", str), ("title", str), ("attributes", list)):
        if name in body and (not isinstance(body[name], kind) or isinstance(body[name], bool)):
            _refuse_type(f"item.{name}")

    if "status" in body:
        check_status(item, body["status"], _quantity_after(item, body))
    if "deleted" in body and (item["status"] != "closed" or str(body["deleted"]).lower() != "true"):
        refuse_validation("item.status.invalid", "Only a closed item can be deleted", 320, ["item.deleted"])


def _price_cause(kind: str) -> Doc:
    """An automated price refuses a price alone, and ignores one beside something else (contract §5.8)."""
    return {
        "department": "items",
        "cause_id": 502,
        "type": kind,
        "code": "item.price.not_modifiable",
        "references": ["item.price"],
        "message": "The price of this item is managed by an automation and cannot be modified.",
    }


def _quantity_after(item: Doc, body: Doc) -> Json:
    """Units on sale once ``body`` is applied."""
    if "variations" not in body:
        return body.get("available_quantity", item["available_quantity"])
    before = {variation["id"]: variation["available_quantity"] for variation in item["variations"]}
    return sum(one.get("available_quantity", before.get(one.get("id"), 0)) for one in body["variations"])


def _refuse_type(reference: str) -> NoReturn:
    message = f"The fields [{reference}] have an invalid type."
    refuse_validation("body.invalid_field_types", message, 101, [reference])


def _check_quantity(item: Doc, quantity: Json, reference: str) -> None:
    if is_full(item):
        message = "available_quantity is not modifiable: the stock of this item is managed by fulfillment."
        refuse_validation("item.available_quantity.not_modifiable", message, 342, [reference])
    if not isinstance(quantity, int) or isinstance(quantity, bool):
        _refuse_type(reference)
    if reference == "item.available_quantity" and item["variations"]:
        message = "The quantity of an item with variations is the sum of theirs: update each variation."
        refuse_validation("item.available_quantity.invalid", message, 111, [reference])
    if not 0 <= quantity <= MAX_QUANTITY:
        message = f"Available quantity must be between 0 and {MAX_QUANTITY}."
        refuse_validation("item.available_quantity.invalid", message, 111, [reference])
    if item["condition"] == "used" and quantity != 1:
        message = f"Available quantity max. value is 1 for category {item['category_id']}"
        refuse_validation("item.available_quantity.invalid", message, 111, [reference])


def _check_variations(item: Doc, variations: Json) -> None:
    if item["user_product_id"]:
        refuse_validation(
            "item.variations.invalid", "The field variations is invalid with family name", 373, ["item.variations"]
        )
    if not isinstance(variations, list) or not all(isinstance(one, dict) for one in variations):
        _refuse_type("item.variations")
    if not variations:
        refuse_validation("item.variations.invalid", "The variations must not be empty", 374, ["item.variations"])
    known = {variation["id"] for variation in item["variations"]}
    for number, asked in enumerate(variations):
        reference = f"item.variations[{number}]"
        if "available_quantity" in asked:
            _check_quantity(item, asked["available_quantity"], f"{reference}.available_quantity")
        if "id" in asked and asked["id"] not in known:
            message = f"Variation with id {asked['id']} does not belong to item {item['id']}"
            refuse_validation("item.variations.id.invalid", message, 375, [reference])


def _apply(market: Marketplace, call: Call, item: Doc, body: Doc) -> None:
    for name in ("price", "title", "seller_custom_field"):
        if name in body and not (name == "price" and item.get("price_automated")):
            call.applied.append({"item": item["id"], name: [item[name], body[name]]})
            item[name] = body[name]
    for one in body.get("attributes", []):
        if isinstance(one, dict) and one.get("id") == "SELLER_SKU":
            item["seller_sku"] = one.get("value_name")
    if "variations" in body:
        apply_variations(market, call, item, body["variations"])
    elif "available_quantity" in body and not _quantity_is_ignored(market, item):
        quantity = call.quantity_to_keep(body["available_quantity"])
        set_available(market, item, quantity, None, call.applied)
    elif set(body) - {"available_quantity"}:
        touch_item(market, item)
    if "status" in body:
        change_status(market, call, item, body["status"])
    if "deleted" in body:
        item["sub_status"] = ["deleted"]
        touch_item(market, item)
        call.applied.append({"item": item["id"], "deleted": True})


def _quantity_is_ignored(market: Marketplace, item: Doc) -> bool:
    """Multi-origin sellers: 200 and nothing changed (contract §5.3)."""
    return "warehouse_management" in market.account(item["user_id"])["tags"]


def apply_variations(market: Marketplace, call: Call, item: Doc, variations: list[Doc]) -> None:
    """What is listed is what is left: those not named are deleted, one without an id is new (contract §5.4)."""
    named = {asked["id"] for asked in variations if "id" in asked}
    for variation in [one for one in item["variations"] if one["id"] not in named]:
        item["variations"].remove(variation)
        call.applied.append(
            {
                "item": item["id"],
                "variation": variation["id"],
                "deleted": True,
                "available_quantity": [variation["available_quantity"], 0],
            }
        )
    for asked in variations:
        if "id" not in asked:
            created = new_variation(market, asked)
            item["variations"].append(created)
            call.applied.append(
                {
                    "item": item["id"],
                    "variation": created["id"],
                    "created": True,
                    "available_quantity": [0, created["available_quantity"]],
                }
            )
        elif "available_quantity" in asked:
            variation = variation_of(item, asked["id"])
            if variation is None:
                continue  # refused before
            before, after = variation["available_quantity"], call.quantity_to_keep(asked["available_quantity"])
            variation["available_quantity"] = after
            if before != after:
                call.applied.append(
                    {"item": item["id"], "variation": asked["id"], "available_quantity": [before, after]}
                )
    item["available_quantity"] = sum(variation["available_quantity"] for variation in item["variations"])
    touch_item(market, item)


def new_variation(market: Marketplace, asked: Doc) -> Doc:
    """A variation from what a PUT or the control asks for; its SKU may stand in ``attributes`` or ``seller_sku``."""
    attributes = {one.get("id"): one.get("value_name") for one in asked.get("attributes", [])}
    combinations = [
        {
            "id": one.get("id"),
            "name": one.get("name") or one.get("id"),
            "value_id": one.get("value_id"),
            "value_name": one.get("value_name"),
            "values": [{"id": one.get("value_id"), "name": one.get("value_name"), "struct": None}],
            "value_type": "string",
        }
        for one in asked.get("attribute_combinations", [])
    ]
    return {
        "id": int(asked.get("id") or market.state.next_number("variation", 180_000_000_001)),
        "seller_sku": asked.get("seller_sku") or attributes.get("SELLER_SKU"),
        "gtin": asked.get("gtin") or attributes.get("GTIN"),
        "available_quantity": asked.get("available_quantity", 0),
        "sold_quantity": 0,
        "attribute_combinations": combinations,
    }


def check_status(item: Doc, status: str, quantity: int) -> None:
    """Refuse a status that the seller may not ask for; ``quantity`` is what will be on sale then.

    Raises: Refusal 400 (contract §5.2, §5.4).
    """
    if status not in ("active", "paused", "closed"):
        refuse_validation("item.status.invalid", f"Item status {status} is not valid", 320, ["item.status"])
    if status == "active" and quantity <= 0:
        message = f"Item {item['id']} with available_quantity 0 is not possible to activate"
        refuse_validation("item.status.invalid", message, 320, ["item.status"])


def change_status(market: Marketplace, call: Call, item: Doc, status: str) -> None:
    """``active``, ``paused`` or ``closed``, as the seller asked and ``check_status`` let pass."""
    before = item["status"]
    item["status"] = status
    item["sub_status"] = {"paused": ["paused_by_seller"], "active": [], "closed": []}[status]
    touch_item(market, item)
    if before != status:
        call.applied.append({"item": item["id"], "status": [before, status]})


def _echo(answer: Doc, body: Doc) -> None:
    """Make a lying answer show the numbers that were asked for."""
    if "available_quantity" in body:
        answer["available_quantity"] = body["available_quantity"]
    asked = {one.get("id"): one for one in body.get("variations", [])}
    for variation in answer["variations"]:
        wanted = asked.get(variation["id"], {})
        variation["available_quantity"] = wanted.get("available_quantity", variation["available_quantity"])
