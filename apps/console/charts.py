"""The start page's charts as numbers: what static/js/charts.js draws is what the table beside it says."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.console.hours import Hour
from apps.console.moments import span_of
from apps.console.templatetags.console import number
from apps.console.tiles import FRESH_SECONDS, LATE_SECONDS

HOURS, DAYS = 24, 14


@dataclass(frozen=True, slots=True)
class Slot:
    """One hour or one day: its name on the axis, its name in full, the tail of its lists' addresses, its figures."""

    short: str
    name: str
    query: str
    figures: Hour


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart and its table. rows: name and address of the list, then a text a column; shapes: for the script."""

    key: str
    title: str
    summary: str
    columns: list[str]
    rows: list[tuple[str, str, list[str]]]
    shapes: dict[str, Any]

    @property
    def data_id(self) -> str:
        """Return the id of the element with the script's numbers."""
        return f"chart-{self.key}"


def first_moment(now: datetime) -> datetime:
    """Return where the longest chart begins: with a day of the reader's calendar."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=DAYS - 1)


def by_hour(found: list[Hour], now: datetime) -> list[Slot]:
    """Return the last 24 hours, the one under way last; those without figures are there with zeros."""
    known = {hour.hour: hour for hour in found}
    this = now.replace(minute=0, second=0, microsecond=0)
    slots = []
    for back in range(HOURS - 1, -1, -1):
        hour = this - timedelta(hours=back)
        local = timezone.localtime(hour)
        query = f"at={local:%Y-%m-%dT%H}"
        slots.append(Slot(f"{local:%H}h", f"{_day(local)} {local:%H:%M}", query, known.get(hour, Hour(hour))))
    return slots


def by_day(found: list[Hour], now: datetime) -> list[Slot]:
    """Return the last 14 days of the reader's calendar; of quantiles, the day's worst hour."""
    today = timezone.localdate(now)
    slots = []
    for back in range(DAYS - 1, -1, -1):
        day = today - timedelta(days=back)
        hours = [hour for hour in found if timezone.localdate(hour.hour) == day]
        p95s = [hour.p95_seconds for hour in hours if hour.p95_seconds is not None]
        p50s = [hour.p50_seconds for hour in hours if hour.p50_seconds is not None]
        figures = Hour(
            now,
            sum(hour.tries for hour in hours),
            sum(hour.errors for hour in hours),
            sum(hour.throttled for hour in hours),
            max(p50s, default=None),
            max(p95s, default=None),
            sum(hour.movements for hour in hours),
            sum(hour.sold_units for hour in hours),
        )
        slots.append(Slot(_day(day), date_format(day, "SHORT_DATE_FORMAT"), f"at={day:%Y-%m-%d}", figures))
    return slots


def charts(slots: list[Slot], *, is_daily: bool) -> list[Chart]:
    """Return what moved, how fresh the channels were, and what failed."""
    return [_sales(slots), _freshness(slots, is_daily=is_daily), _errors(slots)]


def _sales(slots: list[Slot]) -> Chart:
    sold, moved = sum(slot.figures.sold_units for slot in slots), sum(slot.figures.movements for slot in slots)
    best = max(slots, key=lambda slot: slot.figures.sold_units)
    summary = _("Nothing was sold in this time.")
    if sold:
        summary = _("%(sold)s units sold, %(moved)s movements; most at %(when)s, with %(most)s units.") % {
            "sold": number(sold),
            "moved": number(moved),
            "when": best.name,
            "most": number(best.figures.sold_units),
        }
    names = [_("Units sold"), _("Movements")]
    rows = [[number(slot.figures.sold_units), number(slot.figures.movements)] for slot in slots]
    series = [
        {"label": names[0], "tone": "accent", "type": "bar", "data": [slot.figures.sold_units for slot in slots]},
        {"label": names[1], "tone": "info", "type": "line", "data": [slot.figures.movements for slot in slots]},
    ]
    return _chart("sales", _("Sales and movements"), summary, names, slots, rows, "orders", {"series": series})


def _freshness(slots: list[Slot], *, is_daily: bool) -> Chart:
    late = sum(1 for slot in slots if (slot.figures.p95_seconds or 0) > FRESH_SECONDS)
    told = [slot.figures.p95_seconds for slot in slots if slot.figures.p95_seconds is not None]
    summary = _("No number that moved was told in this time.")
    if told:
        over = ngettext("%(late)s hour was over 30 s", "%(late)s hours were over 30 s", late)
        if is_daily:
            over = ngettext("%(late)s day had an hour over 30 s", "%(late)s days had an hour over 30 s", late)
        over = over % {"late": number(late)} if late else _("none was over 30 s")
        summary = _("The worst hour's 95%% was %(worst)s; %(over)s.") % {"worst": span_of(max(told)), "over": over}
    names = [_("Half within"), "95%"]
    if is_daily:
        names = [_("Half within, worst hour"), _("95%, worst hour")]
    rows = [[_span(slot.figures.p50_seconds), _span(slot.figures.p95_seconds)] for slot in slots]
    series = [
        {"label": names[1], "tone": "accent", "type": "line", "data": [_two(s.figures.p95_seconds) for s in slots]},
        {"label": names[0], "tone": "info", "type": "line", "data": [_two(s.figures.p50_seconds) for s in slots]},
    ]
    lines = [
        {"label": _("30 s: good up to here"), "tone": "warn", "at": FRESH_SECONDS},
        {"label": _("5 min: too late beyond"), "tone": "bad", "at": LATE_SECONDS},
    ]
    shapes = {"series": series, "lines": lines, "unit": "s", "scale": "logarithmic"}
    title = _("Freshness: from the movement to the channel's yes")
    return _chart("freshness", title, summary, names, slots, rows, "syncs", shapes)


def _errors(slots: list[Slot]) -> Chart:
    tries, errors = sum(slot.figures.tries for slot in slots), sum(slot.figures.errors for slot in slots)
    summary = _("No number was told in this time.")
    if tries:
        summary = _("%(errors)s of %(tries)s tries failed: %(percent)s%%, and 1%% is the most it should be.") % {
            "errors": number(errors),
            "tries": number(tries),
            "percent": number_format(100 * errors / tries, 1),
        }
    names = [_("Tries"), _("Failed"), "429", _("Error rate")]
    rows = [
        [
            number(figures.tries),
            number(figures.errors),
            number(figures.throttled),
            f"{number_format(100 * figures.errors / figures.tries, 1)}%" if figures.tries else "—",
        ]
        for figures in (slot.figures for slot in slots)
    ]
    rates = [_two(100 * slot.figures.errors / slot.figures.tries) if slot.figures.tries else None for slot in slots]
    throttled = [
        _two(100 * slot.figures.throttled / slot.figures.tries) if slot.figures.tries else None for slot in slots
    ]
    series = [
        {"label": _("Error rate"), "tone": "bad", "type": "bar", "data": rates},
        {"label": _("of these, too many calls (429)"), "tone": "info", "type": "bar", "data": throttled},
    ]
    lines = [{"label": _("1%: the most it should be"), "tone": "warn", "at": 1}]
    shapes = {"series": series, "lines": lines, "unit": "%"}
    return _chart("errors", _("Error rate of telling numbers"), summary, names, slots, rows, "syncs", shapes)


def _chart(
    key: str,
    title: str,
    summary: str,
    columns: list[str],
    slots: list[Slot],
    rows: list[list[str]],
    page: str,
    shapes: dict[str, Any],
) -> Chart:
    only = "status=ERROR&" if key == "errors" else ""
    urls = [f"{reverse(f'console:{page}')}?{only}{slot.query}" for slot in slots]
    drawn = {"labels": [slot.short for slot in slots], "names": [slot.name for slot in slots], "urls": urls, **shapes}
    table = [(slot.name, url, row) for slot, url, row in zip(slots, urls, rows, strict=True)]
    return Chart(key, title, summary, columns, table[::-1], drawn)


def _day(day: Any) -> str:
    # Translators: day and month, in Django's date format letters
    return date_format(day, _("m/d"))


def _span(seconds: float | None) -> str:
    return "—" if seconds is None else span_of(seconds)


def _two(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
