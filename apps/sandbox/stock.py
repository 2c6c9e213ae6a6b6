"""The only code that changes a quantity, and what a change sets off.

A listing of a user product shows the sum of that product's locations, and every listing of the product shows the
same; a change moves its ``version`` (contract §5.5, §5.6). A listing of the older kind keeps its own number, or one
in each variation. 0 pauses an active listing as ``out_of_stock``; more than 0 wakes one that was paused for that
reason only (contract §5.2).

Everything here is called inside ``state.change()`` and appends to ``applied`` what moved.
"""

from __future__ import annotations

from .call import Doc
from .clock import now_seconds
from .marketplace import Marketplace

MAX_QUANTITY = 99_999


def is_full(item: Doc) -> bool:
    """Whether the goods lie in the marketplace's own warehouse, where no seller writes."""
    return bool(item["logistic_type"] == "fulfillment")


def variation_of(item: Doc, variation_id: int | None) -> Doc | None:
    """The variation with this id, or ``None``."""
    variations: list[Doc] = item["variations"]
    return next((variation for variation in variations if variation["id"] == variation_id), None)


def available(item: Doc, variation_id: int | None) -> int:
    """Units on sale of a listing, or of one of its variations."""
    variation = variation_of(item, variation_id)
    return int((variation or item)["available_quantity"])


def set_available(
    market: Marketplace, item: Doc, quantity: int, variation_id: int | None, applied: list[Doc], notify: bool = True
) -> None:
    """Make a listing (or one variation) show ``quantity`` units."""
    change_available(market, item, quantity - available(item, variation_id), variation_id, applied, notify=notify)


def change_available(
    market: Marketplace,
    item: Doc,
    delta: int,
    variation_id: int | None,
    applied: list[Doc],
    *,
    sold: int = 0,
    location: Doc | None = None,
    notify: bool = True,
) -> Doc | None:
    """Add ``delta`` units (negative takes) and ``sold`` to the units sold; never below zero.

    ``location`` names where units come back to. Returns the location of the user product that was touched first,
    ``None`` for a listing without one.
    """
    variation = variation_of(item, variation_id)
    item["sold_quantity"] = max(0, item["sold_quantity"] + sold)
    if variation is not None:
        variation["sold_quantity"] = max(0, variation["sold_quantity"] + sold)
    if item["user_product_id"]:
        product = market.state.tables["user_product"][item["user_product_id"]]
        touched = _move(product["locations"], delta, location)
        show_product_stock(market, product, applied, notify=notify)
        return touched
    before = available(item, variation_id)
    after = max(0, before + delta)
    (variation or item)["available_quantity"] = after
    if variation is not None:
        item["available_quantity"] = sum(other["available_quantity"] for other in item["variations"])
    touch_item(market, item, notify=notify)
    if before != after:
        applied.append(_change(item, before, after, variation_id))
    return None


def show_product_stock(market: Marketplace, product: Doc, applied: list[Doc], notify: bool = True) -> None:
    """After a change of ``product["locations"]``: new version, and every listing of it shows the new sum."""
    total = sum(location["quantity"] for location in product["locations"])
    product["version"] += 1
    product["last_updated"] = now_seconds()
    market.state.save("user_product", product["id"], product)
    for item_id in product["item_ids"]:
        item = market.state.tables["item"][item_id]
        before = item["available_quantity"]
        item["available_quantity"] = total
        touch_item(market, item, notify=notify)
        if before != total:
            applied.append(_change(item, before, total, None))
    if notify:
        market.notifier.announce(product["user_id"], "stock-locations", f"/user-products/{product['id']}/stock")


def touch_item(market: Marketplace, item: Doc, notify: bool = True) -> None:
    """Save a changed listing, let its status follow its stock, and tell of it."""
    if item["available_quantity"] <= 0 and item["status"] == "active":
        item["status"], item["sub_status"] = "paused", ["out_of_stock"]
    elif item["available_quantity"] > 0 and item["status"] == "paused" and item["sub_status"] == ["out_of_stock"]:
        item["status"], item["sub_status"] = "active", []
    item["last_updated"] = now_seconds()
    market.state.save("item", item["id"], item)
    if notify:
        market.notifier.announce(item["user_id"], "items", f"/items/{item['id']}")


def _move(locations: list[Doc], delta: int, location: Doc | None) -> Doc | None:
    """Give to ``location`` or the first one; take from the first that has, then from the next ones."""
    if not locations:
        return None
    if delta >= 0:
        target = next((one for one in locations if location and _same_place(one, location)), locations[0])
        target["quantity"] += delta
        return target
    left = -delta
    whole = [one for one in locations if one["quantity"] >= left]
    order = whole[:1] or sorted(locations, key=lambda one: -int(one["quantity"]))
    for one in order:
        taken = min(left, one["quantity"])
        one["quantity"] -= taken
        left -= taken
    return order[0]


def _same_place(one: Doc, other: Doc) -> bool:
    return bool(one["type"] == other["type"] and one.get("store_id") == other.get("store_id"))


def _change(item: Doc, before: int, after: int, variation_id: int | None) -> Doc:
    change: Doc = {"item": item["id"], "available_quantity": [before, after]}
    if variation_id is not None:
        change["variation"] = variation_id
    return change
