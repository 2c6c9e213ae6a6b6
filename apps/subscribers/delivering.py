"""Hand events over: open a try, post, settle (law 7), several subscribers at the same time.

A turn is one lane's: its deliveries go out one after the other until none is left, one fails, or the turn's share is
used up. What a subscriber answered is judged by its status alone: 2xx took it, 410 wants no more, all else is tried
again after a pause. A try that nobody finished is told again under the same id, so an event arrives at least once.
"""

import random
import threading
import time
from queue import Empty, SimpleQueue

import structlog
from django.core.exceptions import ValidationError
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from apps.common import crypto, http
from apps.inventory.models import Movement
from apps.subscribers import envelope, lanes, signing, subscribing, targets
from apps.subscribers.lanes import Outcome
from apps.subscribers.models import Subscriber

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/cloudevents+json"

PAUSES_SECONDS = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600)
"""After the first, second … failed try of a delivery: eight tries in about 28 hours."""

TRIES_MAX = len(PAUSES_SECONDS) + 1

WARN_AFTER_TRIES = 4
"""From this failed try on a person is asked to look, two hours before the next."""

RETRY_AFTER_SECONDS_MAX = 3600.0
"""A receiver that asks for patience gets so much at most."""

CALL_SECONDS = 15.0
"""The whole time one call may take."""

ANSWER_BYTES_MAX = 4096
"""What is read of an answer, so that its connection can serve again. Nothing of it is kept."""

TURN_MAX = 50
"""Deliveries of one lane in a row, before others get their turn."""

THREADS = 16
"""Calls that one worker makes at the same time: they wait for receivers, hardly for the processor."""

POLL_SECONDS = 0.1
"""How soon a drain looks for new work while calls are under way."""


class Crew:
    """The threads of one drain. The main thread claims, they deliver."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.claims: SimpleQueue[lanes.Claim | None] = SimpleQueue()
        self.ended: SimpleQueue[None] = SimpleQueue()
        self.ends_at = 0.0

    def work(self, seconds: float) -> None:
        """Deliver what is due until the time is up or there is nothing to do. Calls may be under way when it returns.

        While a slow receiver holds a thread the others go on, and new work is found.
        """
        self.ends_at = time.monotonic() + seconds
        under_way = 0
        while time.monotonic() < self.ends_at:
            claims = lanes.claim(THREADS - under_way) if under_way < THREADS else []
            under_way += len(claims)
            while len(self.threads) < under_way:
                self.threads.append(threading.Thread(target=self._labour, name="deliver", daemon=True))
                self.threads[-1].start()
            for claim in claims:
                self.claims.put(claim)
            if not under_way:
                return
            under_way -= self._some_ended()

    def go_home(self) -> None:
        """Wait for the calls under way and end the threads."""
        for _ in self.threads:
            self.claims.put(None)
        for thread in self.threads:
            thread.join()

    def _some_ended(self) -> int:
        """Return how many turns ended, after at most a short wait."""
        try:
            self.ended.get(timeout=POLL_SECONDS)
        except Empty:
            return 0
        ended = 1
        while not self.ended.empty():
            self.ended.get()
            ended += 1
        return ended

    def _labour(self) -> None:
        """One thread's life: turn after turn until it is sent home."""
        try:
            while (claim := self.claims.get()) is not None:
                try:
                    take_turn(claim, self.ends_at)
                except Exception:  # the lease ends by itself and the lane is due again
                    log.exception("delivery_turn_broke", lane_id=claim.lane_id)
                    connection.close()
                finally:
                    self.ended.put(None)
        finally:
            connection.close()


def take_turn(claim: lanes.Claim, ends_at: float) -> None:
    """Deliver what is pending in a claimed lane, in order, until `ends_at` by the monotonic clock."""
    if claim.was_interrupted:
        lanes.close_interrupted(claim)
    subscriber = _subscriber(claim)
    for _ in range(TURN_MAX):
        started = time.monotonic()
        opened = lanes.open_attempt(claim) if started < ends_at else None
        if opened is None:
            break
        if opened.subscriber_changed_at != subscriber.updated_at:  # another address, another secret
            subscriber = _subscriber(claim)
        if not _deliver(claim, subscriber, opened, started):
            break
    lanes.end_turn(claim)


def _subscriber(claim: lanes.Claim) -> Subscriber:
    return Subscriber.objects.select_related("tenant").get(pk=claim.subscriber_id)


def _deliver(claim: lanes.Claim, subscriber: Subscriber, opened: lanes.Opened, started: float) -> bool:
    """Hand over what was opened. Returns whether the turn may go on."""
    if opened.number > TRIES_MAX:  # every worker that tried it died of it
        outcome = Outcome("interrupted", detail="the worker stopped in every try")
    else:
        outcome = _call(subscriber, opened, started)
    return _settle(claim, subscriber, opened, outcome, round((time.monotonic() - started) * 1000))


def _call(subscriber: Subscriber, opened: lanes.Opened, started: float) -> Outcome:
    """Post the event and say how that went. Raises only when the database is away."""
    try:
        body = _body(subscriber, opened)
        targets.check(subscriber.url)
        headers = signing.headers(subscriber, opened.event_id, body, timezone.now())
        if time.monotonic() - started > lanes.LEASE_SECONDS - 2 * CALL_SECONDS:
            return Outcome("held_up", detail="the worker was held up for too long; nothing was sent")
        answer = http.request(
            "POST",
            subscriber.url,
            headers={"Content-Type": f"{CONTENT_TYPE}; charset=utf-8", **headers},
            content=body,
            purpose="subscriber.event",
            budget_seconds=CALL_SECONDS,
            max_bytes=ANSWER_BYTES_MAX,
            is_stranger=True,
        )
    except http.HttpFailure as failure:
        return Outcome(failure.code, detail=str(failure)[:300])
    except ValidationError as refusal:
        return Outcome("forbidden_url", detail=" ".join(refusal.messages)[:300])
    except crypto.SealBroken:
        return Outcome("secret_unreadable", detail="the signing secret cannot be opened; rotate it")
    except (DatabaseError, InterfaceError):
        raise
    except Exception as defect:  # ours: shown on the delivery, and no other subscriber is held up
        log.exception("delivery_broke", delivery_id=opened.delivery_id)
        return Outcome("internal_error", detail=f"{type(defect).__name__}; the log of the hub says why")
    return _judge(answer)


def _body(subscriber: Subscriber, opened: lanes.Opened) -> bytes:
    if opened.movement_id is None or opened.movement_recorded_at is None:
        return envelope.test_body(opened.event_id, subscriber.tenant.slug, opened.created_at)
    movement = Movement.objects.select_related("tenant", "product", "location").get(
        pk=opened.movement_id, recorded_at=opened.movement_recorded_at
    )
    return envelope.body_of(movement)


def _judge(answer: http.Answer) -> Outcome:
    if answer.status < 300:
        return Outcome("delivered", answer.status)
    if answer.status == 410:
        return Outcome("gone", 410, "the receiver answered that it is gone and wants no more events")
    wait = answer.headers.get("retry-after", "")
    patience = min(float(wait), RETRY_AFTER_SECONDS_MAX) if wait.isascii() and wait.isdecimal() else 0.0
    return Outcome("http_error", answer.status, f"the receiver answered {answer.status}", patience)


def _settle(claim: lanes.Claim, subscriber: Subscriber, opened: lanes.Opened, outcome: Outcome, took_ms: int) -> bool:
    """Write down how the try ended. Returns whether the turn may go on."""
    if outcome.code == "delivered":
        if subscriber.failures:
            subscribing.note_success(subscriber)
            subscriber.failures = 0
        return lanes.settle_delivered(claim, opened, outcome, took_ms)
    pause_seconds = _pause_seconds(opened.number, outcome)
    is_mine = lanes.settle_failed(claim, opened, outcome, took_ms, pause_seconds)
    subscribing.note_failure(subscriber)
    log.warning(
        "delivery_failed",
        subscriber_id=str(subscriber.pk),
        delivery_id=opened.delivery_id,
        code=outcome.code,
        status=outcome.http_status,
        attempt=opened.number,
    )
    if is_mine:  # else whoever holds the lane now decides
        _consider_disabling(subscriber, opened, outcome)
    return False


def _pause_seconds(number: int, outcome: Outcome) -> float:
    planned = PAUSES_SECONDS[min(number, len(PAUSES_SECONDS)) - 1]
    return max(planned, outcome.retry_after_seconds) * random.uniform(0.9, 1.1)  # noqa: S311  jitter, not a secret


def _consider_disabling(subscriber: Subscriber, opened: lanes.Opened, outcome: Outcome) -> None:
    """Stop calling a receiver that is gone, refused one event to the last try, or took nothing for as long."""
    if outcome.code == "gone":
        subscribing.disable(subscriber.pk, "gone", outcome.detail)
    elif opened.number >= TRIES_MAX:
        reason = f"event {opened.event_id} failed {opened.number} times, last: {outcome.detail}"
        subscribing.disable(subscriber.pk, "exhausted", reason)
    elif subscribing.has_failed_for(subscriber, sum(PAUSES_SECONDS)):
        subscribing.disable(subscriber.pk, "exhausted", f"nothing got through for a day, last: {outcome.detail}")
    elif opened.number >= WARN_AFTER_TRIES:
        message = f"events fail again and again, last: {outcome.detail}"
        subscribing.raise_alert(subscriber.pk, "failing", message)


# --- Old rows ---------------------------------------------------------------------------------------------------

PRUNE_PAGE = 5000
"""Rows removed in one statement: a long one would hold locks and the feed up."""

PRUNE_DELIVERIES = """
WITH old AS (SELECT id FROM subscriber_deliveries WHERE {condition} LIMIT %s),
     tries AS (DELETE FROM subscriber_attempts a USING old WHERE a.delivery_id = old.id)
DELETE FROM subscriber_deliveries d USING old WHERE d.id = old.id
"""

OLD = "status = 'DELIVERED' AND delivered_at < now() - make_interval(days => %s)"


def prune_delivered(keep_days: int) -> int:
    """Remove a page of deliveries that were taken more than `keep_days` ago. Returns how many; 0: none is left."""
    with connection.cursor() as cursor:
        cursor.execute(PRUNE_DELIVERIES.format(condition=OLD), [keep_days, PRUNE_PAGE])
        return int(cursor.rowcount)


def prune_deleted() -> int:
    """Remove a page of the rows of deleted subscribers, at last the subscribers. Returns how many; 0: none is left."""
    gone = "subscriber_id IN (SELECT id FROM subscribers WHERE deleted_at < now() - interval '1 hour')"
    with connection.cursor() as cursor:
        cursor.execute(PRUNE_DELIVERIES.format(condition=gone), [PRUNE_PAGE])
        if removed := cursor.rowcount:
            return int(removed)
        for table in ("subscriber_lanes", "subscriber_replays", "subscriber_alerts"):
            cursor.execute(f"DELETE FROM {table} WHERE {gone}")  # noqa: S608  names from right here
        cursor.execute("DELETE FROM subscribers WHERE deleted_at < now() - interval '1 hour'")
        return int(cursor.rowcount)
