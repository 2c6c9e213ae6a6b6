"""Times as people say them: "há 3 min", with the full time and its zone kept beside it."""

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext

MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60, 60 * 60, 24 * 60 * 60


def ago(moment: datetime) -> str:
    """Return how long ago (or in how long) `moment` is; the date once that is more than a day."""
    seconds = round((timezone.now() - moment).total_seconds())
    if abs(seconds) >= DAY_SECONDS:
        return day_and_clock(moment)
    if -5 <= seconds < 5:
        return gettext("now")
    span = _span(abs(seconds))
    return gettext("%(span)s ago") % {"span": span} if seconds > 0 else gettext("in %(span)s") % {"span": span}


def _span(seconds: int) -> str:
    if seconds < MINUTE_SECONDS:
        return f"{seconds} s"
    if seconds < HOUR_SECONDS:
        return f"{seconds // MINUTE_SECONDS} min"
    return f"{seconds // HOUR_SECONDS} h"


def clock(moment: datetime) -> str:
    """Return `14:32`, with the day in front when that is not today."""
    local = timezone.localtime(moment)
    return local.strftime("%H:%M") if local.date() == timezone.localdate() else day_and_clock(moment)


def day_and_clock(moment: datetime) -> str:
    """Return day and time, with the year only when it is another one."""
    local = timezone.localtime(moment)
    # Translators: day and month, in Django's date format letters
    this_year = gettext("m/d")
    day = date_format(local, this_year if local.year == timezone.localdate().year else "SHORT_DATE_FORMAT")
    return f"{day} {local:%H:%M}"


def in_full(moment: datetime) -> str:
    """Return date, time to the second, and the zone it is shown in."""
    local = timezone.localtime(moment)
    return f"{date_format(local, 'SHORT_DATE_FORMAT')} {local:%H:%M:%S} ({timezone.get_current_timezone_name()})"


def to_the_millisecond(moment: datetime) -> str:
    """Return day and time to the millisecond."""
    local = timezone.localtime(moment)
    fraction = number_format(local.microsecond // 1000 / 1000, 3)[1:]
    return f"{date_format(local, 'SHORT_DATE_FORMAT')} {local:%H:%M:%S}{fraction}"


def span_of(seconds: float) -> str:
    """Return a delay between two steps: `40 ms`, `1,4 s`, `12 s`, `3 min`, `2 h`, `5 d`."""
    if seconds < 1:
        return f"{round(max(seconds, 0.0) * 1000)} ms"
    if seconds < 10:
        return f"{number_format(round(seconds, 1), 1)} s"
    if seconds < DAY_SECONDS:
        return _span(round(seconds))
    return f"{round(seconds / DAY_SECONDS)} d"
