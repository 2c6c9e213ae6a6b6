"""Tell one channel one number: log, call, settle (law 7).

The number is computed at the moment of sending and is absolute, so a repeated call does no harm (law 6). What counts is
the number the channel's answer shows: a 200 that changed nothing is an error with its own label.
"""

import random
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from psycopg.types.json import Jsonb

from apps.connectors import breaker, budget, credentials
from apps.connectors.channel import ChannelError
from apps.connectors.models import Connector, Listing
from apps.sync import inputs, queue, sharing, telling, turns
from apps.sync.models import SyncLog
from apps.sync.telling import Telling
from apps.sync.turns import Pause, Turn

log = structlog.get_logger(__name__)

ERROR_AFTER_TRIES = 3
"""Failed tries after which the listing is shown as an error (requirement 000, AC5). It is tried on all the same."""

FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 600.0
"""Pauses double from the first to this one: a hiccup costs seconds, a channel that is down is not hammered."""

PERMANENT_PAUSE = timedelta(hours=6)
"""A closed or channel-kept listing: asking again helps only after somebody changed something there."""

ITEM_WAIT_SECONDS = 10.0
"""How long a variation waits for others of its item to be written."""

CALLS_MAX_SECONDS = 25.0
"""What the calls of one push may take together; a claim with less time left is given up before it calls."""


@dataclass(frozen=True, slots=True)
class Job:
    """One claimed listing on its way to its channel.

    number, entry: what it is told and its row in the log; both None of a listing that is to be looked at by itself.
    """

    turn: Turn
    claim: queue.Claim
    claimed_at: float
    number: Telling | None = None
    entry: SyncLog | None = None


def push_next(calls_max: int = 1) -> Turn | Pause:
    """Tell the listing whose turn it is its number. Returns the turn, or why it is nobody's.

    calls_max: how many calls of one account may be under way at once, this one included. Raises only when the database
    or Redis is away: any other failure is settled on the listing, so that one listing or one account cannot hold up
    the others.
    """
    found = queue.next_turns(1, calls_max)
    if isinstance(found, Pause):
        return found
    for job in begin(found):
        try:
            finish(job)
        finally:
            turns.end([job.turn])
    return found[0]


def begin(taken: Sequence[Turn]) -> list[Job]:
    """Claim the listings whose turn it is and compute their numbers, together; `finish` each at once.

    Ends the turns of listings that are not due, or not ours to tell. Whoever finishes a job ends its turn.
    """
    claimed_at = time.monotonic()
    claims = {claim.listing.pk: claim for claim in queue.claim([turn.listing_id for turn in taken])}
    turns.end([turn for turn in taken if turn.listing_id not in claims], were_used=False)
    try:
        known = _compute([claim for claim in claims.values() if _is_simple(claim)])
    except (OperationalError, InterfaceError):
        raise  # the leases end by themselves and the listings are told again
    except Exception:  # a defect of ours with one of them: each by itself, then
        log.exception("numbers_not_computed", listing_ids=list(claims))
        known = {}
    return [
        Job(turn, claims[pk], claimed_at, *known.get(pk, (None, None)))
        for turn in taken
        if (pk := turn.listing_id) in claims
    ]


def _compute(claims: Sequence[queue.Claim]) -> dict[int, tuple[Telling, SyncLog]]:
    """Return the numbers of listings and their rows in the log, by listing."""
    if not claims:
        return {}
    numbers = telling.begin_together([claim.listing for claim in claims])
    told = [claim for claim in claims if claim.listing.pk in numbers]
    rows = SyncLog.objects.bulk_create([_log_row(claim, numbers[claim.listing.pk].made_of) for claim in told])
    return {row.listing_id: (numbers[row.listing_id], row) for row in rows}


def _is_simple(claim: queue.Claim) -> bool:
    """Tell whether there is nothing to do before its number is computed."""
    listing = claim.listing
    is_ours = listing.product_id is not None and listing.is_writable
    return is_ours and not claim.was_interrupted and not sharing.is_shared(listing) and not listing.user_product_id


def finish(job: Job) -> None:
    """Tell one claimed listing its number and settle how that went. Raises when the database is away."""
    claim = job.claim
    named = {"trace_id": str(claim.listing.cause_trace_id or uuid.uuid4()), "tenant": claim.listing.tenant_id}
    with structlog.contextvars.bound_contextvars(**named):
        try:
            _push(job)
        except (OperationalError, InterfaceError):
            raise  # the lease ends by itself and the listing is told again
        except Exception:  # a defect of ours: show it on the listing, go on with the others
            log.exception("stock_push_broke", listing_id=claim.listing.pk)
            close_interrupted(claim.listing.pk)
            _settle(
                claim,
                sync_state=Listing.SyncState.ERROR,
                due_at=timezone.now() + pause_after(claim.listing.attempts),
                last_error_code="internal_error",
                last_error="the hub failed to tell this number; the log says why",
            )


def _push(job: Job) -> None:
    claim, number, entry = job.claim, job.number, job.entry
    if number is None or entry is None:
        number = _look_at(claim)
        if number is None:
            return
        entry = _open_log(claim, number.made_of)
    if claim.listing.is_shadowed:
        _settle_shadow(claim, entry)
        return
    with sharing.item_alone(claim.listing, ITEM_WAIT_SECONDS) as is_alone:
        if is_alone:
            _send(job, number, entry)
        else:
            _give_back(claim, entry)


def _send(job: Job, number: Telling, entry: SyncLog) -> None:
    claim = job.claim
    if time.monotonic() - job.claimed_at > queue.LEASE_SECONDS - CALLS_MAX_SECONDS:
        return  # held up for too long: somebody else may be telling this listing a newer number by now
    started = time.monotonic()
    try:
        sent = telling.send(number)
    except telling.NotTold as failure:
        _settle_failure(claim, entry, failure.refusal, _elapsed_ms(started), made_of=failure.made_of)
    else:
        _settle_answer(claim, entry, sent, _elapsed_ms(started))


def _look_at(claim: queue.Claim) -> Telling | None:
    """Return the number of a listing that is looked at by itself; None when it is settled: there is none to tell."""
    listing = claim.listing
    if claim.was_interrupted:
        close_interrupted(listing.pk)
    try:
        speaker = sharing.speaker_of(listing)
    except ChannelError as refusal:
        _settle_unshareable(claim, refusal)
        return None
    if speaker.pk != listing.pk:
        _leave_to(claim, speaker)
        return None
    number = telling.begin(listing)
    if number is None:
        _settle(claim, attempts=0)
    return number


def _settle_unshareable(claim: queue.Claim, refusal: ChannelError) -> None:
    """Write down that listings which share one stock contradict each other."""
    made_of = telling.made_of(claim.listing)
    if made_of is None:
        _settle(claim, attempts=0)
        return
    entry = _open_log(claim, made_of)
    _settle_failure(claim, entry, refusal, 0, made_of=made_of)


def _leave_to(claim: queue.Claim, speaker: Listing) -> None:
    """Let the listing that speaks for several tell the stock they share; nothing is told when it is right already."""
    if speaker.accepted_quantity != queue.target_of(speaker.pk):
        idle = Listing.objects.filter(pk=speaker.pk, due_at__isnull=True, lease_id__isnull=True)
        why = {"cause_movement_id": claim.listing.cause_movement_id, "cause_trace_id": claim.listing.cause_trace_id}
        if idle.update(due_at=timezone.now(), due_trigger=claim.listing.due_trigger, **why):
            queue.line_up_again(speaker.pk)
    _settle(claim, attempts=0)


def close_interrupted(listing_id: int) -> None:
    """Say of calls whose end was never written that their result is unknown: a worker died in the middle."""
    SyncLog.objects.filter(
        listing_id=listing_id, status=SyncLog.Status.PENDING, sync_type=SyncLog.SyncType.STOCK
    ).update(
        status=SyncLog.Status.UNKNOWN,
        error_code="interrupted",
        error_message="the worker stopped before the answer was written down; the number is sent again",
        finished_at=timezone.now(),
    )


def _open_log(claim: queue.Claim, made_of: inputs.Inputs) -> SyncLog:
    entry = _log_row(claim, made_of)
    entry.save(force_insert=True)
    return entry


def _log_row(claim: queue.Claim, made_of: inputs.Inputs) -> SyncLog:
    listing = claim.listing
    return SyncLog(
        tenant_id=listing.tenant_id,
        product_id=listing.product_id or 0,  # what has a number has a product
        connector_id=listing.connector_id,
        listing=listing,
        marketplace=listing.connector.kind,
        old_value=listing.accepted_quantity,
        new_value=made_of.number,
        inputs=made_of.stored(),
        attempt=listing.attempts,
        trigger=listing.due_trigger,
        due_at=claim.due_at,
        movement_id=listing.cause_movement_id,
        trace_id=listing.cause_trace_id,
    )


def _settle_shadow(claim: queue.Claim, entry: SyncLog) -> None:
    """Write down what would have been told (pausing.py)."""
    outcome = {"status": SyncLog.Status.SHADOW, "duration_ms": 0}
    _settle(claim, entry, outcome, attempts=0, shadow_quantity=entry.new_value)


def _settle_answer(claim: queue.Claim, entry: SyncLog, sent: telling.Sent, took_ms: int) -> None:
    listing, answer, shown = claim.listing, sent.answer, sent.answer.quantity
    if shown != sent.made_of.number:
        refusal = ChannelError(
            f"the channel answered {answer.http_status} and shows {shown} instead of {sent.made_of.number}",
            code="ignored_by_channel",
            status=answer.http_status,
        )
        known = {} if shown is None else _shows(shown, sent)
        _settle_failure(claim, entry, refusal, took_ms, made_of=sent.made_of, known=known)
        return
    told = _shows(shown, sent)
    status: dict[str, Any] = {"channel_status": answer.listing_status[:32]} if answer.listing_status else {}
    outcome = {
        "status": SyncLog.Status.SUCCESS,
        "duration_ms": took_ms,
        "http_status": answer.http_status,
        **_told_of(sent.made_of, shown),
    }
    with transaction.atomic() if sharing.is_shared(listing) else nullcontext():
        sharing.lock_sisters(listing)
        is_ours = _settle(
            claim,
            entry,
            outcome,
            look_again_at=sent.flight.look_again_at() if sent.flight.is_on else None,
            sync_state=Listing.SyncState.SUCCESS,
            attempts=0,
            **({"zeroing_since": None} if shown else {}),
            last_error="",
            last_error_code="",
            **told,
            **status,
        )
        if is_ours:
            sharing.settle_sisters(listing, **told)
    _note_synced(listing.connector)
    log.info("stock_pushed", listing_id=listing.pk, old=entry.old_value, new=shown, duration_ms=took_ms)


def _note_synced(connector: Connector) -> None:
    """Note that the account takes numbers: once a second is enough, and else every push would wait for its row."""
    now = timezone.now()
    if connector.last_sync_at is None or connector.last_sync_at < now - timedelta(seconds=1):
        Connector.objects.filter(pk=connector.pk).update(last_sync_at=now)


def _give_back(claim: queue.Claim, entry: SyncLog) -> None:
    """Let a listing for which nothing was sent stand in line as before: no try, no entry."""
    SyncLog.objects.filter(pk=entry.pk, timestamp=entry.timestamp).delete()
    _settle(claim, attempts=claim.listing.attempts - 1, due_at=claim.due_at or timezone.now())


def _settle_failure(
    claim: queue.Claim,
    entry: SyncLog,
    refusal: ChannelError,
    took_ms: int,
    *,
    made_of: inputs.Inputs,
    known: dict[str, Any] | None = None,
) -> None:
    """Write down why it failed and when to try again; an account's failure stops the account, not the listing."""
    listing = claim.listing
    if refusal.code == "circuit_open":  # nothing was sent, and there is no turn while the line is dead
        budget.rest(listing.connector_id, refusal.retry_after_seconds or 1.0)
        _give_back(claim, entry)
        return
    state, pause = _next_try(listing.attempts, refusal)
    is_alone = refusal.permanent or refusal.account
    if not is_alone and breaker.states([listing.connector_id])[listing.connector_id] is not breaker.State.CLOSED:
        # Nobody is there: that is the account's pause, not this listing's. Afterwards the riskiest goes first again.
        budget.rest(listing.connector_id, settings.CHANNEL_BREAKER_SECONDS)
        pause = timedelta()
    known = known or {}
    outcome = {
        "status": SyncLog.Status.ERROR,
        "duration_ms": took_ms,
        "http_status": refusal.status or None,
        "error_code": refusal.code,
        "error_message": str(refusal)[:500],
        **_told_of(made_of, known.get("accepted_quantity")),
    }
    _settle(
        claim,
        entry,
        outcome,
        due_at=timezone.now() + pause,
        sync_state=state,
        last_error=str(refusal)[:500],
        last_error_code=refusal.code,
        **known,
    )
    if refusal.account:
        credentials.stop(listing.connector_id, refusal)
    log.warning("stock_push_failed", listing_id=listing.pk, code=refusal.code, attempt=listing.attempts)


def _next_try(attempt: int, refusal: ChannelError) -> tuple[Listing.SyncState, timedelta]:
    """Return the state to show and the pause before the next try."""
    if refusal.account:  # nothing of this account is claimed until a person authorised it again; then at once
        return Listing.SyncState.RETRY, timedelta()
    if refusal.permanent:
        return Listing.SyncState.ERROR, PERMANENT_PAUSE
    state = Listing.SyncState.ERROR if attempt >= ERROR_AFTER_TRIES else Listing.SyncState.RETRY
    return state, max(pause_after(attempt), timedelta(seconds=refusal.retry_after_seconds or 0))


def pause_after(attempt: int) -> timedelta:
    """Return how long to wait after so many failed tries in a row: exponential, with jitter."""
    seconds = min(FIRST_PAUSE_SECONDS * 2 ** min(attempt - 1, 20), LONGEST_PAUSE_SECONDS)
    return timedelta(seconds=seconds * random.uniform(0.75, 1.25))  # noqa: S311  jitter, not a secret


def _shows(shown: int, sent: telling.Sent) -> dict[str, Any]:
    """Return what is known of a listing that the channel just showed with this number."""
    return {"accepted_quantity": shown, "accepted_at": timezone.now(), "sold_there": 0, **sent.remembered(shown)}


def _told_of(made_of: inputs.Inputs, shown: int | None) -> dict[str, object]:
    """Return what the log keeps of a number that was written; it may have been computed again since the row began."""
    return {"new_value": made_of.number, "inputs": Jsonb(made_of.stored()), "shown_value": shown}


SETTLE = """
UPDATE integracao_anuncio
   SET lease_id = NULL, lease_expires_at = NULL, updated_at = now(), due_at = {due_at}{values}
 WHERE id = %s AND lease_id = %s
RETURNING due_at IS NOT NULL
"""

NOTHING: Mapping[str, Any] = {}

CLOSE = "UPDATE marketplace_sync_logs SET finished_at = now(){values} WHERE id = %s AND timestamp = %s"
# with its time: that looks into one month only


def _settle(
    claim: queue.Claim,
    entry: SyncLog | None = None,
    outcome: Mapping[str, Any] = NOTHING,
    *,
    due_at: datetime | None = None,
    look_again_at: datetime | None = None,
    **values: Any,
) -> bool:
    """End the claim, and with it the log's entry, in one statement.

    outcome: what the entry is to say. due_at: when the listing is told again in any case. look_again_at: when, unless
    its stock moved meanwhile. values: of the listing. Returns False for a worker that lost its lease: it speaks of the
    past and ends nothing. What it sent may have arrived after a newer number, though: so what the channel shows is no
    longer known, and the listing is told again. What became due meanwhile stands in line again.
    """
    sql = SETTLE.format(due_at="%s" if due_at else "coalesce(due_at, %s)", values=_assigned(values))
    parameters: list[Any] = [due_at or look_again_at, *values.values(), claim.listing.pk, claim.lease_id]
    if entry is not None:
        sql = f"WITH entry AS ({CLOSE.format(values=_assigned(outcome))}) {sql}"
        parameters = [*outcome.values(), entry.pk, entry.timestamp, *parameters]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        ended = cursor.fetchone()
    is_due = ended is not None and ended[0]
    if ended is None:
        late = Listing.objects.filter(pk=claim.listing.pk, product__isnull=False)
        is_due = bool(late.update(accepted_quantity=None, due_at=timezone.now()))
        log.warning("stock_push_came_late", listing_id=claim.listing.pk)
    if is_due:
        transaction.on_commit(partial(queue.line_up_again, claim.listing.pk))
    return ended is not None


def _assigned(values: Iterable[str]) -> str:
    return "".join(f", {name} = %s" for name in values)  # columns have the names of their fields


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
