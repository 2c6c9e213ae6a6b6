"""Send events through the road again. Safe at any time: the effect key and the content decide what still happens."""

import structlog
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from apps.events import inbox
from apps.events.models import IntegrationEvent

log = structlog.get_logger(__name__)

UNUSED = (IntegrationEvent.Status.QUARANTINED, IntegrationEvent.Status.IGNORED)


def reprocess(events: QuerySet[IntegrationEvent], *, actor: str) -> int:
    """Make the events due at once, with fresh tries. Returns how many.

    Events that were quarantined or not used are read anew from their raw bytes first: an account connected since, or a
    topic the hub learned, changes what they are; what is still unreadable stays in quarantine.
    """
    for event in events.filter(Q(external_id="") | Q(status__in=UNUSED)).iterator(chunk_size=200):
        inbox.read_again(event)
    count = (
        events.exclude(status__in=UNUSED)
        .exclude(external_id="")
        .update(
            next_attempt_at=timezone.now(),
            status=IntegrationEvent.Status.RECEIVED,
            attempts=0,
            interruptions=0,
            reprocess_count=F("reprocess_count") + 1,
        )
    )
    log.info("events_reprocessed", count=count, actor=actor)
    return count
