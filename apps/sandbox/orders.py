"""Sales: made, cancelled, read and searched (contract §3).

One order is one listing (or variation) and N units; a cart is a pack of several orders with one parcel. The units
leave the listing when the order is first paid, that is at ``date_closed``, and come back when it is cancelled before
its parcel was shipped.
"""

from __future__ import annotations

from .call import Answer, Call, Doc, refusal, refuse
from .clock import now_seconds, to_hour, west4, west4_short, zulu
from .items import attribute
from .marketplace import Marketplace, caller
from .markup import STATUS_WORDS
from .stock import available, change_available, variation_of

SEARCH_PAGE_MAX = 51
SEARCH_OFFSET_MAX = 10_000
PAID_STATUSES = frozenset({"paid", "partially_refunded", "pending_cancel"})
"""States in which the units have left the listing."""
STATUSES = PAID_STATUSES | {
    "confirmed",
    "payment_required",
    "payment_in_process",
    "partially_paid",
    "cancelled",
    "invalid",
}
DATE_FILTERS = {
    "order.date_created": "created",
    "order.date_closed": "closed",
    "order.date_last_updated": "updated",
}
"""``order.last_updated`` is missing on purpose: it is ignored without a word (contract §3.3)."""

_FIRST_NAMES = (
    "Ana",
    "Bruno",
    "Carla",
    "Diego",
    "Elisa",
    "Fábio",
    "Gisele",
    "Heitor",
    "Íris",
    "João",
    "Luiza",
    "Márcio",
)
_LAST_NAMES = ("Almeida", "Barbosa", "Conceição", "Duarte", "Esteves", "Falcão", "Guimarães", "Lacerda", "Moraes")
_CITIES = (("Curitiba", "PR", "Paraná"), ("Recife", "PE", "Pernambuco"), ("Campinas", "SP", "São Paulo"))


class CannotSell(Exception):
    """Nothing was sold; the text (pt-BR) says why and what to do, ``available_quantity`` how many there are."""

    def __init__(self, text: str, available_quantity: int | None = None) -> None:
        super().__init__(text)
        self.available_quantity = available_quantity


# --- selling -------------------------------------------------------------------------------------------------------


def check_sale(market: Marketplace, lines: list[Doc], force: bool) -> None:
    """Refuse what cannot be bought.

    ``lines`` are ``{item_id, variation_id, quantity}``. Two lines of one listing are summed.
    Raises: CannotSell.
    """
    wanted: dict[tuple[str, int | None], int] = {}
    for line in lines:
        item = market.state.get("item", line["item_id"])
        if item is None:
            raise CannotSell(f"O anúncio {line['item_id']} não existe. Confira o código na lista de anúncios.")
        if item["variations"] and variation_of(item, line["variation_id"]) is None:
            ids = ", ".join(str(variation["id"]) for variation in item["variations"])
            raise CannotSell(
                f"O anúncio {item['id']} tem variações: informe variation_id com um destes valores: {ids}."
            )
        place = (item["id"], line["variation_id"])
        wanted[place] = wanted.get(place, 0) + line["quantity"]
        there = available(item, line["variation_id"])
        if not force and (item["status"] != "active" or wanted[place] > there):
            raise CannotSell(
                f"O anúncio {item['id']} está {STATUS_WORDS.get(item['status'], item['status'])} com {there}"
                f" unidade(s) e o pedido é de {wanted[place]}. Venda menos ou reponha o estoque"
                " (pela API, force vende assim mesmo).",
                there,
            )
    sellers = {market.state.tables["item"][line["item_id"]]["user_id"] for line in lines}
    if len(sellers) > 1:
        raise CannotSell("Os anúncios de um carrinho precisam ser do mesmo vendedor.")


def sell(
    market: Marketplace,
    lines: list[Doc],
    applied: list[Doc],
    *,
    status: str = "paid",
    pack: bool = False,
    buyer: Doc | None = None,
    shipment: Doc | None = None,
    with_shipment: bool = True,
    notify: bool = True,
    visible_after_ms: int | None = None,
) -> list[Doc]:
    """Make one order for each line, in one parcel. Called inside ``state.change()``, after ``check_sale``.

    ``with_shipment`` false makes a sale "to agree with the seller": its parcel never comes (contract §3.1).
    ``visible_after_ms``: how long the orders answer 404 (default: the notifications' policy).
    Returns: the orders.
    """
    now = now_seconds()
    items = market.state.tables["item"]
    seller_id = items[lines[0]["item_id"]]["user_id"]
    buyer_id = _new_buyer(market, buyer or {})
    wait_ms = market.notifier.policy()["order_visible_after_ms"] if visible_after_ms is None else visible_after_ms
    pack_id = _next_order_number(market) if pack or len(lines) > 1 else None
    orders = []
    for line in lines:
        item = items[line["item_id"]]
        order = _new_order(market, item, line, now)
        order.update(buyer_id=buyer_id, pack_id=pack_id, visible_at=now + wait_ms / 1000)
        if pack_id is not None:
            order["tags"].append("pack_order")
        orders.append(order)
        market.state.save("order", order["id"], order)
    parcel_id = None
    if with_shipment:
        parcel_id = _new_shipment(market, items[lines[0]["item_id"]], orders, shipment or {}, now)["id"]
    if pack_id is not None:
        _new_pack(market, pack_id, seller_id, orders, parcel_id, now)
    for order in orders:
        order["shipment_id"] = parcel_id
        if parcel_id is None:
            order["tags"].append("no_shipping")
        set_status(market, order, status, applied, notify=notify)
    return orders


def _next_order_number(market: Marketplace) -> int:
    """Orders and packs share one row of numbers: they look alike (contract §3.4)."""
    return market.state.next_number("order", 2_000_019_000_000_001)


def _new_order(market: Marketplace, item: Doc, line: Doc, now: float) -> Doc:
    variation = variation_of(item, line["variation_id"])
    return {
        "id": _next_order_number(market),
        "user_id": item["user_id"],
        "item_id": item["id"],
        "variation_id": variation["id"] if variation else None,
        "user_product_id": item["user_product_id"],
        "title": item["title"],
        "category_id": item["category_id"],
        "condition": item["condition"],
        "seller_sku": (variation or item)["seller_sku"],
        "combinations": variation["attribute_combinations"] if variation else [],
        "listing_type_id": item["listing_type_id"],
        "quantity": line["quantity"],
        "unit_price": item["price"],
        "location": None,
        "status": "created",
        "status_detail": None,
        "stock_taken": False,
        "created": now,
        "updated": now,
        "closed": None,
        "payment_id": market.state.next_number("payment", 174_900_000_001),
        "payment_status": "pending",
        "shipping_cost": 0.0 if item["price"] >= 79 else 12.99,
        "tags": ["not_delivered"],
        "static_tags": [],
        "cancel_detail": None,
        "shipment_id": None,
    }


def _new_buyer(market: Marketplace, asked: Doc) -> str:
    """Returns: the key of the new buyer, their ``billing_info`` id."""
    number = market.state.next_number("buyer", 1)
    city, state, state_name = _CITIES[number % len(_CITIES)]
    first, last = _FIRST_NAMES[number % len(_FIRST_NAMES)], _LAST_NAMES[number % len(_LAST_NAMES)]
    buyer: Doc = {
        "id": 3_600_000_000 + number,
        "nickname": f"COMPRADOR{number}",
        "first_name": first,
        "last_name": last,
        "document_type": "CPF",
        "document_number": _cpf(number),
        "city": city,
        "state": state,
        "state_name": state_name,
        "street_name": "Rua das Flores",
        "street_number": str(number % 900 + 1),
        "zip_code": f"{10_000_000 + number % 80_000_000:08d}",
        "phone": "11900000000",
        **asked,
    }
    buyer["billing_info_id"] = str(880_802_100_000_000_000 + number)
    market.state.save("buyer", buyer["billing_info_id"], buyer)
    return str(buyer["billing_info_id"])


def _cpf(number: int) -> str:
    """An invented CPF with right check digits, from a low row of numbers."""
    digits = [int(digit) for digit in f"{number % 1_000_000:09d}"]
    for _ in range(2):
        rest = sum(digit * weight for digit, weight in zip(digits, range(len(digits) + 1, 1, -1), strict=True)) % 11
        digits.append(0 if rest < 2 else 11 - rest)
    return "".join(map(str, digits))


def _new_shipment(market: Marketplace, item: Doc, orders: list[Doc], asked: Doc, now: float) -> Doc:
    logistic_type = asked.get("logistic_type") or ("self_service" if item.get("flex") else item["logistic_type"])
    waits_for_invoice = logistic_type in ("drop_off", "xd_drop_off", "cross_docking")
    shipment: Doc = {
        "id": market.state.next_number("shipment", 47_900_000_001),
        "user_id": item["user_id"],
        "order_ids": [order["id"] for order in orders],
        "buyer_id": orders[0]["buyer_id"],
        "logistic_type": logistic_type,
        "mode": "me1" if logistic_type == "default" else "me2",
        "status": asked.get("status", "ready_to_ship"),
        # In Brazil these wait for the invoice before a label can be printed (contract §4.5).
        "substatus": asked.get("substatus", "invoice_pending" if waits_for_invoice else "ready_to_print"),
        "tracking_number": None,
        "created": now,
        "updated": now,
        "history": {},
    }
    market.state.save("shipment", shipment["id"], shipment)
    return shipment


def _new_pack(
    market: Marketplace, pack_id: int, seller_id: int, orders: list[Doc], parcel_id: int | None, now: float
) -> None:
    pack: Doc = {
        "id": pack_id,
        "user_id": seller_id,
        "buyer_id": orders[0]["buyer_id"],
        "order_ids": [order["id"] for order in orders],
        "shipment_id": parcel_id,
        "status": "released",
        "status_detail": None,
        "created": now,
        "updated": now,
    }
    market.state.save("pack", pack_id, pack)


# --- changes -------------------------------------------------------------------------------------------------------


def set_status(
    market: Marketplace, order: Doc, status: str, applied: list[Doc], *, notify: bool = True, detail: Doc | None = None
) -> None:
    """Bring an order to a status, with what it does to stock and payment. Called inside ``state.change()``.

    ``detail`` is the ``cancel_detail`` of a cancellation.
    """
    before = order["status"]
    order["status"] = status
    order["updated"] = now_seconds()
    if status in PAID_STATUSES and not order["stock_taken"]:
        _take_stock(market, order, applied, notify)
    if status in PAID_STATUSES:
        order["payment_status"] = "approved"
        order["tags"] = ["paid", *(tag for tag in order["tags"] if tag not in ("paid", "not_paid"))]
    elif status == "cancelled":
        _cancel(market, order, applied, notify, detail or {})
    elif "not_paid" not in order["tags"] and "paid" not in order["tags"]:
        order["tags"] = ["not_paid", *order["tags"]]
    change: Doc = {"order": order["id"], "status": [None if before == "created" else before, status]}
    if before == "created":
        change.update(item=order["item_id"], variation=order["variation_id"], quantity=order["quantity"])
    applied.append(change)
    save_order(market, order, notify)


def save_order(market: Marketplace, order: Doc, notify: bool = True) -> None:
    """Keep a changed order and tell of it. Called inside ``state.change()``."""
    market.state.save("order", order["id"], order)
    if notify:
        market.notifier.announce(order["user_id"], "orders_v2", f"/orders/{order['id']}")


def _take_stock(market: Marketplace, order: Doc, applied: list[Doc], notify: bool) -> None:
    item = market.state.tables["item"][order["item_id"]]
    quantity = order["quantity"]
    place = change_available(market, item, -quantity, order["variation_id"], applied, sold=quantity, notify=notify)
    order["location"] = dict(place, quantity=None) if place else None
    order["stock_taken"] = True
    order["closed"] = now_seconds()


def _cancel(market: Marketplace, order: Doc, applied: list[Doc], notify: bool, detail: Doc) -> None:
    shipment = market.state.get("shipment", order["shipment_id"] or "")
    gone = shipment is not None and shipment["status"] in ("shipped", "delivered", "not_delivered")
    if order["stock_taken"] and not gone:
        item = market.state.tables["item"][order["item_id"]]
        quantity = order["quantity"]
        change_available(
            market,
            item,
            quantity,
            order["variation_id"],
            applied,
            sold=-quantity,
            location=order["location"],
            notify=notify,
        )
        order["stock_taken"] = False
    order["payment_status"] = "refunded" if order["payment_status"] == "approved" else "cancelled"
    order["tags"] = [tag for tag in order["tags"] if tag != "paid"]
    order["tags"].insert(0, "not_paid")
    order["cancel_detail"] = {
        "group": "buyer",
        "code": "buyer_cancel_express",
        "description": "O comprador cancelou a compra",
        "requested_by": "buyer",
        "date": west4(now_seconds()),
        "application_id": None,
        **detail,
    }
    _cancel_parcel_and_pack(market, order, shipment, gone, notify)


def _cancel_parcel_and_pack(market: Marketplace, order: Doc, shipment: Doc | None, gone: bool, notify: bool) -> None:
    """The parcel and the pack are cancelled with the last of their orders."""
    together = market.state.get("pack", order["pack_id"] or "") or shipment or {"order_ids": []}
    others = [market.state.tables["order"][str(order_id)] for order_id in together["order_ids"]]
    if any(other["status"] != "cancelled" for other in others if other["id"] != order["id"]):
        return
    if shipment is not None and not gone:
        shipment.update(status="cancelled", substatus=None, updated=now_seconds())
        market.state.save("shipment", shipment["id"], shipment)
        if notify:
            market.notifier.announce(order["user_id"], "shipments", f"/shipments/{shipment['id']}")
    if order["pack_id"] is not None:
        pack = market.state.tables["pack"][str(order["pack_id"])]
        pack.update(status="cancelled", updated=now_seconds())
        market.state.save("pack", pack["id"], pack)


# --- reading -------------------------------------------------------------------------------------------------------


def get_order(market: Marketplace, call: Call, order_id: str) -> Answer:
    """``GET /orders/{id}`` (contract §3.1), with its 404 soon after the sale and its 206 on request."""
    with market.state.lock:
        body = render(market, own_order(market, call, order_id))
    if call.fault is not None and call.fault_is("partial"):
        missing = call.fault.get("missing", ["buyer", "feedback"])
        for name in missing:
            body[name] = None
        return Answer(206, body, {"X-Content-Missing": ", ".join(missing)})
    return Answer(200, body)


def own_order(market: Marketplace, call: Call, order_id: str) -> Doc:
    """An order of the caller.

    Raises: Refusal 400 when the id is no number, 404 when unknown or not yet visible, 403 when another seller's.
    """
    if not order_id.isdigit():
        refuse(400, "invalid_order_id", "The order id must be an integer")
    order = market.state.get("order", order_id)
    if order is None or order["visible_at"] > now_seconds():
        refuse(404, "order_not_found", "Order do not exists", cause="")
    if order["user_id"] != call.user_id:
        refuse(403, "not_owned_order", "The user has not access to the order")
    return order


def get_pack(market: Marketplace, call: Call, pack_id: str) -> Answer:
    """``GET /packs/{id}`` (contract §3.4)."""
    with market.state.lock:
        pack = market.state.get("pack", pack_id)
        if pack is None:
            refuse(404, "pack_not_found", f"Pack {pack_id} not found", cause="")
        if pack["user_id"] != call.user_id:
            refuse(403, "access_denied", "access to the requested resource is forbidden")
        return Answer(
            200,
            {
                "id": pack["id"],
                "status": pack["status"],
                "status_detail": pack["status_detail"],
                "shipment": {"id": pack["shipment_id"]},
                "orders": [{"id": order_id, "static_tags": []} for order_id in pack["order_ids"]],
                "buyer": {"id": _buyer(market, pack["buyer_id"])["id"]},
                "family_pack_id": None,
                "trash_pack_id": None,
                "date_created": west4_short(pack["created"]),
                "last_updated": west4_short(pack["updated"]),
            },
        )


def get_billing_info(market: Marketplace, call: Call, site_id: str, billing_info_id: str) -> Answer:
    """``GET /orders/billing-info/{SITE}/{id}``: who to invoice (contract §3.5)."""
    with market.state.lock:
        buyer = market.state.get("buyer", billing_info_id)
        mine = [
            order
            for order in map(market.state.tables["order"].__getitem__, market.state.orders_of.get(caller(call), []))
            if order["buyer_id"] == billing_info_id
        ]
    if buyer is None or not mine:
        refuse(404, "not_found", f"Billing info {billing_info_id} not found")
    company = buyer["document_type"] == "CNPJ"
    info = {
        "name": buyer["first_name"],
        "last_name": buyer["last_name"],
        "identification": {"type": buyer["document_type"], "number": buyer["document_number"]},
        "address": {
            "street_name": buyer["street_name"],
            "street_number": buyer["street_number"],
            "city_name": buyer["city"],
            "comment": "",
            "neighborhood": "Centro",
            "state": {"name": buyer["state_name"]},
            "zip_code": buyer["zip_code"],
            "country_id": "BR",
        },
        "attributes": {"is_normalized": True, "cust_type": "BU" if company else "CO"},
    }
    return Answer(
        200,
        {
            "site_id": site_id,
            "buyer": {"cust_id": buyer["id"], "billing_info": info},
            "seller": {"cust_id": call.user_id},
        },
    )


def get_collection(market: Marketplace, call: Call, payment_id: str) -> Answer:
    """``GET /collections/{id}``: a payment; its ``order_id`` is a string here (contract §0)."""
    with market.state.lock:
        for key in market.state.orders_of.get(caller(call), []):
            order = market.state.tables["order"][key]
            if str(order["payment_id"]) == payment_id:
                return Answer(200, {**_payment(market, order), "order_id": str(order["id"])})
    raise refusal(404, "not_found", f"Payment {payment_id} not found")


def _buyer(market: Marketplace, buyer_id: str) -> Doc:
    return market.state.tables["buyer"][buyer_id]


def render(market: Marketplace, order: Doc) -> Doc:
    """An order as ``GET /orders/{id}`` shows it: ids are numbers, ``variation_id`` null for user products."""
    buyer = _buyer(market, order["buyer_id"])
    total = round(order["unit_price"] * order["quantity"], 2)
    return {
        "id": order["id"],
        "date_created": west4(order["created"]),
        "last_updated": west4(order["updated"]),
        "date_closed": west4(order["closed"]),
        "pack_id": order["pack_id"],
        "fulfilled": None,
        "buying_mode": "buy_equals_pay",
        "shipping_cost": None,
        "mediations": [],
        "total_amount": total,
        "paid_amount": round(total + order["shipping_cost"], 2) if order["payment_status"] == "approved" else 0,
        "order_items": [_order_item(order)],
        "currency_id": "BRL",
        "payments": [_payment(market, order)],
        "shipping": {"id": order["shipment_id"]},
        "status": order["status"],
        "status_detail": order["status_detail"],
        "tags": list(order["tags"]),
        "static_tags": list(order["static_tags"]),
        "feedback": {"seller": None, "buyer": None},
        "context": {"channel": "marketplace", "site": "MLB", "flows": []},
        "seller": {"id": order["user_id"]},
        "buyer": {
            "id": buyer["id"],
            "nickname": buyer["nickname"],
            "first_name": buyer["first_name"],
            "last_name": buyer["last_name"],
            "billing_info": {"id": order["buyer_id"]},
        },
        "taxes": {"amount": None, "currency_id": None, "id": None},
        "cancel_detail": order["cancel_detail"],
        "manufacturing_ending_date": None,
        "order_request": {"change": None, "return": None},
        "related_orders": None,
    }


def _order_item(order: Doc) -> Doc:
    place = order["location"]
    by_depot = place is not None and place["type"] == "seller_warehouse"
    return {
        "item": {
            "id": order["item_id"],
            "title": order["title"],
            "category_id": order["category_id"],
            "variation_id": order["variation_id"],
            "seller_custom_field": None,
            "variation_attributes": [
                {name: one[name] for name in ("name", "id", "value_id", "value_name")} for one in order["combinations"]
            ],
            "warranty": "Sem garantia",
            "condition": order["condition"],
            "seller_sku": order["seller_sku"],
            "global_price": None,
            "net_weight": None,
            "user_product_id": order["user_product_id"],
            "release_date": None,
            "attributes": [attribute("ITEM_CONDITION", "Condição do item", "Novo", "2230284")],
        },
        "quantity": order["quantity"],
        "requested_quantity": {"measure": "unit", "value": order["quantity"]},
        "picked_quantity": None,
        "unit_price": order["unit_price"],
        "gross_price": order["unit_price"],
        "currency_id": "BRL",
        "manufacturing_days": None,
        "sale_fee": round(order["unit_price"] * 0.165, 2),
        "listing_type_id": order["listing_type_id"],
        "base_exchange_rate": None,
        "base_currency_id": None,
        "element_id": None,
        "discounts": None,
        "bundle": None,
        "compat_id": None,
        "stock": [{"store_id": place["store_id"], "network_node_id": place["network_node_id"]}] if by_depot else None,
        "kit_instance_id": None,
    }


def _payment(market: Marketplace, order: Doc) -> Doc:
    total = round(order["unit_price"] * order["quantity"], 2)
    approved = order["payment_status"] == "approved"
    refunded = order["payment_status"] == "refunded"
    return {
        "id": order["payment_id"],
        "order_id": order["id"],
        "payer_id": _buyer(market, order["buyer_id"])["id"],
        "collector": {"id": order["user_id"]},
        "reason": order["title"],
        "site_id": "MLB",
        "payment_method_id": "pix",
        "payment_type": "bank_transfer",
        "currency_id": "BRL",
        "installments": 1,
        "operation_type": "regular_payment",
        "available_actions": ["refund"] if approved else [""],
        "status": order["payment_status"],
        "status_code": None,
        "status_detail": "accredited" if approved else "refunded" if refunded else "pending_contingency",
        "transaction_amount": total,
        "transaction_amount_refunded": total if refunded else 0,
        "shipping_cost": order["shipping_cost"],
        "coupon_amount": 0,
        "overpaid_amount": 0,
        "total_paid_amount": round(total + order["shipping_cost"], 2),
        "date_approved": west4(order["closed"]),
        "date_created": west4(order["created"]),
        "date_last_modified": west4(order["updated"]),
    }


# --- search --------------------------------------------------------------------------------------------------------


def get_search(market: Marketplace, call: Call) -> Answer:
    """``GET /orders/search`` (contract §3.3): dates are cut to the hour, cancelled ones only when asked for."""
    seller = call.query.get("seller", "")
    if not seller:
        refuse(400, "bad_request", "At least one filter is required: seller or buyer")
    if seller != str(call.user_id):
        refuse(403, "caller.id.invalid", "The caller is not authorized to access these orders")
    offset, limit = call.number("offset", 0), min(call.number("limit", 50), SEARCH_PAGE_MAX)
    if offset > SEARCH_OFFSET_MAX:
        refuse(400, "bad_request", f"The offset must be at most {SEARCH_OFFSET_MAX}")
    descending = call.query.get("sort") == "date_desc"
    bounds = _bounds(call)
    with market.state.lock:
        found = [order for order in _all_of(market, caller(call)) if _fits(call.query, bounds, order)]
        found.sort(key=lambda order: (order["closed"] or order["created"], order["id"]), reverse=descending)
        results = [_search_row(market, order) for order in found[offset : offset + limit]]
    chosen, other = ("date_desc", "date_asc") if descending else ("date_asc", "date_desc")
    names = {"date_asc": "Date ascending", "date_desc": "Date descending"}
    return Answer(
        200,
        {
            "query": call.query.get("q", ""),
            "results": results,
            "sort": {"id": chosen, "name": names[chosen]},
            "available_sorts": [{"id": other, "name": names[other]}],
            "filters": [],
            "paging": {"total": len(found), "offset": offset, "limit": limit},
            "display": "complete",
        },
    )


def _all_of(market: Marketplace, user_id: int) -> list[Doc]:
    now = now_seconds()
    table = market.state.tables["order"]
    orders = [table[key] for key in market.state.orders_of.get(user_id, [])]
    return [order for order in orders if order["visible_at"] <= now]


def _bounds(call: Call) -> list[tuple[str, float, float]]:
    """(field, from, to) for each date filter; minutes and below are thrown away, also those of ``to``."""
    bounds = []
    for name, field in DATE_FILTERS.items():
        low, high = call.query.get(f"{name}.from"), call.query.get(f"{name}.to")
        if not low and not high:
            continue
        try:
            bounds.append((field, to_hour(low) if low else 0.0, to_hour(high) if high else float("inf")))
        except ValueError:
            refuse(400, "bad_request", f"Invalid date in {name}: use ISO 8601, as 2026-08-27T00:00:00.000-04:00")
    return bounds


def _fits(query: dict[str, str], bounds: list[tuple[str, float, float]], order: Doc) -> bool:
    statuses = query.get("order.status", "")
    if statuses:
        if order["status"] not in statuses.split(","):
            return False
    elif order["status"] == "cancelled":
        return False
    for field, low, high in bounds:
        if order[field] is None or not low <= order[field] <= high:
            return False
    if query.get("item") and order["item_id"] != query["item"]:
        return False
    tags: set[str] = set(order["tags"])
    if query.get("tags") and not set(query["tags"].split(",")) <= tags:
        return False
    if query.get("tags.not") and set(query["tags.not"].split(",")) & tags:
        return False
    q = query.get("q", "").lower()
    return not q or q in (str(order["id"]), order["item_id"].lower()) or q in order["title"].lower()


def _search_row(market: Marketplace, order: Doc) -> Doc:
    """A row holds two dates of change in two forms (contract §3.3)."""
    return {**render(market, order), "date_last_updated": zulu(order["updated"])}
