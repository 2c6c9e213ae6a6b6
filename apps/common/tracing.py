"""One trace id for each request, from the first middleware on: every line of the log about it carries the id."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bind_contextvars, reset_contextvars

from apps.common.api_shell import trace_id_for


class TraceId:
    """Give a page's request what api_shell gives the API's: `request.trace_id`, the log's, and the answer's header."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        trace_id = request.trace_id = trace_id_for(request)  # type: ignore[attr-defined]
        bound = bind_contextvars(trace_id=trace_id)
        try:
            response = self.get_response(request)
        finally:
            reset_contextvars(**bound)
        response.headers.setdefault("X-Trace-Id", trace_id)
        return response
