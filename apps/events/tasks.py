"""What wakes the inbox. A tick finds its work in PostgreSQL, so a lost or doubled message is harmless."""

import time

from celery import shared_task
from django.conf import settings

from apps.common.slots import slot
from apps.connectors import errands
from apps.events import bulk, bulk_work, inbox, missed, plans, search, silence
from apps.notifications import sending
from apps.sync.tasks import follow_ledger

DRAIN_SECONDS = 10.0
"""A drain ends after this long even when there is more: the next tick goes on."""

INBOX_SLOTS = 2
"""Drains that may read orders at the same time; the rest of the workers stay free for telling numbers."""

FOLLOW_EVERY_SECONDS = 1.0
"""During a long drain the sync hears of the movements this often, not only at the end."""

SEARCH_SECONDS = 30.0
"""A round of searches takes on no account after this long; the next tick goes on with those that are due."""

SEARCH_SLOTS = 2
"""Rounds at the same time, each with accounts of its own."""


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
def reprocess_on() -> None:
    """Take the jobs over many a little further: one worker at a time, so that the others stay free for live work."""
    with slot("events.bulk") as is_mine:
        if is_mine:
            bulk_work.go_on(DRAIN_SECONDS)


@shared_task
def forget_old_bodies() -> None:
    """Forget the raw bodies that are past their days, and what else ended long ago."""
    inbox.forget_old_bodies()
    plans.forget_old(settings.ENDED_KEEP_DAYS)
    bulk.expire_proposals()
    bulk.forget_items(settings.ENDED_KEEP_DAYS)
    sending.forget_old_tries(settings.ENDED_KEEP_DAYS)
    errands.forget_ended(settings.ENDED_KEEP_DAYS)


@shared_task
def search_orders() -> None:
    """Ask for the orders that no notification told of, of every account whose turn it is."""
    with slot("events.search", SEARCH_SLOTS) as is_mine:
        if not is_mine:
            return
        search.watch_new_accounts()
        ends_at = time.monotonic() + SEARCH_SECONDS
        while time.monotonic() < ends_at and search.search_next():
            pass


@shared_task
def read_missed_feeds() -> None:
    """Take in the notifications that the channels gave up delivering."""
    with slot("events.missed") as is_mine:
        if is_mine:
            missed.read_all()


@shared_task
def look_for_silence() -> None:
    """Notice topics that fell silent against their own rhythm, and those that are heard again."""
    with slot("events.silence") as is_mine:
        if is_mine:
            silence.look()
