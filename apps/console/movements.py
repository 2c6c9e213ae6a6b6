"""The pages of movements: all of them, and everything about one."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.console.documents import orders_named
from apps.console.keyset import page_of
from apps.console.people import people_named
from apps.console.shelf import places_of
from apps.console.shelf_filters import MovementFilters
from apps.events.models import IntegrationEvent
from apps.inventory.models import Batch, Movement, Reservation, Transfer
from apps.orders.intake import REFERENCE_TYPE
from apps.sync.models import SyncLog
from apps.tenants import access
from apps.tenants.models import Membership

COLLEAGUES_MAX = 100
"""People offered in the filter."""

RELATED_MAX = 20
"""Other movements of the same document, and numbers told because of this one."""


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every change of stock, the newest first, in the order in which they became final."""
    rows = access.owned(request, Movement.objects.select_related("product", "location"))
    filters = MovementFilters(
        request.GET, rows, request=request, locations=places_of(request), people=colleagues(request)
    )
    page = page_of(request, filters.qs, "transaction_id", "id", along=filters.along())
    return render(
        request, "console/all_movements.html", {"filters": filters, "page": page, **shown_with(request, page.rows)}
    )


def shown_with(request: HttpRequest, rows: list[Movement]) -> dict[str, Any]:
    """Return what rows of movements are shown with: their orders, and the names of people; two queries."""
    return {"orders": orders_named(request, rows), "people": people_named(request, (row.actor for row in rows))}


@login_required
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """One movement: what changed, who, why, which document, and what it led to."""
    rows = Movement.objects.select_related("product", "location")
    row = access.owned_or_404(request, rows, pk=pk)
    mine = access.owned(request, Movement.objects.select_related("location", "product"))
    reserved = access.owned(request, Reservation.objects.filter(pk=row.reservation_id)) if row.reservation_id else None
    batch = access.owned(request, Batch.objects.filter(pk=row.batch_id)) if row.batch_id else None
    together = _of_same_document(request, row)
    context = {
        "row": row,
        "numbers": _numbers(row),
        "reversed": mine.filter(pk=row.reverses_id).first() if row.reverses_id else None,
        "reversal": mine.filter(reverses_id=row.pk).first(),
        "reservation": reserved.first() if reserved is not None else None,
        "batch": batch.first() if batch is not None else None,
        "transfer": _transfer(request, row),
        "page": {"rows": together},
        "events": _events(request, row),
        "logs": _told(request, row),
        **shown_with(request, [row, *together]),
    }
    return render(request, "console/movement.html", context)


def _numbers(row: Movement) -> list[tuple[str, int, int, int]]:
    """Return name, before, change and after of each number of the balance."""
    triples = [
        (_("On hand"), row.on_hand_delta, row.on_hand_after),
        (_("Reserved"), row.reserved_delta, row.reserved_after),
        (_("Blocked"), row.blocked_delta, row.blocked_after),
    ]
    free_delta = row.on_hand_delta - row.reserved_delta - row.blocked_delta
    free_after = row.on_hand_after - row.reserved_after - row.blocked_after
    return [
        (name, after - delta, delta, after)
        for name, delta, after in [*triples, (_("Available"), free_delta, free_after)]
    ]


def _of_same_document(request: HttpRequest, row: Movement) -> list[Movement]:
    if not row.reference_type or not row.reference_id:
        return []
    rows = Movement.objects.filter(reference_type=row.reference_type, reference_id=row.reference_id)
    others = access.owned(request, rows.exclude(pk=row.pk).select_related("product", "location"))
    return list(others.order_by("-recorded_at", "-id")[:RELATED_MAX])


def _transfer(request: HttpRequest, row: Movement) -> Transfer | None:
    if row.kind not in (Movement.Kind.TRANSFER_OUT, Movement.Kind.TRANSFER_IN):
        return None
    rows = Transfer.objects.select_related("origin", "destination")
    return access.owned(request, rows).filter(code=row.reference_id, product_id=row.product_id).first()


def _events(request: HttpRequest, row: Movement) -> list[IntegrationEvent]:
    """Return the events about the movement's order that share its trace."""
    order = orders_named(request, [row]).get(row.pk)
    if order is None or row.reference_type != REFERENCE_TYPE:
        return []
    about = IntegrationEvent.objects.filter(
        channel=order.channel, external_id=order.external_id, resource_kind="orders", trace_id=row.trace_id
    )
    return list(access.owned(request, about).only("id", "topic", "external_id", "received_at", "status")[:RELATED_MAX])


def _told(request: HttpRequest, row: Movement) -> list[SyncLog]:
    """Return the numbers that channels were told because of this movement."""
    logs = SyncLog.objects.filter(product_id=row.product_id, movement_id=row.pk, timestamp__gte=row.recorded_at)
    return list(access.owned(request, logs.select_related("listing")).order_by("timestamp", "id")[:RELATED_MAX])


def colleagues(request: HttpRequest) -> list[tuple[str, str]]:
    rows = access.owned(request, Membership.objects.select_related("user")).order_by("user__first_name", "user_id")
    people = [row.user for row in rows[:COLLEAGUES_MAX]]
    return [(f"user:{one.pk}", one.get_full_name() or one.get_username()) for one in people]
