"""The ledger as an outbox: movements in commit order, for readers that keep a cursor (law 3, architecture §4.4).

`id > last seen` would lose rows: ids are drawn before the commit, so a slow transaction commits a smaller id after a
fast one committed a larger. Each movement therefore carries the id of the transaction that wrote it, and a reader stops
below the oldest transaction that still runs (`pg_snapshot_xmin`): whatever is below that line is settled for good.

The cursor moves in the reader's own transaction: what a reader writes into this database happens exactly once, whatever
it does elsewhere happens at least once. A transaction left open anywhere in the cluster holds the feed up, it never
makes it skip. Transaction ids belong to one cluster: after a dump was restored into another one, a cursor that stands
in its future starts over (ADR 0002).

The order of the feed is that of the transactions' ids, and an id is drawn before a balance is locked. So of two rivals
for one balance the one with the smaller id may hold the higher version, and the end of a batch may fall between them.
Who needs a balance's movements in the order of their versions asks `in_version_order`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import structlog
from django.db import connection, transaction

from apps.inventory.models import FeedCursor, Movement

log = structlog.get_logger(__name__)

BATCH_MAX = 1000
"""No reader takes more movements into memory at once."""

UNREAD = """
SELECT * FROM inventory_ledger
WHERE (transaction_id, id) > (%s, %s)
  AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY transaction_id, id
LIMIT %s
"""

HAS_WORK = """
SELECT c.transaction_id > pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    OR coalesce(next.transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint, false)
  FROM inventory_feed_cursors c LEFT JOIN LATERAL (
       SELECT transaction_id FROM inventory_ledger
        WHERE (transaction_id, id) > (c.transaction_id, c.movement_id)
        ORDER BY transaction_id, id LIMIT 1) AS next ON true
 WHERE c.consumer = %s
"""

PAGE = """
SELECT * FROM inventory_ledger
WHERE tenant_id = %s AND (transaction_id, id) > (%s, %s) AND (transaction_id, id) <= (%s, %s) AND recorded_at >= %s
ORDER BY transaction_id, id
LIMIT %s
"""

VERSIONS = """
SELECT m.* FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
         AS wanted (tenant_id, product_id, location_id, version)
  JOIN inventory_ledger m USING (tenant_id, product_id, location_id, version)
 WHERE m.recorded_at > %s
"""

HALVING = """
WITH RECURSIVE ends AS (
    (SELECT transaction_id, recorded_at FROM inventory_ledger WHERE tenant_id = %(tenant)s
      ORDER BY transaction_id, id LIMIT 1)
     UNION ALL
    (SELECT transaction_id, recorded_at FROM inventory_ledger WHERE tenant_id = %(tenant)s
      ORDER BY transaction_id DESC, id DESC LIMIT 1)),
halving (low, high, at, recorded_at) AS (
    SELECT min(transaction_id), max(transaction_id) + 1, NULL::bigint, NULL::timestamptz FROM ends
    HAVING count(*) > 0
     UNION ALL
    SELECT CASE WHEN m.recorded_at < %(moment)s THEN m.transaction_id + 1 ELSE h.low END,
           CASE WHEN m.recorded_at < %(moment)s THEN h.high ELSE (h.low + h.high) / 2 END,
           m.transaction_id, m.recorded_at
      FROM halving AS h CROSS JOIN LATERAL (
           SELECT transaction_id, recorded_at FROM inventory_ledger
            WHERE tenant_id = %(tenant)s AND transaction_id >= (h.low + h.high) / 2
            ORDER BY transaction_id, id LIMIT 1) AS m
     WHERE h.low < h.high)
SELECT low, at, recorded_at FROM halving
 UNION ALL
SELECT 0, transaction_id, recorded_at FROM ends
"""

LONGEST_TRANSACTION = timedelta(days=1)
"""No transaction that writes stock stays open for longer; it bounds where a version that is still unread may stand."""

ALWAYS = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
"""Before every movement, and a moment that PostgreSQL knows in every time zone."""

Position = tuple[int, int]
"""Where a reader stands: (transaction id, movement id)."""

Place = tuple[int, int, int]  # tenant, product, location: one balance


@contextmanager
def batch(consumer: str, limit: int = BATCH_MAX) -> Iterator[list[Movement]]:
    """Yield the next movements for `consumer` in one transaction and move its cursor when the block ends well.

    An empty list means there is nothing to do now: nothing new, or another worker is reading as this consumer. When the
    block raises, the cursor stays and the same movements come again.
    """
    if not _has_work(consumer):
        yield []
        return
    with transaction.atomic():
        cursor = FeedCursor.objects.select_for_update(skip_locked=True).filter(consumer=consumer).first()
        movements = read(cursor, limit) if cursor else []
        yield movements
        if cursor and movements:
            cursor.transaction_id, cursor.movement_id = movements[-1].transaction_id, movements[-1].pk
            cursor.save(update_fields=["transaction_id", "movement_id", "updated_at"])


def _has_work(consumer: str) -> bool:
    """Tell whether a look at the feed is worth a lock: an idle reader writes nothing and holds no other reader up."""
    with connection.cursor() as query:
        query.execute(HAS_WORK, [consumer])
        found = query.fetchone()
    if found is None:
        FeedCursor.objects.get_or_create(consumer=consumer)
        return True
    return bool(found[0])


def read(cursor: FeedCursor, limit: int) -> list[Movement]:
    """Return up to `limit` movements after the cursor, in commit order."""
    movements = _unread(cursor, limit)
    if movements or not _is_ahead_of_this_cluster(cursor):
        return movements
    log.error("feed_restarted", consumer=cursor.consumer, transaction_id=cursor.transaction_id)
    cursor.transaction_id = cursor.movement_id = 0
    return _unread(cursor, limit)


def _unread(cursor: FeedCursor, limit: int) -> list[Movement]:
    return list(Movement.objects.raw(UNREAD, [cursor.transaction_id, cursor.movement_id, min(limit, BATCH_MAX)]))


def _is_ahead_of_this_cluster(cursor: FeedCursor) -> bool:
    """Tell whether the cursor names a transaction that this cluster has not begun: the data came from another one."""
    with connection.cursor() as query:
        query.execute("SELECT %s > pg_snapshot_xmax(pg_current_snapshot())::text::bigint", [cursor.transaction_id])
        return bool(query.fetchone()[0])


OLDEST_UNREAD = """
SELECT c.consumer, m.recorded_at FROM inventory_feed_cursors c LEFT JOIN LATERAL (
       SELECT recorded_at FROM inventory_ledger
        WHERE (transaction_id, id) > (c.transaction_id, c.movement_id)
        ORDER BY transaction_id, id LIMIT 1) AS m ON true
 ORDER BY c.consumer
"""


def oldest_unread() -> dict[str, datetime | None]:
    """Return, per reader, when the oldest movement that it has not read was recorded; None when it has read all."""
    with connection.cursor() as query:
        query.execute(OLDEST_UNREAD)
        return dict(query.fetchall())


def restart(consumer: str) -> None:
    """Let `consumer` read the whole ledger again, from its first movement."""
    FeedCursor.objects.filter(consumer=consumer).update(transaction_id=0, movement_id=0)


def page(tenant_id: int, *, after: Position, up_to: Position, since: datetime | None, limit: int) -> list[Movement]:
    """Return up to `limit` movements of one tenant between two positions of the feed, in its order.

    For readers that go back: `up_to` is a position that a cursor has reached, so everything below it is settled.
    since: only what was recorded at or after this moment.
    """
    return list(Movement.objects.raw(PAGE, [tenant_id, *after, *up_to, since or ALWAYS, min(limit, BATCH_MAX)]))


def transaction_at(tenant_id: int, moment: datetime) -> int | None:
    """Return the first transaction of a tenant that recorded movements at `moment` or later, found by halving.

    Ids rise with time but for transactions that ran beside each other, so whoever looks for the movements before or
    after a moment goes LONGEST_TRANSACTION further. None when nothing was recorded, or when the ids do not rise: the
    data was restored from another cluster, whose ids were others.
    """
    with connection.cursor() as query:
        query.execute(HALVING, {"tenant": tenant_id, "moment": moment})
        steps = query.fetchall()
    seen = sorted((at, recorded_at) for _low, at, recorded_at in steps if at is not None)
    is_rising = all(one[1] - LONGEST_TRANSACTION <= other[1] for one, other in pairwise(seen))
    return max(int(low) for low, *_seen in steps) if steps and is_rising else None


def skip_to_now(cursor: FeedCursor) -> None:
    """Let a reader begin with what is written from now on. Hold the cursor's row; it is saved here."""
    with connection.cursor() as query:
        query.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1")
        cursor.transaction_id, cursor.movement_id = query.fetchone()[0], 2**63 - 1
    cursor.save(update_fields=["transaction_id", "movement_id", "updated_at"])


def in_version_order(movements: Sequence[Movement]) -> list[Movement]:
    """Return a batch so that the versions of each balance rise, none left out between or right before them.

    movements: in the order of the feed. A lower version that stands behind the batch's end is fetched and put in its
    place, so the reader meets it again in a later batch and must know it. Such a version is committed: the higher one
    was written under the same balance's lock after it. What stands before the batch was read before and stays out.
    """
    if not movements:
        return []
    last = (movements[-1].transaction_id, movements[-1].pk)
    earliest = min(movement.recorded_at for movement in movements) - LONGEST_TRANSACTION
    by_place: dict[Place, dict[int, Movement]] = {}
    for movement in movements:
        by_place.setdefault(_place(movement), {})[movement.version] = movement
    missing = [
        (place, version)
        for place, known in by_place.items()
        for version in range(max(min(known) - 1, 1), max(known))
        if version not in known
    ]
    while missing:
        columns = zip(*((*place, version) for place, version in missing), strict=True)
        found = Movement.objects.raw(VERSIONS, [*map(list, columns), earliest])
        late = [movement for movement in found if (movement.transaction_id, movement.pk) > last]
        for movement in late:
            by_place[_place(movement)][movement.version] = movement
        below = {(_place(movement), movement.version - 1) for movement in late if movement.version > 1}
        missing = [(place, version) for place, version in below if version not in by_place[place]]
    rising = {place: iter(sorted(known)) for place, known in by_place.items()}
    everything = sorted(
        (movement for known in by_place.values() for movement in known.values()),
        key=lambda movement: (movement.transaction_id, movement.pk),
    )
    return [by_place[_place(slot)][next(rising[_place(slot)])] for slot in everything]


def _place(movement: Movement) -> Place:
    return movement.tenant_id, movement.product_id, movement.location_id
