"""The start page's tiles: a number, what it means in words, how grave that is, and where its rows are listed."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from apps.console import answer_times
from apps.console.badges import Badge
from apps.console.figures import COUNTED_MAX, Told, Waiting
from apps.console.hours import Hour
from apps.console.moments import span_of
from apps.console.templatetags.console import number

FRESH_SECONDS, LATE_SECONDS = 30, 300
"""Of 100 movements, 95 should be at their channel within the first; beyond the second they come too late."""

ERROR_PERCENT_MAX = 1.0

THROTTLED_PERCENT_MAX = 5.0
"""Beyond it, the account's calls are too many for its channel."""

WAITS_SECONDS_MAX = 60
"""Work that waits for longer is a backlog."""

OK, WARN, BAD, QUIET = ("ok", "check"), ("warn", "alert"), ("bad", "cross"), ("quiet", "minus")


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure. verdict: how grave, in words; text: what the number is; link: what the list behind it is called."""

    name: str
    value: str
    verdict: Badge
    text: str
    url: str
    link: str


def tiles(day: list[Hour], told: Told, waiting: Waiting, p99_ms: int | None) -> list[Tile]:
    """Return the tiles of the start page, what harms stock most first.

    day: the figures of the last 24 hours. p99_ms: of the answers to notifications.
    """
    return [
        _oversells(waiting),
        _freshness(told),
        _errors(told),
        _numbers(waiting),
        _events(waiting),
        _troubles(waiting.troubles),
        _divergences(waiting),
        _throttled(told),
        _answers(p99_ms),
        _sold(day),
    ]


def _oversells(waiting: Waiting) -> Tile:
    units = number(waiting.units_short)
    return Tile(
        _("Oversell cases"),
        _counted(waiting.oversells),
        Badge(_("Sold more than there is"), *BAD) if waiting.oversells else Badge(_("None open"), *OK),
        _("%(units)s units were promised and are not there.") % {"units": units}
        if waiting.oversells
        else _("Everything promised is there."),
        reverse("console:oversells"),
        _("See the oversold products"),
    )


def _freshness(told: Told) -> Tile:
    name, url, link = _("Freshness, 95%"), f"{reverse('console:syncs')}?period=1h", _("See what was told")
    if told.p95_seconds is None or told.p50_seconds is None:
        text = _("No number that moved was told in the last hour.")
        return Tile(name, "—", Badge(_("Nothing to measure"), *QUIET), text, url, link)
    verdict = Badge(_("Too late: over 5 min"), *BAD)
    if told.p95_seconds <= FRESH_SECONDS:
        verdict = Badge(_("Good: within 30 s"), *OK)
    elif told.p95_seconds <= LATE_SECONDS:
        verdict = Badge(_("Slow: over 30 s"), *WARN)
    text = _("From the movement to the channel's yes, last hour; half of them within %(span)s.")
    return Tile(name, span_of(told.p95_seconds), verdict, text % {"span": span_of(told.p50_seconds)}, url, link)


def _errors(told: Told) -> Tile:
    percent = told.error_percent
    url = f"{reverse('console:syncs')}?status=ERROR&period=1h"
    verdict = Badge(_("Nothing to measure"), *QUIET)
    if percent is not None:
        good = Badge(_("Good: 1% at most"), *OK)
        verdict = good if percent <= ERROR_PERCENT_MAX else Badge(_("Over 1%"), *BAD)
    text = _("%(errors)s of %(tries)s tries to tell a number failed in the last hour.") % {
        "errors": number(told.errors),
        "tries": number(told.tries),
    }
    return Tile(_("Error rate"), _percent(percent), verdict, text, url, _("See the failed tries"))


def _throttled(told: Told) -> Tile:
    percent = told.throttled_percent
    verdict = Badge(_("Nothing to measure"), *QUIET)
    if percent is not None:
        good = Badge(_("Good: 5% at most"), *OK)
        verdict = good if percent <= THROTTLED_PERCENT_MAX else Badge(_("Over 5%"), *WARN)
    text = _("Share of the last hour's tries for which the channel asked for fewer calls (429). They go again.")
    url = f"{reverse('console:syncs')}?status=ERROR&period=1h"
    return Tile(_("Too many calls"), _percent(percent), verdict, text, url, _("See the failed tries"))


def _numbers(waiting: Waiting) -> Tile:
    return Tile(
        _("Numbers to be told"),
        _counted(waiting.numbers),
        _backlog(waiting.numbers_since),
        _since(waiting.numbers_since, _("Listings whose new number their channel has not got yet.")),
        f"{reverse('console:listings')}?state=waiting",
        _("See the listings that wait"),
    )


def _events(waiting: Waiting) -> Tile:
    return Tile(
        _("Events in the queue"),
        _counted(waiting.events),
        _backlog(waiting.events_since),
        _since(waiting.events_since, _("Notifications and sales that are still to be taken in.")),
        f"{reverse('console:events')}?status=RECEBIDO",
        _("See the events that wait"),
    )


def _troubles(open_count: int) -> Tile:
    return Tile(
        _("Pending matters"),
        _counted(open_count),
        Badge(_("Somebody must look"), *BAD) if open_count else Badge(_("None open"), *OK),
        _("Causes that keep numbers from their channels."),
        reverse("console:troubles"),
        _("See the pending matters"),
    )


def _divergences(waiting: Waiting) -> Tile:
    return Tile(
        _("Open divergences"),
        _counted(waiting.divergences),
        Badge(_("To be looked at"), *WARN) if waiting.divergences else Badge(_("None open"), *OK),
        _("Listings whose number at the channel is not ours."),
        reverse("console:divergences"),
        _("See the divergences"),
    )


def _answers(p99_ms: int | None) -> Tile:
    name, text = _("Answer to notifications, 99%"), _("Of the last 24 hours, all companies of this installation.")
    url, link = reverse("console:health"), _("See the health of Saldo")
    if p99_ms is None:
        return Tile(name, "—", Badge(_("Nothing to measure"), *QUIET), text, url, link)
    good = p99_ms <= answer_times.LIMIT_MS
    verdict = Badge(_("Good: within 500 ms"), *OK) if good else Badge(_("Too slow: over 500 ms"), *BAD)
    return Tile(name, f"≤ {span_of(p99_ms / 1000)}", verdict, text, url, link)


def _sold(day: list[Hour]) -> Tile:
    sold, moved = sum(hour.sold_units for hour in day), sum(hour.movements for hour in day)
    return Tile(
        _("Units sold in 24 hours"),
        number(sold),
        Badge(_("%(count)s movements") % {"count": number(moved)}, "quiet", "history"),
        _("Over all channels and tills; brought up to date every minute."),
        f"{reverse('console:orders')}?period=24h",
        _("See the orders"),
    )


def _backlog(since: datetime | None) -> Badge:
    if since is None:
        return Badge(_("Nothing waits"), *OK)
    seconds = (timezone.now() - since).total_seconds()
    if seconds <= WAITS_SECONDS_MAX:
        return Badge(_("Flowing"), *OK)
    return Badge(_("Slow"), *WARN) if seconds <= LATE_SECONDS else Badge(_("It piles up"), *BAD)


def _since(since: datetime | None, text: str) -> str:
    if since is None:
        return text
    oldest = span_of((timezone.now() - since).total_seconds())
    return f"{text} {_('The oldest waits for %(span)s.') % {'span': oldest}}"


def _counted(count: int) -> str:
    return _("over %(count)s") % {"count": number(COUNTED_MAX)} if count > COUNTED_MAX else number(count)


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{number_format(value, 1 if 0 < value < 10 else 0)}%"
