"""The controls under ``/sandbox``: what a person, a test or the demo does to the marketplace.

JSON in and out. The write controls also take an HTML form, for the page; the server then answers with a redirect back
to it. Errors are ``{message, error, status, cause}`` with a message in Portuguese, because the page shows them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from typing import NoReturn

from . import selling
from .call import Answer, Call, Doc, Json, refuse
from .clock import now_seconds, set_ahead, zulu
from .faults import checked_fault
from .items import change_status, check_status, new_variation, render
from .marketplace import Marketplace
from .notifications import DEFAULT_POLICY
from .oauth import fresh_grant, grant_key, kill_tokens
from .orders import STATUSES, CannotSell, check_sale, save_order, sell, set_status
from .orders import render as render_order
from .shipments import set_shipment
from .stock import MAX_QUANTITY, set_available, touch_item, variation_of

DEFAULT_TOPICS = ["orders_v2", "items", "stock-locations", "shipments"]
ITEM_COUNT_MAX = 200_000
CLOCK_AHEAD_MAX_SECONDS = 400 * 24 * 3600
JOURNAL_PAGE_MAX = 10_000
LIST_MAX = 1_000
RATE_NAMES = ("per_minute", "burst", "retry_after", "user_product_stock_per_minute")


def _wrong(message: str, status: int = 400, **more: Json) -> NoReturn:
    refuse(
        status, {404: "not_found", 409: "conflict"}.get(status, "bad_request"), message, cause=[more] if more else None
    )


def asked(call: Call) -> Doc:
    """The fields sent, from JSON or from a form (where numbers and switches are read as such, blanks left out)."""
    if not call.is_form():
        return call.json_object() if call.body else {}
    fields: Doc = {}
    for name, text in call.form_pairs():
        if text.strip():
            fields[name] = _typed(text.strip())
    return fields


def _typed(text: str) -> Json:
    if text in ("true", "false"):
        return text == "true"
    if text.isdigit() and len(text) < 18 and (text == "0" or not text.startswith("0")):
        return int(text)
    return text


def _integer(fields: Doc, name: str, default: int | None, low: int, high: int) -> int:
    value = fields.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        _wrong(f"{name} precisa ser um número inteiro de {low} a {high}; recebi {value!r}.")
    return value


# --- state ---------------------------------------------------------------------------------------------------------


def get_state(market: Marketplace, call: Call) -> Answer:
    """``GET /sandbox/state``: everything needed to connect, and how many of each there are."""
    return Answer(200, state_body(market))


def state_body(market: Marketplace) -> Doc:
    """What ``/sandbox/state`` shows."""
    state = market.state
    with state.lock:
        counted = {
            f"{kind}s": len(state.tables[kind]) for kind in ("item", "user_product", "order", "pack", "shipment")
        }
        return {
            "applications": [dict(application) for application in state.tables["application"].values()],
            "accounts": [account_body(market, account) for account in state.tables["account"].values()],
            "counts": {
                **counted,
                "notifications_pending": len(state.tables["notification"]),
                "notifications_delivered": market.notifier.delivered,
                "notifications_dropped": market.notifier.dropped,
                "notifications_missed": len(state.tables["missed"]),
                "calls": market.journal.count(),
            },
            "notifications": market.notifier.policy(),
            "faults": market.faults.all(),
            "rate_limit": market.quota.policy(),
        }


def account_body(market: Marketplace, account: Doc) -> Doc:
    """An account with the refresh token that is good right now, or ``None``."""
    grant = market.state.get("grant", grant_key(account["client_id"], account["user_id"])) or {}
    return {
        "user_id": account["user_id"],
        "nickname": account["nickname"],
        "site_id": account["site_id"],
        "client_id": account["client_id"],
        "refresh_token": grant.get("refresh_token"),
        "tags": account["tags"],
        "stores": account["stores"],
        "operator": account["operator"],
    }


# --- applications and accounts -------------------------------------------------------------------------------------


def post_application(market: Marketplace, call: Call) -> Answer:
    """``POST /sandbox/applications``: create or change one; answers it whole."""
    fields = asked(call)
    client_id = str(fields.get("client_id") or secrets.randbelow(9 * 10**15) + 10**15)
    if not client_id.isdigit() or len(client_id) > 18:
        _wrong("client_id precisa ter só algarismos, até 18; deixe vazio para criar um.")
    _integer(fields, "expires_in", 21600, 1, 10**9)
    with market.state.change():
        application: Doc = market.state.get("application", client_id) or {
            "client_id": client_id,
            "client_secret": secrets.token_urlsafe(24),
            "name": "Aplicativo de teste",
            "notification_url": None,
            "redirect_uri": None,
            "pkce_required": False,
            "expires_in": 21600,
            "topics": list(DEFAULT_TOPICS),
            "max_requests_per_hour": 18000,
        }
        for name in application:
            if name in fields and name != "client_id":
                application[name] = str(fields[name]) if name == "client_secret" else fields[name]
        market.state.save("application", client_id, application)
        return Answer(200, dict(application))


def post_account(market: Marketplace, call: Call) -> Answer:
    """``POST /sandbox/accounts``: a seller with a fresh grant; a known ``user_id`` is changed."""
    fields = asked(call)
    with market.state.change():
        applications = market.state.tables["application"]
        client_id = str(fields.get("client_id") or next(iter(applications), ""))
        if client_id not in applications:
            _wrong("client_id desconhecido: crie antes o aplicativo em POST /sandbox/applications.")
        user_id = int(fields.get("user_id") or market.state.next_number("user", 1_100_000_001))
        known = market.state.get("account", user_id)
        account: Doc = known or {
            "user_id": user_id,
            "nickname": f"LOJA{user_id % 10000}",
            "site_id": "MLB",
            "client_id": client_id,
            "tags": ["normal", "user_product_seller", "test_user"],
            "stores": [],
            "operator": False,
            "created": now_seconds(),
        }
        for name in ("nickname", "site_id", "tags", "stores", "operator"):
            if name in fields:
                account[name] = fields[name]
        account["client_id"] = client_id
        if "stores" not in fields and "warehouse_management" in account["tags"] and not account["stores"]:
            account["stores"] = _default_stores(user_id, 2 if "multiwarehouse" in account["tags"] else 1)
        market.state.save("account", user_id, account)
        if known is None or grant_key(client_id, user_id) not in market.state.tables["grant"]:
            fresh_grant(market, client_id, user_id)
        return Answer(200, account_body(market, account))


def _default_stores(user_id: int, how_many: int) -> list[Doc]:
    return [
        {
            "id": str(user_id % 1_000_000 * 10 + number),
            "network_node_id": f"BRP{user_id % 1_000_000}{number}",
            "description": f"Depósito {number}",
            "tags": ["stock_location"],
        }
        for number in range(1, how_many + 1)
    ]


def _account(market: Marketplace, user_id: Json) -> Doc:
    account = market.state.get("account", str(user_id or ""))
    if account is None:
        _wrong(f"A conta {user_id} não existe: crie-a em POST /sandbox/accounts.", 404)
    return account


def post_grant(market: Marketplace, call: Call, user_id: str) -> Answer:
    """``POST /sandbox/accounts/{id}/grant``: as if the seller authorised again; the old refresh token dies."""
    fields = asked(call)
    with market.state.change():
        account = _account(market, user_id)
        client_id = str(fields.get("client_id") or account["client_id"])
        if market.state.get("application", client_id) is None:
            _wrong(f"O aplicativo {client_id} não existe.", 404)
        grant = fresh_grant(market, client_id, account["user_id"])
        return Answer(200, {**account_body(market, account), "refresh_token": grant["refresh_token"]})


def post_kill(market: Marketplace, call: Call) -> Answer:
    """``POST /sandbox/tokens/kill`` ``{user_id, kind}``: access, refresh or grant."""
    fields = asked(call)
    kind = fields.get("kind")
    if kind not in ("access", "refresh", "grant"):
        _wrong(f"kind precisa ser access, refresh ou grant; recebi {kind!r}.")
    with market.state.change():
        account = _account(market, fields.get("user_id"))
        grants = [
            grant
            for grant in market.state.tables["grant"].values()
            if grant["user_id"] == account["user_id"]
            and str(fields.get("client_id", grant["client_id"])) == grant["client_id"]
        ]
        for grant in grants:
            kill_tokens(market, grant, str(kind))
        return Answer(200, {"user_id": account["user_id"], "kind": kind, "grants": len(grants)})


# --- items ---------------------------------------------------------------------------------------------------------


def get_items(market: Marketplace, call: Call) -> Answer:
    """``GET /sandbox/items?user_id=&offset=&limit=``: listings as their seller sees them."""
    offset, limit = call.number("offset", 0), min(call.number("limit", 50), LIST_MAX)
    with market.state.lock:
        table = market.state.tables["item"]
        ids: Iterable[str] = table
        if call.query.get("user_id"):
            ids = market.state.items_of.get(call.number("user_id", 0), [])
        chosen = list(ids)
        page = [render(table[item_id], owner=True, everything=True) for item_id in chosen[offset : offset + limit]]
    return Answer(200, {"total": len(chosen), "results": page})


def post_items(market: Marketplace, call: Call) -> Answer:
    """``POST /sandbox/items``: a list of listings, or ``count`` like ones. Answers their ids."""
    fields = asked(call)
    if "count" in fields:
        specs = _many(fields)
    else:
        specs = fields["items"] if "items" in fields else [{k: v for k, v in fields.items() if k != "user_id"}]
    if not isinstance(specs, list) or not specs or not all(isinstance(spec, dict) for spec in specs):
        _wrong("items precisa ser uma lista de anúncios, ou informe count.")
    with market.state.change():
        account = _account(market, fields.get("user_id"))
        named = [spec["id"] for spec in specs if spec.get("id")]
        if len(named) != len(set(named)):
            _wrong("Há dois anúncios com o mesmo id na lista: deixe um só de cada.", 409)
        for spec in specs:
            _check_spec(market, spec)
        created = [_new_item(market, account, spec) for spec in specs]
        if fields.get("notify") is True:
            for item in created:
                market.notifier.announce(account["user_id"], "items", f"/items/{item['id']}")
    ids = [item["id"] for item in created]
    return Answer(200, {"ids": ids, "user_product_ids": [item["user_product_id"] for item in created]})


def _many(fields: Doc) -> list[Doc]:
    count = _integer(fields, "count", None, 1, ITEM_COUNT_MAX)
    prefix = fields.get("sku_prefix", "SKU-")
    common = {k: v for k, v in fields.items() if k not in ("count", "sku_prefix", "user_id", "title", "notify")}
    title = fields.get("title", "Produto de teste")
    return [
        {**common, "seller_sku": f"{prefix}{number:05d}", "title": f"{title} {number:05d}"}
        for number in range(1, count + 1)
    ]


def _check_spec(market: Marketplace, spec: Doc) -> None:
    for one in [spec, *spec.get("variations", [])]:
        _integer(one, "available_quantity", 0, 0, MAX_QUANTITY)
    if spec.get("id") and market.state.get("item", spec["id"]):
        _wrong(f"O anúncio {spec['id']} já existe: mude-o em PUT /sandbox/items/{spec['id']}.", 409)
    product = spec.get("user_product_id") and market.state.get("user_product", spec["user_product_id"])
    if spec.get("user_product_id") and spec.get("variations"):
        _wrong("Um anúncio de user product não tem variações: retire um dos dois.")
    if product and "available_quantity" in spec:
        _wrong("O estoque é do user product, que já existe: não informe available_quantity.")


def _new_item(market: Marketplace, account: Doc, spec: Doc) -> Doc:
    state = market.state
    now = now_seconds()
    variations = [new_variation(market, one) for one in spec.get("variations", [])]
    by_product = not variations and spec.get("user_product", True)
    item_id = str(spec.get("id") or f"{account['site_id']}{state.next_number('item', 4_100_000_001)}")
    quantity = sum(one["available_quantity"] for one in variations) if variations else spec.get("available_quantity", 0)
    logistic_type = spec.get("logistic_type", "xd_drop_off")
    title = spec.get("title") or f"Produto {spec.get('seller_sku') or item_id}"
    item: Doc = {
        "id": item_id,
        "user_id": account["user_id"],
        "title": title,
        "seller_sku": spec.get("seller_sku") if not variations else None,
        "gtin": spec.get("gtin"),
        "seller_custom_field": spec.get("seller_custom_field"),
        "price": spec.get("price", 59.9),
        "price_automated": bool(spec.get("price_automated", False)),
        "available_quantity": quantity,
        "initial_quantity": quantity,
        "sold_quantity": 0,
        "status": spec.get("status", "active"),
        "sub_status": spec.get("sub_status", ["paused_by_seller"] if spec.get("status") == "paused" else []),
        "variations": variations,
        "user_product_id": None,
        "family_name": title if by_product else None,
        "family_id": state.next_number("family", 5_066_110_917_000_001) if by_product else None,
        "inventory_id": spec.get("inventory_id")
        or (f"SBX{state.next_number('inventory', 10_001)}" if logistic_type == "fulfillment" else None),
        "logistic_type": logistic_type,
        "flex": bool(spec.get("flex", False)),
        "bundle": spec.get("bundle"),
        "listing_type_id": spec.get("listing_type_id", "gold_special"),
        "condition": spec.get("condition", "new"),
        "category_id": spec.get("category_id", "MLB1144"),
        "tags": spec.get("tags", ["user_product_listing"] if by_product else ["immediate_payment"]),
        "date_created": now,
        "last_updated": now,
    }
    if by_product:
        _attach_product(market, account, item, spec)
    state.save("item", item_id, item)
    touch_item(market, item, notify=False)
    return item


def _attach_product(market: Marketplace, account: Doc, item: Doc, spec: Doc) -> None:
    """Put the listing on a new user product, or on the known one that is named; both then share the stock."""
    state = market.state
    number = spec.get("user_product_id") or f"{account['site_id']}U{state.next_number('user_product', 4_900_000_001)}"
    product = state.get("user_product", number) or {
        "id": number,
        "user_id": account["user_id"],
        "name": item["title"],
        "family_id": item["family_id"],
        "version": 1,
        "item_ids": [],
        "locations": spec.get("locations") or _locations(account, item),
        "last_updated": item["date_created"],
    }
    if product["user_id"] != account["user_id"]:
        _wrong(f"O user product {number} é de outra conta.", 409)
    product["item_ids"].append(item["id"])
    state.save("user_product", number, product)
    item["user_product_id"] = number
    item["family_id"] = product["family_id"]
    item["available_quantity"] = sum(location["quantity"] for location in product["locations"])


def _locations(account: Doc, item: Doc) -> list[Doc]:
    if item["logistic_type"] == "fulfillment":
        own = [{"type": "selling_address", "quantity": 0}] if item["flex"] else []
        return [{"type": "meli_facility", "quantity": item["available_quantity"]}, *own]
    if "warehouse_management" not in account["tags"]:
        return [{"type": "selling_address", "quantity": item["available_quantity"]}]
    return [
        {
            "type": "seller_warehouse",
            "network_node_id": store["network_node_id"],
            "store_id": store["id"],
            "quantity": item["available_quantity"] if number == 0 else 0,
        }
        for number, store in enumerate(account["stores"])
    ]


def _item(market: Marketplace, item_id: str) -> Doc:
    item = market.state.get("item", item_id)
    if item is None:
        _wrong(f"O anúncio {item_id} não existe. Confira o código na lista de anúncios.", 404)
    return item


def get_item(market: Marketplace, call: Call, item_id: str) -> Answer:
    """``GET /sandbox/items/{id}``: the listing as its seller sees it, with its user product's locations."""
    with market.state.lock:
        return Answer(200, _item_body(market, _item(market, item_id)))


def _item_body(market: Marketplace, item: Doc) -> Doc:
    body = render(item, owner=True, everything=True)
    product = market.state.get("user_product", item["user_product_id"] or "")
    body["locations"] = [dict(location) for location in product["locations"]] if product else None
    body["x_version"] = product["version"] if product else None
    return body


def put_item(market: Marketplace, call: Call, item_id: str) -> Answer:
    """``PUT /sandbox/items/{id}``: as if the seller had edited the listing by hand on the channel."""
    fields = asked(call)
    notify = fields.get("notify", True) is not False
    with market.state.change():
        item = _item(market, item_id)
        for one in [fields, *fields.get("variations", [])]:
            if "available_quantity" in one:
                _integer(one, "available_quantity", None, 0, MAX_QUANTITY)
        if "available_quantity" in fields:
            variation_id = fields.get("variation_id")
            if item["variations"] and variation_of(item, variation_id) is None:
                _wrong("O anúncio tem variações: informe variation_id, ou a lista variations.")
            set_available(market, item, fields["available_quantity"], variation_id, call.applied, notify)
        _edit_variations(market, call, item, fields, notify)
        for name in (
            "title",
            "price",
            "price_automated",
            "seller_sku",
            "tags",
            "logistic_type",
            "condition",
            "seller_custom_field",
        ):
            if name in fields:
                item[name] = fields[name]
        if "sub_status" in fields or fields.get("status") in ("under_review", "inactive", "payment_required"):
            call.applied.append({"item": item_id, "status": [item["status"], fields.get("status", item["status"])]})
            item["status"] = fields.get("status", item["status"])
            item["sub_status"] = fields.get("sub_status", [])
        elif "status" in fields and fields["status"] != item["status"]:
            check_status(item, fields["status"], item["available_quantity"])
            change_status(market, call, item, fields["status"])
        touch_item(market, item, notify=notify and not {"available_quantity", "variations", "status"} & set(fields))
        return Answer(200, _item_body(market, item))


def _edit_variations(market: Marketplace, call: Call, item: Doc, fields: Doc, notify: bool) -> None:
    """Only the variations named change; one without an id is added; ``delete_variations`` names those to delete."""
    for one in fields.get("variations", []):
        if "id" not in one:
            item["variations"].append(new_variation(market, one))
        elif variation_of(item, one["id"]) is None:
            _wrong(f"A variação {one['id']} não é do anúncio {item['id']}.", 404)
        elif "available_quantity" in one:
            set_available(market, item, one["available_quantity"], one["id"], call.applied, notify)
    gone = set(fields.get("delete_variations", []))
    if gone or "variations" in fields:
        item["variations"] = [one for one in item["variations"] if one["id"] not in gone]
        item["available_quantity"] = sum(one["available_quantity"] for one in item["variations"])
        touch_item(market, item, notify)


def post_migrate(market: Marketplace, call: Call, item_id: str) -> Answer:
    """``POST /sandbox/items/{id}/migrate``: variations become listings of their own (contract §5.5, UPtin)."""
    with market.state.change():
        item = _item(market, item_id)
        if not item["variations"]:
            _wrong(f"O anúncio {item_id} não tem variações: não há o que migrar.", 409)
        account = market.account(item["user_id"])
        links = []
        for variation in item["variations"]:
            values = " ".join(str(one["value_name"]) for one in variation["attribute_combinations"])
            created = _new_item(
                market,
                account,
                {
                    "title": f"{item['title']} {values}".strip(),
                    "seller_sku": variation["seller_sku"],
                    "gtin": variation["gtin"],
                    "price": item["price"],
                    "available_quantity": variation["available_quantity"],
                    "logistic_type": item["logistic_type"],
                    "tags": ["user_product_listing", "variations_migration_uptin"],
                },
            )
            links.append(
                {"new_item_id": created["id"], "variation_id": variation["id"], "migration_status": "migrated"}
            )
            market.notifier.announce(item["user_id"], "items", f"/items/{created['id']}")
        item.update(status="closed", sub_status=[], migrated_to=links)
        item["tags"] = [*item["tags"], "variations_migration_source"]
        touch_item(market, item)
        call.applied.append({"item": item_id, "migrated": [link["new_item_id"] for link in links]})
        return Answer(200, {"item_id": item_id, "new_items": links})


# --- sales ---------------------------------------------------------------------------------------------------------


def post_sell(market: Marketplace, call: Call) -> Answer:
    """``POST /sandbox/sell``: a buyer buys. Answers the orders and what is left."""
    fields = asked(call)
    lines = [_line(one) for one in fields.get("items") or [fields]]
    status = fields.get("status", "paid")
    if status not in STATUSES:
        _wrong(f"O status {status!r} não existe; use um destes: {', '.join(sorted(STATUSES))}.")
    with market.state.change():
        try:
            check_sale(market, lines, fields.get("force") is True)
        except CannotSell as error:
            _wrong(str(error), 409, available_quantity=error.available_quantity)
        orders = sell(
            market,
            lines,
            call.applied,
            status=status,
            pack=fields.get("pack") is True,
            buyer=fields.get("buyer"),
            shipment=fields.get("shipment") or None,
            with_shipment=fields.get("shipment") is not False,
            notify=fields.get("notify", True) is not False,
            visible_after_ms=fields.get("visible_after_ms"),
        )
        first = market.state.tables["item"][lines[0]["item_id"]]
        place = variation_of(first, lines[0]["variation_id"]) or first
        return Answer(
            200,
            {
                "order_id": orders[0]["id"],
                "order_ids": [order["id"] for order in orders],
                "pack_id": orders[0]["pack_id"],
                "shipment_id": orders[0]["shipment_id"],
                "available_quantity": place["available_quantity"],
            },
        )


def _line(fields: Doc) -> Doc:
    variation_id = fields.get("variation_id")
    return {
        "item_id": str(fields.get("item_id", "")),
        "variation_id": None if variation_id is None else _integer(fields, "variation_id", None, 1, 10**18),
        "quantity": _integer(fields, "quantity", 1, 1, MAX_QUANTITY),
    }


def get_orders(market: Marketplace, call: Call) -> Answer:
    """``GET /sandbox/orders?user_id=&offset=&limit=``: newest first, as their seller sees them."""
    offset, limit = call.number("offset", 0), min(call.number("limit", 50), LIST_MAX)
    with market.state.lock:
        table = market.state.tables["order"]
        keys = list(table)
        if call.query.get("user_id"):
            keys = market.state.orders_of.get(call.number("user_id", 0), [])
        newest = keys[::-1]
        page = [render_order(market, table[key]) for key in newest[offset : offset + limit]]
    return Answer(200, {"total": len(newest), "results": page})


def _order(market: Marketplace, order_id: str) -> Doc:
    order = market.state.get("order", order_id)
    if order is None:
        _wrong(f"A venda {order_id} não existe. Confira o número na lista de vendas.", 404)
    return order


def get_order(market: Marketplace, call: Call, order_id: str) -> Answer:
    """``GET /sandbox/orders/{id}``."""
    with market.state.lock:
        return Answer(200, render_order(market, _order(market, order_id)))


def post_order(market: Marketplace, call: Call, order_id: str) -> Answer:
    """``POST /sandbox/orders/{id}``: change status, tags or parcel; what changed is notified."""
    fields = asked(call)
    notify = fields.get("notify", True) is not False
    status = fields.get("status")
    if status is not None and status not in STATUSES:
        _wrong(f"O status {status!r} não existe; use um destes: {', '.join(sorted(STATUSES))}.")
    with market.state.change():
        order = _order(market, order_id)
        parcel = {name: fields[f"shipment_{name}"] for name in ("status", "substatus") if f"shipment_{name}" in fields}
        if "tracking_number" in fields:
            parcel["tracking_number"] = fields["tracking_number"]
        if parcel:
            shipment = market.state.get("shipment", order["shipment_id"] or "")
            if shipment is None:
                _wrong(f"A venda {order_id} não tem envio: não há o que mudar nele.", 409)
            set_shipment(market, shipment, parcel, call.applied, notify)
        for name in ("tags", "status_detail"):
            if name in fields:
                order[name] = fields[name]
        if status is not None and status != order["status"]:
            set_status(market, order, status, call.applied, notify=notify, detail=fields.get("cancel_detail"))
        elif {"tags", "status_detail"} & set(fields):
            order["updated"] = now_seconds()
            save_order(market, order, notify)
        return Answer(200, render_order(market, order))


def post_cancel(market: Marketplace, call: Call, order_id: str) -> Answer:
    """``POST /sandbox/orders/{id}/cancel``: units come back unless the parcel was shipped. Twice changes nothing."""
    fields = asked(call)
    detail: Doc = {name: fields[name] for name in ("group", "code", "description", "requested_by") if name in fields}
    with market.state.change():
        order = _order(market, order_id)
        if order["status"] != "cancelled":
            notify = fields.get("notify", True) is not False
            set_status(market, order, "cancelled", call.applied, notify=notify, detail=detail)
        return Answer(200, render_order(market, order))


def post_notify(market: Marketplace, call: Call, order_id: str) -> Answer:
    """``POST /sandbox/orders/{id}/notify`` ``{times}``: tell of the order again though nothing changed."""
    times = _integer(asked(call), "times", 1, 1, 10_000)
    with market.state.change():
        order = _order(market, order_id)
        for _ in range(times):
            market.notifier.announce(order["user_id"], "orders_v2", f"/orders/{order_id}")
    return Answer(200, {"order_id": order["id"], "times": times})


# --- behaviour -----------------------------------------------------------------------------------------------------


def get_notifications(market: Marketplace, call: Call) -> Answer:
    """``GET /sandbox/notifications``: the policy, what is pending and what is due, the last deliveries, newest last."""
    with market.state.lock:
        now = now_seconds()
        body = {
            **market.notifier.policy(),
            "pending": len(market.state.tables["notification"]),
            "due": sum(doc["due"] <= now for doc in market.state.tables["notification"].values()),
            "delivered": market.notifier.delivered,
            "dropped": market.notifier.dropped,
            "missed": len(market.state.tables["missed"]),
            "log": list(market.notifier.log),
        }
    return Answer(200, body)


def put_notifications(market: Marketplace, call: Call) -> Answer:
    """``PUT /sandbox/notifications``: change the policy; only what is named."""
    fields = asked(call)
    known = {name: fields[name] for name in DEFAULT_POLICY if name in fields}
    unknown = sorted(set(fields) - set(DEFAULT_POLICY))
    if unknown:
        _wrong(f"Não conheço {', '.join(unknown)}; use {', '.join(DEFAULT_POLICY)}.")
    for name, value in known.items():
        if isinstance(DEFAULT_POLICY[name], bool) is not isinstance(value, bool) or not isinstance(value, (int, float)):
            _wrong(f"{name} tem um tipo errado: recebi {value!r}.")
        if value < 0 or (name == "duplicate" and (value < 1 or value != int(value))):
            _wrong(f"{name} não pode ser {value!r}.")
    with market.state.change():
        policy = {**market.notifier.policy(), **known}
        market.state.save("setting", "notifications", policy)
    return Answer(200, policy)


def get_clock(market: Marketplace, call: Call) -> Answer:
    """``GET /sandbox/clock``: what time it is at the marketplace."""
    kept = market.state.get("setting", "clock") or {"ahead_seconds": 0}
    return Answer(200, {**kept, "now": zulu(now_seconds())})


def put_clock(market: Marketplace, call: Call) -> Answer:
    """``PUT /sandbox/clock`` ``{ahead_seconds}``: set it ahead of the machine's clock, or behind it (negative).

    Notifications that fall due thereby are sent at once. Tokens, sales and what was lost keep the times they have.
    """
    fields = asked(call)
    ahead_seconds = _integer(fields, "ahead_seconds", None, -CLOCK_AHEAD_MAX_SECONDS, CLOCK_AHEAD_MAX_SECONDS)
    with market.state.change():
        market.state.save("setting", "clock", {"ahead_seconds": ahead_seconds})
        set_ahead(ahead_seconds)
        market.state.after(market.notifier.look_at_the_clock)
    return get_clock(market, call)


def get_selling(market: Marketplace, call: Call) -> Answer:
    """``GET /sandbox/selling``: whether the marketplace sells by itself, and at which pace."""
    return Answer(200, selling.policy(market.state))


def put_selling(market: Marketplace, call: Call) -> Answer:
    """``PUT /sandbox/selling`` ``{on, pace_seconds}``: sell by itself or stop; a form sends ``least`` and ``most``."""
    fields = asked(call)
    known = selling.policy(market.state)
    if not isinstance(fields.get("on", known["on"]), bool):
        _wrong("on precisa ser true ou false.")
    pace = fields.get("pace_seconds", known["pace_seconds"])
    least, most = pace if isinstance(pace, list) and len(pace) == 2 else (None, None)
    limits = {"least": fields.get("least", least), "most": fields.get("most", most)}
    least, most = (_integer(limits, name, None, *selling.PACE_LIMITS_SECONDS) for name in ("least", "most"))
    with market.state.change():
        kept = {"on": fields.get("on", known["on"]), "pace_seconds": sorted((least, most))}
        market.state.save("setting", "selling", kept)
        market.state.after(market.selling.look)
    return get_selling(market, call)


def get_faults(market: Marketplace, call: Call) -> Answer:
    """``GET /sandbox/faults``: the faults in force."""
    return Answer(200, market.faults.all())


def post_faults(market: Marketplace, call: Call) -> Answer:
    """``POST /sandbox/faults``: one fault or a list, put behind those in force."""
    wanted: Json = asked(call) if call.is_form() else call.json()
    try:
        market.faults.add([checked_fault(one) for one in (wanted if isinstance(wanted, list) else [wanted])])
    except ValueError as error:
        _wrong(str(error))
    return Answer(200, market.faults.all())


def delete_faults(market: Marketplace, call: Call) -> Answer:
    """``DELETE /sandbox/faults`` (or ``POST /sandbox/faults/clear``)."""
    market.faults.clear()
    return Answer(200, [])


def put_rate_limit(market: Marketplace, call: Call) -> Answer:
    """``PUT /sandbox/rate_limit``: the policy as a whole; what is not named has no limit."""
    fields = asked(call)
    for name in RATE_NAMES:
        if fields.get(name) is not None:
            _integer(fields, name, None, 1, 10**9)
    with market.state.change():
        market.state.save("setting", "rate_limit", {name: fields.get(name) for name in RATE_NAMES})
    market.quota.reset()
    return Answer(200, market.quota.policy())


def get_journal(market: Marketplace, call: Call) -> Answer:
    """``GET /sandbox/journal?after=SEQ&limit=``: JSON lines, oldest first."""
    lines = market.journal.read(call.number("after", 0), min(call.number("limit", 1000), JOURNAL_PAGE_MAX))
    return Answer(200, lines, content_type="application/x-ndjson")


def last_calls(market: Marketplace, how_many: int) -> list[Doc]:
    """The newest journal entries, newest first."""
    lines = market.journal.read(max(0, market.journal.count() - how_many), how_many).splitlines()
    return [json.loads(line) for line in reversed(lines)]
