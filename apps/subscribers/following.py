"""From the ledger's feed to deliveries: what was committed is queued, exactly that, in the order of each product.

`follow` reads for everybody who goes along; the deliveries and the room's cursor commit together. `catch_up` brings one
subscriber that stands behind (it was paused or disabled, or wants a replay) a page further, and lets it go along
again once it has arrived. Whoever leaves or joins the room's reading holds the lock of the room's cursor meanwhile, so
no movement falls between the two.

Locks are taken in one order: the room's cursor, a subscriber, lanes.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.inventory import feed
from apps.inventory.models import FeedCursor, Movement
from apps.subscribers.envelope import event_id
from apps.subscribers.event_types import BY_KIND, matches
from apps.subscribers.models import Delivery, Replay, Subscriber

CONSUMER = "subscribers"

PAGE = 500
"""Movements queued at once for a subscriber that stands behind."""

BACKLOG_MAX = 1000
"""With so much waiting a subscriber that stands behind gets no further page: a replay never fills the table."""

ALONG_MAX = 10_000
"""With so much waiting a subscriber goes along no longer: it stands behind from here on, and misses nothing."""

QUEUE = """
WITH wanted AS (
    SELECT w.* FROM unnest(%(subscribers)s::uuid[], %(products)s::bigint[], %(movements)s::bigint[],
                           %(moments)s::timestamptz[], %(events)s::uuid[], %(types)s::text[])
               WITH ORDINALITY AS w (subscriber_id, product_id, movement_id, recorded_at, event_id, event_type, place)
     WHERE %(replay)s::uuid IS NOT NULL OR NOT EXISTS (
        SELECT FROM subscriber_deliveries d
         WHERE d.subscriber_id = w.subscriber_id AND d.movement_id = w.movement_id)
), lanes AS (
    INSERT INTO subscriber_lanes AS lane (subscriber_id, product_id, due_at)
    SELECT DISTINCT subscriber_id, product_id, now() FROM wanted ORDER BY subscriber_id, product_id
        ON CONFLICT (subscriber_id, product_id) DO UPDATE SET due_at = coalesce(lane.due_at, now())
    RETURNING id, subscriber_id, product_id
)
INSERT INTO subscriber_deliveries
       (subscriber_id, lane_id, replay_id, movement_id, movement_recorded_at, event_id, event_type, status, attempts)
SELECT subscriber_id, lanes.id, %(replay)s::uuid, movement_id, recorded_at, event_id, event_type, 'PENDING', 0
  FROM wanted JOIN lanes USING (subscriber_id, product_id)
 ORDER BY place
    ON CONFLICT DO NOTHING
"""
# The lane's row lock is what makes "is anything left?" at a turn's end safe (lanes.end_turn): either it waits for these
# rows, or this statement waits for it and finds `due_at` null.


def follow() -> int:
    """Queue the next movements for everybody who goes along. Returns how many movements were read."""
    if not along().exists():
        return 0  # the cursor rests: whoever comes first begins at that moment (subscribing.create)
    with feed.batch(CONSUMER) as movements:
        # read after the movements: whoever began before one of them was committed is seen here
        subscribers = list(along().filter(tenant_id__in={movement.tenant_id for movement in movements}))
        tenants = {subscriber.tenant_id for subscriber in subscribers}
        queue([movement for movement in movements if movement.tenant_id in tenants], subscribers)
    return len(movements)


def along() -> QuerySet[Subscriber]:
    """Return who goes along with the room's reading."""
    return Subscriber.objects.filter(status=Subscriber.Status.ACTIVE, cursor_transaction_id=None, deleted_at=None)


def queue(movements: Sequence[Movement], subscribers: Sequence[Subscriber], replay: Replay | None = None) -> int:
    """Queue each movement for each of the subscribers that wants it, in one statement. Returns how many were new.

    movements: in the order of the feed; queued in the order of each balance's versions.
    """
    by_tenant: dict[int, list[Subscriber]] = {}
    for subscriber in subscribers:
        by_tenant.setdefault(subscriber.tenant_id, []).append(subscriber)
    wanted = [
        (subscriber, movement)
        for movement in feed.in_version_order(movements)
        for subscriber in by_tenant.get(movement.tenant_id, ())
        if matches(BY_KIND[movement.kind].type, subscriber.event_types)
    ]
    if not wanted:
        return 0
    values: dict[str, Any] = {
        "subscribers": [subscriber.pk for subscriber, _movement in wanted],
        "products": [movement.product_id for _subscriber, movement in wanted],
        "movements": [movement.pk for _subscriber, movement in wanted],
        "moments": [movement.recorded_at for _subscriber, movement in wanted],
        "events": [event_id(movement.pk, movement.trace_id) for _subscriber, movement in wanted],
        "types": [BY_KIND[movement.kind].type for _subscriber, movement in wanted],
        "replay": replay.pk if replay else None,
    }
    with connection.cursor() as cursor:
        cursor.execute(QUEUE, values)
        return int(cursor.rowcount)


def lock_room() -> FeedCursor:
    """Take the lock of the room's cursor until the transaction ends: nobody follows, leaves or joins meanwhile."""
    FeedCursor.objects.get_or_create(consumer=CONSUMER)
    return FeedCursor.objects.select_for_update().get(consumer=CONSUMER)


def position_of(cursor: FeedCursor) -> feed.Position:
    """Return where a cursor stands."""
    return cursor.transaction_id, cursor.movement_id


def standing(subscriber: Subscriber, room: FeedCursor) -> feed.Position:
    """Return where the subscriber stands: its own cursor, or the room's when it goes along."""
    if subscriber.cursor_transaction_id is None or subscriber.cursor_movement_id is None:
        return position_of(room)
    return subscriber.cursor_transaction_id, subscriber.cursor_movement_id


def stand(subscriber: Subscriber, position: feed.Position | None) -> None:
    """Give the subscriber a cursor of its own, or (None) let it go along. Saves nothing."""
    subscriber.cursor_transaction_id, subscriber.cursor_movement_id = position or (None, None)


# --- Those who stand behind -------------------------------------------------------------------------------------


def behind() -> list[uuid.UUID]:
    """Return the active subscribers that have a cursor of their own."""
    rows = Subscriber.objects.filter(
        status=Subscriber.Status.ACTIVE, cursor_transaction_id__isnull=False, deleted_at=None
    )
    return list(rows.values_list("pk", flat=True))


def catch_up(subscriber_id: uuid.UUID) -> bool:
    """Bring a subscriber a page further, or let it go along when there is no full page left.

    A page is read without the room's lock, since a replay's first one may take a while to find; the last and shortest
    one with it. Returns False when the subscriber must wait: it has too much to take first, or is no longer active.
    """
    is_full = _catch_up(subscriber_id, is_joining=False)
    if is_full is False:
        is_full = _catch_up(subscriber_id, is_joining=True)
    return is_full is not None


@transaction.atomic
def _catch_up(subscriber_id: uuid.UUID, *, is_joining: bool) -> bool | None:
    """Queue one page. Returns whether it was a full one; None when there may be none now."""
    room = lock_room() if is_joining else FeedCursor.objects.filter(consumer=CONSUMER).first()
    subscriber = Subscriber.objects.select_for_update(no_key=True, skip_locked=True).filter(pk=subscriber_id).first()
    if room is None or subscriber is None or not _may_go_on(subscriber):
        return None
    end = position_of(room)
    start = standing(subscriber, room)
    replay = Replay.objects.filter(subscriber=subscriber, status=Replay.Status.RUNNING).first()
    movements = feed.page(
        subscriber.tenant_id,
        after=start if start <= end else (0, 0),  # ahead: the room started over in another cluster (ADR 0002)
        up_to=end,
        since=replay.since if replay else None,
        limit=PAGE,
    )
    queued = queue(movements, [subscriber], replay)
    is_full = len(movements) == PAGE
    if is_full:
        stand(subscriber, (movements[-1].transaction_id, movements[-1].pk))
    else:
        stand(subscriber, None if is_joining else end)
    subscriber.save(update_fields=["cursor_transaction_id", "cursor_movement_id"])
    if replay:
        _note(replay, queued, has_arrived=is_joining and not is_full)
    return is_full


def _may_go_on(subscriber: Subscriber) -> bool:
    is_behind = subscriber.status == Subscriber.Status.ACTIVE and subscriber.cursor_transaction_id is not None
    return is_behind and subscriber.deleted_at is None and not _waiting(subscriber, BACKLOG_MAX)


def _waiting(subscriber: Subscriber, limit: int) -> bool:
    """Tell whether at least `limit` deliveries wait, without counting them all."""
    pending = Delivery.objects.filter(subscriber=subscriber, status=Delivery.Status.PENDING)
    return pending.values("pk")[:limit].count() >= limit


def _note(replay: Replay, queued: int, *, has_arrived: bool) -> None:
    replay.queued += queued
    if has_arrived:
        replay.status, replay.finished_at = Replay.Status.DONE, timezone.now()
    replay.save(update_fields=["queued", "status", "finished_at"])


def set_aside_the_overloaded() -> int:
    """Give those with too much waiting a cursor of their own: they catch up when they take what waits."""
    overloaded = [subscriber.pk for subscriber in along() if _waiting(subscriber, ALONG_MAX)]
    if not overloaded:
        return 0
    with transaction.atomic():
        transaction_id, movement_id = position_of(lock_room())
        return (
            along()
            .filter(pk__in=overloaded)
            .update(cursor_transaction_id=transaction_id, cursor_movement_id=movement_id)
        )
