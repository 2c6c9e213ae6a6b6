"""Início: is everything all right, and if not, where. The first page after signing in."""

from collections.abc import Sequence

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.connectors import breaker
from apps.connectors.models import Connector
from apps.console import answer_times, charts, figures, hours
from apps.console.tiles import tiles
from apps.tenants import access

SHOWN = ("pk", "kind", "name", "status", "status_reason", "access_token_expires_at", "last_sync_at", "shadow_since")


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Health at a glance, the accounts, and how the last day or fortnight went."""
    tenant = access.tenant_of(request)
    is_daily = request.GET.get("span") == "14d"
    now = timezone.now()
    accounts = list(
        access.owned(request, Connector.objects.only(*SHOWN, "tenant_id"))
        .annotate(trouble_count=Count("troubles", filter=Q(troubles__closed_at__isnull=True)))
        .order_by("name", "pk")
    )
    found = hours.of_tenant(tenant.pk, charts.first_moment(now))
    day = charts.by_hour(found, now)
    slots = charts.by_day(found, now) if is_daily else day
    context = {
        "tiles": tiles(
            [slot.figures for slot in day],
            figures.told(tenant.pk),
            figures.waiting(tenant.pk),
            answer_times.quantile_ms(0.99, hours=24),
        ),
        "accounts": accounts,
        "left_alone": {pk for pk, state in _breakers(accounts).items() if state is not breaker.State.CLOSED},
        "charts": charts.charts(slots, is_daily=is_daily),
        "is_daily": is_daily,
    }
    return render(request, "console/home.html", context)


def _breakers(accounts: Sequence[Connector]) -> dict[int, breaker.State]:
    return breaker.states(account.pk for account in accounts if account.is_running)
