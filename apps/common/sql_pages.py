"""Lists that are read by SQL, in pages both ways: a cursor says where a page begins, and nobody counts rows.

A **page** is up to `limit` rows in one fixed order with two addresses: `next` goes on, `prev` goes back. A **cursor**
is a place between rows, given by the key of the row beside it, so rows that arrive or leave meanwhile shift nothing.
It is opaque to callers and holds no secret: the tenant comes from the caller, never from the cursor.

A list is read along an index. Where a filter has no index of its own, a page examines EXAMINED_MAX rows at most: it may
then hold fewer rows than asked, even none, and still have a `next`. Only a `next` of null is the end.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec
from django.db import connection
from django.http import HttpRequest
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from apps.common.pages import PageQuery
from apps.common.problems import Problem

Item = TypeVar("Item")
Key = tuple[Any, ...]

EXAMINED_MAX = 10_000
"""A page that finds little among so many rows says where to go on instead of searching on."""

PAGE = """
SELECT {columns}, {names} FROM (
    SELECT * FROM ({examined}) AS examined WHERE {filters} ORDER BY {order} LIMIT %(fetched)s
) AS page {joins} ORDER BY {order}
"""
ALONG_AN_INDEX = """
SELECT *, {keys} FROM {table} WHERE {scope} AND {place} ORDER BY {order} LIMIT %(examined)s
"""
ALL_IN_SCOPE = "SELECT *, {keys} FROM {table} WHERE {scope} OFFSET 0"  # OFFSET 0: what is in scope is found first
LAST_EXAMINED = """
SELECT {keys} FROM {table} WHERE {scope} AND {place} ORDER BY {order} OFFSET %(examined)s - 1 LIMIT 1
"""


class Page(msgspec.Struct, Generic[Item]):
    """Some rows of a list, and the addresses of the pages after and before them; null where there is none."""

    items: list[Item]
    next: str | None
    prev: str | None


Side = Literal["after", "from", "until", "before"]
Place = tuple[Side, Key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A list as SQL, every part of it a constant of the caller's; values go into `params`.

    keys: expressions that are unique together, in the list's order; key_types: the types of their values.
    table, scope: the rows that an index leads to. is_small: they are few, so the list is sorted rather than walked.
    filters: conditions on the rows of the scope. columns, joins: what a row shows; its own columns are `page.…`.
    """

    columns: str
    table: str
    keys: Sequence[str]
    key_types: Any
    params: Mapping[str, Any]
    scope: str = "true"
    filters: Sequence[str] = ()
    joins: str = ""
    is_newest_first: bool = True
    is_small: bool = False


def read(request: HttpRequest, asked: PageQuery, rows: Rows, item: Callable[..., Item]) -> Page[Item]:
    """Return the page that was asked for; `item` makes a row's columns into what the caller sees.

    Raises Problem 400 `invalid_cursor`.
    """
    place = _decode(asked.cursor, rows.key_types) if asked.cursor else None
    is_backward = place is not None and place[0] in ("before", "until")
    query = _Query(rows, place, is_backward)
    found = query.run(asked.limit + 1)
    is_full = len(found) > asked.limit
    found = found[: asked.limit]
    stopped_at = None if is_full else query.last_examined()
    width = len(rows.keys)
    if is_backward:
        found.reverse()
    keys = [row[-width:] for row in found]
    before, after = _neighbours(place, keys, is_full, stopped_at, is_backward)
    items = [item(*row[:-width]) for row in found]
    return Page(items, _address(request, after), _address(request, before))


def _neighbours(
    place: Place | None, keys: list[Key], is_full: bool, stopped_at: Key | None, is_backward: bool
) -> tuple[Place | None, Place | None]:
    """Return where the pages before and after this one begin.

    There is always a page before one that has rows: what arrives at the head of the list later will stand there.
    """
    if is_backward:
        assert place is not None  # noqa: S101  only a cursor leads back
        here: Place = ("from" if place[0] == "before" else "after", place[1])
        reached: Key = stopped_at or (keys[0] if keys else place[1])
        before: Place = ("before", reached) if stopped_at or keys else place
        return before, ("after", keys[-1]) if keys else here
    if keys:
        before_first: Place | None = ("before", keys[0])
    else:
        before_first = ("until" if place[0] == "after" else "before", place[1]) if place else None
    if is_full:
        return before_first, ("after", keys[-1])
    return before_first, ("after", stopped_at) if stopped_at else None


class _Query:
    """One page's SQL: from a place, in one direction."""

    def __init__(self, rows: Rows, place: Place | None, is_backward: bool) -> None:
        self.rows = rows
        is_falling = rows.is_newest_first != is_backward
        self.direction = " DESC" if is_falling else ""
        sign = ("<" if is_falling else ">") + ("=" if place and place[0] in ("from", "until") else "")
        self.names = [f"key_{number}" for number in range(len(rows.keys))]
        values = place[1] if place else ()
        self.params = {**rows.params, **dict(zip(self.names, values, strict=place is not None))}
        marks = ", ".join(f"%({name})s" for name in self.names)
        self.place = "({keys}) " + f"{sign} ({marks})" if place else "true"

    def run(self, fetched: int) -> list[Key]:
        rows = self.rows
        place_in_filters = [self.place.format(keys=", ".join(self.names))] if rows.is_small else []
        text = PAGE.format(
            columns=rows.columns,
            names=", ".join(self.names),
            examined=self._part(ALL_IN_SCOPE if rows.is_small else ALONG_AN_INDEX),
            filters=" AND ".join(["true", *rows.filters, *place_in_filters]),
            order=self._order(self.names),
            joins=rows.joins,
        )
        with connection.cursor() as cursor:
            cursor.execute(text, {**self.params, "fetched": fetched, "examined": EXAMINED_MAX})
            return list(cursor.fetchall())

    def last_examined(self) -> Key | None:
        """Return the key of the row at which a page stopped searching; None when it saw the last row there is."""
        if self.rows.is_small or not self.rows.filters:
            return None
        with connection.cursor() as cursor:
            cursor.execute(self._part(LAST_EXAMINED), {**self.params, "examined": EXAMINED_MAX})
            row: Key | None = cursor.fetchone()
            return row

    def _part(self, text: str) -> str:
        rows = self.rows
        keys = ", ".join(f"{key} AS {name}" for key, name in zip(rows.keys, self.names, strict=True))
        place = self.place.format(keys=", ".join(rows.keys))
        return text.format(table=rows.table, scope=rows.scope, keys=keys, place=place, order=self._order(rows.keys))

    def _order(self, keys: Sequence[str]) -> str:
        return ", ".join(key + self.direction for key in keys)


def _address(request: HttpRequest, place: Place | None) -> str | None:
    if place is None:
        return None
    asked = {name: value for name, value in request.GET.dict().items() if name != "cursor"}
    return f"{request.path}?{urlencode({**asked, 'cursor': _encode(place)})}"


def _encode(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _decode(cursor: str, key_types: Any) -> Place:
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        side, key = msgspec.json.decode(raw, type=tuple[Side, msgspec.Raw])
        return side, msgspec.json.decode(key, type=key_types)
    except (binascii.Error, UnicodeError, RecursionError, msgspec.DecodeError):
        detail = _("This cursor is none that Saldo gave; begin again without one.")
        raise Problem(400, "invalid_cursor", detail) from None
