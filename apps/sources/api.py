"""Movements from other systems over HTTP, and how far each of them has come (channels contract §2.2)."""

from datetime import datetime
from typing import Annotated

import msgspec
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.common.api_shell import trace_id_of
from apps.common.problems import Problem
from apps.sources import decoding, ingest
from apps.sources.decoding import BATCH_MAX, MovementEvent
from apps.sources.ingest import GAP_ALERT_AFTER, Outcome, Taken, Verdict
from apps.sources.models import Source, SourceEpoch, SourceEvent
from apps.tenants.endpoint import endpoint
from apps.tenants.identity import Caller

GAPS_SHOWN = 100
"""Gaps in one answer: the first ones, which are what an agent sends next."""

SOURCES_MAX = 500
"""Sources on one page."""


class MovementsBatch(msgspec.Struct):
    """The batch of one source; no events is a heartbeat."""

    source: str
    events: list[MovementEvent] = []
    epoch: int = 0
    batch_id: str = ""
    first_seq: int | None = None
    last_seq: int | None = None
    sent_at: datetime | None = None


class RejectedEvent(msgspec.Struct):
    """An event that moved no stock, and why. `retry`: whether sending the same again can help."""

    index: int
    event_id: str
    code: str
    detail: str
    retry: bool = False


class EventResult(msgspec.Struct):
    """What came of one event: accepted, duplicate, recorded, rejected or conflict."""

    index: int
    event_id: str
    status: str
    code: str
    movement_ids: list[int]
    clock: str


class SourceCounter(msgspec.Struct):
    """How far one source has come: everything up to `ack_seq` is stored, but for `gaps` what came after it, too."""

    source: str
    epoch: int
    ack_seq: int | None
    gaps: list[tuple[int, int]]


class MovementsAnswer(msgspec.Struct):
    """What came of a batch. `ack_seq` and `gaps` are the source's, when the batch is of one source."""

    accepted: int
    duplicates: int
    recorded: int
    rejected: list[RejectedEvent]
    results: list[EventResult]
    ack_seq: int | None
    gaps: list[tuple[int, int]]
    sources: list[SourceCounter]
    server_time: datetime
    max_batch: int = BATCH_MAX
    retry_after_s: int = 0


EXAMPLE_EVENT = {
    "specversion": "1.0",
    "id": "019aa0c2-7d1e-7c3a-9f55-2f1c0d9b8a11",
    "source": "/loja-07/pdv-02",
    "type": "br.com.loja.stock.movement.sale.v1",
    "time": "2026-11-22T11:58:41.120-03:00",
    "sequence": "0003.000000100231",
    "data": {
        "movement_type": "SALE",
        "sku": "CAMISA-P",
        "location": "CD1",
        "quantity": "-1",
        "document": {"type": "NFCE", "key": "35261112345678000190650070000884121000884129", "line": 3},
        "business_key": "LOJA-07|02|88412|3",
    },
}

EXAMPLE_ANSWER = MovementsAnswer(
    accepted=1,
    duplicates=0,
    recorded=0,
    rejected=[],
    results=[EventResult(0, "019aa0c2-7d1e-7c3a-9f55-2f1c0d9b8a11", "accepted", "", [4711], "")],
    ack_seq=100231,
    gaps=[],
    sources=[SourceCounter("/loja-07/pdv-02", 3, 100231, [])],
    server_time=datetime.fromisoformat("2026-11-22T14:58:43.210+00:00"),
)


@endpoint(
    method="POST",
    scope="movements:write",
    body=MovementsBatch | list[MovementEvent],
    is_raw=True,
    answer=MovementsAnswer,
    problems=(("batch_too_large", 413),),
    tags=("Movements",),
    example=EXAMPLE_ANSWER,
    body_example=[EXAMPLE_EVENT],
)
def movements(request: HttpRequest, caller: Caller, body: bytes) -> MovementsAnswer:
    """Take movements in.

    Up to 500 movements of POS, ERP, WMS and whoever else moves stock: a CloudEvents batch, or the batch of one source
    with its numbers. Packed with gzip if you like. Answers what came of each; one bad event never holds up the others,
    and the same batch may be sent again at any time.
    """
    sent = decoding.read(decoding.unpack(body, request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()))
    return _answer(ingest.take_in(caller.tenant, sent, trace_id=trace_id_of(request)))


def _answer(taken: Taken) -> MovementsAnswer:
    counters = [_counter(source, row) for source, row in taken.counters]
    only = counters[0] if len(counters) == 1 else None
    verdicts = [outcome.verdict for outcome in taken.outcomes]
    refused = [outcome for outcome in taken.outcomes if outcome.verdict in {Verdict.REJECTED, Verdict.CONFLICT}]
    return MovementsAnswer(
        accepted=verdicts.count(Verdict.ACCEPTED),
        duplicates=verdicts.count(Verdict.DUPLICATE),
        recorded=verdicts.count(Verdict.RECORDED),
        rejected=[RejectedEvent(o.index, o.event_id, o.code, o.detail) for o in refused],
        results=[_result(outcome) for outcome in taken.outcomes],
        ack_seq=only.ack_seq if only else None,
        gaps=only.gaps if only else [],
        sources=counters,
        server_time=taken.now,
    )


def _result(outcome: Outcome) -> EventResult:
    return EventResult(
        outcome.index, outcome.event_id, outcome.verdict, outcome.code, outcome.movement_ids, outcome.clock_note
    )


def _counter(source: Source, row: SourceEpoch | None) -> SourceCounter:
    if row is None:
        return SourceCounter(source.name, source.epoch, None, [])
    return SourceCounter(source.name, row.epoch, row.ack_seq, [(gap[0], gap[1]) for gap in row.gaps[:GAPS_SHOWN]])


class SourceAnswer(msgspec.Struct):
    """One source: how far it has come, when it was heard of, what of it waits for somebody."""

    source: str
    kind: str
    epoch: int
    ack_seq: int | None
    gaps: list[tuple[int, int]]
    gap_since: datetime | None
    is_gap_overdue: bool
    last_seen_at: datetime | None
    last_event_at: datetime | None
    clock_offset_ms: int
    pending: int
    quarantined: int
    unreadable: int


class SourcesAnswer(msgspec.Struct):
    """Sources by name; `next` goes on as `after`, and is empty on the last page."""

    sources: list[SourceAnswer]
    next: str = ""


class SourcesPage(msgspec.Struct):
    """Which page of the sources."""

    after: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=SOURCES_MAX)] = 100


class OpenGap(msgspec.Struct):
    """Numbers that are missing, both ends included."""

    epoch: int
    first_seq: int
    last_seq: int
    opened_at: datetime
    is_overdue: bool


class GapsAnswer(msgspec.Struct):
    """All open gaps of one source, the oldest numbers first."""

    source: str
    gaps: list[OpenGap]


EXAMPLE_SOURCE = SourceAnswer(
    source="/loja-07/pdv-02",
    kind="POS",
    epoch=3,
    ack_seq=100189,
    gaps=[(100190, 100192)],
    gap_since=datetime.fromisoformat("2026-11-22T14:57:02+00:00"),
    is_gap_overdue=True,
    last_seen_at=datetime.fromisoformat("2026-11-22T14:58:43+00:00"),
    last_event_at=datetime.fromisoformat("2026-11-22T14:58:41+00:00"),
    clock_offset_ms=0,
    pending=1,
    quarantined=0,
    unreadable=0,
)


@endpoint(
    method="GET",
    scope="movements:read",
    query=SourcesPage,
    answer=SourcesAnswer,
    tags=("Movements",),
    example=SourcesAnswer([EXAMPLE_SOURCE]),
)
def sources(request: HttpRequest, caller: Caller, query: SourcesPage) -> SourcesAnswer:
    """List the sources.

    Whoever ever sent movements, how far each has come, and what of it waits.
    """
    rows = list(
        Source.objects.filter(tenant=caller.tenant_id, name__gt=query.after).order_by("name")[: query.limit + 1]
    )
    page = rows[: query.limit]
    counters = {(row.source_id, row.epoch): row for row in SourceEpoch.objects.filter(source__in=page)}
    waiting = _waiting(page)
    now = timezone.now()
    return SourcesAnswer(
        [_source(row, counters.get((row.pk, row.epoch)), waiting.get(row.pk, {}), now) for row in page],
        next=page[-1].name if len(rows) > len(page) else "",
    )


def _waiting(page: list[Source]) -> dict[int, dict[str, int]]:
    """Return how many events of each source wait for what: {source: {status: events}}."""
    states = (SourceEvent.Status.PENDING, SourceEvent.Status.QUARANTINED, SourceEvent.Status.REJECTED)
    counted: dict[int, dict[str, int]] = {}
    rows = SourceEvent.objects.filter(source__in=page, status__in=states)
    for source_id, status, events in rows.values_list("source_id", "status").annotate(events=Count("id")):
        counted.setdefault(source_id, {})[status] = events
    return counted


def _source(row: Source, counter: SourceEpoch | None, waiting: dict[str, int], now: datetime) -> SourceAnswer:
    since = counter.gap_since if counter else None
    return SourceAnswer(
        source=row.name,
        kind=row.kind,
        epoch=row.epoch,
        ack_seq=counter.ack_seq if counter else None,
        gaps=_counter(row, counter).gaps,
        gap_since=since,
        is_gap_overdue=since is not None and since < now - GAP_ALERT_AFTER,
        last_seen_at=row.last_seen_at,
        last_event_at=row.last_event_at,
        clock_offset_ms=row.clock_offset_ms,
        pending=waiting.get(SourceEvent.Status.PENDING, 0),
        quarantined=waiting.get(SourceEvent.Status.QUARANTINED, 0),
        unreadable=waiting.get(SourceEvent.Status.REJECTED, 0),
    )


@endpoint(
    method="GET",
    scope="movements:read",
    answer=GapsAnswer,
    problems=(("unknown_source", 404),),
    tags=("Movements",),
    example=GapsAnswer(
        "/loja-07/pdv-02",
        [OpenGap(3, 100190, 100192, datetime.fromisoformat("2026-11-22T14:57:02+00:00"), is_overdue=True)],
    ),
)
def source_gaps(request: HttpRequest, caller: Caller, name: str) -> GapsAnswer:
    """List the open gaps of a source.

    What the sender should send again. A name that begins with a slash may be asked for without it.
    """
    source = Source.objects.filter(Q(name=name) | Q(name=f"/{name}"), tenant=caller.tenant_id).order_by("-name").first()
    if source is None:
        raise Problem(404, "unknown_source", _("No source “%(name)s” ever sent movements.") % {"name": name})
    overdue_before = timezone.now() - GAP_ALERT_AFTER
    open_gaps = [
        OpenGap(row.epoch, gap.first, gap.last, gap.opened_at, is_overdue=gap.opened_at < overdue_before)
        for row in source.epochs.order_by("epoch")
        for gap in ingest.stream_of(row).gaps
    ]
    return GapsAnswer(source.name, open_gaps)
