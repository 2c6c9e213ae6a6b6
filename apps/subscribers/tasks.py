"""What wakes the room. A tick finds its work in PostgreSQL, so a lost or doubled message is harmless."""

import time

from celery import shared_task
from django.conf import settings

from apps.common.slots import slot
from apps.subscribers import delivering, following

DRAIN_SECONDS = 10.0
"""A drain takes no new work after this long even when there is more: the next tick goes on."""


@shared_task
def follow() -> None:
    """Queue what the ledger has for everybody, those behind included, then wake the delivery."""
    with slot("subscribers.follow") as is_mine:
        if not is_mine:
            return
        ends_at = time.monotonic() + DRAIN_SECONDS
        did_work = False
        while time.monotonic() < ends_at:
            read = following.follow()
            more = [following.catch_up(subscriber_id) for subscriber_id in following.behind()]
            did_work |= bool(read or more)
            if not (read or any(more)):
                break
        following.set_aside_the_overloaded()
    if did_work:
        deliver.delay()


@shared_task
def deliver() -> None:
    """Hand over every delivery that is due."""
    crew = delivering.Crew()
    with slot("subscribers.deliver") as is_mine:
        if is_mine:
            crew.work(DRAIN_SECONDS)
    crew.go_home()  # outside the slot: while calls under way are waited for, the next drain already works


@shared_task
def prune() -> None:
    """Remove deliveries that were taken long ago, and the rows of deleted subscribers."""
    while delivering.prune_delivered(settings.SUBSCRIBER_KEEP_DAYS) or delivering.prune_deleted():
        pass
