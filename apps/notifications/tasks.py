"""What wakes the room. A tick finds its work in PostgreSQL, so a lost or doubled message is harmless."""

import time

from celery import shared_task

from apps.common.slots import slot
from apps.notifications import following, sending, troubles, warning

DRAIN_SECONDS = 10.0
"""A drain takes no new work after this long even when there is more: the next tick goes on."""

SENDING_SLOTS = 2
"""Drains at the same time: a mail server that hangs holds two workers at most."""


@shared_task
def notify() -> None:
    """Queue the notifications of orders that became ready, then send everything that is due."""
    with slot("notifications.follow") as is_mine:
        if is_mine:
            following.queue_ready()
    with slot("notifications.send", SENDING_SLOTS) as is_mine:
        ends_at = time.monotonic() + DRAIN_SECONDS
        while is_mine and time.monotonic() < ends_at and sending.send_next():
            pass


@shared_task
def look_for_troubles() -> None:
    """See what keeps numbers from the channels, then write to those who can mend it, where an e-mail is owed."""
    with slot("notifications.troubles") as is_mine:
        ends_at = time.monotonic() + DRAIN_SECONDS
        if is_mine:
            troubles.look()
        while is_mine and time.monotonic() < ends_at and warning.warn_next():
            pass
