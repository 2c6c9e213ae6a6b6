"""What surrounds every view of the API: a trace id, the caller's language, and a problem document for every error.

It stands in for Django's middleware there (common/fast_lane.py), for plain views and DRF's alike. No answer is HTML but
the documentation page, and nothing a caller sends is answered 500.
"""

import os
import re
import uuid
from functools import lru_cache
from io import BytesIO

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.request import UnreadablePostError
from django.template.response import SimpleTemplateResponse
from django.urls import ResolverMatch, URLResolver, get_resolver
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import trans_real
from structlog.contextvars import bind_contextvars, reset_contextvars

from apps.common import problems
from apps.common.problems import Problem

PREFIXES = ("/v1/", "/api/", "/internal/")
"""Where the API lives: `/v1/` is versioned by us; the other two are addresses that a requirement names."""

TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context: version, trace id, parent id, flags. Zeros mean nothing."""


def serve(request: HttpRequest) -> HttpResponse:
    """Answer one request to the API."""
    trace_id = request.trace_id = trace_id_for(request)  # type: ignore[attr-defined]
    bound = bind_contextvars(trace_id=trace_id)
    # The thread keeps the language of whoever it served last, so it is set for everyone.
    translation.activate(_language(request.META.get("HTTP_ACCEPT_LANGUAGE", "")))
    try:
        response = _call_view(request)
    except Exception as error:
        response = problems.answer(error, request)
    finally:
        reset_contextvars(**bound)
    response.headers["X-Trace-Id"] = trace_id
    response.headers["Cache-Control"] = "no-store"  # stock is one tenant's, and old a moment later
    if not response.streaming:  # without it the web server sends chunks
        response.headers["Content-Length"] = str(len(response.content))
    return response


def trace_id_of(request: HttpRequest) -> uuid.UUID:
    """Return the trace id of a request to the API, as a movement's cause wants it."""
    return uuid.UUID(hex=request.trace_id)  # type: ignore[attr-defined]


def _call_view(request: HttpRequest) -> HttpResponse:
    _refuse_unreadable(request)
    if "HTTP_TRANSFER_ENCODING" in request.META:
        _take_chunks(request)
    try:
        view, args, kwargs = _view_at(request.path_info, get_resolver())
    except Http404:
        raise Problem(404, "not_found", _("The API has no such address. /v1/docs lists them all.")) from None
    response: HttpResponse = view(request, *args, **kwargs)
    if isinstance(response, HttpResponseNotAllowed):
        raise problems.wrong_method([method.strip() for method in response.headers["Allow"].split(",")])
    if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
        response.render()  # DRF's answers render late; here, so that what breaks in it is a problem too
    return response


@lru_cache(1000)
def _view_at(path: str, resolver: URLResolver) -> ResolverMatch:
    """Return the view of an address. Remembered: most requests go to a few, and finding one costs as much as a read."""
    return resolver.resolve(path)


def _refuse_unreadable(request: HttpRequest) -> None:
    """Refuse what no view can do anything with: NUL characters, which PostgreSQL keeps in no text, and huge bodies."""
    if "\0" in request.path_info:
        raise Problem(404, "not_found", _("No id or code holds a NUL character."))
    if "%00" in request.META.get("QUERY_STRING", ""):
        raise Problem(400, "malformed_request", _("No parameter may hold a NUL character."))
    length = request.META.get("CONTENT_LENGTH", "")
    if length.isdecimal() and int(length[:20]) > settings.API_BODY_MAX_BYTES:
        raise too_large()


def _take_chunks(request: HttpRequest) -> None:
    """Read a body that announces no length, of which Django would see nothing, and let it look like any other."""
    body = read_body(request, settings.API_BODY_MAX_BYTES)
    if body is None:
        raise too_large()
    del request.META["HTTP_TRANSFER_ENCODING"]
    request.META["CONTENT_LENGTH"] = str(len(body))
    request._stream = BytesIO(body)  # what `request.read` and DRF read from


def too_large() -> Problem:
    """Return the 413 that names the limit."""
    detail = _("The body is larger than %(limit)s bytes. Nothing was changed.") % {"limit": settings.API_BODY_MAX_BYTES}
    return Problem(413, "body_too_large", detail, limitBytes=settings.API_BODY_MAX_BYTES)


def read_body(request: HttpRequest, max_bytes: int) -> bytes | None:
    """Return the body, or None when it is larger than `max_bytes`, announced or not. Raises UnreadablePostError.

    Django reads nothing of a chunked body, which announces no length: that one is read from the server itself.
    """
    length = request.META.get("CONTENT_LENGTH", "")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        return None
    stream = request.META["wsgi.input"] if "HTTP_TRANSFER_ENCODING" in request.META else request
    try:
        body: bytes = stream.read(max_bytes + 1)
    except OSError as error:  # the sender hung up
        raise UnreadablePostError(*error.args) from error
    return body if len(body) <= max_bytes else None


def trace_id_for(request: HttpRequest) -> str:
    """Return the trace id that the caller is in (`traceparent`), or a new one."""
    given = request.META.get("HTTP_TRACEPARENT")
    if given and (match := TRACEPARENT.match(given)):
        return match[1]
    return os.urandom(16).hex()


@lru_cache(1000)
def _language(accepted: str) -> str:
    """Return the language to speak: the first that an Accept-Language header and the hub share."""
    for code, _quality in trans_real.parse_accept_lang_header(accepted.lower()[:500]):
        if code == "*":
            break
        try:
            return translation.get_supported_language_variant(code)
        except LookupError:
            continue
    return settings.LANGUAGE_CODE
