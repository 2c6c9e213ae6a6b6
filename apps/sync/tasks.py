"""What wakes the sync. A tick finds its work in PostgreSQL, so a lost or doubled message is harmless."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import structlog
from celery import shared_task
from django.conf import settings
from django.db import connection
from redis import RedisError

from apps.common import partitions
from apps.common.slots import slot
from apps.sync import pricing, push, queue
from apps.sync.models import SyncLog
from apps.sync.turns import Turn

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 10.0
"""A drain ends after this long even when there is more: the next tick goes on, and no worker is held for ever."""

LINGER_SECONDS = 1.5
"""A drain that has nothing to tell stays this long: longer than a tick, so while there is traffic one is always on."""

LOOK_EVERY_SECONDS = 0.2
"""A drain looks this often for what moved, and what moved since is told without waiting for a tick."""

PUSH_SLOTS = 2
"""Drains that may push at the same time; the rest of the workers stay free for orders."""


@shared_task
def follow_ledger() -> None:
    """Mark the listings of every product that moved, line up what became due, then wake the push."""
    moved = 0
    while read := queue.follow():
        moved += read
    if queue.line_up_recent() or moved:
        push_due.delay()


@shared_task
def push_due() -> None:
    """Tell the channels every number that is due, in several threads while there are several."""
    with slot("sync.push", PUSH_SLOTS) as is_mine:
        if is_mine:
            try:
                drain(time.monotonic() + DRAIN_SECONDS)
            except RedisError as error:
                log.warning("push_waits_for_redis", reason=type(error).__name__)  # the next tick tries again


@shared_task
def push_prices() -> None:
    """Tell the channels every price that is due, one at a time: stock goes first."""
    with slot("sync.prices") as is_mine:
        ends_at = time.monotonic() + DRAIN_SECONDS
        while is_mine and time.monotonic() < ends_at and pricing.push_next():
            pass


@shared_task
def stock_sync() -> None:
    """The one-minute stock sync: compare, heal, enqueue (requirement 000, AC2), then wake the push."""
    with slot("sync.sweep") as is_mine:
        if is_mine and queue.sweep():
            push_due.delay()


LOG_MONTHS_AHEAD = 3


@shared_task
def keep_log_months() -> None:
    """Make the log's coming months, and drop those that are past SYNC_LOG_MONTHS."""
    partitions.make(SyncLog._meta.db_table, LOG_MONTHS_AHEAD)
    partitions.drop_older(SyncLog._meta.db_table, settings.SYNC_LOG_MONTHS)


def drain(ends_at: float) -> None:
    """Tell numbers and follow the ledger until nothing was due for a while, or `ends_at` (monotonic seconds).

    One after the other while that is enough; when more wait, `SYNC_THREADS` at a time, for nearly all of a call is
    waiting for the channel. The threads stay while there is traffic: a new one connects to PostgreSQL and to the
    channel first, and that costs more than a push.
    """
    crew: list[Future[None]] = []
    with ThreadPoolExecutor(settings.SYNC_THREADS, "push") as pool:
        for turn in _turns(ends_at, follows=True):
            if turn.left and all(thread.done() for thread in crew):
                _raise_first(crew)
                crew = [pool.submit(_push_in_thread, ends_at) for _ in range(settings.SYNC_THREADS - 1)]
    _raise_first(crew)


def _raise_first(crew: Sequence[Future[None]]) -> None:
    for thread in crew:
        thread.result()


def _push_in_thread(ends_at: float) -> None:
    try:
        for _turn in _turns(ends_at):
            pass
    finally:
        connection.close()


def _turns(ends_at: float, *, follows: bool = False) -> Iterator[Turn]:
    """Take turns and tell them; yield each. Ends when there is none at first, or none for `LINGER_SECONDS` after one.

    follows: look for what moved, now and then.
    """
    calls_max = max(1, PUSH_SLOTS * settings.SYNC_THREADS * 3 // 4)  # so a channel that hangs leaves room for another
    look_at = stays_until = time.monotonic()
    while (now := time.monotonic()) < ends_at:
        if follows and now >= look_at:
            queue.follow()
            look_at = time.monotonic() + LOOK_EVERY_SECONDS
        turn = push.push_next(calls_max)
        if isinstance(turn, Turn):
            stays_until = time.monotonic() + LINGER_SECONDS
            yield turn
        elif now >= stays_until:
            return
        else:
            time.sleep(min(turn.seconds or LOOK_EVERY_SECONDS, LOOK_EVERY_SECONDS))
