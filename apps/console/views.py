"""The pages people use. Every row comes through `tenants.access`, so a stranger's id is a 404 on each of them.

Lists are filtered by the URL, fifty rows a page, without COUNT. Nothing here decides about stock: a button calls one
function of the room that does.
"""

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from apps.connectors.models import Listing
from apps.console import listing_product, suggestions, timeline
from apps.console.decisions import shown_before
from apps.console.filters import TOPICS, EventFilters, ListingFilters, OrderFilters, SyncFilters
from apps.console.flags import FLAGS
from apps.console.forms import MapListing
from apps.console.keyset import page_of
from apps.console.payloads import payload_of
from apps.events.models import IntegrationEvent
from apps.events.reprocess import reprocess
from apps.inventory.models import Movement, Reservation
from apps.notifications.models import Notification
from apps.notifications.resending import CannotResend, resend
from apps.orders import recipients
from apps.orders.intake import REFERENCE_TYPE
from apps.orders.models import Order
from apps.sync import queue
from apps.sync.models import SyncLog
from apps.tenants import access
from apps.tenants.models import Membership

HISTORY_ROWS = 20
"""Tries shown on a listing's own page; the rest is one link away."""

SECRET_COLUMNS = ("client_secret_enc", "refresh_token_enc", "access_token_enc")

HEAVY_COLUMNS = ("body", "payload")


# --- Events -------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def events(request: HttpRequest) -> HttpResponse:
    """What arrived, newest first."""
    rows = access.owned(request, IntegrationEvent.objects.select_related("connector").defer(*HEAVY_COLUMNS))
    rows = rows.defer(*HEAVY_COLUMNS, *(f"connector__{name}" for name in SECRET_COLUMNS))
    filters = EventFilters(request.GET, rows, request=request)
    page = page_of(request, filters.qs, "received_at", "id")
    context = {"filters": filters, "page": page, "orders": _orders_about(request, page.rows), "topics": TOPICS}
    return render(request, "console/events.html", context)


@login_required
@require_safe
def event(request: HttpRequest, pk: int) -> HttpResponse:
    """One event: what arrived (masked), what became of it, step by step."""
    row = access.owned_or_404(request, IntegrationEvent.objects.select_related("connector", "tenant"), pk=pk)
    order_of = _orders_about(request, [row])
    context = {
        "event": row,
        "payload": payload_of(row, request.GET.get("ver", "")),
        "order": order_of.get(row.pk),
        "steps": timeline.of_event(row, order_of.get(row.pk)),
        "waiting_listings": _waited_for(request, row),
    }
    return render(request, "console/event.html", context)


@login_required
@require_POST
def reprocess_event(request: HttpRequest, pk: int) -> HttpResponse:
    """Send one event through the road again."""
    access.require(request, "events:reprocess")
    row = access.owned_or_404(request, IntegrationEvent.objects.only("pk", "tenant_id"), pk=pk)
    same = access.owned(request, IntegrationEvent.objects.filter(pk=row.pk))
    if reprocess(same, actor=f"user:{request.user.pk}"):
        messages.success(request, _("The event is in the queue again. What becomes of it shows here within seconds."))
    else:
        messages.warning(request, _("The event was read again, and there is still nothing Saldo could do with it."))
    return redirect("console:event", pk=row.pk)


def _orders_about(request: HttpRequest, rows: list[IntegrationEvent]) -> dict[int, Order]:
    """Return, per event id, the order that the event is about; one query for all of them."""
    about = [row for row in rows if row.resource_kind == "orders" and row.external_id]
    if not about:
        return {}
    found = access.owned(request, Order.objects.filter(external_id__in={row.external_id for row in about}))
    by_number = {(order.channel, order.external_id): order for order in found}
    keys = {row.pk: (row.channel, row.external_id) for row in about}
    return {pk: by_number[key] for pk, key in keys.items() if key in by_number}


def _waited_for(request: HttpRequest, row: IntegrationEvent) -> list[Listing]:
    """Return the unmapped listings that an event waits for."""
    items = {key.partition("/")[0] for key in row.waiting_for}
    rows = Listing.objects.filter(connector_id=row.connector_id, item_id__in=items, product__isnull=True)
    return list(access.owned(request, rows)) if items else []


# --- Synchronisations and listings --------------------------------------------------------------------------------


@login_required
@require_safe
def syncs(request: HttpRequest) -> HttpResponse:
    """What the channels were told, newest first."""
    filters = SyncFilters(request.GET, _sync_logs(request), request=request)
    page = page_of(request, filters.qs, "timestamp", "id")
    context = {"filters": filters, "page": page, "orders": _orders_behind(request, page.rows)}
    return render(request, "console/syncs.html", context)


def _sync_logs(request: HttpRequest) -> QuerySet[SyncLog]:
    return access.owned(request, SyncLog.objects.select_related("product", "listing"))


def _orders_behind(request: HttpRequest, logs: list[SyncLog]) -> dict[int, Order]:
    """Return, per log id, the order whose movement made the number wrong; two queries for all of them."""
    causes = {log.movement_id for log in logs if log.movement_id}
    moved = Movement.objects.filter(pk__in=causes, reference_type=REFERENCE_TYPE)
    documents = dict(access.owned(request, moved).values_list("pk", "reference_id")) if causes else {}
    numbers = {int(text) for text in documents.values() if text.isdecimal()}
    found = access.owned(request, Order.objects.filter(pk__in=numbers)).in_bulk() if numbers else {}
    orders = {log.pk: found.get(int(documents.get(log.movement_id or 0, 0))) for log in logs}
    return {pk: order for pk, order in orders.items() if order}


@login_required
@require_safe
def listings(request: HttpRequest) -> HttpResponse:
    """What is for sale on the channels: what a person must map first."""
    rows = access.owned(request, Listing.objects.select_related("product", "connector"))
    rows = rows.defer(*(f"connector__{name}" for name in SECRET_COLUMNS))
    is_unmapped = ExpressionWrapper(Q(product__isnull=True), output_field=BooleanField())
    filters = ListingFilters(request.GET, rows.annotate(is_unmapped=is_unmapped), request=request)
    page = page_of(request, filters.qs, "is_unmapped", "id")
    unmapped = [row for row in page.rows if row.product_id is None]
    context = {
        "filters": filters,
        "page": page,
        "waiting": listing_product.waiting_events(unmapped),
        "suggested": suggestions.certain_products(access.tenant_of(request), unmapped),
    }
    return render(request, "console/listings.html", context)


@login_required
@require_safe
def listing(request: HttpRequest, pk: int) -> HttpResponse:
    """One listing: its product, its number, and how telling it went."""
    return _listing_page(request, _listing_or_404(request, pk))


@login_required
@require_POST
def map_listing(request: HttpRequest, pk: int) -> HttpResponse:
    """Say which product a listing sells; first show what waits for it, if anything does."""
    access.require(request, "mappings:write")
    row = _listing_or_404(request, pk)
    form = MapListing(request.POST, tenant=access.tenant_of(request))
    if not form.is_valid() or form.product is None:
        return _listing_page(request, row, form)
    shown = shown_before(
        request,
        partial(listing_product.set_product, row, form.product),
        title=_("What mapping %(external)s to %(sku)s would set free") % {"external": row, "sku": form.product.sku},
        fields=("sku",),
        back=reverse("console:listing", args=[row.pk]),
    )
    if shown is not None:
        return shown
    waiting = listing_product.waiting_events([row]).get(row.pk, 0)
    listing_product.map_listing(row, form.product, actor=f"user:{request.user.pk}")
    text = _("%(listing)s now sells %(sku)s; its number goes to the channel at once.") % {
        "listing": row,
        "sku": form.product.sku,
    }
    if waiting:
        text += " " + ngettext(
            "%(count)s event that waited for it is worked on by itself within a second.",
            "%(count)s events that waited for it are worked on by themselves within a second.",
            waiting,
        ) % {"count": waiting}
    messages.success(request, text)
    return back_to(request, reverse("console:listing", args=[row.pk]))


@login_required
@require_POST
def sync_listing(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell the channel a listing's number now."""
    access.require(request, "listings:sync")
    row = _listing_or_404(request, pk)
    if queue.mark_now(access.owned(request, Listing.objects.filter(pk=row.pk))):
        messages.success(request, _("%(listing)s is next in the queue; the result shows here.") % {"listing": row})
    elif row.product_id is None:
        messages.warning(request, _("%(listing)s sells no product yet: choose its product first.") % {"listing": row})
    else:
        messages.warning(request, _("The channel itself counts the stock of %(listing)s.") % {"listing": row})
    return back_to(request, reverse("console:listing", args=[row.pk]))


def _listing_or_404(request: HttpRequest, pk: int) -> Listing:
    rows = Listing.objects.select_related("product", "connector", "tenant")
    return access.owned_or_404(request, rows.defer(*(f"connector__{name}" for name in SECRET_COLUMNS)), pk=pk)


def _listing_page(request: HttpRequest, row: Listing, form: MapListing | None = None) -> HttpResponse:
    logs = list(_sync_logs(request).filter(listing=row).order_by("-timestamp", "-id")[:HISTORY_ROWS])
    context = {
        "listing": row,
        "form": form or MapListing(tenant=access.tenant_of(request), initial={"sku": row.seller_sku}),
        "logs": logs,
        "orders": _orders_behind(request, logs),
        "waiting": listing_product.waiting_events([row]).get(row.pk, 0) if row.product_id is None else 0,
        "suggested": suggestions.suggest(row.tenant, [row]).get(row.pk, []) if row.product_id is None else [],
    }
    return render(request, "console/listing.html", context, status=422 if form else 200)


# --- Orders -------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def orders(request: HttpRequest) -> HttpResponse:
    """What was sold, newest first."""
    rows = access.owned(request, Order.objects.prefetch_related("items__product"))
    filters = OrderFilters(request.GET, rows, request=request)
    page = page_of(request, filters.qs, "created_at", "id")
    return render(request, "console/orders.html", {"filters": filters, "page": page})


@login_required
@require_safe
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """One order: its items, what they hold of stock, and its road."""
    rows = Order.objects.select_related("connector", "tenant").prefetch_related("items__product", "items__listing")
    row = access.owned_or_404(request, rows.select_related("package", "recipient"), pk=pk)
    return render(request, "console/order.html", _order_context(request, row))


@login_required
@require_POST
def order_recipient(request: HttpRequest, pk: int) -> HttpResponse:
    """The same page with the recipient open, for whoever hands the parcel over. It is written down who looked."""
    access.require(request, "orders:recipient")
    rows = Order.objects.select_related("connector", "tenant", "package", "recipient")
    row = access.owned_or_404(request, rows.filter(recipient__isnull=False), pk=pk)
    person = recipients.show(row.recipient, actor=f"user:{request.user.pk}")
    response = render(
        request, "console/order.html", {**_order_context(request, row), "person": person, "is_open": True}
    )
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def order_label(request: HttpRequest, pk: int) -> HttpResponse:
    """The label of an order's parcel, as the channel made it. It holds an address: it is written down who took it."""
    access.require(request, "orders:recipient")
    row = access.owned_or_404(request, Order.objects.filter(package__isnull=False).select_related("package"), pk=pk)
    package = row.package
    label = recipients.show_label(package, actor=f"user:{request.user.pk}") if package else None
    if label is None:
        raise Http404("the parcel has no label")
    kind, ending = ("application/pdf", "pdf") if label.format == "PDF" else ("text/plain", "zpl")
    response = HttpResponse(label.content, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="etiqueta-{row.external_id}.{ending}"'
    response["Cache-Control"] = "no-store"
    return response


def _order_context(request: HttpRequest, row: Order) -> dict[str, Any]:
    reservations = Reservation.objects.filter(reference_type=REFERENCE_TYPE, reference_id=str(row.pk))
    about = IntegrationEvent.objects.filter(channel=row.channel, external_id=row.external_id, resource_kind="orders")
    received = access.owned(request, about).defer(*HEAVY_COLUMNS).order_by("-received_at", "-id")[:HISTORY_ROWS]
    recipient = getattr(row, "recipient", None)
    about_order = Notification.objects.filter(order=row).order_by("-id")
    notifications = list(access.owned(request, about_order)[:HISTORY_ROWS])
    return {
        "order": row,
        "notifications": notifications,
        "person": recipients.masked(recipient) if recipient else None,
        "flags": [FLAGS[flag] for flag in row.flags if flag in FLAGS],
        "reservations": access.owned(
            request, reservations.select_related("product", "location").order_by("created_at")
        ),
        "events": received,
        "steps": timeline.of_order(row, received, notifications),
    }


@login_required
@require_POST
def notify_order(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell an order's recipient again that it is ready."""
    access.require(request, "notifications:send")
    row = access.owned_or_404(request, Order.objects.all(), pk=pk)
    try:
        resend(row, actor=f"user:{request.user.pk}")
    except CannotResend as refusal:
        messages.warning(request, str(refusal))
    else:
        messages.success(request, _("The notification is sent again within seconds; how it went shows here."))
    return back_to(request, reverse("console:order", args=[row.pk]))


# --- Frame --------------------------------------------------------------------------------------------------------


@login_required
@require_POST
def choose_tenant(request: HttpRequest) -> HttpResponse:
    """Work in another of the person's tenants from now on."""
    chosen = request.POST.get("tenant", "")
    mine = Membership.objects.filter(user=request.user) if request.user.is_authenticated else Membership.objects.none()
    if chosen.isdecimal() and len(chosen) < 19 and mine.filter(tenant_id=int(chosen)).exists():
        request.session[access.SESSION_KEY] = int(chosen)
    return redirect("home")


def back_to(request: HttpRequest, otherwise: str) -> HttpResponseRedirect:
    """Return to the page the button was on, as the form says; never to another site."""
    target = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(target if is_ours else otherwise)
