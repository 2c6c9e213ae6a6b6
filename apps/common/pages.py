"""Lists of the API in pages, by cursor: stable while rows come in, and no page costs more than another."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from apps.common.problems import Problem


class CursorPages(CursorPagination):
    """`?cursor=&limit=`; the answer's `next` and `previous` are addresses. A subclass names its `ordering`."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: Any = None
    ) -> list[Any] | None:
        """Return the rows of the page asked for. Raises Problem for a cursor that no answer of ours gave."""
        try:
            page: list[Any] | None = super().paginate_queryset(queryset, request, view)
        except (NotFound, ValueError, TypeError, OverflowError, ValidationError, DataError):
            raise Problem(
                400, "invalid_cursor", _("This cursor is not one of ours; begin again without one.")
            ) from None
        return page
