"""The one port to the marketplaces: what the hub needs of a channel, in plain data, and how a channel says no.

A channel is a class with the methods of `Channel`, in a folder of its own, registered in `CHANNELS` by dotted path
(imported on first use, so that this module never imports its children). Snapshots are what a channel *said*, already
normalised: ids are text, times are aware datetimes, absent parts are None. Nothing here touches the database.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from django.utils.module_loading import import_string


class ChannelError(Exception):
    """A channel refused, failed or could not be reached.

    code: stable, short, for lists and metrics (`item_closed`, `rate_limited`, `timeout` …).
    permanent: trying the same call again cannot help.
    account: the trouble is the account's (token, grant, blocked app), so every call of the connector would fail.
    retry_after_seconds: what the channel asked us to wait, when it did.
    status: the HTTP status, 0 when there was no answer.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        permanent: bool = False,
        account: bool = False,
        retry_after_seconds: float | None = None,
        status: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.permanent = permanent
        self.account = account
        self.retry_after_seconds = retry_after_seconds
        self.status = status


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One sold item of an order, as the channel names it."""

    item_id: str
    variation_id: str  # "" when the listing has no variations
    user_product_id: str  # "" when the listing is not a user product
    seller_sku: str  # "" when the seller gave none
    title: str
    quantity: int
    unit_price: Decimal | None


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """An order as the channel showed it at one reading."""

    external_id: str
    status: str  # the channel's own word, lower case: paid, cancelled …
    tags: tuple[str, ...]
    created_at: datetime | None
    updated_at: datetime | None
    pack_id: str
    shipment_id: str
    seller_id: str  # whose sale it is; "" when the channel did not say
    total_amount: Decimal | None
    currency: str
    lines: tuple[OrderLine, ...]
    buyer_name: str = field(default="", repr=False)
    billing_id: str = ""  # where the buyer's name and document are asked for
    is_complete: bool = True  # False when the channel answered 206: some parts were missing

    def content_hash(self) -> str:
        """Return a hash of everything that matters to the hub: two readings with one hash carry no news."""
        content = asdict(self)
        for name in ("updated_at", "is_complete", "buyer_name", "billing_id"):  # they may change without news
            del content[name]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ShipmentSnapshot:
    """A parcel as the channel showed it at one reading. Words are the channel's own, lower case."""

    external_id: str
    status: str
    substatus: str
    logistic_type: str
    updated_at: datetime | None
    tracking_number: str = ""
    weight_g: int | None = None
    dimensions: str = ""  # height x width x length in cm
    receiver_name: str = field(default="", repr=False)
    receiver_phone: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Label:
    """What is printed and stuck on a parcel, never altered. It holds an address: it is kept sealed."""

    format: str  # PDF or ZPL
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who an order is for, as far as the hub needs to know. Its repr shows nothing of it."""

    name: str = field(repr=False)
    document: str = field(repr=False)  # CPF or CNPJ, digits only


@dataclass(frozen=True, slots=True)
class ListingSnapshot:
    """One sellable number on the channel: an item, or one variation of it."""

    item_id: str
    variation_id: str
    user_product_id: str
    seller_sku: str
    gtin: str
    title: str
    status: str  # active, paused, closed, under_review …
    sub_status: tuple[str, ...]
    quantity: int
    price: Decimal | None
    logistic_type: str  # "fulfillment": the channel's own warehouse, never written (contract §5.7)
    is_kit: bool = False  # counted from its parts by the channel, never written (contract §5.3)
    has_moved: bool = False  # closed, and replaced by listings of its variations (contract §5.5)
    seller_id: str = ""  # whose listing it is; to a stranger the channel shows only roughly how many there are


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """Whose token it is."""

    user_id: str
    nickname: str
    site_id: str
    tags: tuple[str, ...]
    has_depots: bool = False  # its stock is kept per depot, not per listing


@dataclass(frozen=True, slots=True)
class StockTarget:
    """Where a number goes, and what must be known there before it goes."""

    item_id: str
    variation_id: str
    user_product_id: str = ""
    has_depots: bool = False  # the channel keeps this stock per depot, guarded by a version
    reads_first: bool = False  # look at what the listing shows before writing; with variations or depots it always is


@dataclass(frozen=True, slots=True)
class DepotStock:
    """One of the seller's own depots at the channel, and a product's units there."""

    store_id: str
    network_node_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class StockShown:
    """What the channel shows for sale just before a write; None where the answer did not say."""

    quantity: int | None
    depots: tuple[DepotStock, ...] = ()


@dataclass(frozen=True, slots=True)
class StockNumbers:
    """What is to be written: the number, and where stock is kept per depot, every depot's."""

    quantity: int
    depots: tuple[DepotStock, ...] = ()


Decide = Callable[[StockShown | None], StockNumbers]
"""Computes what to write, right before each write, from what was just read; None when nothing was read.

A channel asks again after each reading, so that a write that lost a race never sends its old number again (law 6).
"""


@dataclass(frozen=True, slots=True)
class StockAnswer:
    """What the channel's answer to a stock write shows: the accepted number, which need not be the one sent."""

    quantity: int | None  # None: the answer did not say
    listing_status: str  # "" when the answer did not say
    http_status: int
    depots: tuple[DepotStock, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceAnswer:
    """What the channel's answer to a price shows; None when it did not say."""

    price: Decimal | None
    http_status: int


@dataclass(frozen=True, slots=True)
class DepotSnapshot:
    """A depot that the account sells from."""

    store_id: str
    network_node_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What a notification points at. A hint, never a fact (law 5): the resource is read before anything happens."""

    delivery_key: str  # what two deliveries of one notification share
    topic: str
    resource: str  # as sent, checked against the list of forms that may be read; "" for topics the hub does not read
    resource_kind: str  # orders, items, shipments …
    resource_id: str
    user_id: str
    application_id: str
    sent_at: datetime | None


class Poison(Exception):
    """A body that is not a readable notification; the text says why, without quoting the body."""


@dataclass(frozen=True, slots=True)
class FoundOrder:
    """An order as a search lists it: enough to tell whether the hub has to read it."""

    external_id: str  # "" in a row that could not be read: it keeps its place, nothing more
    status: str  # the channel's own word, lower case
    updated_at: datetime | None  # its last change as the order itself tells it
    touched_at: datetime | None  # its last change as the search goes by it, which may be later


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of a search. `reach` is the row that paging cannot go past, however many `total` there are."""

    orders: tuple[FoundOrder, ...]
    total: int
    reach: int


@dataclass(frozen=True, slots=True)
class TokenPair:
    """A fresh access token and the refresh token that replaces the one just used. Its repr shows neither."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_seconds: int
    user_id: str


READ_BACK_MAX = 20
"""Items that one call reads back (contract §5.1)."""


class Channel(Protocol):
    """What a marketplace can do for the hub. Every method may raise ChannelError; none takes over 5 s per call."""

    def account(self) -> AccountSnapshot:
        """Return whose token this is."""
        ...

    def any_item(self) -> str:
        """Return the id of one item the account sells; "" when it sells none."""
        ...

    def order(self, external_id: str) -> OrderSnapshot:
        """Return the order as it stands now."""
        ...

    def listings(self) -> Iterator[ListingSnapshot]:
        """Yield every sellable number of the account, variations one by one."""
        ...

    def listing(self, item_id: str) -> list[ListingSnapshot]:
        """Return the sellable numbers of one item as they stand now, variations one by one; never an empty list."""
        ...

    def item_ids(self) -> list[str]:
        """Return the ids of all items of the account."""
        ...

    def read_back(self, item_ids: Sequence[str]) -> "dict[str, list[ListingSnapshot] | None]":
        """Return {item id: its sellable numbers as they stand now; None when there is no such item}.

        item_ids: at most `READ_BACK_MAX`. An item that could not be read this time is left out.
        """
        ...

    def own_units(self, user_product_id: str) -> int | None:
        """Return the units of a user product that lie with the seller, none of the channel's own warehouse's.

        None when the channel keeps no places for it.
        """
        ...

    def moved_to(self, item_id: str) -> dict[str, str]:
        """Return {variation id: id of the item that replaced it} of an item that `has_moved`."""
        ...

    def shipment(self, shipment_id: str) -> ShipmentSnapshot | None:
        """Return the parcel as it stands now; None when the channel does not know it."""
        ...

    def pack(self, pack_id: str) -> frozenset[str]:
        """Return the ids of the orders that leave together; empty when the channel knows no such pack."""
        ...

    def label(self, shipment_id: str) -> Label | None:
        """Return the label of a parcel; None while there is none to print."""
        ...

    def buyer(self, order: OrderSnapshot) -> Buyer:
        """Return whom an order's invoice is made out to."""
        ...

    def orders_behind(self, resource_kind: str, resource_id: str) -> frozenset[str]:
        """Return the orders that a shipment, payment, pack or claim is about; empty when it is about none."""
        ...

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
        """Return one page of the account's orders that changed from `since` to `until`, and maybe some around them.

        is_cancelled: ask for cancelled orders alone; without it a channel may leave them out.
        """
        ...

    def missed_notices(self, application_id: str) -> Iterator[list[bytes]]:
        """Yield, page by page, the bodies of notifications that the channel gave up delivering to the application."""
        ...

    def depots(self) -> list[DepotSnapshot]:
        """Return the depots that the account sells from; empty when its stock is kept per listing."""
        ...

    def put_stock(self, target: StockTarget, decide: Decide) -> StockAnswer:
        """Set the absolute number shown for sale and return what the channel accepted.

        decide: says what to write, right before each write. Where the channel guards stock with a version, a write
        that lost a race is decided and made anew, three times at most.
        """
        ...

    def put_price(self, item_id: str, price: Decimal) -> PriceAnswer:
        """Set the price of an item, all its variations included, and return what the channel accepted."""
        ...


class TokenSource(Protocol):
    """Gives access tokens of one account to a channel; see `credentials.ConnectorTokens`."""

    def access_token(self) -> str:
        """Return a token that should work."""
        ...

    def refreshed(self, rejected: str) -> str:
        """Return another token after the channel answered 401 to `rejected`; raises ChannelError(account=True)."""
        ...


class Line(Protocol):
    """Whether a call may be made on a connector's line, and how calls went; see `budget.Budget`."""

    def ask(self) -> None:
        """Return when a call may be made now; raises ChannelError `circuit_open` when it may not."""
        ...

    def answered(self) -> None:
        """Note that somebody answered, whatever it was."""
        ...

    def failed(self) -> None:
        """Note that nobody answered."""
        ...

    def limited(self, retry_after_seconds: float | None) -> None:
        """Note that the channel wants fewer calls; it may say when the next one is welcome."""
        ...


FOLDERS = {"ML": "apps.connectors.mercadolivre"}
"""One folder a channel, all with the same names inside: channel.py, oauth.py, parsing.py."""


def open_channel(kind: str, tokens: TokenSource, line: Line | None = None) -> Channel:
    """Return the channel `kind` ("ML") speaking with these tokens; `credentials.open_connector` is for connectors.

    line: asked before each call and told after it whether somebody answered; None lets every call through.
    """
    channel: Channel = import_string(f"{FOLDERS[kind]}.channel.open_channel")(tokens, line)
    return channel


def read_notice(kind: str, body: bytes) -> Notice:
    """Return what a notification's body says. Raises Poison when it is not one of the channel's notifications."""
    notice: Notice = import_string(f"{FOLDERS[kind]}.parsing.read_notice")(body)
    return notice


def refresh_tokens(
    kind: str, *, client_id: str, client_secret: str, refresh_token: str, line: Line | None = None
) -> TokenPair:
    """Exchange a refresh token for a new pair. Raises ChannelError; account=True when the grant is gone."""
    pair: TokenPair = import_string(f"{FOLDERS[kind]}.oauth.refresh")(
        client_id=client_id, client_secret=client_secret, refresh_token=refresh_token, line=line
    )
    return pair


def authorization_url(kind: str, *, client_id: str, redirect_uri: str, state: str, verifier: str) -> str:
    """Return where a person's browser asks the channel for consent; `verifier` is PKCE's secret (RFC 7636)."""
    url: str = import_string(f"{FOLDERS[kind]}.oauth.authorization_url")(
        client_id=client_id, redirect_uri=redirect_uri, state=state, verifier=verifier
    )
    return url


def exchange_code(
    kind: str, *, client_id: str, client_secret: str, code: str, redirect_uri: str, verifier: str
) -> TokenPair:
    """Exchange the code that came back from the consent page for a pair. Raises ChannelError."""
    pair: TokenPair = import_string(f"{FOLDERS[kind]}.oauth.exchange")(
        client_id=client_id, client_secret=client_secret, code=code, redirect_uri=redirect_uri, verifier=verifier
    )
    return pair
