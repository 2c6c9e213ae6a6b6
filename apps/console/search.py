"""One field that finds whatever carries a number or a name: product, listing, order, pack, event, trace, reservation.

What is asked for exactly opens at once; else up to FOUND_MAX of each kind that begin with it, and products whose SKU or
name holds it. Every look-up goes along an index and is bound to the tenant, and how many there are does not depend on
what there is to find.
"""

import re
import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from apps.connectors.models import Listing
from apps.events.models import IntegrationEvent
from apps.inventory.models import Product, Reservation
from apps.orders.models import Order
from apps.tenants import access

FOUND_MAX = 10
SHORTEST = 2
SHORTEST_PART = 3  # of a name: the index is of trigrams
BIGGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found. is_exact: it is what was typed, not only begins with it."""

    kind: str | Promise
    title: str
    detail: str
    url: str
    is_exact: bool


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Look for a number; go there when it is one thing's own."""
    text = re.sub(r"[\x00-\x1f]", "", request.GET.get("q", "")).strip()[:100]
    hits = find(request, text) if len(text) >= SHORTEST else []
    exact = [hit for hit in hits if hit.is_exact]
    if len(exact) == 1 and "all" not in request.GET:
        return redirect(exact[0].url)
    groups: dict[str | Promise, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.kind, []).append(hit)
    context = {
        "q": text,
        "groups": groups,
        "is_short": 0 < len(text) < SHORTEST,
        "is_trace": _uuid(text) is not None,  # movements have no index by it: their list looks for it, step by step
        "most": FOUND_MAX,
    }
    return render(request, "console/search.html", context)


def find(request: HttpRequest, text: str) -> list[Hit]:
    """Return what carries the text: at most FOUND_MAX of a kind, those that are it exactly first."""
    orders = _orders(request, text)
    hits = [*_products(request, text), *_listings(request, text), *orders, *_events(request, text)]
    hits += _reservations(request, text)
    if not any(hit.is_exact for hit in orders):
        hits += _events_about(request, text)
    return sorted(hits, key=lambda hit: not hit.is_exact)


def _products(request: HttpRequest, text: str) -> list[Hit]:
    # A SKU is typed in whatever case; trigrams of the capitals serve.
    mine = access.owned(request, Product.objects.all())
    rows = list(mine.filter(Q(sku__istartswith=text) | Q(gtin=text)).order_by("sku")[:FOUND_MAX])
    if len(text) >= SHORTEST_PART and len(rows) < FOUND_MAX:
        parts = mine.filter(Q(sku__icontains=text) | Q(name__icontains=text)).exclude(pk__in=[row.pk for row in rows])
        # Any of them: to know the first by SKU, all that hold a common word would be read.
        rows += sorted(parts[: FOUND_MAX - len(rows)], key=lambda row: row.sku)
    return [
        Hit(
            _("Product"),
            row.sku,
            row.name,
            reverse("console:movements", args=[row.pk]),
            _is_it(text, row.sku, row.gtin),
        )
        for row in rows
    ]


def _listings(request: HttpRequest, text: str) -> list[Hit]:
    rows = Listing.objects.filter(item_id__startswith=text.upper().partition("/")[0]).select_related("product")
    found = access.owned(request, rows).order_by("item_id", "variation_id")[:FOUND_MAX]
    return [
        Hit(_("Listing"), str(row), row.title, reverse("console:listing", args=[row.pk]), _is_it(text, str(row)))
        for row in found
    ]


def _orders(request: HttpRequest, text: str) -> list[Hit]:
    rows = Order.objects.filter(Q(external_id__startswith=text) | Q(pack_id=text))
    return [
        Hit(
            _("Order"),
            row.external_id,
            row.get_status_display(),
            reverse("console:order", args=[row.pk]),
            _is_it(text, row.external_id, row.pack_id),
        )
        for row in access.owned(request, rows).order_by("external_id")[:FOUND_MAX]
    ]


def _events(request: HttpRequest, text: str) -> list[Hit]:
    """Find events by their id (`141` or `#141`, as pages write it) or trace id, which are whole or nothing."""
    named, text = _uuid(text), text.removeprefix("#")
    if named is not None:
        asked = Q(trace_id=named)
    elif re.fullmatch(r"[0-9]{1,19}", text) and int(text) <= BIGGEST_ID:
        asked = Q(pk=int(text))
    else:
        return []
    return _hits(access.owned(request, IntegrationEvent.objects.filter(asked)))


def _events_about(request: HttpRequest, text: str) -> list[Hit]:
    """Find events about a number that is no order here: a sale that waits for a mapping, or failed, is only that."""
    return _hits(access.owned(request, IntegrationEvent.objects.filter(external_id=text)))


def _hits(rows: QuerySet[IntegrationEvent]) -> list[Hit]:
    found = rows.only("pk", "topic", "external_id", "status", "tenant_id").order_by("-pk")[:FOUND_MAX]
    return [
        Hit(
            _("Event"),
            f"#{row.pk}",
            f"{row.topic} {row.external_id}: {row.get_status_display()}",
            reverse("console:event", args=[row.pk]),
            True,
        )
        for row in found
    ]


def _reservations(request: HttpRequest, text: str) -> list[Hit]:
    """Find a reservation by the id that the API answered with."""
    named = _uuid(text)
    if named is None:
        return []
    rows = Reservation.objects.filter(pk=named).select_related("product", "location")
    return [
        Hit(
            _("Reservation"),
            str(row.pk),
            f"{row.quantity} × {row.product.sku}, {row.location.code}: {row.get_status_display()}",
            f"{reverse('console:reservations')}?{urlencode({'document': str(row.pk)})}",
            True,
        )
        for row in access.owned(request, rows)
    ]


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _is_it(text: str, *names: str) -> bool:
    return any(name.casefold() == text.casefold() for name in names if name)
