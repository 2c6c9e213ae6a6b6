"""What wakes the sync. A tick finds its work in PostgreSQL, so a lost or doubled message is harmless."""

import time
from concurrent.futures import ThreadPoolExecutor

import structlog
from celery import shared_task
from django.conf import settings
from django.db import connection
from redis import RedisError

from apps.common import partitions
from apps.common.slots import slot
from apps.sync import pricing, push, queue
from apps.sync.models import SyncLog
from apps.sync.turns import Pause

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 10.0
"""A drain ends after this long even when there is more: the next tick goes on, and no worker is held for ever."""

PUSH_SLOTS = 2
"""Drains that may push at the same time; the rest of the workers stay free for orders."""

PAUSE_SECONDS_MAX = 0.5
"""A drain waits so long for a budget to refill; for more, the next tick comes sooner."""


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
    """Tell numbers until nobody's turn comes or `ends_at` (monotonic seconds) is reached.

    One after the other while that is enough; when more wait, `SYNC_THREADS` at a time, for nearly all of a call is
    waiting for the channel.
    """
    if not _push_until(ends_at, is_alone=True):
        return
    with ThreadPoolExecutor(settings.SYNC_THREADS, "push") as pool:
        for thread in [pool.submit(_push_in_thread, ends_at) for _ in range(settings.SYNC_THREADS)]:
            thread.result()


def _push_until(ends_at: float, *, is_alone: bool = False) -> bool:
    """Take turn after turn; tells whether one who is alone had better get help."""
    calls_max = max(1, PUSH_SLOTS * settings.SYNC_THREADS * 3 // 4)  # so a channel that hangs leaves room for another
    while time.monotonic() < ends_at:
        turn = push.push_next(calls_max)
        if isinstance(turn, Pause):
            if turn.seconds is None or turn.seconds > PAUSE_SECONDS_MAX:
                return False
            time.sleep(turn.seconds)
        elif is_alone and turn.left and settings.SYNC_THREADS > 1:
            return True
    return False


def _push_in_thread(ends_at: float) -> None:
    try:
        _push_until(ends_at)
    finally:
        connection.close()
