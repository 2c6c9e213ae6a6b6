"""The page of a product: its places and channels, then movements, reservations, batches, or the balance at a moment."""

from datetime import date, datetime, time
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from apps.console.documents import orders_named
from apps.console.keyset import page_of
from apps.console.movements import shown_with
from apps.console.reservations import batches_given
from apps.console.shelf import shelves
from apps.inventory import history
from apps.inventory.models import Batch, Movement, Product, Reservation, Transfer
from apps.tenants import access

MOVEMENTS, RESERVATIONS, BATCHES, MOMENT = "movimentos", "reservas", "lotes", "saldo"
SECTIONS = {
    MOVEMENTS: gettext_lazy("Movements"),
    RESERVATIONS: gettext_lazy("Reservations"),
    BATCHES: gettext_lazy("Batches"),
    MOMENT: gettext_lazy("Balance at a moment"),
}

BATCHES_MAX = 100
IN_TRANSIT_MAX = 20


class Moment(forms.Form):
    """A moment in the past, in the reader's time zone."""

    day = forms.DateField(label=gettext_lazy("Day"), widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"))
    clock = forms.TimeField(label=gettext_lazy("Time"), widget=forms.TimeInput({"type": "time"}, "%H:%M"))

    @property
    def moment(self) -> datetime:
        """Return the moment that was asked for."""
        day: date = self.cleaned_data["day"]
        clock: time = self.cleaned_data["clock"]
        return timezone.make_aware(datetime.combine(day, clock))

    def clean(self) -> dict[str, Any]:
        """Refuse what has not happened yet."""
        said: dict[str, Any] = super().clean() or {}
        if "day" in said and "clock" in said and self.moment > timezone.now():
            raise forms.ValidationError(_("This moment is still to come. Choose one in the past."))
        return said


@login_required
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """A product: what there is of it, what the channels show, and why."""
    product = access.owned_or_404(request, Product.objects.all(), pk=pk)
    section = request.GET.get("aba", MOVEMENTS)
    section = section if section in SECTIONS else MOVEMENTS
    context = {
        "product": product,
        "shelves": shelves(request, [product]),
        "may_handle": access.membership_of(request).may("stock:adjust"),
        "section": section,
        "sections": SECTIONS.items(),
        "transfers": _in_transit(request, product),
        **PARTS[section](request, product),
    }
    return render(request, "console/movements.html", context)


def _movements(request: HttpRequest, product: Product) -> dict[str, Any]:
    rows = access.owned(request, Movement.objects.filter(product=product).select_related("location"))
    # the ledger's index has the place before the moment: each place on its own, or every row would be sorted
    places = list(access.owned(request, product.balances.all()).values_list("location_id", flat=True))
    found = page_of(request, rows, "recorded_at", "id", apart=("location", places))
    return {"page": found, **shown_with(request, found.rows)}


def _reservations(request: HttpRequest, product: Product) -> dict[str, Any]:
    rows = access.owned(request, Reservation.objects.filter(product=product).select_related("product", "location"))
    found = page_of(request, rows, "id")
    orders, batches = orders_named(request, found.rows), batches_given(request, found.rows)
    return {"page": found, "orders": orders, "batches": batches}


def _batches(request: HttpRequest, product: Product) -> dict[str, Any]:
    rows = access.owned(request, Batch.objects.filter(product=product).select_related("product", "location"))
    found = rows.exclude(quantity=0, reserved=0).order_by("expires_at", "id")[:BATCHES_MAX]
    return {"page": {"rows": list(found)}}


def _moment(request: HttpRequest, product: Product) -> dict[str, Any]:
    now = timezone.localtime()
    form = Moment(request.GET if "day" in request.GET else None, initial={"day": now.date(), "clock": now.time()})
    places = None
    if form.is_bound and form.is_valid():
        places = history.product_at(product.tenant_id, product.pk, form.moment)
    return {"page": {"rows": []}, "form": form, "places": places}


PARTS = {MOVEMENTS: _movements, RESERVATIONS: _reservations, BATCHES: _batches, MOMENT: _moment}


def _in_transit(request: HttpRequest, product: Product) -> list[Transfer]:
    """Return the transfers of the product that have not arrived whole, the oldest first."""
    rows = Transfer.objects.filter(product=product, sent__gt=F("received"), destination__isnull=False)
    return list(access.owned(request, rows.select_related("origin", "destination")).order_by("id")[:IN_TRANSIT_MAX])
