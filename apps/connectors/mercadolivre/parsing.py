"""Mercado Livre's JSON into plain snapshots, and their notifications into notices. Pure: no network, no database.

Tolerant of what varies (an id is a number here and text there, a part is missing, a status is new), strict about what
the hub would act on: an order without status, or a line without item or quantity, is refused with the field's name.
Ids are text throughout, for some do not fit 64 bits (contract, conventions).
"""

import hashlib
import io
import json
import math
import re
import uuid
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.connectors.channel import (
    AccountSnapshot,
    Buyer,
    ChannelError,
    DepotSnapshot,
    DepotStock,
    FoundOrder,
    Label,
    ListingSnapshot,
    Notice,
    OrderLine,
    OrderPage,
    OrderSnapshot,
    Poison,
    PriceAnswer,
    ShipmentSnapshot,
    StockAnswer,
    StockShown,
)

QUANTITY_MAX = 2**31 - 1  # what an integer column holds
MONEY_MAX = Decimal(10) ** 12
ID_LENGTH_MAX = 64
TEXT_LENGTH_MAX = 255

Doc = Mapping[str, Any]


def unreadable(field: str, where: str, *, status: int = 200) -> ChannelError:
    """Return the error for an answer that lacks what the hub needs. Not permanent: the next one may be whole."""
    return ChannelError(
        f"Mercado Livre's answer cannot be used: {where} has no usable {field}. It will be read again.",
        code="unreadable_answer",
        status=status,
    )


# --- Answers -------------------------------------------------------------------------------------------------------


def account(raw: object) -> AccountSnapshot:
    """Read `GET /users/me` (contract §1.6); raises ChannelError when it does not say whose token it is."""
    user = _mapping(raw, "the account")
    return AccountSnapshot(
        user_id=_required_id(user, "id", "the account"),
        nickname=_text(user.get("nickname")),
        site_id=_text(user.get("site_id")),
        tags=_words(user.get("tags")),
        has_depots="warehouse_management" in _words(user.get("tags")),
    )


def order(raw: object, *, is_complete: bool = True) -> OrderSnapshot:
    """Read `GET /orders/{id}` (contract §3.1); raises ChannelError naming the field that cannot be used."""
    document = _mapping(raw, "the order")
    order_id = _required_id(document, "id", "the order")
    where = f"order {order_id}"
    status = _text(document.get("status")).lower()
    if not status:
        raise unreadable("status", where)
    rows = document.get("order_items")
    if not isinstance(rows, list) or not rows:
        raise unreadable("order_items", where)
    return OrderSnapshot(
        external_id=order_id,
        status=status,
        tags=_words(document.get("tags")),
        created_at=moment(document.get("date_created")),
        # The detail has last_updated, rows of a search date_last_updated as well (contract §3.3).
        updated_at=moment(document.get("last_updated")) or moment(document.get("date_last_updated")),
        pack_id=_id(document.get("pack_id")),
        shipment_id=_id(_part(document, "shipping").get("id")),
        seller_id=_id(_part(document, "seller").get("id")),
        total_amount=money(document.get("total_amount")),
        currency=_text(document.get("currency_id")),
        lines=tuple(_order_line(row, f"line {number} of {where}") for number, row in enumerate(rows, 1)),
        buyer_name=" ".join(
            filter(None, (_text(_part(document, "buyer").get(part)) for part in ("first_name", "last_name")))
        ),
        billing_id=_id(_part(_part(document, "buyer"), "billing_info").get("id")),
        is_complete=is_complete,
    )


def _order_line(raw: object, where: str) -> OrderLine:
    row = _mapping(raw, where)
    item = _part(row, "item")
    quantity = whole_number(row.get("quantity"))
    if quantity is None or quantity < 1:
        raise unreadable("quantity", where)
    return OrderLine(
        item_id=_required_id(item, "id", where, name="item.id"),
        variation_id=_id(item.get("variation_id")),
        user_product_id=_id(item.get("user_product_id")),
        seller_sku=_text(item.get("seller_sku")) or _text(item.get("seller_custom_field")),
        title=_text(item.get("title")),
        quantity=quantity,
        unit_price=money(row.get("unit_price")),
    )


def order_page(raw: object, *, reach: int) -> OrderPage:
    """Read a page of `GET /orders/search` (contract §3.3); raises ChannelError without rows or their total.

    A row without an id that can be used keeps its place, empty: one such must not hide the others.
    """
    document = _mapping(raw, "the order search")
    rows, total = document.get("results"), whole_number(_part(document, "paging").get("total"))
    if not isinstance(rows, list):
        raise unreadable("results", "the order search")
    if total is None:
        raise unreadable("paging.total", "the order search")
    found = tuple(
        FoundOrder(
            external_id=_id(row.get("id")),
            status=_text(row.get("status")).lower(),
            updated_at=moment(row.get("last_updated")) or moment(row.get("date_last_updated")),
            touched_at=moment(row.get("date_last_updated")) or moment(row.get("last_updated")),
        )
        for row in (row if isinstance(row, dict) else {} for row in rows)
    )
    return OrderPage(orders=found, total=total, reach=reach)


def listings(raw: object) -> tuple[ListingSnapshot, ...]:
    """Read one item (contract §5.1) into its sellable numbers: one, or one for each variation.

    Raises ChannelError when id, status or a quantity cannot be used.
    """
    item = _mapping(raw, "the listing")
    item_id = _required_id(item, "id", "the listing")
    where = f"listing {item_id}"
    if not _text(item.get("status")):
        raise unreadable("status", where)
    variations = item.get("variations")
    if not isinstance(variations, list) or not variations:
        return (_listing(item, item, "", where),)
    found = []
    for number, one in enumerate(variations, 1):
        variation = _mapping(one, f"variation {number} of {where}")
        variation_id = _required_id(variation, "id", f"variation {number} of {where}")
        found.append(_listing(item, variation, variation_id, f"variation {variation_id} of {where}"))
    return tuple(found)


def _listing(item: Doc, holder: Doc, variation_id: str, where: str) -> ListingSnapshot:
    """Return the snapshot of what `holder` (the item, or one of its variations) sells.

    A variation does not inherit the item's SKU or GTIN: that would give one SKU to all of them.
    """
    quantity = whole_number(holder.get("available_quantity"))
    if quantity is None:
        raise unreadable("available_quantity", where)
    return ListingSnapshot(
        item_id=_id(item.get("id")),
        variation_id=variation_id,
        user_product_id=_id(holder.get("user_product_id")),
        seller_sku=_seller_sku(holder),
        gtin=_attribute(holder, "GTIN") or _attribute(holder, "EAN") or _attribute(holder, "UPC"),
        title=_text(item.get("title")),
        status=_text(item.get("status")).lower(),
        sub_status=_words(item.get("sub_status")),
        quantity=quantity,
        price=money(holder.get("price")) if holder.get("price") is not None else money(item.get("price")),
        logistic_type=_text(_part(item, "shipping").get("logistic_type")),
        is_kit=bool(item.get("bundle")),
        has_moved="variations_migration_source" in _words(item.get("tags")),
        seller_id=_id(item.get("seller_id")),
    )


OWN_PLACES = ("selling_address", "seller_warehouse")
"""Types of stock locations that are the seller's; the third, `meli_facility`, is Full (contract §5.6)."""


def own_units(raw: object) -> int | None:
    """Read `GET /user-products/{id}/stock`: the units at the seller's own places; None when it names no such place.

    Raises ChannelError when a quantity cannot be used.
    """
    rows = _mapping(raw, "the stock by location").get("locations")
    if not isinstance(rows, list):
        raise unreadable("locations", "the stock by location")
    own = [row for row in rows if isinstance(row, dict) and row.get("type") in OWN_PLACES]
    quantities = [whole_number(row.get("quantity")) for row in own]
    if None in quantities:
        raise unreadable("quantity", "the stock by location")
    return sum(filter(None, quantities)) if own else None


def moved_to(raw: object) -> dict[str, str]:
    """Read `GET /items/{id}/migration_live_listing` (contract §5.5): {variation id: new item's id}."""
    rows = raw.get("new_items") if isinstance(raw, dict) else None
    pairs = [(_id(row.get("variation_id")), _id(row.get("new_item_id"))) for row in rows or [] if isinstance(row, dict)]
    return {variation_id: item_id for variation_id, item_id in pairs if variation_id and item_id}


def multiget_rows(raw: object) -> Iterator[tuple[str, int, object]]:
    """Level both multiget forms (contract §5.1) to (item id, HTTP status, body); the id is "" when a row names none.

    New rows are `{id, status_code, body}`, old ones `{code, body}`; both hold errors inside an outer 200.
    """
    if not isinstance(raw, list):
        raise unreadable("list of rows", "the multiget")
    for row in raw:
        if not isinstance(row, dict):
            continue
        body = row.get("body")
        item_id = _id(row.get("id")) or (_id(body.get("id")) if isinstance(body, dict) else "")
        status = whole_number(row.get("status_code", row.get("code")))
        yield item_id, 200 if status is None and item_id else status or 0, body


def shipment(raw: object) -> ShipmentSnapshot:
    """Read `GET /shipments/{id}` in either format (contract §4.1). Raises ChannelError without id or status."""
    document = _mapping(raw, "the shipment")
    shipment_id = _required_id(document, "id", "the shipment")
    status = _text(document.get("status")).lower()
    if not status:
        raise unreadable("status", f"shipment {shipment_id}")
    logistic, destination, size = (_part(document, name) for name in ("logistic", "destination", "dimensions"))
    sides = [_length(size.get(side)) for side in ("height", "width", "length")]
    return ShipmentSnapshot(
        external_id=shipment_id,
        status=status,
        substatus=_text(document.get("substatus")).lower(),
        logistic_type=(_text(logistic.get("type")) or _text(document.get("logistic_type"))).lower(),
        updated_at=moment(document.get("last_updated")),
        tracking_number=_text(document.get("tracking_number"))[:ID_LENGTH_MAX],
        weight_g=whole_number(round(weight)) if (weight := money(size.get("weight"))) is not None else None,
        dimensions=" x ".join(sides) if all(sides) else "",
        receiver_name=_text(destination.get("receiver_name")),
        receiver_phone=_text(destination.get("receiver_phone")),
    )


def _length(value: object) -> str:
    length = money(value)
    return f"{length:f}" if length is not None and 0 < length < 10_000 else ""


def buyer(raw: object) -> Buyer:
    """Read `GET /orders/billing-info/{site}/{id}` (contract §3.5); what it does not say is empty."""
    document = raw if isinstance(raw, dict) else {}
    buyer_part = _part(document, "buyer")
    billing = _part(buyer_part, "billing_info") or _part(document, "billing_info") or document
    identity = _part(billing, "identification")
    names = (_text(billing.get(part)) for part in ("name", "last_name"))
    return Buyer(name=" ".join(filter(None, names)), document=re.sub(r"\D", "", _text(identity.get("number")))[:14])


def order_ids(raw: object) -> frozenset[str]:
    """Read the orders that something is about: a pack, a shipment's rows, a payment or a claim (contract §3.4-4.2)."""
    if isinstance(raw, list):  # GET /shipments/{id}/orders
        return frozenset(filter(None, (_id(row.get("order_id")) for row in raw if isinstance(row, dict))))
    document = raw if isinstance(raw, dict) else {}
    rows = document.get("orders")
    if isinstance(rows, list):  # GET /packs/{id}
        return frozenset(filter(None, (_id(row.get("id")) for row in rows if isinstance(row, dict))))
    if _text(document.get("resource")) == "order":  # GET /post-purchase/v1/claims/{id}
        return frozenset(filter(None, [_id(document.get("resource_id"))]))
    return frozenset(filter(None, [_id(document.get("order_id"))]))  # GET /collections/{id}


LABEL_BYTES_MAX = 5 * 1024 * 1024


def label(content: bytes) -> Label | None:
    """Read what `GET /shipment_labels` gave, by its first bytes: a ZIP of one, PDF or ZPL (contract §4.5).

    None for anything else: an empty 2xx happens, and there will be a label later.
    """
    if content.startswith(b"PK"):
        content = _first_in_zip(content)
    if content.startswith(b"%PDF"):
        return Label("PDF", content)
    return Label("ZPL", content) if content.lstrip().startswith(b"^XA") else None


def _first_in_zip(content: bytes) -> bytes:
    """Return the first label inside; nothing when the archive is broken or unfolds to more than a label can be."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    with archive.open(entry) as file:
                        read = file.read(LABEL_BYTES_MAX + 1)
                    return read if len(read) <= LABEL_BYTES_MAX else b""
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
        pass  # an encrypted or damaged archive is no label
    return b""


def stock_answer(raw: object, *, variation_id: str, http_status: int) -> StockAnswer:
    """Read what the answer to a stock write shows (contract §5.4: 200 is not proof); never raises."""
    item = raw if isinstance(raw, dict) else {}
    holder = item if not variation_id else _variation(item, variation_id)
    return StockAnswer(
        quantity=whole_number(holder.get("available_quantity")),
        listing_status=_text(item.get("status")).lower(),
        http_status=http_status,
    )


def stock_shown(raw: object, variation_id: str) -> StockShown:
    """Read what an item, or one variation of it, shows for sale; never raises."""
    return StockShown(stock_answer(raw, variation_id=variation_id, http_status=200).quantity)


def stock_by_depot(raw: object, version: str) -> tuple[StockShown, str]:
    """Read `GET /user-products/{id}/stock` (contract §5.6): the seller's own depots and the version.

    Stock at the channel's own warehouse (`meli_facility`) and at the selling address is left out: it is not written.
    Raises ChannelError without a version, without locations, or when a depot's name or quantity cannot be used.
    """
    document = _mapping(raw, "the stock of the user product")
    rows = document.get("locations")
    if not isinstance(rows, list):
        raise unreadable("locations", "the stock of the user product")
    if not version:
        raise unreadable("x-version", "the stock of the user product")
    found = [_depot_stock(row) for row in rows if isinstance(row, dict) and row.get("type") == "seller_warehouse"]
    return StockShown(sum(one.quantity for one in found), tuple(found)), version


def _depot_stock(row: Doc) -> DepotStock:
    store_id = _required_id(row, "store_id", "a depot of the user product")
    quantity = whole_number(row.get("quantity"))
    if quantity is None:
        raise unreadable("quantity", f"depot {store_id}")
    return DepotStock(store_id, _id(row.get("network_node_id")), quantity)


def depot_entries(depots: Iterable[DepotStock]) -> list[dict[str, object]]:
    """Return the body's `locations` of a write of depots."""
    return [
        {"store_id": one.store_id, "network_node_id": one.network_node_id, "quantity": one.quantity} for one in depots
    ]


def depots(raw: object) -> tuple[list[DepotSnapshot], int]:
    """Read a page of `GET /users/{id}/stores/search` (contract §5.6): the depots, and how many there are in all."""
    document = _mapping(raw, "the list of depots")
    rows = document.get("results")
    if not isinstance(rows, list):
        raise unreadable("results", "the list of depots")
    found = [
        DepotSnapshot(_id(row.get("id")), _id(row.get("network_node_id")), _text(row.get("description"))[:100])
        for row in rows
        if isinstance(row, dict) and _id(row.get("id"))
    ]
    return found, whole_number(_part(document, "paging").get("total")) or len(found)


def price_answer(raw: object, *, http_status: int) -> PriceAnswer:
    """Read what the answer to a price shows; never raises. A price that was ignored comes with 200 (contract §5.8)."""
    return PriceAnswer(money(raw.get("price")) if isinstance(raw, dict) else None, http_status)


def variation_quantities(raw: object, *, variation_id: str, quantity: int) -> list[dict[str, object]] | None:
    """Return the body of a write of one variation's quantity: every variation of the item, the others as just read.

    All ids, because one left out may be deleted (contract §5.4), each exactly as it came, for one without id would be
    created anew. None when the item has no such variation. Raises ChannelError when a variation has no usable id.
    """
    item = _mapping(raw, "the listing")
    rows = item.get("variations")
    entries: list[dict[str, object]] = []
    is_found = False
    for number, one in enumerate(rows if isinstance(rows, list) else [], 1):
        variation = _mapping(one, f"variation {number} of the listing")
        is_ours = _required_id(variation, "id", f"variation {number} of the listing") == variation_id
        shown = quantity if is_ours else whole_number(variation.get("available_quantity"))
        entry: dict[str, object] = {"id": variation["id"]}
        entries.append(entry if shown is None else entry | {"available_quantity": shown})
        is_found = is_found or is_ours
    return entries if is_found else None


def _variation(item: Doc, variation_id: str) -> Doc:
    rows = item.get("variations")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and _id(row.get("id")) == variation_id:
            return row
    return {}


def _seller_sku(holder: Doc) -> str:
    """The proper place is the attribute; the custom field is a private one with no promise (contract §5.1)."""
    return (
        _attribute(holder, "SELLER_SKU") or _text(holder.get("seller_sku")) or _text(holder.get("seller_custom_field"))
    )


def _attribute(holder: Doc, attribute_id: str) -> str:
    rows = holder.get("attributes")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and row.get("id") == attribute_id:
            values = row.get("values")
            first = values[0] if isinstance(values, list) and values and isinstance(values[0], dict) else {}
            return _text(row.get("value_name")) or _text(first.get("name"))
    return ""


# --- Values --------------------------------------------------------------------------------------------------------


def _mapping(raw: object, where: str) -> Doc:
    if not isinstance(raw, dict):
        raise unreadable("JSON object", where)
    return raw


def _part(document: Doc, name: str) -> Doc:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str:
    """Return text that a database column takes: no NUL, no lone surrogate, not endless; "" for anything else."""
    if not isinstance(value, str):
        return ""
    return value.replace("\x00", "").encode("utf-8", "replace").decode().strip()[:TEXT_LENGTH_MAX]


def _words(value: object) -> tuple[str, ...]:
    """Return a list of tags sorted and once each, so that their order carries no news."""
    if not isinstance(value, list):
        return ()
    return tuple(sorted({word for word in map(_text, value) if word}))


def _id(value: object) -> str:
    """Return an id as text; "" for null, 0, and what cannot be an id. `variation_id` 0 means none (contract §3.1)."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    if isinstance(value, int) and not 0 < value < 10**ID_LENGTH_MAX:
        return ""
    text = str(value).strip()
    return "" if text == "0" or not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{ID_LENGTH_MAX}}}", text) else text


def _required_id(document: Doc, field: str, where: str, *, name: str = "") -> str:
    identifier = _id(document.get(field))
    if not identifier:
        raise unreadable(name or field, where)
    return identifier


def whole_number(value: object) -> int | None:
    """Return a count from 0 to what a column holds, from 3, 3.0 or "3"; None for anything else, true included."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,10}", value.strip(), re.ASCII):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= QUANTITY_MAX else None


def money(value: object) -> Decimal | None:
    """Return an amount as Decimal in one spelling (10, 10.0 and "10.00" are 10); None when it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int) and abs(value) > MONEY_MAX:
        return None
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if not amount.is_finite() or abs(amount) > MONEY_MAX:
        return None
    amount = round(amount, 4)
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()


def moment(value: object) -> datetime | None:
    """Return a time in UTC from any of their four forms (contract, conventions); None when it is not one.

    `…-04:00`, `…-0400`, `…Z`, with up to nine decimals; without a zone it is taken for UTC, their clock (§2.1).
    """
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# --- Notifications -------------------------------------------------------------------------------------------------

NOTIFICATION_BYTES_MAX = 64 * 1024
DEPTH_MAX = 32
INTEGER_MAX = 10**30  # their largest ids have twenty digits

# The only resources the hub ever reads because somebody on the internet said so.
READABLE_RESOURCE = re.compile(
    r"/?(?:post-purchase/v1/(?=claims/))?(orders|items|shipments|collections|packs|user-products|claims)"
    r"/([A-Za-z0-9_-]{1,64})(/stock)?",
    re.ASCII,
)


def read_notice(notification: bytes) -> Notice:
    """Read the body of a notification (contract §2.2), which anybody may have sent.

    A resource that is not on the list of what may be read is not passed on, so nothing can ever be asked for it.
    Raises Poison with the reason when the body is no sound JSON object with `topic`, `resource` and `user_id`.
    """
    body = _sound_object(notification)
    resource = _notice_text(body, "resource", 512)
    readable = READABLE_RESOURCE.fullmatch(resource)
    if readable and readable[3] and readable[1] != "user-products":
        readable = None
    topic, user_id, sent_at = _notice_text(body, "topic", 64), _notice_id(body, "user_id"), moment(body.get("sent"))
    return Notice(
        delivery_key=_delivery_id(body.get("_id"))
        or _delivery_id(body.get("id"))
        or _delivery_hash(topic, resource, user_id, sent_at),
        topic=topic,
        resource=resource if readable else "",
        resource_kind=readable[1] if readable else "",
        resource_id=readable[2] if readable else "",
        user_id=user_id,
        application_id=_notice_id(body, "application_id", default=""),
        sent_at=sent_at,
    )


def missed_rows(raw: object) -> list[Doc]:
    """Read a page of `GET /missed_feeds` (contract §2.6); raises ChannelError when it has no list of messages."""
    rows = _mapping(raw, "the list of missed notifications").get("messages")
    if not isinstance(rows, list):
        raise unreadable("messages", "the list of missed notifications")
    return [row if isinstance(row, dict) else {} for row in rows]


def missed_notice(row: Doc) -> bytes:
    """Return a row of `/missed_feeds` as the notification it was: without the story of its delivery.

    A row that nothing tells from others (no id, no time) gets a name of its own content, for the same rows come again.
    """
    notice = {name: value for name, value in row.items() if name not in ("request", "response")}
    if not any(notice.get(name) for name in ("_id", "id", "sent")):
        notice["_id"] = hashlib.sha256(json.dumps(notice, sort_keys=True).encode()).hexdigest()
    return json.dumps(notice).encode()


def _delivery_hash(topic: str, resource: str, user_id: str, sent_at: datetime | None) -> str:
    """Return the key of a delivery that has no id: a hash of what was sent and when (contract §2.2).

    Without a time either, every delivery is a new one: reading a resource once too often costs a call, taking news for
    a repetition loses a sale.
    """
    if sent_at is None:
        return uuid.uuid4().hex
    parts = [topic, resource, user_id, sent_at.isoformat()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _sound_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`; raises Poison for what would break a parser, a column or a worker later on."""
    if len(body) > NOTIFICATION_BYTES_MAX:
        raise Poison(f"the body has {len(body)} bytes; at most {NOTIFICATION_BYTES_MAX} are read")
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise Poison("the body is not UTF-8") from None
    except RecursionError:
        raise Poison(f"the body is nested deeper than {DEPTH_MAX} levels") from None
    except ValueError:  # also an integer of more than 4,300 digits
        raise Poison("the body is not JSON") from None
    if not isinstance(document, dict):
        raise Poison("the body is not a JSON object")
    _check_values(document)
    return document


def _refuse_constant(name: str) -> None:
    raise Poison(f"the body holds {name}, which is not JSON")


def _check_values(document: dict[str, Any]) -> None:
    """Walk every value without recursion, which a nested body could exhaust."""
    waiting: list[tuple[Any, int]] = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise Poison(f"the body is nested deeper than {DEPTH_MAX} levels")
        if isinstance(value, dict):
            waiting.extend((part, depth + 1) for part in value.values())
            waiting.extend((key, depth) for key in value)
        elif isinstance(value, list):
            waiting.extend((part, depth + 1) for part in value)
        elif isinstance(value, str):
            _check_text(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise Poison("the body holds a number too large to be one")
        elif isinstance(value, int) and abs(value) > INTEGER_MAX:
            raise Poison("the body holds an integer too large to be an id")


def _check_text(value: str) -> None:
    if "\x00" in value:
        raise Poison("the body holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Poison("the body holds half of a surrogate pair") from None


def _notice_text(body: Doc, field: str, length_max: int) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value.strip() or len(value) > length_max:
        raise Poison(f"{field} is not a text of 1 to {length_max} characters")
    return value.strip()


def _delivery_id(value: object) -> str:
    """Return their id of a delivery; hashed if it has a shape of its own, for its shape is promised nowhere."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Poison("the id of the notification is neither text nor number")
    return _id(value) or hashlib.sha256(str(value).encode()).hexdigest()


def _notice_id(body: Doc, field: str, *, default: str | None = None) -> str:
    """Return an id given as number or text (contract §2.2 has both); `default` when it is absent or null."""
    value = body.get(field)
    if value is None and default is not None:
        return default
    identifier = _id(value)
    if not identifier:
        raise Poison(f"{field} is not an id")
    return identifier
