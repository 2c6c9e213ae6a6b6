"""What wakes the sync. A tick finds its work in PostgreSQL, so a lost or doubled message is harmless."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue

import structlog
from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from redis import RedisError

from apps.common import partitions
from apps.common.slots import slot
from apps.sync import pricing, push, queue, turns
from apps.sync.models import SyncLog
from apps.sync.turns import Pause

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 5.0
"""A drain ends after this long even when there is more: the next tick goes on, and a worker that stops waits for no
longer."""

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

    This thread takes turns, for as many listings at once as somebody is free to call for, and computes their numbers;
    a crew of `SYNC_THREADS` makes the calls, for nearly all of a call is waiting for the channel. A number that comes
    alone is told right here. The crew stays while there is traffic: a new thread connects to PostgreSQL and to the
    channel first, and that costs more than a push.
    """
    with ThreadPoolExecutor(settings.SYNC_THREADS, "push") as pool:
        crew = Crew(pool)
        try:
            _hand_out(crew, ends_at)
        finally:
            crew.go_home()


def _hand_out(crew: "Crew", ends_at: float) -> None:
    calls_max = max(1, PUSH_SLOTS * settings.SYNC_THREADS * 3 // 4)  # so a channel that hangs leaves room for another
    look_at = stays_until = time.monotonic()
    while (now := time.monotonic()) < ends_at:
        if now >= look_at:
            queue.follow()
            look_at = time.monotonic() + LOOK_EVERY_SECONDS
        found = queue.next_turns(crew.free, calls_max) if crew.free else Pause(LOOK_EVERY_SECONDS)
        if isinstance(found, Pause):
            if now >= stays_until and not crew.is_busy:
                return
            crew.wait(min(found.seconds or LOOK_EVERY_SECONDS, LOOK_EVERY_SECONDS))
            continue
        jobs = push.begin(found)
        if len(jobs) == 1 and not crew.is_busy and not found[-1].left:
            crew.do(jobs[0])
        else:
            for job in jobs:
                crew.hand(job)
        crew.wait(0)
        stays_until = time.monotonic() + LINGER_SECONDS


class Crew:
    """Threads that finish jobs, each with connections of its own. `free`: how many have none."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self.free = settings.SYNC_THREADS
        self._started = 0
        self._jobs: SimpleQueue[push.Job | None] = SimpleQueue()
        self._done: SimpleQueue[push.Job] = SimpleQueue()

    @property
    def is_busy(self) -> bool:
        """Tell whether anybody is at work."""
        return self.free < settings.SYNC_THREADS

    def do(self, job: push.Job) -> None:
        """Finish a job in this thread."""
        try:
            push.finish(job)
        finally:
            turns.end([job.turn])

    def hand(self, job: push.Job) -> None:
        """Give a job to somebody who is free."""
        if self._started < settings.SYNC_THREADS - self.free + 1:
            self._started += 1
            self.pool.submit(self._work)
        self.free -= 1
        self._jobs.put(job)

    def wait(self, seconds: float) -> None:
        """Wait for a job to be done, for so long at most, and end the turns of all that are."""
        done: list[push.Job] = []
        with suppress(Empty):
            done.append(self._done.get(timeout=seconds) if seconds else self._done.get_nowait())
            while True:
                done.append(self._done.get_nowait())
        self.free += len(done)
        turns.end([job.turn for job in done])

    def go_home(self) -> None:
        """Let everybody finish what they have, and end their turns."""
        for _thread in range(self._started):
            self._jobs.put(None)
        while self.is_busy:
            self.wait(LOOK_EVERY_SECONDS)

    def _work(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                try:
                    push.finish(job)
                except (OperationalError, InterfaceError) as error:  # its lease ends by itself, and it is told again
                    log.warning("push_waits_for_database", reason=type(error).__name__)
                    connection.close()
                finally:
                    self._done.put(job)
        finally:
            connection.close()
