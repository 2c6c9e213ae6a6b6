"""Lists of the API in pages, newest first: `?limit=&cursor=`. Stable while rows come in, and every page costs alike.

A cursor is the last row's place in the order, in base64. It opens nothing: rows are found among the caller's alone.
"""

import base64
import binascii
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common.problems import Problem

M = TypeVar("M", bound=Model)


class PageQuery(msgspec.Struct):
    """Which page of a list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200, description="Rows on the page")] = 50
    cursor: Annotated[str, msgspec.Meta(max_length=200, description="Out of an answer's `next`")] = ""


def page(
    request: HttpRequest, rows: QuerySet[M], query: PageQuery, *, by: tuple[str, ...]
) -> tuple[list[M], str | None]:
    """Return the rows of one page, and the address of the next one (None on the last).

    by: the fields of the order, the last one unique; both ways of reading it descend.
    Raises Problem 400 `invalid_cursor` for a cursor that no answer of ours gave.
    """
    if query.cursor:
        rows = rows.filter(_after(rows.model, by, query.cursor))
    found = list(rows.order_by(*(f"-{name}" for name in by))[: query.limit + 1])
    if len(found) <= query.limit:
        return found, None
    shown = found[: query.limit]
    parameters = {**request.GET.dict(), "cursor": _cursor(shown[-1], by)}
    return shown, f"{request.path}?{urlencode(parameters)}"


def _cursor(row: Model, by: tuple[str, ...]) -> str:
    values = [getattr(row, name) for name in by]
    return base64.urlsafe_b64encode(msgspec.json.encode([str(value) for value in values])).decode().rstrip("=")


def _after(model: type[Model], by: tuple[str, ...], cursor: str) -> Q:
    """Return the condition for what comes after the row that a cursor names."""
    try:
        texts = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[str])
        fields: list[Any] = [model._meta.get_field(name) for name in by]
        values = [field.to_python(text) for field, text in zip(fields, texts, strict=True)]
    except (ValueError, binascii.Error, msgspec.MsgspecError, ValidationError, OverflowError):
        raise Problem(
            400, "invalid_cursor", _("This cursor is none that Saldo gave; begin again without one.")
        ) from None
    condition = Q()
    for number, name in enumerate(by):
        same = {before: values[place] for place, before in enumerate(by[:number])}
        condition |= Q(**same, **{f"{name}__lt": values[number]})
    return condition
