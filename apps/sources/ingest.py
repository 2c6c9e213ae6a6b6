"""The door for movements that other systems push: recognise what came before, settle the rest, count what is here.

One request is one transaction: the events' rows, the ledger's movements and the counters of the sources commit together
or not at all, so a request may be sent again after any failure and is answered the same. Requests of one source take
turns (a lock on its row), so its counter ends right however they cross; different sources pass each other.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.sources import gaps, retry, timing
from apps.sources.decoding import Arrival, Sent
from apps.sources.gaps import Gap, Stream
from apps.sources.models import Source, SourceEpoch, SourceEvent
from apps.sources.settling import Item, lock_sources, settle
from apps.tenants.models import Tenant

log = structlog.get_logger(__name__)

Status = SourceEvent.Status

GAP_ALERT_AFTER = timedelta(seconds=60)
"""A gap that is open for longer is not just two requests that crossed."""


class Verdict:
    """What came of one event of a request."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    RECORDED = "recorded"
    REJECTED = "rejected"
    CONFLICT = "conflict"


VERDICTS = {
    Status.APPLIED: Verdict.ACCEPTED,
    Status.DUPLICATE: Verdict.DUPLICATE,
    Status.RECORDED: Verdict.RECORDED,
    Status.QUARANTINED: Verdict.RECORDED,
    Status.PENDING: Verdict.REJECTED,
    Status.REJECTED: Verdict.REJECTED,
}


@dataclass(slots=True)
class Outcome:
    """One event of a request, and what came of it."""

    index: int
    event_id: str
    verdict: str
    code: str = ""
    detail: str = ""
    clock_note: str = ""
    movement_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to one request: what came of each event, in its order, and the counters of its sources."""

    outcomes: list[Outcome]
    counters: list[tuple[Source, SourceEpoch | None]]
    now: datetime


def take_in(tenant: Tenant, sent: Sent, *, trace_id: uuid.UUID | None = None) -> Taken:
    """Take a request's events in and return what came of each. Safe to repeat.

    trace_id: of the request; movements whose events name no trace of their own belong to it.
    Never raises for what an event holds; raises django.db.Error when the database is away, and then nothing happened.
    """
    now = timezone.now()
    arrivals = [arrival for arrival in sent.arrivals if arrival.code != "invalid_source"]
    names = {arrival.source for arrival in arrivals} | ({sent.source} if sent.source else set())
    _meet(tenant, names)
    with transaction.atomic():
        sources = lock_sources(tenant, names=names)
        _note_clock(sources, sent, now)
        known = _known(tenant, sources, arrivals)
        items, repeated, conflicts = _sort_out(sources, known, arrivals, batch_id=sent.batch_id, now=now)
        settle(tenant, items, now=now, trace_id=trace_id or uuid.uuid4())
        _keep_conflicts(tenant, conflicts, now)
        counters = _count(sources, arrivals, sent, now)
        _see(sources, items, now)
    _retry_reversals(items)
    outcomes = (
        [_outcome(item) for item in items] + _repeats(repeated) + [_conflict(arrival) for arrival, _before in conflicts]
    )
    outcomes += [_refused(arrival) for arrival in sent.arrivals if arrival.code == "invalid_source"]
    return Taken(sorted(outcomes, key=lambda outcome: outcome.index), counters, now)


def _meet(tenant: Tenant, names: set[str]) -> None:
    """Write the sources that were never seen before; before any lock is held, so that nobody waits in a circle."""
    known = set(Source.objects.filter(tenant=tenant, name__in=names).values_list("name", flat=True))
    new = [Source(tenant=tenant, name=name, kind=_kind(name)) for name in sorted(names - known)]
    if new:
        Source.objects.bulk_create(new, ignore_conflicts=True)
        log.info("sources_met", tenant_id=tenant.pk, count=len(new))


def _kind(name: str) -> str:
    """Guess a source's kind from its name, such as /retailmax/pos/store-07; a person may correct it."""
    words = {word.upper() for word in name.replace("-", "/").replace(":", "/").split("/")}
    return next((kind for kind in Source.Kind.values if kind in words), Source.Kind.OTHER)


def _note_clock(sources: dict[str, Source], sent: Sent, now: datetime) -> None:
    ahead = timing.ahead_of_us(sent.sent_at, now=now)
    if ahead is not None and sent.source is not None:
        offset_ms = round(ahead / timedelta(milliseconds=1))
        sources[sent.source].clock_offset_ms = min(offset_ms, 2**31 - 1)


# --- recognising --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """An event that is stored already."""

    row_id: int
    digest: bytes
    status: str
    code: str
    detail: str
    clock_note: str
    movement_ids: list[int]


def _known(tenant: Tenant, sources: dict[str, Source], arrivals: Sequence[Arrival]) -> dict[tuple[str, str], Known]:
    """Return the stored events among the arrivals, by (source, event id)."""
    names = {source.pk: name for name, source in sources.items()}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT source_id, event_id, id, payload_hash, status, code, detail, clock_note, movement_ids
                 FROM source_event WHERE tenant_id = %s AND event_id = ANY(%s) AND source_id = ANY(%s)""",
            [tenant.pk, sorted({arrival.event_id for arrival in arrivals}), list(names)],
        )
        return {
            (names[source_id], event_id): Known(row_id, bytes(digest), *what)
            for source_id, event_id, row_id, digest, *what in cursor.fetchall()
        }


def _sort_out(
    sources: dict[str, Source],
    known: dict[tuple[str, str], Known],
    arrivals: Sequence[Arrival],
    *,
    batch_id: str,
    now: datetime,
) -> tuple[list[Item], list[tuple[Arrival, Known | Item]], list[tuple[Arrival, Known | Item]]]:
    """Return what is new, what came before, and what conflicts with what came before."""
    items: list[Item] = []
    repeated: list[tuple[Arrival, Known | Item]] = []
    conflicts: list[tuple[Arrival, Known | Item]] = []
    first: dict[tuple[str, str], Item] = {}
    for arrival in arrivals:
        key = arrival.source, arrival.event_id
        before: Known | Item | None = first.get(key) or known.get(key)
        if before is None or _may_be_mended(before, arrival):
            item = Item(arrival, sources[arrival.source], now, batch_id=batch_id)
            if isinstance(before, Known):
                item.row_id, item.is_stored = before.row_id, True
            first[key] = item
            items.append(item)
        elif _digest(before) == arrival.digest:
            repeated.append((arrival, before))
        else:
            conflicts.append((arrival, before))
    return items, repeated, conflicts


def _may_be_mended(before: Known | Item, arrival: Arrival) -> bool:
    """Tell whether another payload may take the place of the stored one: only of one that could never be applied."""
    return isinstance(before, Known) and before.status == Status.REJECTED and before.digest != arrival.digest


def _digest(before: Known | Item) -> bytes:
    return before.digest if isinstance(before, Known) else before.arrival.digest


def _keep_conflicts(tenant: Tenant, conflicts: Sequence[tuple[Arrival, Known | Item]], now: datetime) -> None:
    """Keep the payloads that were refused because their event id was taken."""
    if not conflicts:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO source_conflict (tenant_id, event_id, epoch, sequence, payload_hash, payload, received_at)
               VALUES (%s, %s, %s, %s, %s, %s::jsonb, %s) ON CONFLICT DO NOTHING""",
            [(tenant.pk, before.row_id, a.epoch, a.sequence, a.digest, a.payload, now) for a, before in conflicts],
        )
    log.warning("source_events_in_conflict", tenant_id=tenant.pk, count=len(conflicts))


# --- counting -----------------------------------------------------------------------------------------------------


def _count(
    sources: dict[str, Source], arrivals: Sequence[Arrival], sent: Sent, now: datetime
) -> list[tuple[Source, SourceEpoch | None]]:
    """Take the numbers of all arrivals into the counters of their sources, and return one counter per source."""
    numbers: dict[tuple[str, int], list[int]] = {}
    for arrival in arrivals:
        if arrival.sequence is not None:
            numbers.setdefault((arrival.source, arrival.epoch), []).append(arrival.sequence)
    if sent.source is not None and sent.last_seq is not None:
        numbers.setdefault((sent.source, sent.epoch), [])
    rows = {
        (row.source_id, row.epoch): row
        for row in SourceEpoch.objects.filter(source__in=sources.values()).order_by("epoch")
    }
    for (name, epoch), stored in sorted(numbers.items()):
        source = sources[name]
        row = rows.get((source.pk, epoch))
        is_announced = name == sent.source and epoch == sent.epoch
        announced = sent.last_seq if is_announced else None
        if row is None:
            is_later = any(source_id == source.pk and known < epoch for source_id, known in rows)
            if not stored and not is_later:
                continue  # a heartbeat of a counter that nothing is known of: where it begins is not known either
            row = begin(source, epoch, start=1 if is_later else min(stored))
        stream = gaps.receive(stream_of(row), stored, now=now, announced=announced)
        keep_stream(row, stream)
        rows[source.pk, epoch] = row
        source.epoch = max(source.epoch, epoch)
    asked = {name: sent.epoch for name in sources if name == sent.source}
    return [(s, rows.get((s.pk, asked.get(name, s.epoch)))) for name, s in sorted(sources.items())]


def begin(source: Source, epoch: int, *, start: int) -> SourceEpoch:
    """Return a counter that holds nothing yet. Not saved.

    A source that is met in the middle of its life begins at the lowest number it sent; the counter of a later epoch was
    started anew, so it begins at 1 and what is missing before the first arrival is a gap.
    """
    return SourceEpoch(source=source, epoch=epoch, start_seq=start, end_seq=start - 1, ack_seq=start - 1)


def stream_of(row: SourceEpoch) -> Stream:
    """Return a counter's stream."""
    return Stream(
        row.start_seq,
        row.end_seq,
        tuple(Gap(first, last, datetime.fromisoformat(opened_at)) for first, last, opened_at in row.gaps),
    )


def keep_stream(row: SourceEpoch, stream: Stream) -> None:
    """Save a counter with its new stream."""
    row.start_seq, row.end_seq, row.ack_seq = stream.start, stream.end, stream.ack
    row.gaps = [[gap.first, gap.last, gap.opened_at.isoformat()] for gap in stream.gaps]
    row.gap_since = min((gap.opened_at for gap in stream.gaps), default=None)
    if row.gap_since is None:
        row.gap_alerted_at = None
    row.save()


def _see(sources: dict[str, Source], items: Sequence[Item], now: datetime) -> None:
    """Note that the sources were heard of, and when their newest event happened."""
    newest: dict[int, datetime] = {}
    for item in items:
        if item.occurred_at is not None:
            newest[item.source.pk] = max(item.occurred_at, newest.get(item.source.pk, item.occurred_at))
    for source in sources.values():
        source.last_seen_at = now
        told = newest.get(source.pk)
        if told is not None:
            source.last_event_at = max(told, source.last_event_at or told)
        source.save(update_fields=["epoch", "clock_offset_ms", "last_seen_at", "last_event_at"])


def alert_old_gaps() -> int:
    """Log a warning, once, for each counter whose gaps stay open. Returns how many."""
    now = timezone.now()
    with transaction.atomic():
        rows = SourceEpoch.objects.select_for_update(skip_locked=True, of=("self",)).select_related("source")
        old = list(rows.filter(gap_since__lt=now - GAP_ALERT_AFTER, gap_alerted_at__isnull=True)[:1000])
        for row in old:
            log.warning(
                "source_gap_open",
                tenant_id=row.source.tenant_id,
                source=row.source.name,
                epoch=row.epoch,
                first_missing=row.gaps[0][0],
                since=row.gap_since,
            )
        SourceEpoch.objects.filter(pk__in=[row.pk for row in old]).update(gap_alerted_at=now)
    return len(old)


def give_up_gap(source: Source, epoch: int, first: int, last: int, *, actor: str, reason: str) -> SourceEpoch:
    """Close the gap from `first` to `last`: a person says that those events will never come. It stays on record.

    Raises SourceEpoch.DoesNotExist.
    """
    with transaction.atomic():
        lock_sources(source.tenant, ids=[source.pk])
        row = SourceEpoch.objects.get(source=source, epoch=epoch)
        stream, lost = gaps.give_up(stream_of(row), first, last)
        at = timezone.now().isoformat()
        row.given_up = [*row.given_up, *([start, end, actor, reason, at] for start, end in lost)]
        keep_stream(row, stream)
    log.warning("source_gap_given_up", source=source.name, epoch=epoch, first=first, last=last, actor=actor)
    return row


# --- answering ----------------------------------------------------------------------------------------------------


def _retry_reversals(items: Sequence[Item]) -> None:
    """Apply reversals that arrived together with what they take back, now that it is stored."""
    arrived = {item.arrival.event_id for item in items}
    waiting = [item for item in items if item.code == "unknown_event" and item.data.reverses_event_id in arrived]
    for item, row in zip(waiting, retry.again([item.row_id for item in waiting]), strict=True) if waiting else ():
        item.status, item.code, item.detail = row.status, row.code, row.detail
        item.movement_ids = row.movement_ids


def _outcome(item: Item) -> Outcome:
    arrival = item.arrival
    return Outcome(
        arrival.index,
        arrival.event_id,
        VERDICTS[Status(item.status)],
        item.code,
        item.detail,
        item.clock_note,
        item.movement_ids,
    )


def _repeats(repeated: Sequence[tuple[Arrival, Known | Item]]) -> list[Outcome]:
    """Answer what came before with what came of it then; only what was accepted is called a duplicate now."""
    outcomes = []
    for arrival, before in repeated:
        verdict = VERDICTS[Status(before.status)]
        outcomes.append(
            Outcome(
                arrival.index,
                arrival.event_id,
                Verdict.DUPLICATE if verdict == Verdict.ACCEPTED else verdict,
                before.code,
                before.detail,
                before.clock_note,
                before.movement_ids,
            )
        )
    return outcomes


def _conflict(arrival: Arrival) -> Outcome:
    detail = _("The id “%(id)s” was taken by an event with other contents; this one was kept and moved no stock.")
    return Outcome(
        arrival.index, arrival.event_id, Verdict.CONFLICT, "event_id_reused", detail % {"id": arrival.event_id}
    )


def _refused(arrival: Arrival) -> Outcome:
    return Outcome(arrival.index, arrival.event_id, Verdict.REJECTED, arrival.code, arrival.detail)
