"""The page of pending matters: what keeps numbers from the channels, one line a cause."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.notifications.models import Trouble
from apps.tenants import access

CLOSED_ROWS = 20
"""Troubles that are gone, shown below those that last."""

SECRET_COLUMNS = ("connector__client_secret_enc", "connector__refresh_token_enc", "connector__access_token_enc")


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """What is wrong now, the oldest first, and what was."""
    rows = access.owned(request, Trouble.objects.select_related("connector").defer(*SECRET_COLUMNS))
    context = {
        "troubles": rows.filter(closed_at__isnull=True).order_by("opened_at", "id"),
        "closed": rows.filter(closed_at__isnull=False).order_by("-closed_at", "-id")[:CLOSED_ROWS],
    }
    return render(request, "console/troubles.html", context)
