"""How much of the stock is published, and when too many zeros wait for a person: rules that people set."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.validators import MaxValueValidator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.connectors.models import RULE_PARTS, Connector, Listing, lock
from apps.console.typed_numbers import WholeNumber
from apps.sync import queue, sharing
from apps.tenants import access, audit

PARTS = RULE_PARTS
UNITS = dict.fromkeys(("buffer_units", "end_when_units", "cap_units", "calls_per_minute"), WholeNumber)


class _Rule(forms.ModelForm):  # type: ignore[type-arg]  # generic to the stubs alone
    """A form in which a share is at most the whole."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if name.endswith("_percent"):
                field.validators.append(MaxValueValidator(100))
                field.widget.attrs["max"] = 100


class ConnectorRule(_Rule):
    """How an account publishes, and how often the hub may call for it."""

    class Meta:
        model = Connector
        fields = (*PARTS, "calls_per_minute", "zero_limit_percent")
        field_classes = UNITS


class ListingRule(_Rule):
    """Where a listing departs from its account's rule; what is left empty follows it."""

    class Meta:
        model = Listing
        fields = PARTS
        field_classes = UNITS


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def connector_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Show and change how an account publishes."""
    row = access.owned_or_404(request, Connector.objects.select_related("tenant"), pk=pk)
    form = ConnectorRule(request.POST or None, instance=row)
    return _edit(request, form, name=row.name, back=reverse("console:connector", args=[row.pk]), of=f"connector:{pk}")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def listing_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Show and change where a listing departs from its account's rule."""
    row = access.owned_or_404(request, Listing.objects.select_related("connector"), pk=pk)
    form = ListingRule(request.POST or None, instance=row)
    for part in PARTS:
        general = getattr(row.connector, part)
        form.fields[part].widget.attrs["placeholder"] = _("no limit") if general is None else str(general)
    return _edit(request, form, name=str(row), back=reverse("console:listing", args=[row.pk]), of=f"listing:{pk}")


@login_required
@require_POST
def let_zeros_through(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell the channel the zeros that were held back: a person has looked."""
    access.require(request, "zeros:release")
    row = access.owned_or_404(request, Connector.objects.all(), pk=pk)
    with transaction.atomic():
        count = queue.let_zeros_through(row)
        audit.record(row.tenant, f"user:{request.user.pk}", "zeros_let_through", f"connector:{pk}", count=count)
    text = ngettext(
        "%(count)s listing goes to zero now; the result shows among the synchronisations.",
        "%(count)s listings go to zero now; the results show among the synchronisations.",
        count,
    )
    messages.success(request, text % {"count": count})
    return redirect("console:connector", pk=pk)


def _keep_for_sisters(row: Listing) -> None:
    """Give the listings that share the stock the same rule: the channel shows one number on all of them."""
    ids = lock(sharing.sisters(row).exclude(pk=row.pk))
    Listing.objects.filter(pk__in=ids).update(**{part: getattr(row, part) for part in PARTS})


def _edit(request: HttpRequest, form: _Rule, *, name: str, back: str, of: str) -> HttpResponse:
    """Show the form, or keep what it says and write down who changed what."""
    if request.method == "POST":
        access.require(request, "publication:write")
        if form.is_valid():
            changes = {part: [form.initial[part], form.cleaned_data[part]] for part in form.changed_data}
            if changes:
                with transaction.atomic():
                    # these columns alone: the queue and the tokens change their own at any moment
                    form.save(commit=False).save(update_fields=[*changes, "updated_at"])
                    if isinstance(form.instance, Listing):
                        _keep_for_sisters(form.instance)
                    actor = f"user:{request.user.pk}"
                    audit.record(access.tenant_of(request), actor, "publication_rule_changed", of, changes=changes)
            messages.success(request, _("The rule is kept. Numbers that it changes reach the channel within a minute."))
            return redirect(back)
    context = {"form": form, "name": name, "back": back, "is_listing": isinstance(form, ListingRule)}
    if isinstance(form.instance, Listing):
        context["sisters"] = sharing.sisters(form.instance).exclude(pk=form.instance.pk).order_by("pk")
    return render(request, "console/publication.html", context, status=422 if form.errors else 200)
