"""The page of divergences: where a channel shows something else than the hub, with both numbers and what to do.

The comparison itself is `sync.reconcile`'s; a person may have our number sent, or have a divergence left alone.
"""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.connectors.models import Connector
from apps.console.drift_words import advice_on
from apps.console.filters import DivergenceFilters
from apps.console.keyset import page_of
from apps.console.views import SECRET_COLUMNS, back_to
from apps.sync import divergences
from apps.sync.models import Divergence, ReconcileRun
from apps.tenants import access


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """What differs between the hub and the channels, newest first."""
    rows = access.owned(request, Divergence.objects.select_related("connector", "listing__product"))
    rows = rows.defer(*(f"connector__{name}" for name in SECRET_COLUMNS))
    connectors = list(access.owned(request, Connector.objects.order_by("name", "id")).values_list("pk", "name"))
    filters = DivergenceFilters(request.GET, rows, request=request, connectors=connectors)
    page = page_of(request, filters.qs, "first_seen_at", "id")
    runs = access.owned(request, ReconcileRun.objects.select_related("connector"))
    newest = runs.defer(*(f"connector__{name}" for name in SECRET_COLUMNS)).order_by("-started_at", "-id").first()
    context = {
        "filters": filters,
        "page": page,
        "advice": {kind: advice_on(kind) for kind in {row.kind for row in page.rows}},
        "newest_run": newest,
    }
    return render(request, "console/divergences.html", context)


@login_required
@require_POST
def send_ours(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell the channel the hub's number."""
    row = _writable(request, pk)
    if divergences.send_ours(row, actor=_actor(request)):
        text = _("Our number of %(listing)s is next in the queue; the next comparison says whether it was taken.")
        messages.success(request, text % {"listing": row})
    else:
        messages.warning(request, _("There is no number to send for %(listing)s: see what to do.") % {"listing": row})
    return back_to(request, reverse("console:divergences"))


@login_required
@require_POST
def ignore(request: HttpRequest, pk: int) -> HttpResponse:
    """Leave a divergence alone."""
    row = _writable(request, pk)
    divergences.ignore(row, actor=_actor(request))
    text = _("%(listing)s is off the list, for as long as this divergence stays what it is.")
    messages.success(request, text % {"listing": row})
    return back_to(request, reverse("console:divergences"))


@login_required
@require_POST
def heed(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a divergence that was ignored back on the list."""
    row = _writable(request, pk)
    divergences.heed(row, actor=_actor(request))
    messages.success(request, _("%(listing)s is on the list again.") % {"listing": row})
    return back_to(request, reverse("console:divergences"))


def _writable(request: HttpRequest, pk: int) -> Divergence:
    access.require(request, "divergences:settle")
    return access.owned_or_404(request, Divergence.objects.select_related("tenant"), pk=pk)


def _actor(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"
