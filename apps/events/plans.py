"""Reprocessing with a dry run: the road for real, in a transaction that is rolled back, and the rows it would change.

A **plan** is a `Reprocess` in state PLANEJADO: the events, every row that would change (orders, parcels, reservations,
movements, balances …), and the orders whose notification is held back until it is applied. Applying reads the channel
again, walks the road again under the locks, and compares: when one row would change otherwise than the plan says,
because the channel or the stock moved meanwhile, everything is rolled back and the plan is refused. So what was shown
is exactly what happens, or nothing happens.

Nothing calls the channel within the transaction: readings and details are gathered before it. A dry run asks for no
label, because a channel that gave one takes the parcel for printed, and the plan would not hold: it assumes one.
"""

import hashlib
import json
import math
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.utils import timezone

from apps.connectors import credentials
from apps.connectors.channel import Channel, ChannelError, Label
from apps.connectors.models import Connector
from apps.events import changes, inbox
from apps.events.models import IntegrationEvent, Reprocess
from apps.orders import intake, reading
from apps.orders.intake import MappingNeeded, Outcome, StatusUnknown
from apps.orders.models import Order
from apps.orders.reading import Details, Reading
from apps.tenants import audit

log = structlog.get_logger(__name__)

Status = IntegrationEvent.Status

EVENTS_MAX = 500
"""Events of one plan: it holds their balances while it is applied, and a person is to read it."""

UNUSED = (Status.QUARANTINED, Status.IGNORED)


class CannotPlan(Exception):
    """There is no plan; the text says why and what to do."""


class WorldMoved(Exception):
    """A plan was not applied: what it would do now differs from what it says. Nothing was changed."""


@dataclass
class Sale:
    """One order that some of the events are about (or that is asked for without any), and what the channel says."""

    connector: Connector
    external_id: str
    events: list[IntegrationEvent]
    read: Reading | None = None
    details: Details | None = None
    trouble: ChannelError | None = None


@dataclass
class Gathered:
    """All that was read of the channel for the events of one tenant."""

    sales: list[Sale]
    read_anew: list[IntegrationEvent]  # were quarantined or not used, and are now
    unused: list[IntegrationEvent]  # nothing to do: still unreadable, or about a listing
    troubles: dict[int, ChannelError] = field(default_factory=dict)  # event id -> why nothing is known of it
    unread: list[Sale] = field(default_factory=list)  # no time was left for these


Progress = Callable[[int, int], None]


def plan(
    events: QuerySet[IntegrationEvent], *, actor: str, reason: str = "", on_progress: Progress | None = None
) -> Reprocess:
    """Return the plan of reprocessing these events, all of one tenant. Nothing else is changed by it.

    actor: `user:7`, `command:reprocessar` …; reason: why, in a person's words.
    on_progress: told how many of how many orders were read.
    Raises CannotPlan when there are none, too many, or those of several tenants.
    """
    rows = list(events.select_related("connector__tenant", "tenant").order_by("pk")[: EVENTS_MAX + 1])
    if not rows:
        raise CannotPlan("no event is like that")
    if len(rows) > EVENTS_MAX:
        raise CannotPlan(f"a plan takes at most {EVENTS_MAX} events; choose fewer, such as those of a shorter period")
    if len({row.tenant_id for row in rows}) > 1:
        raise CannotPlan("a plan is about one tenant's events; name the tenant")
    gathered = gather(rows, on_progress, read_label=assume_label)
    found = rehearse(rows, gathered)
    return Reprocess.objects.create(
        tenant=rows[0].tenant,
        actor=actor[:100],
        reason=reason[:300],
        status=Reprocess.Status.PLANNED,
        event_ids=[row.pk for row in rows],
        count=len(rows),
        plan=document(gathered, found),
        plan_hash=_hash(gathered, found),
    )


def apply(row: Reprocess, *, actor: str, reason: str = "", on_progress: Progress | None = None) -> list[changes.Change]:
    """Do what a plan says, all of it in one transaction, and return the rows that changed: exactly the plan's.

    reason: why, in a person's words, when the plan does not say it yet.
    Raises WorldMoved, having changed nothing but the plan's state, when the channel or the hub's rows changed meanwhile
    so that something else would happen; CannotPlan when the plan was applied or refused before.
    """
    events = IntegrationEvent.objects.filter(tenant_id=row.tenant_id, pk__in=row.event_ids)
    rows = list(events.select_related("connector__tenant").order_by("pk"))
    gathered = gather(rows, on_progress)
    try:
        with transaction.atomic():
            locked = Reprocess.objects.select_for_update().get(pk=row.pk)
            if locked.status != Reprocess.Status.PLANNED:
                raise CannotPlan(f"this plan is {locked.get_status_display().lower()} already; make a new one")
            found = walk(rows, gathered)
            if _hash(gathered, found) != locked.plan_hash:
                raise WorldMoved("something else would happen now than the plan says, so nothing was changed")
            events.update(reprocess_count=F("reprocess_count") + 1, reprocess=locked)
            Reprocess.objects.filter(pk=row.pk).update(
                status=Reprocess.Status.APPLIED, applied_at=timezone.now(), reason=reason[:300] or locked.reason
            )
            audit.record(locked.tenant, actor, "plan.applied", f"reprocess:{row.pk}", count=len(rows))
    except (WorldMoved, IntegrityError, OperationalError) as error:
        if not isinstance(error, WorldMoved):
            log.warning("plan_disturbed", reprocess_id=str(row.pk), error=type(error).__name__)
        planned = Reprocess.objects.filter(pk=row.pk, status=Reprocess.Status.PLANNED)
        planned.update(status=Reprocess.Status.REFUSED, applied_at=timezone.now())
        if isinstance(error, WorldMoved):
            raise
        raise WorldMoved("somebody was changing the same orders at this moment, so nothing was changed") from error
    log.info("plan_applied", reprocess_id=str(row.pk), count=len(rows), actor=actor)
    return found


def forget_old(days: int) -> int:
    """Empty the plans that are older than `days`; who, why and how many stay. One that nobody applied has expired.

    Returns how many.
    """
    old = Reprocess.objects.filter(plan__isnull=False, created_at__lt=timezone.now() - timedelta(days=days))
    expired = Case(When(status=Reprocess.Status.PLANNED, then=Value(Reprocess.Status.EXPIRED)), default=F("status"))
    return old.update(plan=None, event_ids=[], plan_hash="", status=expired)


# --- Reading, outside any transaction ------------------------------------------------------------------------------


ReadLabel = Callable[[str], Label | None]


def assume_label(shipment_id: str) -> Label:
    """Stand in for a label in a dry run: it is rolled back with it, and no plan shows what is in one."""
    return Label("PDF", b"%PDF-")


def gather(
    rows: list[IntegrationEvent],
    on_progress: Progress | None = None,
    read_label: ReadLabel | None = None,
    *,
    more: Iterable[tuple[Connector, str]] = (),
    seconds: float = math.inf,
) -> Gathered:
    """Read all that the channel says of what the events are about, in the order in which it was sold.

    more: orders that are read besides, by connector and the channel's number.
    seconds: after so long no further order is begun; `unread` names what is left.
    """
    ends_at = time.monotonic() + seconds
    gathered = Gathered([], [], [])
    sales: dict[tuple[int, str], Sale] = {}
    for event in rows:
        if event.external_id == "" or event.status in UNUSED:
            if not inbox.is_usable_now(event):
                gathered.unused.append(event)
                continue
            gathered.read_anew.append(event)
        for external_id in _orders_behind(event, gathered):
            key = (event.connector_id, external_id)
            sales.setdefault(key, Sale(event.connector, external_id, [])).events.append(event)
    for connector, external_id in more:
        sales.setdefault((connector.pk, external_id), Sale(connector, external_id, []))
    channels = {sale.connector.pk: credentials.open_connector(sale.connector) for sale in sales.values()}
    for number, sale in enumerate(sales.values(), 1):
        if time.monotonic() >= ends_at:
            gathered.unread.append(sale)
            continue
        _ask(channels[sale.connector.pk], sale)
        gathered.sales.append(sale)
        if on_progress:
            on_progress(number, len(sales))
    gathered.sales.sort(key=_sold_at)
    for sale in gathered.sales:  # after all parcels were read: a label that was given changes what its parcel says
        _ask_details(channels[sale.connector.pk], sale, read_label)
    return gathered


def _sold_at(sale: Sale) -> tuple[float, int, str]:
    sold_at = sale.read.order.created_at if sale.read else None
    return sold_at.timestamp() if sold_at else math.inf, sale.connector.pk, sale.external_id


def _orders_behind(event: IntegrationEvent, gathered: Gathered) -> Iterable[str]:
    if event.resource_kind == inbox.KIND_ORDERS:
        return [event.external_id]
    if event.resource_kind in (inbox.KIND_ITEMS, inbox.KIND_USER_PRODUCTS):
        gathered.unused.append(event)  # a listing that is read again moves no stock and no order
        return []
    try:
        return credentials.open_connector(event.connector).orders_behind(event.resource_kind, event.external_id)
    except ChannelError as trouble:
        gathered.troubles[event.pk] = trouble
        return []


def _ask(channel: Channel, sale: Sale) -> None:
    try:
        sale.read = reading.read(channel, sale.connector, sale.external_id)
        sale.trouble = sale.read.trouble
    except ChannelError as trouble:
        sale.trouble = trouble


def _ask_details(channel: Channel, sale: Sale, read_label: ReadLabel | None) -> None:
    if sale.read is None or sale.trouble is not None:
        return
    try:
        sale.details = reading.read_details(channel, sale.connector, sale.read, may_be_new=True, read_label=read_label)
    except ChannelError as trouble:
        sale.trouble = trouble


# --- The road, within one transaction ------------------------------------------------------------------------------


class _Undo(Exception):
    """Ends a rehearsal."""


def rehearse(
    rows: list[IntegrationEvent], gathered: Gathered, before: Callable[[], object] | None = None
) -> list[changes.Change]:
    """Return the rows that taking these events in would change, or would after `before` was done; nothing is kept."""
    found: list[changes.Change] = []
    try:
        with transaction.atomic():
            if before:
                before()
            found = walk(rows, gathered)
            raise _Undo
    except _Undo:
        return found


def walk(rows: list[IntegrationEvent], gathered: Gathered) -> list[changes.Change]:
    """Take everything in and return the rows that this changed; the caller commits or rolls back."""
    if not rows and not gathered.sales:
        return []
    reach = _reach(rows, gathered)
    reach.lock()
    before = changes.look(reach)
    for event in gathered.read_anew:
        event.save()
    ends: dict[int, list[dict[str, Any]]] = {event.pk: [] for event in rows}
    for sale in gathered.sales:
        end = _take_in(sale)
        for event in sale.events:
            ends[event.pk].append(end)
    for event_id, trouble in gathered.troubles.items():
        ends[event_id].append(_trouble(trouble))
    unused = {event.pk for event in gathered.unused}
    for event in rows:
        if event.pk not in unused:
            _end(event, ends[event.pk])
    return changes.changes_since(before)


def _reach(rows: list[IntegrationEvent], gathered: Gathered) -> changes.Reach:
    read = [(sale, sale.read) for sale in gathered.sales if sale.read]
    connector = rows[0].connector if rows else gathered.sales[0].connector
    companions = {number for sale in gathered.sales if sale.details for number in sale.details.pack}
    return changes.Reach(
        tenant_id=connector.tenant_id,
        channel=connector.kind,
        order_numbers=frozenset({sale.external_id for sale in gathered.sales} | companions),
        shipment_ids=frozenset(one.order.shipment_id for _sale, one in read if one.order.shipment_id),
        listings=frozenset((sale.connector.pk, line.item_id) for sale, one in read for line in one.order.lines),
        event_ids=frozenset(row.pk for row in rows),
    )


def _take_in(sale: Sale) -> dict[str, Any]:
    """Take one order in and return how that ends its events."""
    if sale.read is None:
        return _trouble(sale.trouble)
    try:
        trace_id = sale.events[0].trace_id if sale.events else uuid.uuid4()
        outcome = inbox.take_in(sale.connector, sale.read, trace_id=trace_id)
    except MappingNeeded as unmapped:
        return inbox.parked(unmapped, sale.read)
    except StatusUnknown as unknown:
        return inbox.parked_status(unknown, sale.read)
    if sale.trouble is not None:
        return _trouble(sale.trouble)
    if sale.details is not None and outcome is not Outcome.OUTDATED:
        intake.add_details(sale.connector, sale.read, sale.details)
    is_news = outcome not in {Outcome.UNCHANGED, Outcome.OUTDATED}
    return {"status": Status.PROCESSED if is_news else Status.DUPLICATE}


def _trouble(trouble: ChannelError | None) -> dict[str, Any]:
    """What passes by itself is left to the inbox, which tries again; the rest is a person's."""
    code, text = (trouble.code, str(trouble)[:500]) if trouble else ("internal_error", "")
    if trouble and trouble.permanent and not trouble.account:
        return {"status": Status.ERROR, "error_code": code, "error_msg": text}
    return {"status": Status.RETRY, "error_code": code, "error_msg": text, "next_attempt_at": timezone.now()}


GRAVITY = (Status.DUPLICATE, Status.PROCESSED, Status.RETRY, Status.MAPPING, Status.ERROR)


def _end(event: IntegrationEvent, ends: list[dict[str, Any]]) -> None:
    """Settle an event with the gravest of what became of its orders, taking it from whoever works on it."""
    values: dict[str, Any] = {"error_code": "", "error_msg": "", "waiting_for": [], "next_attempt_at": None}
    values |= max(ends, key=lambda end: GRAVITY.index(end["status"])) if ends else {"status": Status.PROCESSED}
    processed_at = None if values["next_attempt_at"] else timezone.now()
    same = IntegrationEvent.objects.filter(tenant_id=event.tenant_id, pk=event.pk)
    same.update(lease_id=None, attempts=0, interruptions=0, processed_at=processed_at, **values)


# --- What is kept of it --------------------------------------------------------------------------------------------


def document(gathered: Gathered, found: list[changes.Change]) -> dict[str, Any]:
    """Return what a person is shown of it: the rows, whose notification waits, and what could not be read."""
    ready = [
        change
        for change in found
        if change["table"] == Order._meta.db_table and change["after"].get("status") == Order.Status.READY
    ]
    return {
        "changes": found,
        "notifications_held_back": [change["row"] for change in ready],
        "troubles": _troubles(gathered),
        "unused_events": sorted(event.pk for event in gathered.unused),
    }


def _troubles(gathered: Gathered) -> dict[str, str]:
    of_events = {f"event {pk}": trouble.code for pk, trouble in gathered.troubles.items()}
    return of_events | {f"order {one.external_id}": one.trouble.code for one in gathered.sales if one.trouble}


def _hash(gathered: Gathered, found: list[changes.Change]) -> str:
    """Return the hash of what a plan was computed from, and of what it says."""
    read = [[sale.external_id, sale.read.content_hash() if sale.read else ""] for sale in gathered.sales]
    return hashlib.sha256(
        json.dumps([read, found, _troubles(gathered)], sort_keys=True, default=str).encode()
    ).hexdigest()
