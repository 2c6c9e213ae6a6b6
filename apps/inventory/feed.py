"""The ledger as an outbox: movements in commit order, for readers that keep a cursor (law 3, architecture §4.4).

`id > last seen` would lose rows: ids are drawn before the commit, so a slow transaction commits a smaller id after a
fast one committed a larger. Each movement therefore carries the id of the transaction that wrote it, and a reader stops
below the oldest transaction that still runs (`pg_snapshot_xmin`): whatever is below that line is settled for good.

The cursor moves in the reader's own transaction: what a reader writes into this database happens exactly once, whatever
it does elsewhere happens at least once. A transaction left open anywhere in the cluster holds the feed up, it never
makes it skip. Transaction ids belong to one cluster: after a dump was restored into another one, a cursor that stands
in its future starts over (ADR 0002).
"""

from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def batch(consumer: str, limit: int = BATCH_MAX) -> Iterator[list[Movement]]:
    """Yield the next movements for `consumer` in one transaction and move its cursor when the block ends well.

    An empty list means there is nothing to do now: nothing new, or another worker is reading as this consumer. When the
    block raises, the cursor stays and the same movements come again.
    """
    FeedCursor.objects.get_or_create(consumer=consumer)
    with transaction.atomic():
        cursor = FeedCursor.objects.select_for_update(skip_locked=True).filter(consumer=consumer).first()
        movements = read(cursor, limit) if cursor else []
        yield movements
        if cursor and movements:
            cursor.transaction_id, cursor.movement_id = movements[-1].transaction_id, movements[-1].pk
            cursor.save(update_fields=["transaction_id", "movement_id", "updated_at"])


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


def restart(consumer: str) -> None:
    """Let `consumer` read the whole ledger again, from its first movement."""
    FeedCursor.objects.filter(consumer=consumer).update(transaction_id=0, movement_id=0)
