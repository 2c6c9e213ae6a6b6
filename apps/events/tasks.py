"""What wakes the inbox. A tick finds its work in PostgreSQL, so a lost or doubled message is harmless."""

import time

from celery import shared_task

from apps.common.slots import slot
from apps.events import inbox
from apps.sync.tasks import follow_ledger

DRAIN_SECONDS = 10.0
"""A drain ends after this long even when there is more: the next tick goes on."""

INBOX_SLOTS = 2
"""Drains that may read orders at the same time; the rest of the workers stay free for telling numbers."""

FOLLOW_EVERY_SECONDS = 1.0
"""During a long drain the sync hears of the movements this often, not only at the end."""


@shared_task
def work_through_inbox() -> None:
    """Take every due event in, and wake the sync for the stock that moved."""
    with slot("events.inbox", INBOX_SLOTS) as is_mine:
        if not is_mine:
            return
        inbox.obey_flags()
        inbox.wake_mapped()
        ends_at = time.monotonic() + DRAIN_SECONDS
        follow_at = time.monotonic() + FOLLOW_EVERY_SECONDS
        did_work = False
        while time.monotonic() < ends_at and inbox.process_next():
            did_work = True
            if time.monotonic() >= follow_at:
                follow_ledger.delay()
                follow_at = time.monotonic() + FOLLOW_EVERY_SECONDS
    if did_work:
        follow_ledger.delay()


@shared_task
def forget_old_bodies() -> None:
    """Forget the raw bodies that are past their days."""
    inbox.forget_old_bodies()
