"""Send what is due: claim, write the try down, call out, settle (law 7).

A worker that is killed between the call and the settling leaves a lease that ends by itself; then the message is sent
again, under the same key (an e-mail's Message-ID). So a notification arrives at least once, and once more at most for
each such death: neither SMTP nor a phone network could tell us whether it was taken.

No log line here names a person or a contact, and no exception's text is logged: mail libraries put addresses in it.
"""

import time
import traceback
import uuid
from dataclasses import dataclass
from pathlib import Path

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now

from apps.notifications import wording
from apps.notifications.drivers import NotSent, driver_of
from apps.notifications.models import Notification, NotificationTry, PickupCounter
from apps.orders.models import Order

log = structlog.get_logger(__name__)

LEASE_SECONDS = 180
"""Longer than an SMTP conversation whose every step takes just less than EMAIL_TIMEOUT."""

SENT, ORDER_NOT_READY = "sent", "order_not_ready"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send one notification until the lease ends."""

    notification_id: int
    tenant_id: int
    order_id: int
    medium: str
    number: int  # of the try, from 1
    lease_id: uuid.UUID
    was_interrupted: bool  # an earlier lease ran out: somebody died at work


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try ended. `code` is stable; `detail` holds nothing personal."""

    code: str
    is_final: bool
    detail: str = ""


CLAIM = """
WITH due AS (
    SELECT id FROM notificacao WHERE due_at <= now() ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE notificacao n
   SET lease_id = gen_random_uuid(), due_at = now() + make_interval(secs => %s), attempts = n.attempts + 1
  FROM due WHERE n.id = due.id
RETURNING n.id, n.tenant_id, n.pedido_id, n.meio, n.attempts, n.lease_id, old.lease_id IS NOT NULL
"""


def claim_due() -> Claim | None:
    """Claim the notification that waited longest, or return None when nothing is due."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [LEASE_SECONDS])
        row = cursor.fetchone()
    return Claim(*row) if row else None


def send_next() -> bool:
    """Send the next due notification. Returns False when nothing is due.

    Never raises for what a driver does: the try is settled with a code instead. Raises OperationalError or
    InterfaceError when the database itself is away.
    """
    claim = claim_due()
    if claim is None:
        return False
    if claim.was_interrupted:
        _close_interrupted(claim)
    row = NotificationTry.objects.create(
        notification_id=claim.notification_id,
        number=claim.number,
        driver=settings.NOTIFICATION_DRIVERS.get(claim.medium, ""),
    )
    started = time.monotonic()
    outcome = _send(claim)
    _settle(claim, row, outcome, took_ms=round((time.monotonic() - started) * 1000))
    log.info(
        "notification.try",
        notification=claim.notification_id,
        tenant=claim.tenant_id,
        order_id=claim.order_id,
        medium=claim.medium,
        number=claim.number,
        outcome=outcome.code,
        detail=outcome.detail,
    )
    return True


def _send(claim: Claim) -> Outcome:
    try:
        if claim.number > len(settings.NOTIFICATION_PAUSES_SECONDS) + 1:
            return Outcome("sender_died", is_final=True)  # every worker that took it, to the last try
        order = Order.objects.get(pk=claim.order_id)
        if order.status != Order.Status.READY:
            return Outcome(ORDER_NOT_READY, is_final=True)
        counter = PickupCounter.objects.filter(connector_id=order.connector_id).first()
        if counter is None:
            return Outcome("no_pickup_counter", is_final=True)
        message = wording.compose(f"saldo-notification-{claim.notification_id}", claim.medium, order, counter)
        driver_of(claim.medium).send(message)
    except NotSent as refusal:
        return Outcome(refusal.code, refusal.is_permanent, refusal.detail)
    except (OperationalError, InterfaceError):  # the database is away: the lease ends by itself
        raise
    except Exception as defect:  # ours or a plug-in's: its text may hold a contact, so the place must do
        place = traceback.extract_tb(defect.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        log.error("notification.failed", notification=claim.notification_id, error=type(defect).__name__, where=where)
        return Outcome("driver_failed", is_final=False, detail=f"{type(defect).__name__} {where}"[:100])
    return Outcome(SENT, is_final=True)


@transaction.atomic
def _settle(claim: Claim, row: NotificationTry, outcome: Outcome, *, took_ms: int) -> None:
    """Finish the try's row, and end the claim when it is still ours.

    What was sent is sent, even if somebody asked for it anew meanwhile; only what is still pending is tried again.
    """
    NotificationTry.objects.filter(pk=row.pk).update(
        outcome=outcome.code, detail=outcome.detail[:100], duration_ms=took_ms
    )
    mine = Notification.objects.filter(pk=claim.notification_id, lease_id=claim.lease_id)
    if outcome.code == SENT:
        mine.update(status=Notification.Status.SENT, sent_at=Now(), due_at=None, lease_id=None, error_code="")
        return
    pending = mine.filter(status=Notification.Status.PENDING)
    pauses = settings.NOTIFICATION_PAUSES_SECONDS
    if outcome.is_final or claim.number > len(pauses):
        is_needless = outcome.code == ORDER_NOT_READY
        ended = Notification.Status.CANCELLED if is_needless else Notification.Status.FAILED
        pending.update(status=ended, due_at=None, lease_id=None, error_code=outcome.code)
        return
    pause_seconds = pauses[claim.number - 1]
    with connection.cursor() as cursor:  # the database's clock, as everywhere a duty falls due
        cursor.execute(
            """UPDATE notificacao SET due_at = now() + make_interval(secs => %s), lease_id = NULL, error_code = %s
                WHERE id = %s AND lease_id = %s AND status = 'PENDENTE'""",
            [pause_seconds, outcome.code, claim.notification_id, claim.lease_id],
        )


def _close_interrupted(claim: Claim) -> None:
    """Say of tries whose end was never written that their result is unknown: a worker died."""
    tries = NotificationTry.objects.filter(notification_id=claim.notification_id, outcome="")
    tries.update(outcome="interrupted", detail="the worker stopped; the message is sent again")


FORGET_TOGETHER = 2000

FORGET_TRIES = """
DELETE FROM notificacao_tentativa WHERE id IN (
    SELECT oldest.id
      FROM (SELECT id, notificacao_id, started_at FROM notificacao_tentativa ORDER BY id LIMIT %s) oldest
      JOIN notificacao n ON n.id = oldest.notificacao_id AND n.due_at IS NULL
     WHERE oldest.started_at < now() - make_interval(days => %s))
"""


def forget_old_tries(days: int) -> int:
    """Remove tries that began longer ago than `days`, of notifications that ended; those stay. Returns how many.

    Read from the oldest on, so that a table of any size costs no more than what is removed.
    """
    forgotten = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(FORGET_TRIES, [FORGET_TOGETHER, days])
            done = int(cursor.rowcount)
        forgotten += done
        if done < FORGET_TOGETHER:
            return forgotten
