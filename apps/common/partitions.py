"""Tables that are partitioned by month: make the months to come, drop those that are past their time.

A partition is named after its table and month (`inventory_ledger_2026_11`) and holds what falls into that month, UTC.
Each table also has a DEFAULT partition, so that a month nobody made is slow to split later and never a refused row.
"""

from datetime import UTC, date, datetime

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

LOCK_WAIT_MS = 2000
"""Making or dropping a partition needs its table for itself for a moment. Rather than hold up everybody who came after
a long reader, the change gives up, and is made on the next day: partitions are made months before they are needed."""


def make(table: str, months_ahead: int) -> list[str]:
    """Make the partitions of this month and the next ones that do not exist yet; returns their names.

    table: a name out of our own code, never out of a request. Raises OperationalError when the table is in use for too
    long.
    """
    made = []
    for ahead in range(months_ahead + 1):
        month = _month(_this_month(), ahead)
        name = f"{table}_{month:%Y_%m}"
        with transaction.atomic(), connection.cursor() as cursor:
            _lock(cursor, table)
            if name in _existing(cursor, table):
                continue
            cursor.execute(
                f"CREATE TABLE {name} PARTITION OF {table}"
                f" FOR VALUES FROM ('{month} 00:00:00+00') TO ('{_month(month, 1)} 00:00:00+00')"
            )
        made.append(name)
    return made


def drop_older(table: str, months_kept: int) -> list[str]:
    """Drop the partitions whose month ended more than `months_kept` whole months ago; returns their names.

    Dropping a month costs a moment whatever it holds, and gives its disk back; deleting its rows would do neither.
    """
    oldest_kept = _month(_this_month(), -months_kept)
    dropped = []
    with connection.cursor() as cursor:
        past = [name for name in _existing(cursor, table) if _is_before(name.removeprefix(f"{table}_"), oldest_kept)]
    for name in past:
        with transaction.atomic(), connection.cursor() as cursor:
            _lock(cursor, table)
            cursor.execute(f"DROP TABLE {name}")
        dropped.append(name)
    return dropped


def _lock(cursor: CursorWrapper, table: str) -> None:
    """Keep two of us from making the same month, and wait for nobody for long."""
    cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT_MS}ms'")
    cursor.execute(f"LOCK TABLE ONLY {table} IN SHARE UPDATE EXCLUSIVE MODE")


def _existing(cursor: CursorWrapper, table: str) -> list[str]:
    cursor.execute(
        """SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = %s::regclass ORDER BY c.relname""",
        [table],
    )
    return [name for (name,) in cursor.fetchall()]


def _is_before(ending: str, month: date) -> bool:
    """Tell whether a partition's ending (`2026_11`) is a month before `month`; `default` is none."""
    try:
        return datetime.strptime(ending, "%Y_%m").replace(tzinfo=UTC).date() < month
    except ValueError:
        return False


def _this_month() -> date:
    return datetime.now(UTC).date().replace(day=1)


def _month(month: date, later: int) -> date:
    """Return the first day of the month that is `later` months after `month`; negative for before."""
    number = month.year * 12 + month.month - 1 + later
    return date(number // 12, number % 12 + 1, 1)
