"""What happened, in order: from a notification to the number the channel shows.

The steps of one road share a trace id (the event's). A movement of stock may be told to the channel together with later
ones, in one call; that call is a step of each.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.connectors.models import Connector
from apps.console.badges import Badge, badge_of
from apps.console.moments import span_of
from apps.events.models import IntegrationEvent
from apps.inventory.models import Movement
from apps.notifications.models import Notification
from apps.orders.intake import REFERENCE_TYPE
from apps.orders.models import Order
from apps.sync.models import SyncLog
from apps.tenants.access import of_tenant

STEPS_MAX = 200
"""Rows of one kind that a timeline reads; an order has a handful."""


@dataclass(slots=True)
class Step:
    """One thing that happened."""

    at: datetime
    title: str
    badge: Badge
    detail: str = ""
    url: str = ""
    error_code: str = ""
    error_text: str = ""
    has_given_up: bool = False
    actor: str = ""  # who did it, in words
    trace: str = ""  # the trace id that the steps of one road share
    delay: str = ""  # since the step before, filled by `in_order`


def of_event(event: IntegrationEvent, order: Order | None) -> list[Step]:
    """Return the road of one event: received, worked on, its order, its movements, what the channels were told."""
    steps = [_received(event)]
    if event.processed_at or event.attempts:
        steps.append(_worked_on(event))
    if order is not None:
        movements = [row for row in movements_of(order) if row.trace_id == event.trace_id]
        steps += [_order(order)] if movements else []
        steps += _moved(movements, order) + _told(logs_after(movements))
    return in_order(steps)


def of_order(
    order: Order, events: Iterable[IntegrationEvent], notifications: Iterable[Notification] = ()
) -> list[Step]:
    """Return the road of an order with every event about it, to the word that it is ready."""
    movements = movements_of(order)
    steps = [_order(order), *_moved(movements, order), *_told(logs_after(movements)), *_notified(notifications)]
    for event in events:
        steps.append(_received(event))
        if event.processed_at:
            steps.append(_worked_on(event))
    return in_order(steps)


def in_order(steps: list[Step]) -> list[Step]:
    """Sort the steps by time and write beside each how long it took since the one before."""
    steps.sort(key=lambda step: step.at)
    for before, step in pairwise(steps):
        step.delay = span_of((step.at - before.at).total_seconds())
    return steps


def movements_of(order: Order) -> list[Movement]:
    """Return what an order did to stock, oldest first."""
    rows = Movement.objects.filter(reference_type=REFERENCE_TYPE, reference_id=str(order.pk))
    return list(of_tenant(order.tenant, rows).select_related("product", "location").order_by("id")[:STEPS_MAX])


def logs_after(movements: list[Movement]) -> list[SyncLog]:
    """Return the tries that told these movements to the channels: per listing, up to the first that succeeded."""
    if not movements:
        return []
    first = min(movements, key=lambda row: row.pk)
    rows = (
        SyncLog.objects.filter(
            tenant_id=first.tenant_id,
            product_id__in={row.product_id for row in movements},
            timestamp__gte=min(row.recorded_at for row in movements),
            movement_id__gte=first.pk,
        )
        .select_related("listing", "product")
        .order_by("timestamp", "id")[:STEPS_MAX]
    )
    moved_last = {row.product_id: row.pk for row in movements}
    told: set[int] = set()
    found = []
    for log in rows:
        if log.listing_id in told:
            continue
        found.append(log)
        if log.status == SyncLog.Status.SUCCESS and (log.movement_id or 0) >= moved_last[log.product_id]:
            told.add(log.listing_id)
    return found


def _received(event: IntegrationEvent) -> Step:
    return Step(
        event.received_at,
        _("Notification received"),
        Badge(_("Received"), "info", "events"),
        detail=f"{event.topic} {event.external_id}".strip(),
        url=reverse("console:event", args=[event.pk]),
        actor=_("Saldo, by itself") if _is_ours(event) else Connector.Kind(event.channel).label,
        trace=str(event.trace_id),
    )


def _is_ours(event: IntegrationEvent) -> bool:
    """Tell whether the hub made the event itself (`inbox.ask_for`); its name says so, without its content."""
    return event.delivery_key.startswith(str(event.trace_id))


def _worked_on(event: IntegrationEvent) -> Step:
    return Step(
        max(event.processed_at or event.next_attempt_at or event.received_at, event.received_at),
        _("Event finished") if event.processed_at else _("Next try"),
        badge_of(event),
        detail=_what_of(event),
        error_code=event.error_code,
        error_text=event.error_msg,
        has_given_up=event.status == IntegrationEvent.Status.ERROR,
    )


def _what_of(event: IntegrationEvent) -> str:
    if event.status == IntegrationEvent.Status.IGNORED:
        return _("Saldo needs nothing of this topic")
    return _("try %(number)s") % {"number": event.attempts} if event.attempts > 1 else ""


def _order(order: Order) -> Step:
    return Step(
        order.created_at,
        _("Order %(number)s recorded") % {"number": order.external_id},
        badge_of(order),
        url=reverse("console:order", args=[order.pk]),
    )


def _actor(name: str) -> str:
    """Return who moved stock, in a word: the hub's workers are the hub."""
    kinds = {"worker": _("Saldo, by itself"), "ledger": _("Saldo, by itself"), "user": _("a person: see the movements")}
    return kinds.get(name.partition(":")[0], name)


def _moved(movements: list[Movement], order: Order) -> list[Step]:
    # A movement bears the time its transaction began, but the order was written first in that transaction.
    return [
        Step(
            max(row.recorded_at, order.created_at),
            f"{row.product.sku} · {row.location.code}",
            badge_of(row),
            detail=_("on hand %(on_hand)s, reserved %(reserved)s, available %(available)s")
            % {
                "on_hand": row.on_hand_after,
                "reserved": row.reserved_after,
                "available": row.on_hand_after - row.reserved_after,
            },
            url=reverse("console:movements", args=[row.product_id]),
            actor=_actor(row.actor),
            trace=str(row.trace_id or ""),
        )
        for row in movements
    ]


def _told(logs: list[SyncLog]) -> list[Step]:
    """Each try in three steps: the follower of the ledger noticed, a worker sent the number, the channel answered."""
    return [step for row in logs for step in _try(row)]


def _try(row: SyncLog) -> list[Step]:
    trace = str(row.trace_id or "")
    steps = []
    if row.due_at is not None:
        is_first = row.attempt <= 1
        steps.append(
            Step(
                min(row.due_at, row.timestamp),
                _("In the queue: %(listing)s") % {"listing": row.listing},
                Badge(_("Noticed") if is_first else _("Next try"), "info", "clock"),
                detail=row.get_trigger_display() if is_first else _("try %(number)s") % {"number": row.attempt},
                trace=trace,
            )
        )
    if row.finished_at is not None:
        steps.append(
            Step(
                row.timestamp,
                _("Number sent: %(listing)s") % {"listing": row.listing},
                Badge(_("Sent"), "info", "send"),
                detail=f"{row.new_value}",
                trace=trace,
            )
        )
    return [
        *steps,
        Step(
            row.finished_at or row.timestamp,
            _("Channel told: %(listing)s") % {"listing": row.listing},
            badge_of(row),
            detail=f"{'?' if row.old_value is None else row.old_value} → {row.new_value}"
            + (f" · HTTP {row.http_status}" if row.http_status else ""),
            url=reverse("console:told", args=[row.pk]),
            error_code=row.error_code,
            error_text=row.error_message,
            trace=trace,
        ),
    ]


def _notified(notifications: Iterable[Notification]) -> list[Step]:
    return [
        Step(
            row.sent_at or row.created_at,
            _("Recipient told: %(medium)s") % {"medium": row.get_medium_display()},
            badge_of(row),
            detail=_("asked for by %(actor)s") % {"actor": row.requested_by} if row.requested_by else "",
            error_code=row.error_code,
            has_given_up=row.status == Notification.Status.FAILED,
        )
        for row in notifications
    ]
