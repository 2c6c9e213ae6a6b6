"""The price of a listing: a person gives it, the hub tells the channel."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from apps.connectors.models import Listing, ListingPrice
from apps.sync import pricing
from apps.tenants import access, audit

LEAST = Decimal("0.01")

GROUPED = re.compile(r"\d{1,3}(\.\d{3})+,\d{1,2}")
"""1.234,56: how prices of a thousand and more are written in Brazil."""


class Reais(forms.DecimalField):
    """An amount as people write it, the thousands grouped or not; never 1e5."""

    def to_python(self, value: Any) -> Decimal | None:  # type: ignore[override]  # as the stubs have it, an int
        text = str(value or "").strip()
        if "e" in text.lower():
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(text.replace(".", "") if GROUPED.fullmatch(text) else text)

    def validate(self, value: Decimal | None) -> None:
        """Refuse what is no price, with the least one as it is written here. Raises ValidationError."""
        super().validate(value)  # type: ignore[arg-type]  # as the stubs have it, never None
        if value is not None and value < LEAST:
            text = _("A price is R$ %(least)s or more.") % {"least": number_format(LEAST, 2)}
            raise forms.ValidationError(text, code="min_value")


class Price(forms.Form):
    """A price in R$; `is_meant` appears when it is the first one, or far from the last."""

    price = Reais(label=gettext_lazy("Price (R$)"), max_digits=12, decimal_places=2, localize=True)
    is_meant = forms.BooleanField(
        label=gettext_lazy("Yes, I mean this price"), required=False, widget=forms.HiddenInput()
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["price"].widget.attrs |= {"inputmode": "decimal", "autocomplete": "off"}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Show and change a listing's price; the first, and one far from the last, is asked about twice."""
    row = access.owned_or_404(request, Listing.objects.select_related("connector__tenant", "product"), pk=pk)
    known = ListingPrice.objects.filter(listing=row).first()
    form = Price(request.POST if request.method == "POST" else None, initial={"price": known.price if known else None})
    if request.method == "POST":
        access.require(request, "prices:write")
        if row.product_id is None:
            form.add_error(None, _("This listing sells no product yet: choose its product first."))
        if form.is_valid():
            price, is_meant = form.cleaned_data["price"], form.cleaned_data["is_meant"]
            actor = f"user:{request.user.pk}"
            changes = {"price": [str(known.price) if known else None, str(price)]}
            try:
                if not is_meant and not (known and known.accepted_price):
                    raise pricing.PriceJump  # nothing to compare it with: a slip would go out unseen
                pricing.ask(row, price, actor=actor, is_meant=is_meant)
            except pricing.PriceJump:
                form.fields["is_meant"].widget = forms.CheckboxInput()
                form.add_error("price", _doubt(known))
            else:
                audit.record(row.connector.tenant, actor, "price_asked", f"listing:{row.pk}", changes=changes)
                messages.success(request, _("The price goes to the channel at once; the result shows here."))
                return redirect("console:listing", pk=pk)
    context = {"listing": row, "known": known, "form": form}
    return render(request, "console/price.html", context, status=422 if form.errors else 200)


def _doubt(known: ListingPrice | None) -> str:
    """Return why a price is asked about once more."""
    if known and known.accepted_price:
        text = _("That is over %(percent)s%% away from the last price; nothing was changed. Is it right?")
        return text % {"percent": pricing.JUMP_PERCENT}
    return _("This would be the first price from here; nothing was changed yet. Is it right?")
