"""The page of the stock: every product with its places and its channels, and what differs between the two.

A **place row** says what is there. A **channel row** says what a listing should show (made of the places that count,
by the rule: `sync.explain`) and what its channel shows, as far as the hub has heard.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.connectors.models import Connector, Listing
from apps.console.badges import Badge
from apps.console.keyset import page_of
from apps.console.shelf_filters import Choices, StockFilters
from apps.console.why import SECRET_COLUMNS, STATES
from apps.inventory.models import Balance, Location, Product
from apps.sync import explain
from apps.sync.explain import State
from apps.sync.inputs import Inputs
from apps.tenants import access

PRODUCTS_A_PAGE = 20
"""A product is several rows."""

UNTOLD = (State.NOT_MAPPED, State.KEPT_BY_CHANNEL, State.STOCK_UNKNOWN)
"""Nothing to compare: the hub has no number to tell."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A listing of a product: what it should show, what it shows, and how telling it stands."""

    listing: Listing
    made_of: Inputs | None
    state: Badge
    shown: int | None  # None: the channel was never told a number
    difference: int | None  # units the channel shows too many; None: nothing to compare
    is_right: bool  # nothing is under way and the channel shows the number

    @property
    def margin_percent(self) -> int | None:
        """Return the share that is published; None where the hub tells no number."""
        return self.made_of.margin_percent if self.made_of else None

    @property
    def too_few(self) -> int:
        """Return how many units the channel could show and does not."""
        return max(0, -(self.difference or 0))


@dataclass(frozen=True, slots=True)
class Shelf:
    """A product with its places and channels, and what there is of it at the places shown."""

    product: Product
    balances: tuple[Balance, ...]
    channels: tuple[Channel, ...]
    on_hand: int
    reserved: int
    blocked: int
    available: int

    @property
    def is_oversold(self) -> bool:
        """Tell whether any place has promised more than is there."""
        return any(balance.oversold_since for balance in self.balances)


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The one true number of every product at every place, beside what the channels show."""
    connectors = access.owned(request, Connector.objects.order_by("name", "id")).values_list("pk", "name")
    filters = StockFilters(
        request.GET,
        access.owned(request, Product.objects.all()),
        request=request,
        locations=places_of(request),
        connectors=list(connectors),
    )
    page = page_of(request, filters.qs, "sku", "id", descending=False, size=PRODUCTS_A_PAGE)
    context = {
        "filters": filters,
        "page": page,
        "shelves": shelves(request, page.rows, location_id=filters.place),
        "may_handle": access.membership_of(request).may("stock:adjust"),
    }
    return render(request, "console/stock.html", context)


def places_of(request: HttpRequest) -> Choices:
    """Return the tenant's places, to choose from."""
    return list(access.owned(request, Location.objects.order_by("code")).values_list("pk", "code"))


def shelves(request: HttpRequest, products: Sequence[Product], *, location_id: int | None = None) -> list[Shelf]:
    """Return each product with its places (or the one given) and its channels; three queries for all of them."""
    if not products:
        return []
    ids = [product.pk for product in products]
    rows = access.owned(request, Balance.objects.filter(product__in=ids).select_related("location"))
    if location_id is not None:
        rows = rows.filter(location_id=location_id)
    balances: dict[int, list[Balance]] = {pk: [] for pk in ids}
    for row in rows.order_by("location__code", "id"):
        balances[row.product_id].append(row)
    channels: dict[int, list[Channel]] = {pk: [] for pk in ids}
    for channel in channels_of(request, ids):
        channels[channel.listing.product_id or 0].append(channel)
    return [_shelf(product, balances[product.pk], channels[product.pk]) for product in products]


def channels_of(request: HttpRequest, product_ids: Sequence[int]) -> list[Channel]:
    """Return what the channels show of some products; two queries."""
    rows = Listing.objects.filter(product__in=product_ids).select_related("connector").defer(*SECRET_COLUMNS)
    listings = list(access.owned(request, rows).order_by("connector_id", "item_id", "variation_id"))
    made_of = explain.made_of_many(listings)
    return [_channel(row, made_of.get(row.pk)) for row in listings]


def _channel(listing: Listing, made_of: Inputs | None) -> Channel:
    state = explain.state_of(listing, made_of)
    # what the channel sold itself it has counted off already
    shown = None if listing.accepted_quantity is None else max(0, listing.accepted_quantity - listing.sold_there)
    is_comparable = shown is not None and made_of is not None and state not in UNTOLD
    difference = (shown or 0) - made_of.number if is_comparable and made_of else None
    return Channel(listing, made_of, STATES[state], shown, difference, state is State.RIGHT)


def _shelf(product: Product, balances: list[Balance], channels: list[Channel]) -> Shelf:
    return Shelf(
        product,
        tuple(balances),
        tuple(channels),
        on_hand=sum(balance.on_hand for balance in balances),
        reserved=sum(balance.reserved for balance in balances),
        blocked=sum(balance.blocked for balance in balances),
        available=sum(balance.available for balance in balances),
    )
