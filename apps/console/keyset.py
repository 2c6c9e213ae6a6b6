"""Pages of a long list, without COUNT and without OFFSET.

A page starts after (or before) a *cursor*: the order values of the row at its edge. Reading page 400 costs what reading
page 1 costs, and rows that arrive meanwhile never shift what is shown.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, QueryDict

M = TypeVar("M", bound=Model)

OLDER, NEWER = "before", "after"
"""The URL's parameters: rows further down the list than the cursor, and rows further up."""

PAGE_SIZE = 50

APART_MAX = 20
"""Values that are read one by one; beyond it the rows are sorted."""

REACH = 40_000
"""Rows that one page looks at where no index serves its filters: a fraction of a second, whatever there is to find."""


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """The rows of one page, and the query strings that lead to its neighbours ("" where there is none)."""

    rows: list[M]
    first_url: str
    newer_url: str
    older_url: str
    reached: datetime | None = None
    """As far as this page looked, where it found fewer rows than it has room for before it had looked at all."""

    @property
    def is_first(self) -> bool:
        """Tell whether nothing comes before this page."""
        return not self.newer_url


def page_of(
    request: HttpRequest,
    rows: QuerySet[M],
    *order: str,
    descending: bool = True,
    size: int = PAGE_SIZE,
    apart: tuple[str, Sequence[object]] | None = None,
    along: tuple[QuerySet[M], str] | None = None,
) -> Page[M]:
    """Return the page that the request's URL asks for.

    order: names of fields or annotations that order the rows without ties; the last one is unique. All of them run in
    the same direction. A cursor that makes no sense (edited by hand, of another list) shows the first page.
    apart: a field and all its values, where the index that serves has that field before the order: each value is then
    read on its own, a page at most, instead of every row being sorted (with up to APART_MAX values).
    along: the rows without the filters that no index serves, and the name of their moment. A page then looks at REACH
    of them at most: what is rare is found in several steps, each of them quick, and the page says how far it looked.
    """
    parameters = request.GET.copy()
    older = _cursor(parameters.pop(OLDER, []), order)
    newer = _cursor(parameters.pop(NEWER, []), order)
    try:
        return _page(parameters, rows, order, older, newer, descending, size, apart, along)
    except (TypeError, ValueError, ValidationError):
        return _page(parameters, rows, order, None, None, descending, size, apart, along)


def _page(
    parameters: QueryDict,
    rows: QuerySet[M],
    order: Sequence[str],
    older: list[object] | None,
    newer: list[object] | None,
    descending: bool,
    size: int,
    apart: tuple[str, Sequence[object]] | None,
    along: tuple[QuerySet[M], str] | None,
) -> Page[M]:
    is_upwards = newer is not None and older is None
    edge = newer if is_upwards else older
    is_falling = descending != is_upwards
    if edge is not None:
        rows = rows.filter(beyond(order, edge, is_falling=is_falling))
    end = _end_of_reach(along[0], order, edge, is_falling=is_falling) if along else None
    if end is not None:
        rows = rows.filter(beyond(order, values_at(end[1], order), is_falling=not is_falling))
    rows = rows.order_by(*_sorting(order, is_falling=is_falling))
    if apart is not None and 1 < len(apart[1]) <= APART_MAX:
        field, values = apart
        first, *others = [rows.filter(**{field: value}).values("pk")[: size + 1] for value in values]
        rows = rows.filter(pk__in=list(first.union(*others, all=True).values_list("pk", flat=True)))
    found = list(rows[: size + 1])
    has_more, found = len(found) > size, found[:size]
    if is_upwards:
        found.reverse()
    last_seen = end[0] if end is not None and not has_more else None
    has_newer, has_older = (has_more, bool(found)) if is_upwards else (edge is not None, has_more)
    newer_url = _url(parameters, NEWER, found[0], order) if has_newer and found else ""
    older_url = _url(parameters, OLDER, found[-1], order) if has_older and found else ""
    if last_seen is not None:
        further = _url(parameters, NEWER if is_upwards else OLDER, last_seen, order)
        newer_url, older_url = (further, older_url) if is_upwards else (newer_url, further)
    return Page(
        rows=found,
        first_url=_url(parameters),
        newer_url=newer_url,
        older_url=older_url,
        reached=getattr(last_seen, along[1]) if last_seen is not None and along else None,
    )


def _sorting(order: Sequence[str], *, is_falling: bool) -> list[str]:
    return [f"-{name}" if is_falling else name for name in order]


def _end_of_reach(
    rows: QuerySet[M], order: Sequence[str], edge: Sequence[object] | None, *, is_falling: bool
) -> tuple[M, M] | None:
    """Return the last row within REACH of the edge and the first one out of it; None when all are within."""
    if edge is not None:
        rows = rows.filter(beyond(order, edge, is_falling=is_falling))
    found = list(rows.order_by(*_sorting(order, is_falling=is_falling))[REACH - 1 : REACH + 1])
    return (found[0], found[1]) if len(found) > 1 else None


def beyond(order: Sequence[str], edge: Sequence[object], *, is_falling: bool) -> Q:
    """Return the condition "comes after the edge" for values compared one after the other.

    The first bound is repeated on its own: PostgreSQL starts an index scan there, which it cannot do with an OR.
    """
    step = "lt" if is_falling else "gt"
    beyond, equal_so_far = Q(pk__in=[]), Q()
    for name, value in zip(order, edge, strict=True):
        beyond |= equal_so_far & Q(**{f"{name}__{step}": value})
        equal_so_far &= Q(**{name: value})
    return Q(**{f"{order[0]}__{step}e": edge[0]}) & beyond


def _url(parameters: QueryDict, direction: str = "", row: Model | None = None, order: Sequence[str] = ()) -> str:
    """Return the query string of a neighbour: the list's filters stay, the cursor is the row at the edge."""
    target = parameters.copy()
    if row is not None:
        target[direction] = (
            base64.urlsafe_b64encode(json.dumps(values_at(row, order), default=str).encode()).decode().rstrip("=")
        )
    return f"?{target.urlencode()}"


def values_at(row: Model, order: Sequence[str]) -> list[object]:
    """Return the values that a row is ordered by: what a cursor holds."""
    return [_value(row, name) for name in order]


def _value(row: object, name: str) -> object:
    for part in name.split("__"):
        row = getattr(row, part)
    return row


def _cursor(texts: Sequence[object], order: Sequence[str]) -> list[object] | None:
    """Return the values a cursor holds, or None when it holds none that fit."""
    text = str(texts[-1]) if texts else ""
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    fits = isinstance(values, list) and len(values) == len(order)
    return values if fits and all(_can_be_compared(value) for value in values) else None


def _can_be_compared(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and "\x00" not in value)  # no text of PostgreSQL has one
