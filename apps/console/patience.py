"""How long a page may keep the database busy: then the query is ended, and the page says "narrow the filter".

A filter over millions of rows that no index serves would hold a connection and a processor for minutes, and the person
would ask again. Only pages that read are cut off; what changes something is never ended halfway by this.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import structlog
from django.conf import settings
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

log = structlog.get_logger(__name__)

READING = ("GET", "HEAD")


class EndSlowPages:
    """Give the console's reading pages CONSOLE_STATEMENT_SECONDS a query, and answer 503 in words when it was short."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in READING or not settings.CONSOLE_STATEMENT_SECONDS or not _is_page(request):
            return self.get_response(request)
        with statement_timeout(settings.CONSOLE_STATEMENT_SECONDS):
            return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Say what to do when the database ended a query for taking too long; anything else is not ours."""
        cause = exception.__cause__ if isinstance(exception, OperationalError) else None
        if not isinstance(cause, psycopg.errors.QueryCanceled) or not _is_page(request):
            return None
        log.warning("page_took_too_long", path=request.path, filters=sorted(request.GET))
        return render(request, "console/too_long.html", {"seconds": settings.CONSOLE_STATEMENT_SECONDS}, status=503)


@contextmanager
def statement_timeout(seconds: float) -> Iterator[None]:
    """End every query of the block that takes longer. The connection is the thread's own and outlives the request."""
    connection.ensure_connection()
    _set(f"SET statement_timeout = {round(seconds * 1000)}")
    try:
        yield
    finally:
        _set("RESET statement_timeout")


def _set(statement: str) -> None:
    # Past Django's cursor: it is no query of the page. It fails in a broken transaction, whose end undoes the first
    # SET, and on a connection that is gone, as is what was set there.
    raw = connection.connection
    if raw is not None:
        try:
            raw.execute(statement)
        except psycopg.Error as error:
            log.info("statement_timeout_not_set", reason=type(error).__name__)


def _is_page(request: HttpRequest) -> bool:
    return request.path_info.startswith("/console/")
