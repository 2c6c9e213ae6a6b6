"""Errors of the API as problem documents (RFC 9457), with a code that never changes.

Every error a caller can meet has one shape: `type`, `title`, `status`, `detail` (what happened, what it means),
`instance` (the address asked), `code` (stable, for programs), `trace_id` (for the log), and facts that help, named in
camelCase (`max_batch` alone is in the words of the ingest contract). Plain views and DRF's raise the same `Problem`;
what else they raise is translated here. Titles and details follow the
caller's language; codes do not, and each stands in problem_codes.py.
"""

import http.client
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils.translation import gettext as _
from rest_framework import exceptions

from apps.common.problem_codes import CODES

CONTENT_TYPE = "application/problem+json"

UNLOGGED = (409, 412, 429)
"""Ordinary answers of a busy sale ("sold out", "somebody was faster", "too many"): a line each would cost more than the
answer and bury the others."""

log = structlog.get_logger(__name__)


class Problem(Exception):
    """An error for the caller: HTTP status, stable code, sentence, and facts that help (`available=3`).

    headers: what the answer carries besides, such as Retry-After.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **facts: Any
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.facts = facts


def camel(name: str) -> str:
    """Return the name of a fact as callers see it: `reservationStatus` for `reservation_status`."""
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """Turn whatever a DRF view raised into a problem document (DRF's EXCEPTION_HANDLER)."""
    return answer(error, context["request"]._request)


def answer(error: Exception, request: HttpRequest) -> HttpResponse:
    """Return the problem document for what a view raised, and write one line about it to the log."""
    problem = translate(error)
    if problem.status >= 500:
        log.error("api.failed", **_line(problem, request), exc_info=error)
    elif problem.status not in UNLOGGED:
        log.info("api.refused", **_line(problem, request))
    body = msgspec.json.encode(document(problem, request), enc_hook=str)  # a fact may be of any kind
    response = HttpResponse(body, status=problem.status, content_type=CONTENT_TYPE, headers=problem.headers)
    response._has_been_logged = True  # type: ignore[attr-defined]  # or Django would write a second line
    return response


def document(problem: Problem, request: HttpRequest) -> dict[str, Any]:
    """Return the problem as RFC 9457 says it; the facts come last and cannot replace the members before them."""
    entry = CODES.get(problem.code)
    return {
        **problem.facts,
        "type": f"/problems/{problem.code}",
        "title": str(entry.title) if entry else http.client.responses.get(problem.status, ""),
        "status": problem.status,
        "detail": str(problem.detail),
        "instance": request.path,
        "code": problem.code,
        "trace_id": getattr(request, "trace_id", ""),
    }


def translate(error: Exception) -> Problem:
    """Return the problem that an exception means to a caller; what is nobody's word is our own defect (500)."""
    match error:
        case Problem():
            return error
        case exceptions.APIException():
            return _of_drf(error)
        case Http404():
            return Problem(404, "not_found", _("Nothing of yours has this address or id."))
        case PermissionDenied():
            return Problem(403, "permission_denied", _("Your role or key does not allow this. Nothing was changed."))
        case RequestDataTooBig():
            return Problem(413, "body_too_large", _("The body is larger than is read here. Nothing was changed."))
        case SuspiciousOperation() | UnreadablePostError():
            return Problem(400, "malformed_request", _("The request cannot be read. Nothing was changed."))
        case DataError() | OverflowError():
            return Problem(422, "value_out_of_range", _("A value is larger than can be stored. Nothing was changed."))
        case OperationalError() | InterfaceError():
            detail = _("The database cannot answer just now. Repeat the request; a change happens once per key.")
            return Problem(503, "temporarily_unavailable", detail, headers={"Retry-After": "1"})
    detail = _("This is a defect of Saldo, and it was recorded. The trace_id finds it in the log.")
    return Problem(500, "internal_error", detail)


CODES_OF_DRF = {
    "authentication_failed": "invalid_credentials",
    "error": "internal_error",
    "invalid": "validation_failed",
    "parse_error": "malformed_json",
    "throttled": "rate_limited",
}


def _of_drf(error: exceptions.APIException) -> Problem:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if (wait := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait))
    if isinstance(error, exceptions.ValidationError):
        return validation_failed(_field_errors(error.detail))
    code = str(error.get_codes())
    return Problem(error.status_code, CODES_OF_DRF.get(code, code), str(error.detail), headers=headers)


def validation_failed(errors: list[dict[str, str]]) -> Problem:
    """Return the 422 that lists values; each has a `pointer`, `parameter` or `header`, `detail` and `code`."""
    detail = _("Some values are missing or wrong; nothing was changed. `errors` names them.")
    return Problem(422, "validation_failed", detail, errors=errors)


def wrong_method(allowed: Collection[str]) -> Problem:
    """Return the 405 that names the methods an address takes."""
    methods = ", ".join(sorted({*allowed, "HEAD"} if "GET" in allowed else allowed))
    detail = _("This address takes %(methods)s. Nothing was changed.") % {"methods": methods}
    return Problem(405, "method_not_allowed", detail, headers={"Allow": methods})


def _field_errors(detail: Any, pointer: str = "") -> list[dict[str, str]]:
    """Flatten DRF's nested errors to a list with a JSON pointer each."""
    if isinstance(detail, dict):
        return [row for name, inner in detail.items() for row in _field_errors(inner, f"{pointer}/{name}")]
    if isinstance(detail, list) and any(isinstance(inner, dict | list) for inner in detail):
        return [row for number, inner in enumerate(detail) for row in _field_errors(inner, f"{pointer}/{number}")]
    texts = detail if isinstance(detail, list) else [detail]
    return [{"pointer": pointer, "detail": str(text), "code": str(getattr(text, "code", "invalid"))} for text in texts]


def _line(problem: Problem, request: HttpRequest) -> dict[str, Any]:
    return {
        "code": problem.code,
        "status": problem.status,
        "method": request.method,
        "path": request.path[:200],
        "actor": getattr(request, "actor", ""),
    }
