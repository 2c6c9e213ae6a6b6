"""At most so many of a kind at the same time, over all workers: PostgreSQL's advisory locks as slots.

The lock belongs to the database session, so a killed worker frees its slot by dying. It keeps work apart; it protects
no data of ours: leases and constraints do that.
"""

import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import connection

LOOK_EVERY_SECONDS = 0.02


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


@contextmanager
def alone(name: str, wait_seconds: float) -> Iterator[bool]:
    """Be the only one under this name while the block runs; yields False when others were for so long."""
    gives_up_at = time.monotonic() + wait_seconds
    with ExitStack() as held:
        while not (is_alone := held.enter_context(slot(name))) and time.monotonic() < gives_up_at:
            time.sleep(LOOK_EVERY_SECONDS)
        yield is_alone


def _try_lock(group: int, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [group, number])
        return bool(cursor.fetchone()[0])


def _unlock(group: int, number: int) -> None:
    if connection.connection is None or connection.connection.closed:
        return  # the session died and took the lock with it
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [group, number])
