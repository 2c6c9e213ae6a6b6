"""The ledger as an outbox: movements in commit order, for readers that keep a cursor (law 3, architecture §4.4).

`id > last seen` would lose rows: ids are drawn before the commit, so a slow transaction commits a smaller id after a
fast one committed a larger. Each movement therefore carries the id of the transaction that wrote it, and a reader stops
below the oldest transaction that still runs (`pg_snapshot_xmin`): whatever is below that line is settled for good.

The cursor moves in the reader's own transaction: what a reader writes into this database happens exactly once. Whatever
it does elsewhere happens at least once. A transaction left open anywhere in the cluster holds the feed up, it never
makes it skip. Transaction ids belong to one cluster: after a dump is restored into another, run `restart` (ADR 0002).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from apps.inventory.models import FeedCursor, Movement

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
    return list(Movement.objects.raw(UNREAD, [cursor.transaction_id, cursor.movement_id, min(limit, BATCH_MAX)]))


def restart(consumer: str) -> None:
    """Let `consumer` read the whole ledger again, from its first movement."""
    FeedCursor.objects.filter(consumer=consumer).update(transaction_id=0, movement_id=0)
