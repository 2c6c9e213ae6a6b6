"""Which of the hub's places each depot of an account at the channel is."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from apps.connectors.models import Connector, Depot, Listing
from apps.inventory.models import Location
from apps.sync import queue
from apps.tenants import access, audit


class Places(forms.Form):
    """One field a depot: the place it is, or none."""

    def __init__(self, *args: Any, depots: list[Depot], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for depot in depots:
            self.fields[depot.store_id] = forms.ModelChoiceField(
                Location.objects.filter(tenant_id=depot.tenant_id).order_by("code"),
                required=False,
                initial=depot.location_id,
                label=f"{depot} ({depot.store_id})",
                empty_label=gettext_lazy("none: its stock stays as the channel shows it"),
            )

    def clean(self) -> dict[str, Any]:
        """Refuse one place as two depots: its units would be offered twice."""
        said: dict[str, Any] = super().clean() or {}
        chosen = [place for place in said.values() if place]
        for place in {one for one in chosen if chosen.count(one) > 1}:
            raise forms.ValidationError(
                _("%(place)s was chosen twice; nothing was changed. Each place is one depot at most.")
                % {"place": place}
            )
        return said


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Show and change which place each depot is. The account then sells from these places, and from no others."""
    row = access.owned_or_404(request, Connector.objects.select_related("tenant"), pk=pk)
    depots = list(Depot.objects.filter(connector=row).order_by("name", "store_id"))
    form = Places(request.POST if request.method == "POST" else None, depots=depots)
    if request.method == "POST":
        access.require(request, "publication:write")
        if form.is_valid():
            _keep(row, depots, form.cleaned_data, actor=f"user:{request.user.pk}")
            messages.success(request, _("The depots are kept; their numbers go to the channel at once."))
            return redirect("console:connector", pk=pk)
    context = {"connector": row, "form": form, "depots": depots}
    return render(request, "console/depots.html", context, status=422 if form.errors else 200)


def _keep(row: Connector, depots: list[Depot], places: dict[str, Location | None], *, actor: str) -> None:
    with transaction.atomic():
        before = dict(Depot.objects.filter(connector=row).values_list("store_id", "location__code"))
        Depot.objects.filter(connector=row).update(location=None)  # two that change places would meet half-way
        for depot in depots:
            depot.location = places[depot.store_id]
            depot.save(update_fields=["location"])
        chosen = [place for place in places.values() if place]
        if chosen:
            row.locations.set(chosen)  # what no depot can send must not be offered
        said = {store_id: [before[store_id], place.code if place else None] for store_id, place in places.items()}
        audit.record(row.tenant, actor, "depots_chosen", f"connector:{row.pk}", changes=said)
        queue.mark_now(Listing.objects.filter(connector=row, capability=Listing.Capability.MULTI_ORIGIN))
