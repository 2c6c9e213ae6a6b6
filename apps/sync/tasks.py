"""What wakes the sync. A tick finds its work in PostgreSQL, so a lost or doubled message is harmless."""

import time

from celery import shared_task

from apps.common.slots import slot
from apps.sync import push, queue

DRAIN_SECONDS = 10.0
"""A drain ends after this long even when there is more: the next tick goes on, and no worker is held for ever."""

PUSH_SLOTS = 2
"""Drains that may push at the same time; the rest of the workers stay free for orders."""


@shared_task
def follow_ledger() -> None:
    """Mark the listings of every product that moved, then wake the push."""
    moved = 0
    while read := queue.follow():
        moved += read
    if moved:
        push_due.delay()


@shared_task
def push_due() -> None:
    """Tell the channels every number that is due."""
    with slot("sync.push", PUSH_SLOTS) as is_mine:
        ends_at = time.monotonic() + DRAIN_SECONDS
        while is_mine and time.monotonic() < ends_at and push.push_next():
            pass


@shared_task
def stock_sync() -> None:
    """The one-minute stock sync: compare, heal, enqueue (requirement 000, AC2), then wake the push."""
    if queue.sweep():
        push_due.delay()
