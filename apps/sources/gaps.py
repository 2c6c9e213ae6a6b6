"""Which numbers of a counter are stored, kept as the few that are missing. Plain values, no database.

A **stream** is everything from `start` to `end` except its gaps. The order in which numbers arrive, and how often,
makes no difference to what it ends as.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

GAPS_MAX = 1_000
"""Gaps kept of one counter. Past it the last ones are taken for one, which only asks for numbers that are here."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that are missing, both ends included, and since when that is known."""

    first: int
    last: int
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Stream:
    """What is stored of one counter: all of `start` to `end` but the gaps, which are in order and never touch."""

    start: int
    end: int
    gaps: tuple[Gap, ...] = ()

    @property
    def ack(self) -> int:
        """The highest number up to which nothing is missing; `start - 1` when the first one is."""
        return self.gaps[0].first - 1 if self.gaps else self.end


def receive(stream: Stream, numbers: Iterable[int], *, now: datetime, announced: int | None = None) -> Stream:
    """Return the stream after `numbers` were stored. `announced` is the highest one that the sender says exists."""
    stored = _ranges(numbers)
    lowest = stored[0][0] if stored else stream.start
    highest = max(stored[-1][1] if stored else stream.end, announced if announced is not None else stream.end)
    gaps = list(stream.gaps)
    if lowest < stream.start:
        gaps.insert(0, Gap(lowest, stream.start - 1, now))
    if highest > stream.end:
        gaps.append(Gap(stream.end + 1, highest, now))
    left = _without(gaps, stored)
    return Stream(min(lowest, stream.start), max(highest, stream.end), tuple(_bounded(_joined(left))))


def give_up(stream: Stream, first: int, last: int) -> tuple[Stream, list[tuple[int, int]]]:
    """Return the stream without the gaps between `first` and `last`, and those ranges: they will never come."""
    lost = [
        (max(first, gap.first), min(last, gap.last)) for gap in stream.gaps if gap.first <= last and gap.last >= first
    ]
    return Stream(stream.start, stream.end, tuple(_without(list(stream.gaps), lost))), lost


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the numbers as ranges in order, both ends included."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _without(gaps: list[Gap], stored: list[tuple[int, int]]) -> list[Gap]:
    """Return what is left of the gaps when the ranges, in order, are taken out of them."""
    left = []
    at = 0
    for gap in gaps:
        first = gap.first
        while at < len(stored) and stored[at][1] < first:
            at += 1
        look = at
        while look < len(stored) and stored[look][0] <= gap.last:
            if stored[look][0] > first:
                left.append(Gap(first, stored[look][0] - 1, gap.opened_at))
            first = stored[look][1] + 1
            look += 1
        if first <= gap.last:
            left.append(Gap(first, gap.last, gap.opened_at))
    return left


def _joined(gaps: list[Gap]) -> list[Gap]:
    """Return the gaps with neighbours made one, known since the earlier of the two."""
    joined: list[Gap] = []
    for gap in gaps:
        if joined and joined[-1].last == gap.first - 1:
            before = joined.pop()
            gap = Gap(before.first, gap.last, min(before.opened_at, gap.opened_at))
        joined.append(gap)
    return joined


def _bounded(gaps: list[Gap]) -> list[Gap]:
    if len(gaps) <= GAPS_MAX:
        return gaps
    rest = gaps[GAPS_MAX - 1 :]
    return [*gaps[: GAPS_MAX - 1], Gap(rest[0].first, rest[-1].last, min(gap.opened_at for gap in rest))]
