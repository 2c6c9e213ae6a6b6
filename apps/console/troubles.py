"""The pages of pending matters: what keeps stock or numbers from being right, one line a cause, and what to do."""

from typing import Any, ClassVar

import django_filters
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from apps.connectors.models import Connector, Listing
from apps.console.filters import Filters
from apps.console.keyset import page_of
from apps.console.people import people_named
from apps.events.models import IntegrationEvent
from apps.notifications import troubles
from apps.notifications.models import Trouble
from apps.tenants import access

Kind = Trouble.Kind

NOTES_MAX = 100
"""Lines of a trouble's history that its page shows."""

SECRET_COLUMNS = ("connector__client_secret_enc", "connector__refresh_token_enc", "connector__access_token_enc")

BY_CAUSE: dict[str, tuple[str, Any]] = {
    "limite": ("rate_limited", gettext_lazy("Limit of calls (429)")),
    "autorizacao": ("reauthorize", gettext_lazy("Authorisation")),
}
"""Kinds that people know by name, though they are one cause of a wider kind."""

EVENT_STATUS = {
    Kind.EVENTS: IntegrationEvent.Status.ERROR,
    Kind.QUARANTINE: IntegrationEvent.Status.QUARANTINED,
    Kind.MAPPING: IntegrationEvent.Status.MAPPING,
}


class TroubleFilters(Filters):
    """Pending matters: by state, kind and connector. Without a state those that are not solved."""

    state = django_filters.ChoiceFilter(
        choices=[
            ("open", gettext_lazy("Open")),
            ("seen", gettext_lazy("Seen")),
            ("quiet", gettext_lazy("Gone, being watched")),
            ("solved", gettext_lazy("Solved")),
            ("all", gettext_lazy("All")),
        ],
        method="in_state",
        label=gettext_lazy("Status"),
        empty_label=gettext_lazy("Not solved"),
    )
    kind = django_filters.ChoiceFilter(
        choices=[*Kind.choices, *((name, label) for name, (_cause, label) in BY_CAUSE.items())],
        method="of_kind",
        label=gettext_lazy("Kind"),
        empty_label=gettext_lazy("All"),
    )
    connector = django_filters.ChoiceFilter(
        field_name="connector_id", label=gettext_lazy("Connector"), empty_label=gettext_lazy("All")
    )

    class Meta:
        model = Trouble
        fields: ClassVar[list[str]] = []

    def __init__(self, *args: Any, connectors: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.filters["connector"].extra["choices"] = connectors

    def in_state(self, rows: QuerySet[Trouble], name: str, value: str) -> QuerySet[Trouble]:
        """Keep what is there now, what somebody has seen of it, what was just gone, or what stayed away."""
        return {
            "open": rows.filter(closed_at__isnull=True, acknowledged_at__isnull=True),
            "seen": rows.filter(closed_at__isnull=True, acknowledged_at__isnull=False),
            "quiet": rows.filter(closed_at__isnull=False, resolved_at__isnull=True),
            "solved": rows.filter(resolved_at__isnull=False),
            "all": rows,
        }[value]

    def of_kind(self, rows: QuerySet[Trouble], name: str, value: str) -> QuerySet[Trouble]:
        """Keep a kind, or the one cause that people call a kind."""
        return rows.filter(cause=BY_CAUSE[value][0]) if value in BY_CAUSE else rows.filter(kind=value)


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """What is wrong now, the newest first; by the filter also what was."""
    rows = access.owned(request, Trouble.objects.select_related("connector", "tenant").defer(*SECRET_COLUMNS))
    accounts = access.owned(request, Connector.objects.order_by("name")).values_list("pk", "name")
    filters = TroubleFilters(request.GET, rows, request=request, connectors=list(accounts))
    found = filters.qs
    if not request.GET.get("state"):
        found = found.filter(resolved_at__isnull=True)
    page = page_of(request, found, "since_at", "id")
    context = {
        "filters": filters,
        "page": page,
        "lists": {row.pk: list_of(row) for row in page.rows},
        "people": people_named(request, (row.acknowledged_by for row in page.rows)),
    }
    return render(request, "console/troubles.html", context)


@login_required
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """One matter: what it means, where its rows are, who has seen it, and its history."""
    row = _trouble_or_404(request, pk)
    notes = list(row.notes.order_by("-happened_at", "-id")[:NOTES_MAX])
    context = {
        "trouble": row,
        "list": list_of(row),
        "notes": notes,
        "may_send_again": filters_of(row) is not None and row.closed_at is None,
        "people": people_named(request, [row.acknowledged_by, *(note.actor for note in notes)]),
    }
    return render(request, "console/trouble.html", context)


@login_required
@require_POST
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Say that one has seen it, so that colleagues know somebody is at it."""
    access.require(request, "troubles:acknowledge")
    row = _trouble_or_404(request, pk)
    note = request.POST.get("note", "").replace("\x00", "")
    if row.resolved_at is None:
        troubles.acknowledge(row, actor=f"user:{request.user.pk}", note=note)
        messages.success(request, _("Marked as seen. It closes by itself once its cause stayed away for half an hour."))
    else:
        messages.warning(request, _("It is solved already, so nothing was changed."))
    return redirect("console:trouble", pk=row.pk)


@login_required
@require_POST
def unacknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back that somebody has seen it."""
    access.require(request, "troubles:acknowledge")
    row = _trouble_or_404(request, pk)
    if row.acknowledged_at is not None and row.resolved_at is None:
        troubles.forget_acknowledgement(row, actor=f"user:{request.user.pk}")
        messages.success(request, _("It is open again for everybody."))
    return redirect("console:trouble", pk=row.pk)


def list_of(row: Trouble) -> str:
    """Return the address of the list that shows the rows behind a matter."""
    filters = filters_of(row)
    if row.kind == Kind.MAPPING:
        return reverse("console:mappings") if row.cause == "status_unknown" else _listings(row, "unmapped")
    if row.kind in EVENT_STATUS and filters is not None:
        return f"{reverse('console:events')}?{filters.urlencode()}"
    if row.kind == Kind.LISTINGS and row.cause != "zeros_held":
        return _listings(row, "error", code=row.cause)
    if row.kind == Kind.DIVERGENCE:
        return f"{reverse('console:divergences')}?{urlencode({'connector': row.connector_id or 0})}"
    if row.kind == Kind.OVERSELL:
        return f"{reverse('console:stock')}?state=oversold"
    if row.kind == Kind.BACKLOG:
        return _listings(row, "waiting") if row.cause == "backlog_numbers" else reverse("console:events")
    return reverse("console:connector", args=[row.connector_id])


def _listings(row: Trouble, state: str, **more: str) -> str:
    query = {"state": state, "connector": str(row.connector_id), **more}
    return f"{reverse('console:listings')}?{urlencode(query)}"


def filters_of(row: Trouble) -> QueryDict | None:
    """Return the filters of the list of events whose rows could be sent through again; None when there are none."""
    if row.kind == Kind.LISTINGS and row.cause != "zeros_held":
        return QueryDict(mutable=True)
    if row.kind not in (Kind.EVENTS, Kind.QUARANTINE):
        return None
    query = QueryDict(mutable=True)
    query.update({"status": EVENT_STATUS[Kind(row.kind)], "code": row.cause, "connector": str(row.connector_id)})
    return query


def listings_of(row: Trouble) -> QuerySet[Listing]:
    """Return the listings behind a matter about listings, for a job over them."""
    return Listing.objects.filter(
        Q(product__isnull=False),
        connector=row.connector_id,
        sync_state=Listing.SyncState.ERROR,
        last_error_code=row.cause,
    )


def _trouble_or_404(request: HttpRequest, pk: int) -> Trouble:
    rows = Trouble.objects.select_related("connector", "tenant").defer(*SECRET_COLUMNS)
    return access.owned_or_404(request, rows, pk=pk)
