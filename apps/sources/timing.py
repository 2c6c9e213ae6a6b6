"""When something happened, by the hub's clock, from what a source's clock said (channels contract §2.3, §3.2)."""

from datetime import datetime, timedelta
from enum import StrEnum

CORRECTED_FROM = timedelta(seconds=5)
"""A source's clock that is off by more than this is corrected for."""

FLAGGED_FROM = timedelta(minutes=2)
"""Off by more than this, a person should set the clock: the event is marked."""

NEAR_A_COUNT = timedelta(minutes=2)
"""So near a count, clocks alone do not say whether it had seen a movement."""

APPLIED_UNTIL = timedelta(days=7)
"""What is older waits for approval: its period may be closed. Seven days, because a fiscal note that was issued
off-line may correctly arrive days later."""


class Note(StrEnum):
    """What was done about a source's clock."""

    NONE = ""
    CORRECTED = "corrected"
    FLAGGED = "flagged"


def by_our_clock(told: datetime, *, now: datetime, ahead: timedelta) -> tuple[datetime, Note]:
    """Return when it happened, never later than `now`, and a note. `ahead` is how far the source's clock runs ahead."""
    off = abs(ahead)
    moment = told - ahead if off > CORRECTED_FROM else told
    note = Note.CORRECTED if off > CORRECTED_FROM else Note.NONE
    if off > FLAGGED_FROM or moment > now + FLAGGED_FROM:
        note = Note.FLAGGED
    return min(moment, now), note


def ahead_of_us(sent_at: datetime | None, *, now: datetime) -> timedelta | None:
    """Return how far the clock of a sender runs ahead, judged by when it says it sent; None when it does not say.

    Only ahead: a message from the past may as well have been under way for long.
    """
    return None if sent_at is None else max(sent_at - now, timedelta())


def needs_approval(occurred_at: datetime, *, now: datetime) -> bool:
    """Tell whether it is too long ago to be applied without asking a person."""
    return occurred_at < now - APPLIED_UNTIL
