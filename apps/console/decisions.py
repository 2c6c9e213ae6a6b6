"""The step before a mapping is saved: which waiting events it sets free, and what they would change."""

from collections.abc import Callable

from django.db import IntegrityError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.console import planned
from apps.events import waiting
from apps.tenants import access

CONFIRMED = "confirmed"


def shown_before(
    request: HttpRequest,
    decide: Callable[[], object],
    *,
    title: str,
    fields: tuple[str, ...],
    back: str,
    word: tuple[str, str] | None = None,
) -> HttpResponse | None:
    """Return the page that shows what a decision would set free; None when it is to be taken now.

    That is when the person has seen the page and confirmed, or when nothing waits for the decision.
    decide: takes it; called only to be rolled back. fields: those of the form that are sent again with the
    confirmation. back: where to go instead. word: see `waiting.preview`.
    """
    if request.POST.get(CONFIRMED):
        return None
    tenant = access.tenant_of(request)
    try:
        freed = waiting.preview(tenant, decide, word=word)
    except (IntegrityError, OperationalError):
        freed = None
    if freed is not None and not freed.is_anything:
        return None
    context = {
        "title": title,
        "freed": freed,
        "planned": planned.describe(tenant, freed.plan) if freed else None,
        "fields": {name: request.POST[name] for name in (*fields, "next") if name in request.POST},
        "back": back,
    }
    return render(request, "console/mapping_preview.html", context)
