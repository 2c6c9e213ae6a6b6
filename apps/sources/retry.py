"""What waits, tried again: after its cause was mended (a product was made), or once a person approved it.

The same road as on arrival, from the stored contents; an event that was applied meanwhile is left alone.
"""

import uuid
from collections.abc import Iterable, Sequence

import structlog
from django.db import connection, transaction
from django.utils import timezone

from apps.sources.decoding import BATCH_MAX, Arrival, read_payload
from apps.sources.models import Source, SourceEvent
from apps.sources.settling import Item, lock_sources, settle
from apps.tenants.models import Tenant

log = structlog.get_logger(__name__)

Status = SourceEvent.Status

RETRIED = (Status.PENDING, Status.REJECTED)
"""What may come out otherwise the next time. Of the rejected, only what could be read."""

AUTOMATIC_MAX = 10_000
"""Events that one run of `again_what_is_mended` takes; the rest waits for the next."""


def again(row_ids: Sequence[int], *, approved_by: str = "") -> list[SourceEvent]:
    """Send waiting events through again and return their rows in the order asked.

    `approved_by` also lets quarantined ones through, under that name. Rows in any other state are left as they are.
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
    """Settle events of one tenant anew, in one transaction."""
    states = (*RETRIED, Status.QUARANTINED) if approved_by else RETRIED
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
        row_id=row.pk,
        is_stored=True,
        approved_by=approved_by or row.approved_by,
        batch_id=row.batch_id,
    )


MENDED = """
SELECT e.id FROM source_event e
 WHERE e.status = 'PENDING' AND (
    e.code = 'stock_busy'
 OR (e.code = 'unknown_sku' AND EXISTS (
        SELECT FROM inventory_products p WHERE p.tenant_id = e.tenant_id
           AND p.sku = e.payload #>> '{data,sku}'))
 OR (e.code = 'unknown_location' AND NOT EXISTS (
        SELECT FROM unnest(ARRAY[e.payload #>> '{data,location}',
                                 nullif(e.payload #>> '{data,to_location}', ''),
                                 nullif(e.payload #>> '{data,from_location}', '')]) AS told (code)
         WHERE told.code IS NOT NULL AND NOT EXISTS (
            SELECT FROM inventory_locations l WHERE l.tenant_id = e.tenant_id AND l.code = told.code)))
 OR (e.code = 'unknown_event' AND EXISTS (
        SELECT FROM source_event t WHERE t.tenant_id = e.tenant_id
           AND t.event_id = e.payload #>> '{data,reverses_event_id}'
           AND t.status IN ('APPLIED', 'DUPLICATE', 'RECORDED'))))
 ORDER BY e.id LIMIT %s
"""


def again_what_is_mended() -> int:
    """Retry events whose product, location or reversed event is there by now, or whose balance was busy.

    Returns how many were tried.
    """
    with connection.cursor() as cursor:
        cursor.execute(MENDED, [AUTOMATIC_MAX])
        row_ids = [row_id for (row_id,) in cursor.fetchall()]
    if row_ids:
        again(row_ids)
    return len(row_ids)


def waiting(status: Iterable[str] = RETRIED) -> list[int]:
    """Return the ids of the events in those states that could be read, oldest first."""
    rows = SourceEvent.objects.filter(status__in=list(status), payload__isnull=False)
    return list(rows.order_by("pk").values_list("pk", flat=True))
