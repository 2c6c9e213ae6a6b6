"""The pages of reservations: who holds which units until when, and taking one back by hand."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from apps.console import reasons
from apps.console.documents import orders_named
from apps.console.keyset import page_of
from apps.console.shelf import places_of
from apps.console.shelf_filters import ReservationFilters
from apps.inventory import ledger
from apps.inventory.models import Balance, BatchHold, Reservation
from apps.inventory.refusals import LedgerError
from apps.orders.models import Order
from apps.tenants import access

ENDED_ORDERS = (Order.Status.CANCELLED, Order.Status.PICKED_UP)


class Release(forms.Form):
    """Say why a promise is taken back."""

    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=150,
        widget=forms.TextInput({"autocomplete": "off", "maxlength": 150}),
    )


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Who holds which units, the newest first."""
    rows = access.owned(request, Reservation.objects.select_related("product", "location"))
    filters = ReservationFilters(request.GET, rows, request=request, locations=places_of(request))
    page = page_of(request, filters.qs, "id")
    context = {
        "filters": filters,
        "page": page,
        "orders": orders_named(request, page.rows),
        "batches": batches_given(request, page.rows),
        "may_handle": access.membership_of(request).may("stock:adjust"),
    }
    return render(request, "console/reservations.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release(request: HttpRequest, pk: str) -> HttpResponse:
    """Show what taking a promise back means, and do it."""
    access.require(request, "stock:adjust")
    row = access.owned_or_404(request, Reservation.objects.select_related("product", "location"), pk=pk)
    form = Release(request.POST if request.method == "POST" else None)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        try:
            ended = _release(request, row, form.cleaned_data["reason"])
        except LedgerError as error:
            refusal = error.detail
        else:
            text = _("The reservation is released: %(available)s of %(sku)s are available at %(place)s now.")
            words = {"available": ended.available, "sku": row.product.sku, "place": row.location.code}
            messages.success(request, text % words)
            return redirect(f"{reverse('console:reservations')}?product={row.product.sku}")
    balances = Balance.objects.filter(product=row.product_id, location=row.location_id)
    order = orders_named(request, [row]).get(row.pk)
    context = {
        "row": row,
        "form": form,
        "refusal": refusal,
        "order": order,
        "is_order_open": order is not None and order.status not in ENDED_ORDERS,
        "balance": access.owned(request, balances).first(),
    }
    status = 409 if refusal else 422 if form.errors else 200
    return render(request, "console/release.html", context, status=status)


def _release(request: HttpRequest, row: Reservation, why: str) -> ledger.Ended:
    cause = ledger.Cause(
        actor=f"user:{request.user.pk}",
        reason=reasons.written("released by hand", why),
        reference_type=row.reference_type,
        reference_id=row.reference_id,
        source="console",
    )
    return ledger.release(access.tenant_of(request), row.pk, key=f"console:release:{row.pk}", cause=cause)


def batches_given(request: HttpRequest, rows: list[Reservation]) -> dict[object, list[BatchHold]]:
    """Return, per reservation, the batches that it was given units of; one query for all of them."""
    holds = BatchHold.objects.filter(reservation__in=[row.pk for row in rows]).select_related("batch")
    found: dict[object, list[BatchHold]] = {}
    for hold in access.owned(request, holds).order_by("reservation_id", "batch_id") if rows else []:
        found.setdefault(hold.reservation_id, []).append(hold)
    return found
