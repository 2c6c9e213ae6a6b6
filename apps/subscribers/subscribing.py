"""The life of a subscriber: made, changed, paused, disabled, resumed, deleted; and the replays it asks for.

Whatever changes from where a subscriber reads holds the lock of the room's cursor (`following.lock_room`), so no
movement is read for it twice or not at all. Errors are LifeErrors with a stable code; doors turn them into answers.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.inventory import feed
from apps.subscribers import following, signing, targets
from apps.subscribers.event_types import TEST_TYPE
from apps.subscribers.models import Alert, Delivery, Lane, Replay, Subscriber
from apps.tenants.models import Tenant

log = structlog.get_logger(__name__)

SUBSCRIBERS_MAX = 50
"""Per tenant: each one costs a row per movement."""


class LifeError(Exception):
    """What was asked of a subscriber cannot be done now. Nothing was changed. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def of_tenant(tenant: Tenant) -> QuerySet[Subscriber]:
    """Return the tenant's subscribers; the deleted ones are nobody's."""
    return Subscriber.objects.filter(tenant=tenant, deleted_at=None)


@transaction.atomic
def create(
    tenant: Tenant, url: str, *, event_types: Iterable[str] = (), description: str = ""
) -> tuple[Subscriber, str]:
    """Make a subscriber that is told of every movement from now on. Returns it and its secret, shown nowhere again.

    event_types: names of types or beginnings such as `inventory.reserve.*`; none means every type.
    Raises ValidationError for an address that must not be posted to, LifeError when the tenant has too many.
    """
    targets.check(url)
    room = following.lock_room()
    if of_tenant(tenant).count() >= SUBSCRIBERS_MAX:
        raise LifeError(
            "too_many_subscribers",
            _("A tenant has at most %d subscribers; delete one first. Nothing was changed.") % SUBSCRIBERS_MAX,
        )
    if not following.along().exists():
        feed.skip_to_now(room)  # nobody was reading: what happened meanwhile is nobody's
    subscriber = Subscriber(tenant=tenant, url=url, description=description, event_types=sorted(set(event_types)))
    subscriber.complete_from_transaction_id, subscriber.complete_from_movement_id = following.position_of(room)
    secret = signing.issue(subscriber)
    subscriber.save(force_insert=True)
    log.info("subscriber_created", subscriber_id=str(subscriber.pk), tenant_id=tenant.pk)
    return subscriber, secret


@transaction.atomic
def change(subscriber: Subscriber, **values: object) -> Subscriber:
    """Change `url`, `description` or `event_types`. Returns the row as it is now. Raises ValidationError."""
    if "url" in values:
        targets.check(str(values["url"]))
    room = following.lock_room()
    locked = Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber.pk)
    for name, value in values.items():
        setattr(locked, name, value)
    if "event_types" in values:  # what was not wanted before here is not owed now
        standing = following.standing(locked, room)
        locked.complete_from_transaction_id, locked.complete_from_movement_id = standing
    locked.save()
    return locked


def pause(subscriber: Subscriber) -> Subscriber:
    """Stop telling it, and keep its place: nothing is lost until it is resumed. Returns the row as it is now."""
    return _leave(subscriber.pk, Subscriber.Status.PAUSED) or Subscriber.objects.get(pk=subscriber.pk)


@transaction.atomic
def disable(subscriber_id: uuid.UUID, code: str, reason: str) -> None:
    """Stop telling a subscriber that does not take what it is sent, and ask a person to look.

    What is pending stays pending, and its place is kept: once resumed it is told everything it missed.
    """
    if _leave(subscriber_id, Subscriber.Status.DISABLED, code=code, reason=reason):
        log.error("subscriber_disabled", subscriber_id=str(subscriber_id), code=code)
        raise_alert(subscriber_id, code, reason)


@transaction.atomic
def _leave(
    subscriber_id: uuid.UUID, status: Subscriber.Status, *, code: str = "", reason: str = ""
) -> Subscriber | None:
    """Take the subscriber out of the room's reading. None when it was not active."""
    room = following.lock_room()
    locked = Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber_id)
    if locked.status != Subscriber.Status.ACTIVE:
        return None
    following.stand(locked, following.standing(locked, room))
    locked.status, locked.status_code, locked.status_reason = status, code, reason[:300]
    locked.save()
    return locked


@transaction.atomic
def resume(subscriber: Subscriber) -> Subscriber:
    """Tell it again, from where it stood, beginning with what failed. Returns the row as it is now."""
    locked = Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber.pk)
    if locked.status != Subscriber.Status.ACTIVE:
        locked.status, locked.status_code, locked.status_reason = Subscriber.Status.ACTIVE, "", ""
        locked.failures, locked.failing_since = 0, None
        locked.save()
        Delivery.objects.filter(subscriber=locked, status=Delivery.Status.PENDING, attempts__gt=0).update(attempts=0)
        Lane.objects.filter(subscriber=locked, lease_id=None, due_at__gt=Now()).update(due_at=Now())
        _close_alerts(locked)
    return locked


@transaction.atomic
def delete(subscriber: Subscriber) -> None:
    """Forget the subscriber and its secrets at once; its rows are removed in the background."""
    _leave(subscriber.pk, Subscriber.Status.DISABLED, code="deleted")
    Subscriber.objects.filter(pk=subscriber.pk).update(
        deleted_at=Now(), secret_enc="", secret_last4="", previous_secret_enc="", previous_secret_until=None, url=""
    )
    _close_alerts(subscriber)


# --- Trouble ----------------------------------------------------------------------------------------------------


def note_failure(subscriber: Subscriber) -> None:
    """Count a failed try."""
    Subscriber.objects.filter(pk=subscriber.pk).update(
        failures=F("failures") + 1, failing_since=Coalesce("failing_since", Now())
    )


def note_success(subscriber: Subscriber) -> None:
    """It takes events again: nothing is counted against it any more."""
    Subscriber.objects.filter(pk=subscriber.pk).update(failures=0, failing_since=None)
    _close_alerts(subscriber)


def has_failed_for(subscriber: Subscriber, seconds: float) -> bool:
    """Tell whether nothing was taken for so long, though tried."""
    since = Now() - timedelta(seconds=seconds)
    return Subscriber.objects.filter(pk=subscriber.pk, failing_since__lt=since).exists()


def raise_alert(subscriber_id: uuid.UUID, code: str, message: str) -> None:
    """Ask a person to look. The same trouble again counts up; only new trouble is logged loudly."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO subscriber_alerts AS alert (subscriber_id, code, message, times) VALUES (%s, %s, %s, 1)
                   ON CONFLICT (subscriber_id, code) WHERE closed_at IS NULL
                   DO UPDATE SET times = alert.times + 1, last_seen_at = now(), message = excluded.message
               RETURNING times""",
            [subscriber_id, code, message[:300]],
        )
        times = cursor.fetchone()[0]
    if times == 1:
        log.error("subscriber_alert", subscriber_id=str(subscriber_id), code=code)


def _close_alerts(subscriber: Subscriber) -> None:
    Alert.objects.filter(subscriber=subscriber, closed_at=None).update(closed_at=Now())


# --- Test events and replays ------------------------------------------------------------------------------------


@transaction.atomic
def send_test(subscriber: Subscriber) -> Delivery:
    """Queue a test event and return its delivery: it goes the way of every other one.

    Raises LifeError when the subscriber is told nothing now.
    """
    if subscriber.status != Subscriber.Status.ACTIVE:
        raise LifeError(
            "subscriber_not_active", _("The subscriber is told nothing now; resume it first. Nothing was sent.")
        )
    Lane.objects.bulk_create([Lane(subscriber=subscriber, product=None)], ignore_conflicts=True)
    lane = Lane.objects.select_for_update(no_key=True).get(subscriber=subscriber, product=None)
    delivery = Delivery.objects.create(
        subscriber=subscriber, lane=lane, event_id=uuid.uuid4(), event_type=TEST_TYPE, status=Delivery.Status.PENDING
    )
    Lane.objects.filter(pk=lane.pk, due_at=None).update(due_at=Now())
    delivery.refresh_from_db()
    return delivery


@transaction.atomic
def start_replay(subscriber: Subscriber, since: datetime) -> Replay:
    """Tell the subscriber again whatever was recorded at or after `since`, under the same ids and in order.

    What happens meanwhile waits behind it. The work is done in pages by the follower (`following.catch_up`), while the
    subscriber is active. Raises LifeError when a replay is running already.
    """
    room = following.lock_room()
    locked = Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber.pk)
    if Replay.objects.filter(subscriber=locked, status=Replay.Status.RUNNING).exists():
        raise LifeError(
            "replay_running", _("A replay is running; wait for it or cancel it first. Nothing was changed.")
        )
    transaction_id, movement_id = following.standing(locked, room)
    replay = Replay.objects.create(
        subscriber=locked, since=since, return_transaction_id=transaction_id, return_movement_id=movement_id
    )
    following.stand(locked, (0, 0))
    locked.save(update_fields=["cursor_transaction_id", "cursor_movement_id"])
    log.info("replay_started", subscriber_id=str(locked.pk), replay_id=str(replay.pk), since=since.isoformat())
    replay.refresh_from_db()
    return replay


@transaction.atomic
def cancel_replay(replay: Replay) -> Replay:
    """Queue no more of it; what is queued (at most a backlog) is still told. Returns the row as it is now.

    The subscriber goes on from where it stood before, or from where the replay came to when that is further.
    """
    subscriber = Subscriber.objects.select_for_update(no_key=True).get(pk=replay.subscriber_id)
    locked = Replay.objects.select_for_update(no_key=True).get(pk=replay.pk)
    if locked.status == Replay.Status.RUNNING:
        stands_at = (subscriber.cursor_transaction_id or 0, subscriber.cursor_movement_id or 0)
        following.stand(subscriber, max(stands_at, (locked.return_transaction_id, locked.return_movement_id)))
        subscriber.save(update_fields=["cursor_transaction_id", "cursor_movement_id"])
        locked.status, locked.finished_at = Replay.Status.CANCELLED, timezone.now()
        locked.save(update_fields=["status", "finished_at"])
    return locked
