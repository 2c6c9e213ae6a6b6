"""Instants are Unix seconds (float) inside; the marketplace prints them in several forms (contract §0).

The marketplace's clock can be set ahead of the machine's, or behind it (``PUT /sandbox/clock``): a day passes in
a moment. There is one clock in a process; a single control call may stand at a moment of its own (``at``), so that a
demo can have a past.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone

_FOUR_WEST = timezone(timedelta(hours=-4))
_THREE_WEST = timezone(timedelta(hours=-3))


_ahead_seconds = 0.0
_standing = threading.local()


def set_ahead(seconds: float) -> None:
    """Let the clock run so many seconds ahead of the machine's; fewer than none is behind it."""
    global _ahead_seconds
    _ahead_seconds = seconds


@contextmanager
def at(moment_seconds: float | None) -> Iterator[None]:
    """Let the clock stand at a moment for this thread; ``None`` changes nothing."""
    _standing.at = moment_seconds
    try:
        yield
    finally:
        _standing.at = None


def now_seconds() -> float:
    """Unix seconds, in whole milliseconds."""
    standing: float | None = getattr(_standing, "at", None)
    if standing is not None:
        return round(standing, 3)
    return round(time.time() + _ahead_seconds, 3)


def _text(at_seconds: float, zone: timezone) -> str:
    return datetime.fromtimestamp(at_seconds, zone).isoformat(timespec="milliseconds")


def west4(at_seconds: float | None) -> str | None:
    """``2026-08-27T09:14:28.000-04:00``: orders, payments, shipments."""
    return None if at_seconds is None else _text(at_seconds, _FOUR_WEST)


def west4_short(at_seconds: float) -> str:
    """``2026-08-27T09:14:28.000-0400``: packs."""
    text = _text(at_seconds, _FOUR_WEST)
    return text[:-3] + text[-2:]


def west3(at_seconds: float) -> str:
    """``2026-08-27T09:14:28.000-03:00``: delivery promises."""
    return _text(at_seconds, _THREE_WEST)


def zulu(at_seconds: float) -> str:
    """``2026-08-27T13:14:28.000Z``: items, notifications, ``date_last_updated`` of the order search."""
    return _text(at_seconds, UTC)[:-6] + "Z"


def to_hour(text: str) -> float:
    """An ISO 8601 instant cut to its hour, as the order search does (contract §3.3).

    Raises: ValueError when it is no instant.
    """
    # A plus sign that nobody escaped arrives as a space.
    instant = datetime.fromisoformat(text.strip().replace(" ", "+"))
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return instant.replace(minute=0, second=0, microsecond=0).timestamp()
