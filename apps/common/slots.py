"""At most so many of a kind at the same time, over all workers: PostgreSQL's advisory locks as slots.

The lock belongs to the database session, so a killed worker frees its slot by dying. It limits work, it never protects
data: leases and constraints do that.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def slot(name: str, slots: int = 1) -> Iterator[bool]:
    """Hold one of `slots` slots of this name while the block runs; yields False when all are taken."""
    group = zlib.crc32(name.encode()) - 2**31  # pg_try_advisory_lock(int4, int4)
    taken = next((number for number in range(slots) if _try_lock(group, number)), None)
    try:
        yield taken is not None
    finally:
        if taken is not None:
            _unlock(group, taken)


def _try_lock(group: int, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [group, number])
        return bool(cursor.fetchone()[0])


def _unlock(group: int, number: int) -> None:
    if connection.connection is None or connection.connection.closed:
        return  # the session died and took the lock with it
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [group, number])
