"""What waits, tried again: after its cause was mended (a product was made), or once a person approved it.

The same road as on arrival, from the stored contents, as of when they arrived and by the source's clock of then; an
event that was applied meanwhile is left alone.
"""

import uuid
from collections.abc import Iterable, Sequence

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.sources import places
from apps.sources.decoding import BATCH_MAX, Arrival, read_payload
from apps.sources.models import Source, SourceEvent
from apps.sources.settling import Item, lock_sources, settle
from apps.tenants.models import Tenant

log = structlog.get_logger(__name__)

Status = SourceEvent.Status

RETRIED = (Status.PENDING, Status.REJECTED)
"""What may come out otherwise the next time. Of the rejected, only what could be read."""

INTERNAL_ERROR = "internal_error"
"""Code of an event that the hub failed on. It is not tried by itself any more: that would fail every minute."""

AUTOMATIC_MAX = 10_000
"""Events that one run of `again_what_is_mended` takes; the rest waits for the next."""


def again(row_ids: Sequence[int], *, approved_by: str = "") -> list[SourceEvent]:
    """Send waiting events through again and return their rows in the order asked.

    `approved_by` also lets quarantined ones through, under that name. Rows in any other state are left as they are.
    Never raises for what an event holds: one that the hub fails on goes on waiting, as `internal_error`, and holds up
    no other. Raises OperationalError or InterfaceError when the database itself is away.
    """
    rows = SourceEvent.objects.filter(pk__in=row_ids).values_list("tenant_id", "id").order_by("tenant_id", "id")
    by_tenant: dict[int, list[int]] = {}
    for tenant_id, row_id in rows:
        by_tenant.setdefault(tenant_id, []).append(row_id)
    for tenant_id, ids in by_tenant.items():
        for start in range(0, len(ids), BATCH_MAX):
            _again(Tenant(pk=tenant_id), ids[start : start + BATCH_MAX], approved_by)
    after = SourceEvent.objects.in_bulk(row_ids)
    return [after[row_id] for row_id in row_ids if row_id in after]


def _again(tenant: Tenant, row_ids: Sequence[int], approved_by: str) -> None:
    """Settle events of one tenant anew: together, or else one by one, so that only those at fault go on waiting."""
    states = (*RETRIED, Status.QUARANTINED) if approved_by else RETRIED
    try:
        _again_together(tenant, row_ids, states, approved_by)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # a defect of ours: show it on the event, go on with the others
        log.exception("source_events_retry_broke", tenant_id=tenant.pk, events=len(row_ids), first_row_id=row_ids[0])
        if len(row_ids) == 1:
            detail = _("Saldo failed on it, the log says why; no stock was moved. Try it again once that is mended.")
            rows = SourceEvent.objects.filter(tenant=tenant, pk=row_ids[0], status__in=states)
            rows.update(code=INTERNAL_ERROR, detail=detail)
        else:
            for row_id in row_ids:
                _again(tenant, [row_id], approved_by)


def _again_together(tenant: Tenant, row_ids: Sequence[int], states: Sequence[Status], approved_by: str) -> None:
    with transaction.atomic():
        source_ids = SourceEvent.objects.filter(pk__in=row_ids).values_list("source_id", flat=True).distinct()
        sources = {source.pk: source for source in lock_sources(tenant, ids=source_ids).values()}
        rows = (
            SourceEvent.objects.select_for_update()
            .filter(tenant=tenant, pk__in=row_ids, status__in=states, payload__isnull=False)
            .order_by("pk")
        )
        items = [_item(row, sources[row.source_id], approved_by) for row in rows]
        settle(tenant, items, now=timezone.now(), trace_id=uuid.uuid4())
    done = sum(item.status == Status.APPLIED for item in items)
    log.info("source_events_retried", tenant_id=tenant.pk, tried=len(items), applied=done, approved=bool(approved_by))


def _item(row: SourceEvent, source: Source, approved_by: str) -> Item:
    arrival = Arrival(
        index=0,
        source=source.name,
        event_id=row.event_id,
        epoch=row.epoch,
        sequence=row.sequence,
        digest=bytes(row.payload_hash),
        event=read_payload(row.payload),
    )
    return Item(
        arrival,
        source,
        row.received_at,
        row_id=row.pk,
        is_stored=True,
        approved_by=approved_by or row.approved_by,
        batch_id=row.batch_id,
        clock_offset_ms=row.clock_offset_ms,
    )


WAITING_FOR_NAMES = """
SELECT tenant_id, code, movement_type, coalesce(payload #>> '{data,sku}', ''), coalesce(payload #>> '{data,gtin}', ''),
       coalesce(payload #>> '{data,location}', ''), payload #>> '{data,to_location}',
       payload #>> '{data,from_location}', array_agg(id)
  FROM source_event
 WHERE status = 'PENDING' AND code IN ('unknown_sku', 'unknown_location')
 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""
"""What waits for a product or a place, once for each set of names: there may be many sales of one unknown product."""

WAITING_FOR_EVENTS = """
SELECT e.id FROM source_event e
 WHERE e.status = 'PENDING' AND (
    e.code = 'stock_busy'
 OR (e.code = 'unknown_event' AND EXISTS (
        SELECT FROM source_event t WHERE t.tenant_id = e.tenant_id
           AND t.event_id = e.payload #>> '{data,reverses_event_id}'
           AND t.status IN ('APPLIED', 'DUPLICATE', 'RECORDED'))))
 ORDER BY e.id LIMIT %s
"""
"""What waits for the event that it takes back, or for a balance that somebody held."""


def again_what_is_mended() -> int:
    """Retry events whose product, location or reversed event is there by now, or whose balance was busy.

    Returns how many were tried.
    """
    with connection.cursor() as cursor:
        cursor.execute(WAITING_FOR_EVENTS, [AUTOMATIC_MAX])
        row_ids = [row_id for (row_id,) in cursor.fetchall()]
    row_ids = sorted(row_ids + _whose_names_are_known())[:AUTOMATIC_MAX]
    if row_ids:
        again(row_ids)
    return len(row_ids)


def _whose_names_are_known() -> list[int]:
    """Return the events for whose names there is by now what they waited for."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING_FOR_NAMES)
        rows = cursor.fetchall()
    asked: dict[int, dict[places.Named, list[tuple[str, list[int]]]]] = {}
    for tenant_id, code, movement_type, *words, row_ids in rows:
        name = places.named(movement_type, *words)
        asked.setdefault(tenant_id, {}).setdefault(name, []).append((code, row_ids))
    known: list[int] = []
    for tenant_id, names in asked.items():
        found = places.find(Tenant(pk=tenant_id), names)
        known += [
            row_id
            for name, waiting_for in names.items()
            for code, row_ids in waiting_for
            if found[name].missing != code
            for row_id in row_ids
        ]
    return known


def waiting(status: Iterable[str] = RETRIED) -> list[int]:
    """Return the ids of the events in those states that could be read, oldest first."""
    rows = SourceEvent.objects.filter(status__in=list(status), payload__isnull=False)
    return list(rows.order_by("pk").values_list("pk", flat=True))
