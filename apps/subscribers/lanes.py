"""Who delivers what next: lanes are claimed with a lease, their deliveries opened one by one, and settled.

A lane's `due_at` is the duty: a claim pushes it past the lease, so the lane of a dead worker falls due by itself. Every
statement here that ends something asks for the lease: a worker that lost it speaks of the past and ends nothing.

Fairness. A claim takes at most `CALLS_MAX` lanes of one subscriber at a time, one while it keeps failing, and takes
first from whoever has fewest calls under way: a receiver that hangs costs the others one thread, not all.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from apps.subscribers.models import Attempt

LEASE_SECONDS = 60
"""Longer than a call (delivering.CALL_SECONDS) and what is written around it; renewed for each delivery of a turn."""

CALLS_MAX = 4
"""Lanes of one subscriber that are delivered at the same time."""

PROBATION_AFTER = 3
"""After so many failures in a row a subscriber is called in one lane at a time."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to deliver in one lane until the lease ends."""

    lane_id: int
    subscriber_id: uuid.UUID
    lease_id: uuid.UUID
    was_interrupted: bool  # an earlier lease ran out: somebody died at work


@dataclass(frozen=True, slots=True)
class Opened:
    """The oldest pending delivery of a claimed lane, and the try that was just written down."""

    attempt_id: int
    number: int  # from 1
    delivery_id: int
    movement_id: int | None
    movement_recorded_at: datetime | None
    event_id: uuid.UUID
    created_at: datetime
    subscriber_changed_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try ended. `code` is stable: `delivered`, `http_error`, `gone`, `timeout`, `forbidden_address` …"""

    code: str
    http_status: int | None = None
    detail: str = ""
    retry_after_seconds: float = 0.0


CLAIM = """
WITH active AS (
    SELECT s.id, CASE WHEN s.failures >= %(probation)s THEN 1 ELSE %(calls)s END AS most,
           (SELECT count(*) FROM subscriber_lanes held
             WHERE held.subscriber_id = s.id AND held.lease_id IS NOT NULL AND held.due_at > now()) AS calls
      FROM subscribers s WHERE s.status = 'ACTIVE' AND s.deleted_at IS NULL
), chosen AS (
    SELECT due.id FROM active CROSS JOIN LATERAL (
        SELECT l.id, l.due_at, active.calls + row_number() OVER (ORDER BY l.due_at, l.id) AS place
          FROM subscriber_lanes l WHERE l.subscriber_id = active.id AND l.due_at <= now()
         ORDER BY l.due_at, l.id LIMIT greatest(active.most - active.calls, 0)
    ) due
    ORDER BY due.place, due.due_at, due.id LIMIT %(limit)s
)
UPDATE subscriber_lanes l SET lease_id = gen_random_uuid(), due_at = now() + make_interval(secs => %(lease)s)
  FROM chosen WHERE l.id = chosen.id AND l.due_at <= now()
RETURNING l.id, l.subscriber_id, l.lease_id, old.lease_id IS NOT NULL
"""


def claim(limit: int) -> list[Claim]:
    """Claim up to `limit` due lanes, spread over the subscribers."""
    values = {"probation": PROBATION_AFTER, "calls": CALLS_MAX, "limit": limit, "lease": LEASE_SECONDS}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        return [Claim(*row) for row in cursor.fetchall()]


OPEN = """
WITH mine AS (
    UPDATE subscriber_lanes l SET due_at = now() + make_interval(secs => %(lease)s) FROM subscribers s
     WHERE l.id = %(lane)s AND l.lease_id = %(lease_id)s
       AND s.id = l.subscriber_id AND s.status = 'ACTIVE' AND s.deleted_at IS NULL
    RETURNING l.id, s.updated_at
), head AS (
    SELECT d.id FROM subscriber_deliveries d JOIN mine ON d.lane_id = mine.id
     WHERE d.status = 'PENDING' ORDER BY d.id LIMIT 1
), counted AS (
    UPDATE subscriber_deliveries d SET attempts = d.attempts + 1 FROM head WHERE d.id = head.id RETURNING d.*
), opened AS (
    INSERT INTO subscriber_attempts (delivery_id, number, outcome, detail)
    SELECT id, attempts, '', '' FROM counted RETURNING id
)
SELECT opened.id, counted.attempts, counted.id, counted.movement_id, counted.movement_recorded_at, counted.event_id,
       counted.created_at, mine.updated_at
  FROM counted, opened, mine
"""


def open_attempt(claim: Claim) -> Opened | None:
    """Write down that the lane's oldest pending delivery is tried now, and renew the lease.

    None: the lease is lost, the subscriber is told nothing now, or nothing is pending.
    """
    with connection.cursor() as cursor:
        cursor.execute(OPEN, {"lease": LEASE_SECONDS, "lane": claim.lane_id, "lease_id": claim.lease_id})
        row = cursor.fetchone()
    return Opened(*row) if row else None


CLOSED = """
WITH closed AS (
    UPDATE subscriber_attempts
       SET outcome = %(code)s, http_status = %(status)s, detail = %(detail)s, duration_ms = %(ms)s
     WHERE id = %(attempt)s
)"""
# whoever holds the lease by now: that this call was made and how it ended stays true

SETTLE_DELIVERED = f"""{CLOSED}, mine AS (
    UPDATE subscriber_lanes SET due_at = now() + make_interval(secs => %(seconds)s)
     WHERE id = %(lane)s AND lease_id = %(lease_id)s RETURNING id
)
UPDATE subscriber_deliveries d SET status = 'DELIVERED', delivered_at = now()
  FROM mine WHERE d.lane_id = mine.id AND d.id = %(delivery)s AND d.status = 'PENDING'
"""  # noqa: S608  every part stands right here

SETTLE_FAILED = f"""{CLOSED}
UPDATE subscriber_lanes SET lease_id = NULL, due_at = now() + make_interval(secs => %(seconds)s)
 WHERE id = %(lane)s AND lease_id = %(lease_id)s
"""  # noqa: S608


def settle_delivered(claim: Claim, opened: Opened, outcome: Outcome, took_ms: int) -> bool:
    """End a delivery that was taken. False: the lease was lost, and whoever holds it now tells the same event again."""
    return _settle(SETTLE_DELIVERED, claim, opened, outcome, took_ms, LEASE_SECONDS)


def settle_failed(claim: Claim, opened: Opened, outcome: Outcome, took_ms: int, pause_seconds: float) -> bool:
    """End the turn with the next try due after a pause. False: the lease was lost."""
    return _settle(SETTLE_FAILED, claim, opened, outcome, took_ms, pause_seconds)


def _settle(statement: str, claim: Claim, opened: Opened, outcome: Outcome, took_ms: int, seconds: float) -> bool:
    values = {
        "code": outcome.code,
        "status": outcome.http_status,
        "detail": outcome.detail,
        "ms": took_ms,
        "attempt": opened.attempt_id,
        "delivery": opened.delivery_id,
        "lane": claim.lane_id,
        "lease_id": claim.lease_id,
        "seconds": seconds,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return bool(cursor.rowcount)


def end_turn(claim: Claim) -> None:
    """Give the lane back: due at once when something is still pending, at rest when nothing is.

    The row is locked first and the question asked in a statement of its own: whoever queues something new holds the
    same lock while doing so, so it is either seen here or finds the lane at rest and wakes it.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM subscriber_lanes WHERE id = %s AND lease_id = %s FOR NO KEY UPDATE",
            [claim.lane_id, claim.lease_id],
        )
        if cursor.rowcount:
            cursor.execute(
                """UPDATE subscriber_lanes l SET lease_id = NULL, due_at = CASE WHEN EXISTS (
                       SELECT FROM subscriber_deliveries d WHERE d.lane_id = l.id AND d.status = 'PENDING')
                       THEN now() END
                    WHERE l.id = %s""",
                [claim.lane_id],
            )


def close_interrupted(claim: Claim) -> None:
    """Say of tries in this lane whose end was never written that their result is unknown: a worker died."""
    Attempt.objects.filter(delivery__lane_id=claim.lane_id, delivery__status="PENDING", outcome="").update(
        outcome="interrupted", detail="the worker stopped before the answer was written down; the event is sent again"
    )
