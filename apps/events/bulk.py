"""Many at once: a job over the events of a list, or over listings whose numbers are sent again.

The way of a job: **plan** (`plan_events`, `plan_listings`: who is meant is frozen in `ReprocessItem`, so whatever
arrives later is not swept in; nothing else is changed) → **confirm** with what the plan said and a reason, above
`APPROVE_ABOVE` by a second person too → workers take it on (`bulk_work.py`) → paused, resumed, cancelled, or to its end
→ the report, which is the items themselves.

Invariant: waiting + under way + done + failed + skipped is the job's `count`, at every moment; an item ends once.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from apps.connectors import budget
from apps.connectors.models import Connector, Listing
from apps.events import inbox
from apps.events.models import IntegrationEvent, Reprocess, ReprocessItem
from apps.sync.queue import IS_WRITABLE
from apps.tenants import audit
from apps.tenants.models import Tenant

log = structlog.get_logger(__name__)

Status = Reprocess.Status
State = ReprocessItem.State

MEMBERS_MAX = 100_000
"""Members of one job: more are chosen by a shorter period, one after the other."""

TYPE_ABOVE = 1_000
"""Above so many, whoever confirms types the number."""

APPROVE_ABOVE = 50_000
"""Above so many, a second person approves."""

CALLS_AN_EVENT = 4
"""What reading an order costs at the channel, at most times: order, parcel, buyer, label."""

EVENTS_A_SECOND = 8
"""What one worker takes in, when the channel limits nothing."""

SAMPLE = 5

CANCELLED = "cancelled"
"""Why a member was skipped whose turn did not come."""

PROPOSAL_HOURS = 24
"""A plan that nobody confirmed within it expires."""

SPEED_SECONDS = 60
"""What ended so lately says how fast a job goes."""


class CannotPlan(Exception):
    """There is no plan: `code` says why, `none`, `too_many` or `several_tenants`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class CannotChange(Exception):
    """A job was not confirmed, approved, paused …; `code` says why. Nothing was changed.

    ended: it is not in a state in which that could be done. moved: it was another plan that was shown. reason: none
    was given. number: it was not typed, or is another. same_person: who confirmed cannot approve.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


SKIP_EVENT = """CASE
    WHEN e.lease_id IS NOT NULL AND e.next_attempt_at > now() THEN 'in_progress'
    WHEN e.status = 'RECEBIDO' THEN 'in_queue'
    WHEN e.status = 'AGUARDANDO' THEN 'integration_off'
    WHEN e.status IN ('PROCESSADO', 'DUPLICADO') AND NOT %(includes_done)s THEN 'already_done'
    WHEN (e.status = 'QUARENTENA' OR e.external_id = '') AND e.body = '' THEN 'nothing_kept'
    WHEN e.status = 'IGNORADO' AND e.tipo <> ALL (%(topics)s) THEN 'not_used'
    ELSE '' END"""
"""SQL: why an event `e` would be skipped now; '' when it would not."""

SKIP_LISTING = f"""CASE WHEN l.product_id IS NULL THEN 'not_mapped' WHEN NOT ({IS_WRITABLE}) THEN 'kept_by_channel'
    ELSE '' END"""


def skip_parameters(job: Reprocess) -> dict[str, Any]:
    """Return what `SKIP_EVENT` needs to know of a job."""
    return {"includes_done": job.includes_done, "topics": list(inbox.USED_TOPICS)}


FREEZE = """
INSERT INTO reprocessamento_item (reprocess_id, {member}, state, code)
SELECT %s, pk, 'AGUARDA', '' FROM ({chosen}) chosen (pk) ORDER BY pk LIMIT %s
"""

GROUPS_OF_EVENTS = f"""
SELECT e.connector_id, e.status, e.error_code, {SKIP_EVENT} AS skip, count(*), min(e.received_at)
  FROM reprocessamento_item i JOIN integracao_evento e ON e.id = i.event_id
 WHERE i.reprocess_id = %(job)s GROUP BY 1, 2, 3, 4 ORDER BY count(*) DESC, 2, 3, 4
"""  # noqa: S608  every part is a constant of ours

GROUPS_OF_LISTINGS = f"""
SELECT l.connector_id, l.sync_state, l.last_error_code, {SKIP_LISTING} AS skip, count(*), min(l.accepted_at)
  FROM reprocessamento_item i JOIN integracao_anuncio l ON l.id = i.listing_id
 WHERE i.reprocess_id = %(job)s GROUP BY 1, 2, 3, 4 ORDER BY count(*) DESC, 2, 3, 4
"""  # noqa: S608

MEMBERS = """
SELECT count(*), coalesce(md5(string_agg(coalesce(event_id, listing_id)::text, ',' ORDER BY id)), '')
  FROM reprocessamento_item WHERE reprocess_id = %s
"""


def plan_events(
    tenant: Tenant,
    events: QuerySet[IntegrationEvent],
    *,
    actor: str,
    filters: str = "",
    includes_done: bool = False,
    parent: Reprocess | None = None,
) -> Reprocess:
    """Return a job over these of the tenant's events, which nobody has confirmed yet.

    filters: how they were chosen, as the list's query string. includes_done: also what was processed already.
    parent: the job whose failures they are. Raises CannotPlan.
    """
    own = events.filter(tenant=tenant)
    job = Reprocess(verb=Reprocess.Verb.EVENTS, includes_done=includes_done)
    return _plan(job, tenant, "event_id", own, GROUPS_OF_EVENTS, actor=actor, filters=filters, parent=parent)


def plan_listings(
    tenant: Tenant, listings: QuerySet[Listing], *, actor: str, filters: str = "", parent: Reprocess | None = None
) -> Reprocess:
    """Return a job that sends the numbers of these of the tenant's listings again. Raises CannotPlan."""
    own = listings.filter(tenant=tenant)
    job = Reprocess(verb=Reprocess.Verb.LISTINGS)
    return _plan(job, tenant, "listing_id", own, GROUPS_OF_LISTINGS, actor=actor, filters=filters, parent=parent)


@transaction.atomic
def _plan(
    job: Reprocess,
    tenant: Tenant,
    member: str,
    chosen: "QuerySet[Any]",
    groups: str,
    *,
    actor: str,
    filters: str,
    parent: Reprocess | None,
) -> Reprocess:
    job.tenant, job.actor, job.status, job.count = tenant, actor[:100], Status.PROPOSED, 0
    job.filters, job.parent = filters[:2000], parent
    job.save(force_insert=True)
    try:
        sql, parameters = chosen.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:  # Django sees without asking that nothing can be like that
        raise CannotPlan("none") from None
    with connection.cursor() as cursor:
        cursor.execute(FREEZE.format(member=member, chosen=sql), [job.pk, *parameters, MEMBERS_MAX + 1])
        cursor.execute(groups, {"job": job.pk, **skip_parameters(job)})
        found = [_Group(*row) for row in cursor.fetchall()]
        cursor.execute(MEMBERS, [job.pk])
        job.count, members = cursor.fetchone()
    if not job.count:
        raise CannotPlan("none")
    if job.count > MEMBERS_MAX:
        raise CannotPlan("too_many")
    job.summary = _summary(job, found)
    said = [job.verb, job.filters, job.includes_done, job.count, members, job.summary["groups"], job.summary["skipped"]]
    job.plan_hash = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
    job.save(update_fields=["count", "summary", "plan_hash"])
    log.info("bulk_planned", reprocess_id=str(job.pk), verb=job.verb, count=job.count, actor=actor)
    return job


@dataclass(frozen=True, slots=True)
class _Group:
    connector_id: int
    status: str
    code: str
    skip: str
    count: int
    oldest: Any


def _summary(job: Reprocess, found: Sequence[_Group]) -> dict[str, Any]:
    """Return what a plan shows: who would go, by state and code; who would be skipped, and why; how long it takes."""
    kept: dict[tuple[str, str], int] = {}
    skipped: dict[str, int] = {}
    to_do: dict[int, int] = {}
    for group in found:
        if group.skip:
            skipped[group.skip] = skipped.get(group.skip, 0) + group.count
        else:
            kept[group.status, group.code] = kept.get((group.status, group.code), 0) + group.count
            to_do[group.connector_id] = to_do.get(group.connector_id, 0) + group.count
    items = job.items.order_by("id")[:SAMPLE]
    moments = [group.oldest for group in found if group.oldest]
    return {
        "groups": [{"status": status, "code": code, "count": count} for (status, code), count in kept.items()],
        "skipped": skipped,
        "to_do": sum(kept.values()),
        "seconds": _seconds(job.verb, to_do),
        "sample": [item.event_id or item.listing_id for item in items],
        "oldest": min(moments).isoformat() if moments else None,
        "share_percent": settings.BULK_SHARE_PERCENT,
    }


def _seconds(verb: str, to_do: dict[int, int]) -> int:
    """Return how long so many members of each account take at the calls it may make at present."""
    share = settings.BULK_SHARE_PERCENT / 100
    calls, fastest = (CALLS_AN_EVENT, EVENTS_A_SECOND) if verb == Reprocess.Verb.EVENTS else (1, 50)
    total = 0.0
    for row in Connector.objects.filter(pk__in=to_do).only("pk", "calls_per_minute"):
        rate = budget.rate_a_second(row.pk, budget.ceiling_a_second(row.calls_per_minute))
        total += to_do[row.pk] / min(fastest, share * rate / calls)
    return math.ceil(total)


# --- What people decide ----------------------------------------------------------------------------------------------


@transaction.atomic
def confirm(job: Reprocess, *, actor: str, plan_hash: str, reason: str, typed: int | None = None) -> Reprocess:
    """Let a planned job begin, or wait for its second person.

    plan_hash: of the plan that was shown. reason: why, in a person's words. typed: the number, as the person typed it.
    Raises CannotChange.
    """
    row = _locked(job, Status.PROPOSED)
    if plan_hash != row.plan_hash:
        raise CannotChange("moved")
    if not reason.strip():
        raise CannotChange("reason")
    if row.count > TYPE_ABOVE and typed != row.count:
        raise CannotChange("number")
    row.reason, row.confirmed_by = reason.strip()[:300], actor[:100]
    needs_another = row.count > APPROVE_ABOVE
    row.status = Status.APPROVAL if needs_another else Status.RUNNING
    if not needs_another:
        row.started_at = timezone.now()
    row.save(update_fields=["reason", "confirmed_by", "status", "started_at"])
    _audit(row, actor, "bulk.confirmed", Status.PROPOSED, reason=row.reason, count=row.count, filters=row.filters)
    return row


@transaction.atomic
def approve(job: Reprocess, *, actor: str) -> Reprocess:
    """Let a large job begin that somebody else has confirmed. Raises CannotChange."""
    row = _locked(job, Status.APPROVAL)
    if actor == row.confirmed_by:
        raise CannotChange("same_person")
    row.approved_by, row.status, row.started_at = actor[:100], Status.RUNNING, timezone.now()
    row.save(update_fields=["approved_by", "status", "started_at"])
    _audit(row, actor, "bulk.approved", Status.APPROVAL, count=row.count)
    return row


@transaction.atomic
def pause(job: Reprocess, *, actor: str) -> Reprocess:
    """Begin nothing more for now; what is under way ends. Raises CannotChange."""
    return _move(job, Status.RUNNING, to=Status.PAUSED, actor=actor, action="bulk.paused")


@transaction.atomic
def resume(job: Reprocess, *, actor: str) -> Reprocess:
    """Go on with a paused job. Raises CannotChange."""
    return _move(job, Status.PAUSED, to=Status.RUNNING, actor=actor, action="bulk.resumed")


@transaction.atomic
def cancel(job: Reprocess, *, actor: str) -> Reprocess:
    """Begin nothing more, ever: what waits is skipped, what is under way ends, what is done stays. Raises CannotChange.

    A worker that takes a member holds the job's row meanwhile, so none is taken after this.
    """
    row = _locked(job, Status.PROPOSED, Status.APPROVAL, Status.RUNNING, Status.PAUSED)
    before, row.status = Status(row.status), Status.CANCELLED
    waiting = row.items.filter(state=State.WAITING)
    skipped = waiting.update(state=State.SKIPPED, code=CANCELLED, finished_at=Now())
    if not row.items.filter(state=State.RUNNING).exists():
        row.finished_at = timezone.now()
    row.save(update_fields=["status", "finished_at"])
    _audit(row, actor, "bulk.cancelled", before, skipped=skipped)
    return row


def _move(job: Reprocess, *of: Status, to: Status, actor: str, action: str) -> Reprocess:
    row = _locked(job, *of)
    before, row.status = Status(row.status), to
    row.save(update_fields=["status"])
    _audit(row, actor, action, before)
    return row


def _locked(job: Reprocess, *states: Status) -> Reprocess:
    row = Reprocess.objects.select_for_update(no_key=True).exclude(verb="").get(pk=job.pk)
    if row.status not in states:
        raise CannotChange("ended")
    return row


def _audit(row: Reprocess, actor: str, action: str, before: Status, **details: Any) -> None:
    change = {"before": {"status": before.value}, "after": {"status": row.status}}
    audit.record(row.tenant, actor, action, f"reprocess:{row.pk}", **change, **details)
    log.info(action.replace(".", "_"), reprocess_id=str(row.pk), count=row.count, actor=actor)


# --- How far it is ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. The four counts (what is under way is left, too) add up to the job's.

    left_seconds: about how long the rest takes, as fast as it went in the last minute; None while nobody can tell.
    """

    done: int
    failed: int
    skipped: int
    left: int
    under_way: int
    left_seconds: int | None

    @property
    def ended(self) -> int:
        """Return how many members ended."""
        return self.done + self.failed + self.skipped

    @property
    def total(self) -> int:
        """Return how many members there are."""
        return self.ended + self.left

    @property
    def percent(self) -> int:
        """Return how much of it ended; 100 only when all did."""
        return 100 * self.ended // self.total if self.total else 100


COUNTS = """
SELECT state, count(*), count(*) FILTER (WHERE finished_at > now() - make_interval(secs => %s) AND state <> 'PULADO')
  FROM reprocessamento_item WHERE reprocess_id = %s GROUP BY state
"""


def progress(job: Reprocess) -> Progress:
    """Return how far a job is."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, [SPEED_SECONDS, job.pk])
        rows = cursor.fetchall()
    counts = {state: count for state, count, _lately in rows}
    lately = sum(row[2] for row in rows)
    under_way = counts.get(State.RUNNING, 0)
    left = counts.get(State.WAITING, 0) + under_way
    seconds = SPEED_SECONDS
    if job.started_at:
        seconds = max(1, min(SPEED_SECONDS, int((timezone.now() - job.started_at).total_seconds())))
    return Progress(
        done=counts.get(State.DONE, 0),
        failed=counts.get(State.FAILED, 0),
        skipped=counts.get(State.SKIPPED, 0),
        left=left,
        under_way=under_way,
        left_seconds=math.ceil(left * seconds / lately) if lately and job.status == Status.RUNNING else None,
    )


def reasons(job: Reprocess) -> list[tuple[str, str, int]]:
    """Return why members failed or were skipped: (state, code, how many), the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT state, code, count(*) FROM reprocessamento_item
                WHERE reprocess_id = %s AND state IN ('FALHOU', 'PULADO') GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2""",
            [job.pk],
        )
        return [(state, code, count) for state, code, count in cursor.fetchall()]


def expire_proposals() -> int:
    """End the plans that nobody confirmed in time, and forget who was meant. Returns how many."""
    limit = timezone.now() - timedelta(hours=PROPOSAL_HOURS)
    with transaction.atomic():
        waiting = Reprocess.objects.filter(status__in=[Status.PROPOSED, Status.APPROVAL], created_at__lt=limit)
        ids = list(waiting.select_for_update().values_list("pk", flat=True))
        ReprocessItem.objects.filter(reprocess_id__in=ids).delete()
        return Reprocess.objects.filter(pk__in=ids).update(status=Status.EXPIRED, finished_at=Now())


def forget_items(days: int) -> int:
    """Forget the members of jobs that ended longer ago than `days`; what they came to stays. Returns how many."""
    old = Reprocess.objects.filter(finished_at__lt=timezone.now() - timedelta(days=days)).exclude(verb="")
    forgotten = 0
    for job in old.filter(items__isnull=False).distinct():
        with transaction.atomic():
            told = progress(job)
            job.summary["ended"] = {"done": told.done, "failed": told.failed, "skipped": told.skipped}
            job.save(update_fields=["summary"])
            forgotten += job.items.all().delete()[0]
    return forgotten
