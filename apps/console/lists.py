"""Every list of the console, declared once: what an export writes, which views it ships with, how its rows are ordered.

A new list is one entry of LISTS, under the name of its URL. Its page then has the menu of views and the export by
including `console/_filters.html`, and tests/console/test_query_counts.py asks it with 0 and with 50 rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connector, Listing
from apps.console.badges import badge_of
from apps.console.batches import NEVER
from apps.console.filters import (
    DivergenceFilters,
    EventFilters,
    Filters,
    ListingFilters,
    OrderFilters,
    SyncFilters,
)
from apps.console.movements import colleagues
from apps.console.shelf import places_of
from apps.console.shelf_filters import BatchFilters, MovementFilters, OversellFilters, ReservationFilters, StockFilters
from apps.events.models import IntegrationEvent
from apps.inventory.models import Balance, Batch, Movement, Oversell, Product, Reservation
from apps.orders.models import Order
from apps.sync.models import Divergence, SyncLog
from apps.tenants import access

Cell = str | int | Decimal | datetime | None

NO_FILTER = frozenset({"before", "after"})
"""Parameters of a list's address that are a place in the list, and no filter."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an export. key: its heading for systems; label: for people. Never a person's data."""

    key: str
    label: str | Promise
    value: Callable[[Any], Cell]


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A view that every shop has."""

    name: str | Promise
    query: str


@dataclass(frozen=True, slots=True)
class ListPage:
    """One list.

    select: the filters of a request, over the rows its tenant owns; order: as its page has it; rows: what an export
    writes, where that is not what the filters are about.
    """

    title: str | Promise
    select: Callable[[HttpRequest], Filters]
    order: tuple[str, ...]
    columns: tuple[Column, ...]
    views: tuple[BuiltIn, ...] = ()
    is_descending: bool = True
    rows: Callable[[HttpRequest, Any], QuerySet[Any]] | None = None

    def rows_of(self, request: HttpRequest) -> QuerySet[Any]:
        """Return what an export of the request's filters writes, in no order yet."""
        filters = self.select(request)
        found: QuerySet[Any] = self.rows(request, filters) if self.rows else filters.qs
        return found

    def query_of(self, request: HttpRequest, text: str) -> str:
        """Return the filters that a query string sets, as one: without places in the list and what is no filter."""
        known = self.select(request).filters
        given = QueryDict(text[:2000])
        return "&".join(kept_pairs(given, set(known)))


def kept_pairs(given: QueryDict, names: set[str]) -> Iterator[str]:
    """Yield those parameters that are named and not empty, encoded, in the order of their names."""
    for name in sorted(names & set(given) - NO_FILTER):
        value = given.get(name, "").strip()
        if value:
            pair = QueryDict(mutable=True)
            pair[name] = value
            yield pair.urlencode()


# --- Rows -----------------------------------------------------------------------------------------------------------

SECRET_COLUMNS = ("connector__client_secret_enc", "connector__refresh_token_enc", "connector__access_token_enc")
HEAVY_COLUMNS = ("body", "payload")


def _events(request: HttpRequest) -> Filters:
    rows = IntegrationEvent.objects.select_related("connector").defer(*HEAVY_COLUMNS, *SECRET_COLUMNS)
    return EventFilters(request.GET, access.owned(request, rows), request=request)


def _syncs(request: HttpRequest) -> Filters:
    rows = SyncLog.objects.select_related("product", "listing").defer("inputs")
    return SyncFilters(request.GET, access.owned(request, rows), request=request)


def _orders(request: HttpRequest) -> Filters:
    rows = access.owned(request, Order.objects.prefetch_related("items__product"))
    return OrderFilters(request.GET, rows, request=request)


def _stock(request: HttpRequest) -> Filters:
    accounts = list(access.owned(request, Connector.objects.order_by("name", "id")).values_list("pk", "name"))
    rows = access.owned(request, Product.objects.all())
    return StockFilters(request.GET, rows, request=request, locations=places_of(request), connectors=accounts)


def _balances(request: HttpRequest, filters: StockFilters) -> QuerySet[Any]:
    """Return the balances of the products that the grid's filters show; at one place when one was chosen."""
    rows = Balance.objects.select_related("product", "location").filter(product__tenant=access.tenant_of(request))
    rows = access.owned(request, rows.filter(product__in=filters.qs.values("pk")))
    return rows.filter(location_id=filters.place) if filters.place else rows


def _movements(request: HttpRequest) -> Filters:
    rows = access.owned(request, Movement.objects.select_related("product", "location"))
    return MovementFilters(request.GET, rows, request=request, locations=places_of(request), people=colleagues(request))


def _reservations(request: HttpRequest) -> Filters:
    rows = access.owned(request, Reservation.objects.select_related("product", "location"))
    return ReservationFilters(request.GET, rows, request=request, locations=places_of(request))


def _batches(request: HttpRequest) -> Filters:
    rows = access.owned(request, Batch.objects.select_related("product", "location"))
    rows = rows.annotate(due=Coalesce("expires_at", Value(NEVER)))
    return BatchFilters(request.GET, rows, request=request, locations=places_of(request))


def _oversells(request: HttpRequest) -> Filters:
    rows = access.owned(request, Oversell.objects.select_related("product", "location"))
    return OversellFilters(request.GET, rows, request=request, locations=places_of(request))


def _listings(request: HttpRequest) -> Filters:
    rows = access.owned(request, Listing.objects.select_related("product", "connector").defer(*SECRET_COLUMNS))
    is_unmapped = ExpressionWrapper(Q(product__isnull=True), output_field=BooleanField())
    return ListingFilters(request.GET, rows.annotate(is_unmapped=is_unmapped), request=request)


def _divergences(request: HttpRequest) -> Filters:
    rows = Divergence.objects.select_related("connector", "listing__product").defer(*SECRET_COLUMNS)
    accounts = list(access.owned(request, Connector.objects.order_by("name", "id")).values_list("pk", "name"))
    return DivergenceFilters(request.GET, access.owned(request, rows), request=request, connectors=accounts)


def _words(row: Any) -> str:
    return str(badge_of(row).words)


def _items(order: Order) -> str:
    return " | ".join(f"{item.quantity} x {item.product.sku}" for item in order.items.all())


_OF_PLACE = (
    Column("sku", "SKU", lambda row: row.product.sku),
    Column("name", _("Product"), lambda row: row.product.name),
    Column("location", _("Location"), lambda row: row.location.code),
)


# --- The lists ------------------------------------------------------------------------------------------------------

LISTS: dict[str, ListPage] = {
    "events": ListPage(
        title=_("Events"),
        select=_events,
        order=("received_at", "id"),
        columns=(
            Column("id", _("Event"), lambda row: row.pk),
            Column("received_at", _("Received"), lambda row: row.received_at),
            Column("status", _("Status"), lambda row: row.get_status_display()),
            Column("topic", _("Topic"), lambda row: row.topic),
            Column("resource", _("Resource"), lambda row: row.external_id),
            Column("connector", _("Connector"), lambda row: row.connector.name),
            Column("attempts", _("Tries"), lambda row: row.attempts),
            Column("error_code", _("Error code"), lambda row: row.error_code),
            Column("error", _("Error"), lambda row: row.error_msg),
            Column("processed_at", _("Finished"), lambda row: row.processed_at),
            Column("trace_id", _("Trace id"), lambda row: str(row.trace_id)),
        ),
        views=(
            BuiltIn(_("Errors of today"), "period=24h&status=attention"),
            BuiltIn(_("Waiting for a mapping"), f"status={IntegrationEvent.Status.MAPPING.value}"),
            BuiltIn(_("Waiting for another try"), f"status={IntegrationEvent.Status.RETRY.value}"),
            BuiltIn(_("Quarantined"), f"status={IntegrationEvent.Status.QUARANTINED.value}"),
        ),
    ),
    "syncs": ListPage(
        title=_("Synchronisations"),
        select=_syncs,
        order=("timestamp", "id"),
        columns=(
            Column("id", _("Try"), lambda row: row.pk),
            Column("at", _("When"), lambda row: row.timestamp),
            Column("status", _("Status"), lambda row: row.get_status_display()),
            Column("sku", "SKU", lambda row: row.product.sku),
            Column("listing", _("Listing"), lambda row: str(row.listing)),
            Column("old_value", _("From"), lambda row: row.old_value),
            Column("new_value", _("To"), lambda row: row.new_value),
            Column("attempt", _("Try number"), lambda row: row.attempt),
            Column("http_status", "HTTP", lambda row: row.http_status),
            Column("duration_ms", _("Duration (ms)"), lambda row: row.duration_ms),
            Column("error_code", _("Error code"), lambda row: row.error_code),
            Column("error", _("Error"), lambda row: row.error_message),
            Column("trace_id", _("Trace id"), lambda row: str(row.trace_id or "")),
        ),
        views=(
            BuiltIn(_("Errors of today"), f"period=24h&status={SyncLog.Status.ERROR.value}"),
            BuiltIn(_("Result unknown"), f"status={SyncLog.Status.UNKNOWN.value}"),
        ),
    ),
    "orders": ListPage(
        title=_("Orders"),
        select=_orders,
        order=("created_at", "id"),
        columns=(
            Column("number", _("Order"), lambda row: row.external_id),
            Column("pack", _("Pack"), lambda row: row.pack_id),
            Column("status", _("Status"), lambda row: row.get_status_display()),
            Column("items", _("Items"), _items),
            Column("total", _("Total"), lambda row: row.total_amount),
            Column("currency", _("Currency"), lambda row: row.currency),
            Column("ordered_at", _("Sold"), lambda row: row.ordered_at),
            Column("created_at", _("Received by Saldo"), lambda row: row.created_at),
        ),
        views=(
            BuiltIn(_("Sold today"), "period=24h"),
            BuiltIn(_("Ready for pick-up"), f"status={Order.Status.READY.value}"),
            BuiltIn(_("Cancelled this week"), f"period=7d&status={Order.Status.CANCELLED.value}"),
        ),
    ),
    "stock": ListPage(
        title=_("Inventory"),
        select=_stock,
        rows=_balances,
        order=("product__sku", "location__code", "id"),
        is_descending=False,
        columns=(
            Column("sku", "SKU", lambda row: row.product.sku),
            Column("gtin", "GTIN", lambda row: row.product.gtin),
            Column("name", _("Product"), lambda row: row.product.name),
            Column("location", _("Location"), lambda row: row.location.code),
            Column("on_hand", _("On hand"), lambda row: row.on_hand),
            Column("reserved", _("Reserved"), lambda row: row.reserved),
            Column("blocked", _("Blocked"), lambda row: row.blocked),
            Column("available", _("Available"), lambda row: row.available),
            Column("oversold_since", _("Oversold since"), lambda row: row.oversold_since),
            Column("last_updated", _("Last change"), lambda row: row.last_updated),
        ),
        views=(BuiltIn(_("Oversold"), "state=oversold"), BuiltIn(_("Nothing available"), "state=none")),
    ),
    "listings": ListPage(
        title=_("Listings"),
        select=_listings,
        order=("is_unmapped", "id"),
        columns=(
            Column("listing", _("Listing"), lambda row: str(row)),
            Column("title", _("Title"), lambda row: row.title),
            Column("seller_sku", _("SKU at the channel"), lambda row: row.seller_sku),
            Column("sku", "SKU", lambda row: row.product.sku if row.product else ""),
            Column("connector", _("Connector"), lambda row: row.connector.name),
            Column("status", _("Status"), _words),
            Column("published", _("Published"), lambda row: row.accepted_quantity),
            Column("published_at", _("Published at"), lambda row: row.accepted_at),
            Column("error_code", _("Error code"), lambda row: row.last_error_code),
            Column("error", _("Error"), lambda row: row.last_error),
        ),
        views=(
            BuiltIn(_("Without a mapping"), "state=unmapped"),
            BuiltIn(_("In error"), "state=error"),
            BuiltIn(_("Waiting for another try"), "state=waiting"),
        ),
    ),
    "divergences": ListPage(
        title=_("Divergences"),
        select=_divergences,
        order=("first_seen_at", "id"),
        columns=(
            Column("listing", _("Listing"), lambda row: str(row)),
            Column("sku", "SKU", lambda row: row.listing.product.sku if row.listing and row.listing.product else ""),
            Column("connector", _("Connector"), lambda row: row.connector.name),
            Column("kind", _("What"), lambda row: row.get_kind_display()),
            Column("status", _("Status"), _words),
            Column("here", _("Here"), lambda row: row.hub_quantity),
            Column("at_channel", _("At the channel"), lambda row: row.channel_quantity),
            Column("first_seen_at", _("First seen"), lambda row: row.first_seen_at),
            Column("last_seen_at", _("Last seen"), lambda row: row.last_seen_at),
            Column("settled_at", _("Settled at"), lambda row: row.resolved_at),
            Column("detail", _("Details"), lambda row: row.detail),
        ),
        views=(BuiltIn(_("Open divergences"), ""), BuiltIn(_("Ignored"), "state=ignored")),
    ),
    "all-movements": ListPage(
        title=_("Movements"),
        select=_movements,
        order=("transaction_id", "id"),
        columns=(
            Column("id", _("Movement"), lambda row: row.pk),
            Column("recorded_at", _("When"), lambda row: row.recorded_at),
            Column("kind", _("Kind"), lambda row: row.get_kind_display()),
            *_OF_PLACE,
            Column("on_hand_change", _("Change on hand"), lambda row: row.on_hand_delta),
            Column("on_hand_after", _("On hand after"), lambda row: row.on_hand_after),
            Column("reserved_change", _("Change reserved"), lambda row: row.reserved_delta),
            Column("reserved_after", _("Reserved after"), lambda row: row.reserved_after),
            Column("reason", _("Reason"), lambda row: row.reason),
            Column("reference_type", _("Document type"), lambda row: row.reference_type),
            Column("reference_id", _("Document"), lambda row: row.reference_id),
            Column("actor", _("Who"), lambda row: row.actor),
            Column("source", _("Source"), lambda row: row.source),
            Column("trace_id", _("Trace id"), lambda row: str(row.trace_id)),
        ),
        views=(BuiltIn(_("By people, today"), "period=24h&who=people"), BuiltIn(_("Today"), "period=24h")),
    ),
    "reservations": ListPage(
        title=_("Reservations"),
        select=_reservations,
        order=("id",),
        columns=(
            Column("id", _("Reservation"), lambda row: str(row.pk)),
            *_OF_PLACE,
            Column("quantity", _("Quantity"), lambda row: row.quantity),
            Column("status", _("Status"), lambda row: row.get_status_display()),
            Column("reference_type", _("Document type"), lambda row: row.reference_type),
            Column("reference_id", _("Document"), lambda row: row.reference_id),
            Column("created_at", _("Since"), lambda row: row.created_at),
            Column("expires_at", _("Ends at"), lambda row: row.expires_at),
        ),
        views=(BuiltIn(_("Open"), "state=open"), BuiltIn(_("Open, ends within an hour"), "state=due")),
    ),
    "batches": ListPage(
        title=_("Batches"),
        select=_batches,
        order=("due", "id"),
        is_descending=False,
        columns=(
            Column("batch", _("Batch"), lambda row: row.batch_number),
            *_OF_PLACE,
            Column("quantity", _("Quantity"), lambda row: row.quantity),
            Column("reserved", _("Reserved"), lambda row: row.reserved),
            Column("expires_at", _("Expires at"), lambda row: row.expires_at),
            Column("status", _("Status"), lambda row: row.get_status_display()),
        ),
    ),
    "oversells": ListPage(
        title=_("Oversells"),
        select=_oversells,
        order=("id",),
        columns=(
            *_OF_PLACE,
            Column("units_short", _("Units short"), lambda row: row.units_short),
            Column("opened_at", _("Since"), lambda row: row.opened_at),
            Column("closed_at", _("Until"), lambda row: row.closed_at),
        ),
    ),
}
