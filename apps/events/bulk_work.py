"""The worker of jobs over many: batch by batch, under a share of each account's calls, each member once.

**One step** takes one resource: the job's row and its next member are locked, whoever must be skipped is, the events
are claimed with a lease like any (`inbox.claim_again`), all in one transaction; then they walk the ordinary road. What
became of them is read from the events themselves once they are at rest, by whoever looks next: so a worker may die
anywhere. Before its commit nothing happened; after it the inbox takes the events when the lease ends, and the member is
settled by what it made of them.

No more than `BATCH` members are under way. One whose channel does not answer waits for its next try among them, so
an outage holds a job up instead of failing all of it. Live work goes first: a job waits for its share of the account's
calls (`budget.take_share`) before each resource, in a slot of its own.
"""

import time

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from apps.connectors import budget
from apps.connectors.models import Connector, Listing
from apps.events import inbox
from apps.events.bulk import CALLS_AN_EVENT, SKIP_EVENT, SKIP_LISTING, State, Status, skip_parameters
from apps.events.inbox import Claim
from apps.events.models import IntegrationEvent, Reprocess, ReprocessItem
from apps.sync import queue
from apps.tenants.flags import IS_OFF

log = structlog.get_logger(__name__)

BATCH = 100
"""Members of one job that may be under way."""

NOTHING_SECONDS = 3600.0
"""What `step` answers when there is nothing to begin: the next tick looks again."""

STEPS_MAX = 500
"""Jobs that one round looks at."""

HEAD_EVENT = f"""
SELECT i.id, e.id, e.connector_id, e.resource_kind, e.external_id, e.status
  FROM reprocessamento_item i JOIN integracao_evento e ON e.id = i.event_id
  JOIN integracao_conector c ON c.id = e.connector_id AND c.status = 'ATIVO'
 WHERE i.reprocess_id = %s AND i.state = 'AGUARDA' AND NOT {IS_OFF} ORDER BY i.id LIMIT 1
"""  # noqa: S608  every part is a constant of ours

LIKE_HEAD = f"""
SELECT i.id, e.id, {SKIP_EVENT}, e.status, e.external_id
  FROM reprocessamento_item i JOIN integracao_evento e ON e.id = i.event_id
 WHERE i.reprocess_id = %(job)s AND i.state = 'AGUARDA'
   AND (e.id = %(head)s OR e.external_id <> '' AND e.tenant_id = %(tenant)s AND e.external_id = %(external_id)s
        AND e.connector_id = %(connector)s AND e.resource_kind = %(kind)s
        AND e.status NOT IN ('QUARENTENA', 'IGNORADO'))
 ORDER BY e.id LIMIT %(most)s FOR UPDATE
"""  # noqa: S608

SETTLE_EVENTS = """
UPDATE reprocessamento_item i
   SET state = CASE WHEN e.status IN ('PROCESSADO', 'DUPLICADO') THEN 'FEITO'
                    WHEN e.status = 'IGNORADO' THEN 'PULADO' ELSE 'FALHOU' END,
       code = CASE e.status WHEN 'DUPLICADO' THEN 'nothing_new' WHEN 'IGNORADO' THEN 'not_used' ELSE e.error_code END,
       finished_at = now()
  FROM integracao_evento e
 WHERE i.reprocess_id = %s AND i.state = 'EM_CURSO' AND e.id = i.event_id
   AND e.lease_id IS NULL AND e.status NOT IN ('RECEBIDO', 'AGUARDANDO')
   AND NOT (e.status = 'NOVA_TENTATIVA' AND e.error_code IN
            ('timeout', 'connection_failed', 'server_error', 'circuit_open', 'rate_limited'))
"""
"""What is at rest. While the channel itself is in trouble, an event that will be tried again is under way still, so
that an outage holds the job up; what else made its try fail is the event's own, and the job goes on."""

SETTLE_LISTINGS = """
UPDATE reprocessamento_item i
   SET state = CASE WHEN l.accepted_at >= i.claimed_at OR l.sync_state NOT IN ('ERROR', 'RETRY')
                    THEN 'FEITO' ELSE 'FALHOU' END,
       code = CASE WHEN l.accepted_at >= i.claimed_at THEN '' WHEN l.held_at IS NOT NULL THEN 'zeros_held'
                   WHEN l.sync_state IN ('ERROR', 'RETRY') THEN l.last_error_code ELSE '' END,
       finished_at = now()
  FROM integracao_anuncio l
 WHERE i.reprocess_id = %s AND i.state = 'EM_CURSO' AND l.id = i.listing_id
   AND (l.accepted_at >= i.claimed_at OR (l.lease_id IS NULL AND (l.due_at IS NULL
        OR (l.sync_state = 'ERROR' AND l.due_at > now() AND l.updated_at > i.claimed_at))))
"""

HEAD_LISTINGS = f"""
SELECT i.id, l.id, l.connector_id, {SKIP_LISTING}
  FROM reprocessamento_item i JOIN integracao_anuncio l ON l.id = i.listing_id
  JOIN integracao_conector c ON c.id = l.connector_id
 WHERE i.reprocess_id = %s AND i.state = 'AGUARDA'
   AND (l.product_id IS NULL OR (c.status = 'ATIVO' AND NOT {IS_OFF})) ORDER BY i.id LIMIT %s
"""  # noqa: S608


def go_on(seconds: float) -> None:
    """Take every job that is under way further, one step each in turn, for so long at most."""
    ends_at = time.monotonic() + seconds
    under_way = Reprocess.objects.filter(
        status__in=[Status.RUNNING, Status.PAUSED, Status.CANCELLED], finished_at__isnull=True
    ).exclude(verb="")
    while True:
        jobs = list(under_way.order_by("worked_at", "created_at")[:STEPS_MAX])
        pauses = [step(job) for job in jobs]
        pause = min(pauses, default=NOTHING_SECONDS)
        if time.monotonic() + pause >= ends_at:
            return
        time.sleep(pause)


def step(job: Reprocess) -> float:
    """Settle what ended of a job and begin one resource more. Returns the seconds until the next step makes sense.

    Never raises for what an event holds or a channel does. Raises when the database is away: the next tick goes on.
    """
    is_over_events = job.verb == Reprocess.Verb.EVENTS
    _settle(job)
    if _end(job) or job.status != Status.RUNNING:
        return NOTHING_SECONDS
    room = BATCH - job.items.filter(state=State.RUNNING).count()
    if room <= 0:
        return NOTHING_SECONDS
    Reprocess.objects.filter(pk=job.pk).update(worked_at=Now())
    return _step_events(job, room) if is_over_events else _step_listings(job, room)


def _settle(job: Reprocess) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SETTLE_EVENTS if job.verb == Reprocess.Verb.EVENTS else SETTLE_LISTINGS, [job.pk])


def _end(job: Reprocess) -> bool:
    """End a job of which nothing is left; one that was cancelled stays cancelled."""
    if job.items.filter(state__in=[State.WAITING, State.RUNNING]).exists():
        return False
    rows = Reprocess.objects.filter(pk=job.pk, finished_at__isnull=True)
    rows.filter(status__in=[Status.RUNNING, Status.PAUSED]).update(status=Status.DONE, finished_at=Now())
    rows.filter(status=Status.CANCELLED).update(finished_at=Now())
    log.info("bulk_ended", reprocess_id=str(job.pk), count=job.count)
    return True


# --- Events ----------------------------------------------------------------------------------------------------------


def _step_events(job: Reprocess, room: int) -> float:
    with connection.cursor() as cursor:
        cursor.execute(HEAD_EVENT, [job.pk])
        head = cursor.fetchone()
    if head is None:
        return NOTHING_SECONDS  # what waits is of accounts that are stopped or switched off
    item_id, event_id, connector_id, kind, external_id, status = head
    pause = _share_of(connector_id, CALLS_AN_EVENT)
    if pause:
        return pause
    if status in (IntegrationEvent.Status.QUARANTINED, IntegrationEvent.Status.IGNORED) or not external_id:
        _read_anew(job, item_id, event_id)
        return 0.0
    claim = _claim(job, event_id, connector_id, kind, external_id, room)
    if claim is not None:
        inbox.work_on(claim)
        _settle(job)
    return 0.0


@transaction.atomic
def _claim(job: Reprocess, event_id: int, connector_id: int, kind: str, external_id: str, room: int) -> Claim | None:
    """Take the members about one resource; None when all of them are skipped, or the job was stopped meanwhile."""
    if not _is_running(job):
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            LIKE_HEAD,
            {
                "job": job.pk,
                "head": event_id,
                "tenant": job.tenant_id,
                "connector": connector_id,
                "kind": kind,
                "external_id": external_id,
                "most": min(room, inbox.COLLAPSE_MAX),
                **skip_parameters(job),
            },
        )
        rows = cursor.fetchall()
    for why in {skip for _item, _event, skip, _status, _id in rows if skip}:
        _skip([item for item, _event, skip, _status, _id in rows if skip == why], why)
    taken = [(item, event) for item, event, skip, _status, _id in rows if not skip]
    if not taken:
        return None
    _take([item for item, _event in taken])
    return inbox.claim_again([event for _item, event in taken], job.pk)


@transaction.atomic
def _read_anew(job: Reprocess, item_id: int, event_id: int) -> None:
    """Read an event that the hub had no use for from its raw bytes; if it has one by now, the inbox goes on with it."""
    if not _is_running(job):
        return
    rows = IntegrationEvent.objects.select_for_update(of=("self",)).select_related("connector")
    event = rows.get(pk=event_id)
    with connection.cursor() as cursor:
        question = f"SELECT {SKIP_EVENT} FROM integracao_evento e WHERE e.id = %(event)s"  # noqa: S608  constants
        cursor.execute(question, {"event": event_id, **skip_parameters(job)})
        why = cursor.fetchone()[0]
    if not why and not event.body:
        why = "nothing_kept"
    if not why and not inbox.is_usable_now(event):
        why = event.error_code or "not_used"
    if not why and event.tenant_id != job.tenant_id:
        event.save()  # it is another company's account by now, whose inbox takes it
        why = "another_company"
    if why:
        _skip([item_id], why)
        return
    event.error_code, event.error_msg, event.attempts, event.interruptions = "", "", 0, 0
    event.reprocess_count, event.reprocess = event.reprocess_count + 1, job
    event.save()
    _take([item_id])


# --- Listings --------------------------------------------------------------------------------------------------------


def _step_listings(job: Reprocess, room: int) -> float:
    """Put the next listings in the queue, in the order of their risk: their account's own turns do the rest."""
    with transaction.atomic():
        if not _is_running(job):
            return NOTHING_SECONDS
        with connection.cursor() as cursor:
            cursor.execute(HEAD_LISTINGS, [job.pk, room])
            rows = cursor.fetchall()
        for why in {skip for _item, _listing, _connector, skip in rows if skip}:
            _skip([item for item, _listing, _connector, skip in rows if skip == why], why)
        taken = [(item, listing) for item, listing, _connector, skip in rows if not skip]
        if taken:
            _take([item for item, _listing in taken])
            queue.mark_now(Listing.objects.filter(pk__in=[listing for _item, listing in taken]), Listing.Trigger.SWEEP)
    return 0.5 if rows else NOTHING_SECONDS


# --- What both share -------------------------------------------------------------------------------------------------


def _share_of(connector_id: int, calls: int) -> float:
    row = Connector.objects.only("pk", "calls_per_minute").get(pk=connector_id)
    return budget.take_share(
        connector_id,
        share=settings.BULK_SHARE_PERCENT / 100,
        calls=calls,
        ceiling=budget.ceiling_a_second(row.calls_per_minute),
    )


def _is_running(job: Reprocess) -> bool:
    """Hold the job's row, so that it is not stopped before this is committed, and tell whether it goes on."""
    status = Reprocess.objects.select_for_update(no_key=True).values_list("status", flat=True).get(pk=job.pk)
    return status == Status.RUNNING


def _take(item_ids: list[int]) -> None:
    waiting = ReprocessItem.objects.filter(pk__in=item_ids, state=State.WAITING)
    waiting.update(state=State.RUNNING, claimed_at=Now())


def _skip(item_ids: list[int], code: str) -> None:
    waiting = ReprocessItem.objects.filter(pk__in=item_ids, state=State.WAITING)
    waiting.update(state=State.SKIPPED, code=code[:64], finished_at=Now())
