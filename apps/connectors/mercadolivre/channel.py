"""Mercado Livre as the hub's port sees it: its verbs over `client` and `parsing`."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

import structlog

from apps.connectors.channel import (
    AccountSnapshot,
    Buyer,
    ChannelError,
    Decide,
    DepotSnapshot,
    Label,
    Line,
    ListingSnapshot,
    OrderPage,
    OrderSnapshot,
    PriceAnswer,
    ShipmentSnapshot,
    StockAnswer,
    StockNumbers,
    StockTarget,
    TokenSource,
)
from apps.connectors.mercadolivre import parsing
from apps.connectors.mercadolivre.client import MULTIGET_MAX, SEARCH_REACH, Client

log = structlog.get_logger(__name__)

FEED_TOPICS = ("", "items")
"""What `/missed_feeds` is asked for: everything at once, then the one topic that must be asked for by site."""

FEED_PAGES_MAX = 200
"""Pages of one question to `/missed_feeds`; what lies past them the order search finds."""

STORE_PAGES_MAX = 100
"""Pages of depots: five thousand of them. A list that goes on for ever must end."""

VERSION_TRIES = 3
"""Writes of one push against a version that moved under it; then the listing waits like after any conflict."""

VERSION_SECONDS = 10.0
"""No such write is begun anew after this long: all calls of a push must fit into its lease."""


def open_channel(tokens: TokenSource, line: Line | None = None) -> "MercadoLivre":
    """Return the channel of the account whose tokens these are."""
    return MercadoLivre(tokens, line)


class MercadoLivre:
    """The `Channel` of one account. Every HTTP call has a budget of 5 s of its own; a verb makes a few at most."""

    def __init__(self, tokens: TokenSource, line: Line | None = None) -> None:
        self.client = Client(tokens, line)

    def account(self) -> AccountSnapshot:
        """Return whose token this is."""
        return parsing.account(self.client.me())

    def any_item(self) -> str:
        """Return the id of one item the account sells; "" when it sells none."""
        return self.client.any_item_id(self.account().user_id)

    def order(self, external_id: str) -> OrderSnapshot:
        """Return the order as it stands now, incomplete if they could not give all parts (contract §3.1)."""
        raw, is_complete = self.client.order(external_id)
        snapshot = parsing.order(raw, is_complete=is_complete)
        if snapshot.external_id != external_id:
            raise ChannelError(
                f"Mercado Livre was asked for order {external_id} and answered order {snapshot.external_id}",
                code="unreadable_answer",
            )
        return snapshot

    def listings(self) -> Iterator[ListingSnapshot]:
        """Yield every sellable number of the account, variations one by one.

        A listing that cannot be read is logged and left out; it must not hide the others.
        """
        ids = self.client.item_ids(self.account().user_id)
        for start in range(0, len(ids), MULTIGET_MAX):
            yield from self._read_together(ids[start : start + MULTIGET_MAX])

    def item_ids(self) -> list[str]:
        """Return the ids of all items of the account, closed ones among them."""
        return self.client.item_ids(self.account().user_id)

    def read_back(self, item_ids: Sequence[str]) -> dict[str, list[ListingSnapshot] | None]:
        """Return {item id: its sellable numbers as they stand now; None when there is no such item}.

        item_ids: at most 20. What the multiget could not give is asked for alone, so that nothing is said to be gone
        because a row of a list was broken; an item that cannot be read either way is left out.
        """
        found: dict[str, list[ListingSnapshot] | None] = {}
        for item_id, rows in self._together(item_ids):
            found[item_id] = list(rows)
        for item_id in dict.fromkeys(item_ids):
            if item_id in found:
                continue
            try:
                found[item_id] = self.listing(item_id)
            except ChannelError as error:
                if error.account or error.code not in ("item_not_found", "unreadable_answer", "forbidden"):
                    raise
                if error.code == "item_not_found":
                    found[item_id] = None
                else:
                    log.warning("ml.listing_left_out", item_id=item_id, code=error.code, reason=str(error))
        return found

    def own_units(self, user_product_id: str) -> int | None:
        """Return the units at the seller's own places (contract §5.6); None when there are no such places."""
        try:
            return parsing.own_units(self.client.user_product_stock(user_product_id)[0])
        except ChannelError as error:
            if error.status == 404:
                return None
            raise

    def listing(self, item_id: str) -> list[ListingSnapshot]:
        """Return the sellable numbers of one item as they stand now: one, or one for each variation (contract §5.1).

        Raises ChannelError: `item_not_found` when there is no such item, `unreadable_answer` when it cannot be used.
        """
        found = parsing.listings(self.client.item(item_id))
        if found[0].item_id != item_id:
            raise ChannelError(
                f"Mercado Livre was asked for listing {item_id} and answered listing {found[0].item_id}. It will be"
                " read again.",
                code="unreadable_answer",
                status=200,
            )
        return list(found)

    def moved_to(self, item_id: str) -> dict[str, str]:
        """Return {variation id: id of the item that replaced it}; empty when there was no migration after all."""
        try:
            return parsing.moved_to(self.client.migration(item_id))
        except ChannelError as error:
            if error.status == 404:
                return {}
            raise

    def shipment(self, shipment_id: str) -> ShipmentSnapshot | None:
        """Return the parcel as it stands now; None when there is no such shipment (contract §4.1)."""
        try:
            snapshot = parsing.shipment(self.client.shipment(shipment_id))
        except ChannelError as error:
            if error.code == "shipment_not_found":
                return None
            raise
        if snapshot.external_id != shipment_id:
            raise ChannelError(
                f"Mercado Livre was asked for shipment {shipment_id} and answered {snapshot.external_id}",
                code="unreadable_answer",
            )
        return snapshot

    def pack(self, pack_id: str) -> frozenset[str]:
        """Return the orders of a pack (contract §3.4); empty when there is no such pack."""
        return self.orders_behind("packs", pack_id)

    def label(self, shipment_id: str) -> Label | None:
        """Return a parcel's label as PDF (contract §4.5); None while Mercado Livre refuses or has nothing to print."""
        content = self.client.label(shipment_id)
        return parsing.label(content) if content else None

    def buyer(self, order: OrderSnapshot) -> Buyer:
        """Return whom the invoice is for, from the billing data; else the name that the order itself shows."""
        billed = parsing.buyer(self.client.billing(order.billing_id)) if order.billing_id else Buyer("", "")
        return Buyer(name=billed.name or order.buyer_name, document=billed.document)

    def orders_behind(self, resource_kind: str, resource_id: str) -> frozenset[str]:
        """Return the orders that a resource is about (contract §2.3); empty when it is about none, or is gone."""
        try:
            return parsing.order_ids(self.client.related(resource_kind, resource_id))
        except ChannelError as error:
            if error.status == 404:
                return frozenset()
            raise

    def orders_changed(
        self,
        account_id: str,
        since: datetime,
        until: datetime,
        *,
        offset: int = 0,
        is_cancelled: bool = False,
        newest_first: bool = False,
    ) -> OrderPage:
        """Return one page of the account's orders by time of last change, widened to whole hours (contract §3.3)."""
        raw = self.client.orders_changed(
            account_id,
            since,
            until,
            offset=offset,
            status="cancelled" if is_cancelled else "",
            sort="date_desc" if newest_first else "date_asc",
        )
        return parsing.order_page(raw, reach=SEARCH_REACH)

    def missed_notices(self, application_id: str) -> Iterator[list[bytes]]:
        """Yield what `/missed_feeds` holds, page by page; the same comes again at every reading (contract §2.6)."""
        for topic in FEED_TOPICS:
            offset = 0
            for _ in range(FEED_PAGES_MAX):
                rows = parsing.missed_rows(self.client.missed_feeds(application_id, topic=topic, offset=offset))
                if not rows:
                    break
                yield [parsing.missed_notice(row) for row in rows]
                offset += len(rows)
            else:
                log.warning("ml.missed_feeds_cut", application_id=application_id, topic=topic, rows_read=offset)

    def depots(self) -> list[DepotSnapshot]:
        """Return the depots that the account sells from (contract §5.6)."""
        found: list[DepotSnapshot] = []
        user_id = self.account().user_id
        for _ in range(STORE_PAGES_MAX):
            page, total = parsing.depots(self.client.stores(user_id, offset=len(found)))
            found += page
            if not page or len(found) >= total:
                break
        return found

    def put_stock(self, target: StockTarget, decide: Decide) -> StockAnswer:
        """Make the write that fits the listing (contract §5.3) and return what the channel shows, which alone counts.

        An answer that does not show the number (no JSON, 204, a user product that is updated later) is no proof: then
        the listing is read back.
        """
        if target.has_depots:
            return self._put_depots(target, decide)
        if target.variation_id:
            return self._put_variation(target, decide)
        shown = parsing.stock_shown(self.client.item(target.item_id), "") if target.reads_first else None
        numbers = decide(shown)
        raw, status = self.client.put_quantity(target.item_id, numbers.quantity)
        return self._proven(target, numbers, raw, status)

    def _put_variation(self, target: StockTarget, decide: Decide) -> StockAnswer:
        """Write one variation's number; the item is read just before, for all its variations must be sent."""
        item = self.client.item(target.item_id)
        numbers = decide(parsing.stock_shown(item, target.variation_id))
        entries = parsing.variation_quantities(item, variation_id=target.variation_id, quantity=numbers.quantity)
        if entries is None:
            raise ChannelError(
                f"listing {target.item_id} has no variation {target.variation_id} any more; map the SKU again",
                code="variation_not_found",
                permanent=True,
            )
        raw, status = self.client.put_variations(target.item_id, entries)
        return self._proven(target, numbers, raw, status)

    def _proven(self, target: StockTarget, numbers: StockNumbers, raw: object, status: int) -> StockAnswer:
        answer = parsing.stock_answer(raw, variation_id=target.variation_id, http_status=status)
        is_later = bool(target.user_product_id) and answer.quantity != numbers.quantity
        if answer.quantity is not None and not is_later:
            return answer
        item = self.client.item(target.item_id)
        return parsing.stock_answer(item, variation_id=target.variation_id, http_status=status)

    def _put_depots(self, target: StockTarget, decide: Decide) -> StockAnswer:
        """Write a user product's depots, guarded by the version they were read with (contract §5.6).

        409 says that somebody, a buyer above all, changed them meanwhile: they are read and decided anew. Depots that
        already show what they should are not written, for each write sets off notifications.
        """
        product_id = target.user_product_id
        ends_at = time.monotonic() + VERSION_SECONDS
        for tries_left in reversed(range(VERSION_TRIES)):
            shown, version = parsing.stock_by_depot(*self.client.user_product_stock(product_id))
            numbers = decide(shown)
            if set(numbers.depots) == set(shown.depots):
                return StockAnswer(shown.quantity, "", 200, shown.depots)
            try:
                raw, status = self.client.put_depots(product_id, parsing.depot_entries(numbers.depots), version)
            except ChannelError as refusal:
                if refusal.status == 409 and tries_left and time.monotonic() < ends_at:
                    continue
                raise
            if not isinstance(raw, dict) or not isinstance(raw.get("locations"), list):
                raw, _ = self.client.user_product_stock(product_id)
            accepted = parsing.stock_by_depot(raw, version)[0]
            return StockAnswer(accepted.quantity, "", status, accepted.depots)
        raise AssertionError("the last try returns or raises")

    def put_price(self, item_id: str, price: Decimal) -> PriceAnswer:
        """Set an item's price in a call of its own, so that a refused price never blocks stock (contract §5.8)."""
        raw, status = self.client.put_price(item_id, price)
        answer = parsing.price_answer(raw, http_status=status)
        return (
            answer if answer.price is not None else parsing.price_answer(self.client.item(item_id), http_status=status)
        )

    def _read_together(self, item_ids: Sequence[str]) -> Iterator[ListingSnapshot]:
        """Yield the listings of one multiget; what it could not give is asked for alone."""
        missing = dict.fromkeys(item_ids)
        for item_id, found in self._together(item_ids):
            del missing[item_id]
            yield from found
        for item_id in missing:
            yield from self._read_alone(item_id)

    def _together(self, item_ids: Sequence[str]) -> Iterator[tuple[str, tuple[ListingSnapshot, ...]]]:
        """Yield (item id, its sellable numbers) of those that one multiget gave, each once."""
        missing = set(item_ids)
        for item_id, status, body in parsing.multiget_rows(self.client.items(item_ids)):
            if item_id not in missing:
                continue
            try:
                found = parsing.listings(body) if status == 200 else ()
            except ChannelError:
                continue
            if found and found[0].item_id == item_id:
                missing.remove(item_id)
                yield item_id, found

    def _read_alone(self, item_id: str) -> Iterator[ListingSnapshot]:
        try:
            found = parsing.listings(self.client.item(item_id))
        except ChannelError as error:
            if error.account or error.code not in ("item_not_found", "unreadable_answer", "forbidden"):
                raise
            log.warning("ml.listing_left_out", item_id=item_id, code=error.code, reason=str(error))
            return
        yield from found
