"""The page of a plan: every row that reprocessing would change, and the button that does exactly that.

To simulate and to apply read the channel, so each takes as long as its answers; nothing is locked meanwhile, nor while
a person reads the plan.
"""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.console import planned
from apps.events import plans
from apps.events.models import IntegrationEvent, Reprocess
from apps.tenants import access

EVENTS_SHOWN = 20
"""Events of a plan that its page links to."""


@login_required
@require_POST
def simulate(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a plan of reprocessing one event, and show it."""
    access.require(request, "events:reprocess")
    row = access.owned_or_404(request, IntegrationEvent.objects.only("pk", "tenant_id"), pk=pk)
    return _simulate(request, [row.pk]) or redirect("console:event", pk=row.pk)


@login_required
@require_POST
def simulate_again(request: HttpRequest, pk: str) -> HttpResponse:
    """Make a new plan of the same events."""
    access.require(request, "events:reprocess")
    row = access.owned_or_404(request, _plans(), pk=pk)
    return _simulate(request, row.event_ids) or redirect("console:plan", pk=row.pk)


def _simulate(request: HttpRequest, event_ids: list[int]) -> HttpResponse | None:
    events = access.owned(request, IntegrationEvent.objects.filter(pk__in=event_ids))
    try:
        row = plans.plan(events, actor=f"user:{request.user.pk}")
    except plans.CannotPlan:
        messages.warning(request, _("Its events are not here any more, so there is nothing to simulate."))
    except (IntegrityError, OperationalError):
        messages.warning(
            request, _("The same orders were being changed at this moment. Nothing was changed; simulate again.")
        )
    else:
        return redirect("console:plan", pk=row.pk)
    return None


@login_required
@require_safe
def page(request: HttpRequest, pk: str) -> HttpResponse:
    """One plan: every row that would change, or what became of it."""
    return _page(request, access.owned_or_404(request, _plans(), pk=pk))


@login_required
@require_POST
def apply(request: HttpRequest, pk: str) -> HttpResponse:
    """Do exactly what the plan says; when the world moved meanwhile, nothing (409)."""
    access.require(request, "events:reprocess")
    row = access.owned_or_404(request, _plans(), pk=pk)
    reason = request.POST.get("reason", "").replace("\x00", "").strip()
    try:
        plans.apply(row, actor=f"user:{request.user.pk}", reason=reason)
    except plans.WorldMoved:
        row.refresh_from_db()
        return _page(request, row, status=409)
    except plans.CannotPlan:
        row.refresh_from_db()
        messages.warning(request, _("This plan was ended before, so nothing was done now. Simulate again."))
        return _page(request, row, status=409)
    messages.success(request, _("The plan was applied: exactly these rows were changed."))
    return redirect("console:plan", pk=row.pk)


def _plans() -> QuerySet[Reprocess]:
    return Reprocess.objects.filter(plan__isnull=False, verb="").select_related("tenant")


def _page(request: HttpRequest, row: Reprocess, status: int = 200) -> HttpResponse:
    shown = row.event_ids[:EVENTS_SHOWN]
    events = IntegrationEvent.objects.filter(pk__in=shown).defer("body", "payload").order_by("pk")
    context = {
        "plan": row,
        "planned": planned.describe(row.tenant, row.plan or {"changes": []}),
        "events": access.owned(request, events),
        "events_more": len(row.event_ids) - len(shown),
        "may_be_applied": row.status == Reprocess.Status.PLANNED,
        "is_refused": row.status == Reprocess.Status.REFUSED,
        "is_applied": row.status == Reprocess.Status.APPLIED,
    }
    return render(request, "console/plan.html", context, status=status)
