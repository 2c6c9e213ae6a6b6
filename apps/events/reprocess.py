"""Send events through the road again. Safe at any time: the effect key and the content decide what still happens.

`plans.py` does the same with a dry run before it.
"""

import uuid

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from apps.events import inbox
from apps.events.models import IntegrationEvent, Reprocess
from apps.tenants import audit
from apps.tenants.models import Tenant

log = structlog.get_logger(__name__)

UNUSED = (IntegrationEvent.Status.QUARANTINED, IntegrationEvent.Status.IGNORED)


def reprocess(
    events: QuerySet[IntegrationEvent], *, actor: str, reason: str = "", reprocess_id: uuid.UUID | None = None
) -> int:
    """Make the events due at once, with fresh tries. Returns how many.

    Events that were quarantined or not used are read anew from their raw bytes first: an account connected since, or a
    topic the hub learned, changes what they are; what is still unreadable stays in quarantine.

    Who did it and why is kept in `reprocessamento` and in the audit, once for each tenant.
    actor: `user:7`, `command:reprocessar` …; reason: in a person's words; reprocess_id: when the caller has named it.
    """
    for event in events.filter(Q(external_id="") | Q(status__in=UNUSED)).iterator(chunk_size=200):
        inbox.read_again(event)
    usable = events.exclude(status__in=UNUSED).exclude(external_id="").order_by()
    tenants = Tenant.objects.filter(pk__in=usable.values("tenant_id"))
    return sum(_enqueue(usable.filter(tenant=tenant), tenant, actor, reason, reprocess_id) for tenant in tenants)


@transaction.atomic
def _enqueue(
    events: QuerySet[IntegrationEvent], tenant: Tenant, actor: str, reason: str, reprocess_id: uuid.UUID | None
) -> int:
    row = Reprocess.objects.create(
        id=reprocess_id or uuid.uuid4(),
        tenant=tenant,
        actor=actor[:100],
        reason=reason[:300],
        status=Reprocess.Status.QUEUED,
        count=0,
    )
    ids = list(events.values_list("pk", flat=True)[:2])
    row.count = events.update(
        next_attempt_at=timezone.now(),
        status=IntegrationEvent.Status.RECEIVED,
        attempts=0,
        interruptions=0,
        reprocess_count=F("reprocess_count") + 1,
        reprocess=row,
    )
    row.save(update_fields=["count"])
    subject = f"event:{ids[0]}" if len(ids) == 1 else f"reprocess:{row.pk}"
    audit.record(tenant, actor, "event.reprocessed", subject, reprocess_id=str(row.pk), count=row.count)
    log.info("events_reprocessed", count=row.count, actor=actor, reprocess_id=str(row.pk))
    return row.count
