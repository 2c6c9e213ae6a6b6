"""Parcels: both formats, the way back to the order, labels and the invoice that unlocks them (contract §4)."""

from __future__ import annotations

import io
import zipfile

from .call import Answer, Call, Doc, refuse
from .clock import now_seconds, west3, west4
from .marketplace import Marketplace, refuse_foreign
from .orders import own_order

LABEL_MAX = 50
PRINTABLE_LOGISTICS = ("drop_off", "xd_drop_off", "cross_docking", "self_service")
PRINTABLE_SUBSTATUSES = ("ready_to_print", "printed")
DELIVERY_SECONDS = 3 * 24 * 3600


def get_shipment(market: Marketplace, call: Call, shipment_id: str) -> Answer:
    """``GET /shipments/{id}``: the new format with ``x-format-new: true``, else the old one (contract §4.1)."""
    with market.state.lock:
        shipment = _own_shipment(market, call, shipment_id)
        new = (call.headers.get("x-format-new") or "").lower() == "true"
        return Answer(200, _new_format(market, shipment) if new else _old_format(market, shipment))


def get_shipment_orders(market: Marketplace, call: Call, shipment_id: str) -> Answer:
    """``GET /shipments/{id}/orders``: ``order_id`` is a string here (contract §4.2)."""
    with market.state.lock:
        shipment = _own_shipment(market, call, shipment_id)
        rows = [
            {
                "order_id": str(order["id"]),
                "pack_id": None if order["pack_id"] is None else str(order["pack_id"]),
                "item_id": order["item_id"],
                "variation_id": order["variation_id"],
                "user_product_id": order["user_product_id"],
                "seller_id": order["user_id"],
                "requested_quantity": {"measure": "unit", "value": order["quantity"]},
                "picked_quantity": None,
            }
            for order in _orders(market, shipment)
        ]
    return Answer(200, rows)


def get_shipment_items(market: Marketplace, call: Call, shipment_id: str) -> Answer:
    """``GET /shipments/{id}/items``."""
    with market.state.lock:
        shipment = _own_shipment(market, call, shipment_id)
        rows = [
            {
                "item_id": order["item_id"],
                "description": order["title"],
                "quantity": order["quantity"],
                "variation_id": order["variation_id"],
                "dimensions": {"height": 10, "width": 20, "length": 30, "weight": 500},
                "order_id": order["id"],
                "sender_id": order["user_id"],
            }
            for order in _orders(market, shipment)
        ]
    return Answer(200, rows)


def get_shipment_sla(market: Marketplace, call: Call, shipment_id: str) -> Answer:
    """``GET /shipments/{id}/sla``: until when to ship; not for cancelled or Full."""
    with market.state.lock:
        shipment = _own_shipment(market, call, shipment_id)
        if shipment["status"] == "cancelled" or shipment["logistic_type"] == "fulfillment":
            return Answer(404, {"code": "not_found", "message": "not_found"})
        until = shipment["created"] + 24 * 3600
        body = {
            "status": "on_time",
            "expected_date": west3(until),
            "service": "ship_by",
            "last_updated": west3(shipment["updated"]),
        }
    return Answer(200, body)


def get_order_shipments(market: Marketplace, call: Call, order_id: str) -> Answer:
    """``GET /orders/{id}/shipments``: a list with ``X-New-Domain: true``, else the old single object."""
    with market.state.lock:
        order = own_order(market, call, order_id)
        shipment = market.state.get("shipment", order["shipment_id"] or "")
        if shipment is None:
            return Answer(204)
        if (call.headers.get("X-New-Domain") or "").lower() == "true":
            return Answer(200, [{"id": shipment["id"], "type": "forward"}])
        return Answer(200, _old_format(market, shipment))


def get_labels(market: Marketplace, call: Call) -> Answer:
    """``GET /shipment_labels?shipment_ids=&response_type=pdf|zpl2``: ZIP bytes; printing is remembered."""
    ids = [one for one in call.query.get("shipment_ids", "").split(",") if one]
    kind = call.query.get("response_type", "pdf")
    if not ids or len(ids) > LABEL_MAX or kind not in ("pdf", "zpl2"):
        refuse(400, "bad_request", f"shipment_ids takes 1 to {LABEL_MAX} ids; response_type is pdf or zpl2")
    with market.state.change():
        shipments = [_own_shipment(market, call, shipment_id) for shipment_id in ids]
        failed = [_why_not(shipment) for shipment in shipments if _why_not(shipment)]
        if failed:
            message = "Some shipments are not ready to print"
            body = {"message": message, "error": "bad_request", "status": 400, "failed_shipments": failed}
            return Answer(400, body)
        for shipment in shipments:
            if shipment["substatus"] != "printed":
                set_shipment(market, shipment, {"substatus": "printed"}, call.applied)
    texts = [_label_text(shipment) for shipment in shipments]
    name = "Etiqueta MercadoEnvios." + ("pdf" if kind == "pdf" else "txt")
    content = (
        _pdf(texts) if kind == "pdf" else "".join(f"^XA^FO40,40^A0N,40,40^FD{one}^FS^XZ\n" for one in texts).encode()
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return Answer(200, packed.getvalue(), content_type="application/octet-stream")


def post_invoice(market: Marketplace, call: Call, shipment_id: str) -> Answer:
    """``POST /shipments/{id}/invoice_data?siteId=MLB`` with the NF-e as XML: the label can be printed then."""
    content_type = (call.headers.get("Content-Type") or "").split(";")[0].strip()
    if content_type != "application/xml" or b"<" not in call.body:
        refuse(400, "bad_request", "The invoice must be sent as application/xml")
    with market.state.change():
        shipment = _own_shipment(market, call, shipment_id)
        if shipment["substatus"] != "invoice_pending":
            refuse(400, "bad_request", f"The shipment is not waiting for an invoice: {shipment['substatus']}")
        set_shipment(market, shipment, {"substatus": "ready_to_print"}, call.applied)
    return Answer(201, {"shipment_id": shipment["id"], "status": "accepted"})


def set_shipment(market: Marketplace, shipment: Doc, changes: Doc, applied: list[Doc], notify: bool = True) -> None:
    """Change status, substatus or tracking number and tell of it. Called inside ``state.change()``."""
    now = now_seconds()
    before = {name: shipment[name] for name in changes}
    shipment.update(changes, updated=now)
    if "status" in changes:
        shipment["history"][f"date_{changes['status']}"] = now
    market.state.save("shipment", shipment["id"], shipment)
    applied.append({"shipment": shipment["id"], **{name: [before[name], changes[name]] for name in changes}})
    if notify:
        market.notifier.announce(shipment["user_id"], "shipments", f"/shipments/{shipment['id']}")


def _own_shipment(market: Marketplace, call: Call, shipment_id: str) -> Doc:
    shipment = market.state.get("shipment", shipment_id)
    if shipment is None:
        refuse(404, "not_found_shipping_id", f"Shipment with id {shipment_id} not found")
    if shipment["user_id"] != call.user_id:
        refuse_foreign()
    return shipment


def _orders(market: Marketplace, shipment: Doc) -> list[Doc]:
    return [market.state.tables["order"][str(order_id)] for order_id in shipment["order_ids"]]


def _why_not(shipment: Doc) -> Doc | None:
    if shipment["mode"] != "me2" or shipment["logistic_type"] not in PRINTABLE_LOGISTICS:
        return {"shipment_id": shipment["id"], "message": "logistic type without label", "code": "NOT_PRINTABLE"}
    if shipment["status"] != "ready_to_ship" or shipment["substatus"] not in PRINTABLE_SUBSTATUSES:
        return {
            "shipment_id": shipment["id"],
            "message": shipment["substatus"] or shipment["status"],
            "code": "NOT_READY",
        }
    return None


def _label_text(shipment: Doc) -> str:
    return f"SANDBOX ENVIO {shipment['id']} PEDIDO {shipment['order_ids'][0]}"


def _pdf(texts: list[str]) -> bytes:
    """One page of 10 x 15 cm a label, with a line of text."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(texts)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(texts)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(texts):
        stream = f"BT /F1 11 Tf 15 390 Td ({text}) Tj ET".encode()
        page = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 283 425] /Contents {5 + 2 * number} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects += [page.encode(), b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)]
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _address(market: Marketplace, shipment: Doc) -> Doc:
    buyer = market.state.tables["buyer"][shipment["buyer_id"]]
    return {
        "address_line": f"{buyer['street_name']}, {buyer['street_number']}",
        "street_name": buyer["street_name"],
        "street_number": buyer["street_number"],
        "comment": "",
        "zip_code": buyer["zip_code"],
        "city": {"id": None, "name": buyer["city"]},
        "state": {"id": f"BR-{buyer['state']}", "name": buyer["state_name"]},
        "country": {"id": "BR", "name": "Brasil"},
        "neighborhood": {"id": None, "name": "Centro"},
        "municipality": {"id": None, "name": None},
        "delivery_preference": "residential",
        "agency": {"agency_id": None},
        "node": None,
    }


def _new_format(market: Marketplace, shipment: Doc) -> Doc:
    """No order id inside: that is asked from ``/shipments/{id}/orders``."""
    orders = _orders(market, shipment)
    buyer = market.state.tables["buyer"][shipment["buyer_id"]]
    place = orders[0]["location"]
    node = place["network_node_id"] if place and place["type"] == "seller_warehouse" else None
    promised = shipment["created"] + DELIVERY_SECONDS
    paid = any(order["payment_status"] == "approved" for order in orders)
    return {
        "id": shipment["id"],
        "external_reference": None,
        "status": shipment["status"],
        "substatus": shipment["substatus"],
        "date_created": west4(shipment["created"]),
        "last_updated": west4(shipment["updated"]),
        "declared_value": round(sum(order["unit_price"] * order["quantity"] for order in orders), 2),
        "dimensions": {"height": 10, "width": 20, "length": 30, "weight": 500},
        "logistic": {"mode": shipment["mode"], "type": shipment["logistic_type"], "direction": "forward"},
        "source": {"site_id": "MLB", "market_place": "MELI", "application_id": None, "customer_id": None},
        "tracking_number": shipment["tracking_number"],
        "tracking_method": "MEL Distribution",
        "origin": {
            "type": "selling_address",
            "sender_id": shipment["user_id"],
            "node": node,
            "shipping_address": {
                "city": {"id": None, "name": "São Paulo"},
                "node": {"node_id": node} if node else None,
            },
        },
        "destination": {
            "type": "buying_address",
            "receiver_id": buyer["id"],
            "receiver_name": f"{buyer['first_name']} {buyer['last_name']}" if paid else None,
            "receiver_phone": buyer["phone"] if paid else None,
            "comments": None,
            # Hidden until the payment is confirmed (contract §4.1).
            "shipping_address": _address(market, shipment) if paid else None,
        },
        "lead_time": {
            "option_id": 1,
            "shipping_method": {"id": 100009, "name": "Normal", "type": "standard", "deliver_to": "address"},
            "cost": orders[0]["shipping_cost"],
            "list_cost": 22.14,
            "cost_type": "partially_free",
            "currency_id": "BRL",
            "buffering": {"date": None},
            "estimated_delivery_time": {
                "date": west3(promised),
                "type": "known_frame",
                "handling": 24,
                "shipping": 48,
                "unit": "hour",
                "pay_before": west3(shipment["created"] + 86400),
                "offset": {"date": west3(promised + 86400), "shipping": 24},
            },
            "estimated_delivery_limit": {"date": None},
            "estimated_delivery_final": {"date": None},
            "estimated_delivery_extended": {"date": None},
            "delivery_type": "estimated",
            "service_id": 1,
        },
        "sibling": {"sibling_id": None, "reason": None, "description": None, "source": None},
        "snapshot_packing": None,
        "tags": [],
        "items_types": ["new"],
        "priority_class": {"id": "30"},
    }


def _old_format(market: Marketplace, shipment: Doc) -> Doc:
    orders = _orders(market, shipment)
    dates = (
        "handling",
        "ready_to_ship",
        "shipped",
        "first_visit",
        "delivered",
        "not_delivered",
        "cancelled",
        "returned",
    )
    history = {f"date_{name}": west4(shipment["history"].get(f"date_{name}")) for name in dates}
    return {
        "id": shipment["id"],
        "mode": shipment["mode"],
        "logistic_type": shipment["logistic_type"],
        "status": shipment["status"],
        "substatus": shipment["substatus"],
        "order_id": orders[0]["id"],
        "order_cost": round(sum(order["unit_price"] * order["quantity"] for order in orders), 2),
        "sender_id": shipment["user_id"],
        "receiver_id": market.state.tables["buyer"][shipment["buyer_id"]]["id"],
        "receiver_address": _address(market, shipment),
        "type": "forward",
        "status_history": history,
        "shipping_items": [
            {
                "id": order["item_id"],
                "description": order["title"],
                "quantity": order["quantity"],
                "user_product_id": order["user_product_id"],
                "dimensions": "10.0x20.0x30.0,500.0",
            }
            for order in orders
        ],
        "cost_components": {"loyal_discount": 0, "special_discount": 0, "compensation": 0},
        "tracking_number": shipment["tracking_number"],
        "date_created": west4(shipment["created"]),
        "last_updated": west4(shipment["updated"]),
    }
