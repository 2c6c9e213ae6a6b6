"""The pages of batches: what expires when, who was given units of one, and taking one off sale."""

from datetime import UTC, datetime

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from apps.console import reasons
from apps.console.documents import orders_named
from apps.console.keyset import page_of
from apps.console.movements import shown_with
from apps.console.shelf import places_of
from apps.console.shelf_filters import BatchFilters
from apps.inventory import ledger
from apps.inventory.models import Batch, BatchHold, Movement
from apps.inventory.refusals import LedgerError
from apps.tenants import access, audit

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""A batch without a date comes last; as the index batch_by_expiry has it."""

HOLDERS_MAX = 50
MOVEMENTS_MAX = 20

WAIT_MS = 2_000
"""How long a person waits for a balance that somebody holds, before being told to try again."""


class Why(forms.Form):
    """Say why a batch goes off sale, or back."""

    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=150,
        widget=forms.TextInput({"autocomplete": "off", "maxlength": 150}),
    )


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Batches, those that expire first at the top."""
    rows = access.owned(request, Batch.objects.select_related("product", "location"))
    rows = rows.annotate(due=Coalesce("expires_at", Value(NEVER)))
    filters = BatchFilters(request.GET, rows, request=request, locations=places_of(request))
    page = page_of(request, filters.qs, "due", "id", descending=False)
    return render(request, "console/batches.html", {"filters": filters, "page": page})


@login_required
@require_safe
def page(request: HttpRequest, pk: str) -> HttpResponse:
    """One batch: its units, its date, who was given some, what moved."""
    return _page(request, _batch(request, pk), Why())


@login_required
@require_POST
def block(request: HttpRequest, pk: str) -> HttpResponse:
    """Take a batch off sale."""
    return _set(request, pk, is_blocked=True)


@login_required
@require_POST
def unblock(request: HttpRequest, pk: str) -> HttpResponse:
    """Put a batch back on sale."""
    return _set(request, pk, is_blocked=False)


def _set(request: HttpRequest, pk: str, *, is_blocked: bool) -> HttpResponse:
    access.require(request, "stock:adjust")
    row = _batch(request, pk)
    form = Why(request.POST)
    if not form.is_valid():
        return _page(request, row, form, status=422)
    code = "blocked by hand" if is_blocked else "unblocked by hand"
    cause = ledger.Cause(
        actor=f"user:{request.user.pk}", reason=reasons.written(code, form.cleaned_data["reason"]), source="console"
    )
    verb = ledger.block_batch if is_blocked else ledger.unblock_batch
    tenant, action = access.tenant_of(request), "batch_blocked" if is_blocked else "batch_unblocked"
    try:
        with transaction.atomic():
            units = verb(tenant, row.pk, cause=cause, wait_ms=WAIT_MS)
            # a batch without free units moves nothing, so the ledger alone would not tell who did it
            audit.record(tenant, cause.actor, action, f"batch:{row.pk}", before=row.status, units=units)
    except LedgerError as refusal:
        return _page(request, row, form, refusal=refusal.detail, status=409)
    if is_blocked:
        text = ngettext("%(count)s unit went off sale.", "%(count)s units went off sale.", units)
    else:
        text = ngettext("%(count)s unit is for sale again.", "%(count)s units are for sale again.", units)
    messages.success(request, text % {"count": units} + " " + _("The channels get their numbers within seconds."))
    return redirect("console:batch", pk=row.pk)


def _batch(request: HttpRequest, pk: str) -> Batch:
    return access.owned_or_404(request, Batch.objects.select_related("product", "location"), pk=pk)


def _page(request: HttpRequest, row: Batch, form: Why, *, refusal: str = "", status: int = 200) -> HttpResponse:
    holds = BatchHold.objects.filter(batch=row).select_related("reservation")
    holders = list(access.owned(request, holds).order_by("-reservation_id")[:HOLDERS_MAX])
    moved = Movement.objects.filter(product=row.product_id, location=row.location_id, batch_id=row.pk).select_related(
        "location", "product"
    )
    movements = list(access.owned(request, moved).order_by("-recorded_at", "-id")[:MOVEMENTS_MAX])
    context = {
        "batch": row,
        "form": form,
        "refusal": refusal,
        "holders": holders,
        "holder_orders": orders_named(request, [hold.reservation for hold in holders]),
        "free_units": max(0, row.quantity - row.reserved),
        "is_expired": row.expires_at is not None and row.expires_at <= timezone.now(),
        "may_handle": access.membership_of(request).may("stock:adjust"),
        "page": {"rows": movements},
        **shown_with(request, movements),
    }
    return render(request, "console/batch.html", context, status=status)
