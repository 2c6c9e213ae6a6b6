"""Errors of the API as problem documents (RFC 9457), with a code that never changes.

Every error a caller can meet has one shape: `type`, `title`, `status`, `detail` (what happened, what it means), `code`
(stable, for programs) and `trace_id` (for the log). Titles and details follow the caller's language; codes do not.
"""

import uuid
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response

CONTENT_TYPE = "application/problem+json"


class Problem(exceptions.APIException):
    """An error of the domain, for the caller: status, stable code, sentence, and facts that help (`available`: 3)."""

    def __init__(self, status: int, code: str, detail: str, **facts: Any) -> None:
        super().__init__(detail=detail, code=code)
        self.status_code = status
        self.facts = facts


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what a view raised into a problem document (DRF's EXCEPTION_HANDLER); None for what is our own defect."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None
    code = _code(error)
    document = {
        "type": f"/problems/{code}",
        "title": _title(error),
        "status": error.status_code,
        "detail": _detail(error),
        "code": code,
        "trace_id": structlog.contextvars.get_contextvars().get("trace_id", str(uuid.uuid4())),
        **(error.facts if isinstance(error, Problem) else {}),
    }
    if isinstance(error, exceptions.ValidationError):
        document["errors"] = _field_errors(error.detail)
    return Response(document, status=error.status_code, headers=_headers(error), content_type=CONTENT_TYPE)


def _code(error: exceptions.APIException) -> str:
    return "validation_failed" if isinstance(error, exceptions.ValidationError) else str(error.get_codes())


def _title(error: exceptions.APIException) -> str:
    titles = {
        400: _("The request is not right"),
        401: _("Who is asking is not known"),
        403: _("This key or person may not do that"),
        404: _("There is no such thing"),
        405: _("This address does not take that method"),
        429: _("Too many requests"),
    }
    return titles.get(error.status_code, _("The request was refused"))


def _detail(error: exceptions.APIException) -> str:
    if isinstance(error, exceptions.ValidationError):
        return _("Some fields are missing or wrong; nothing was changed. `errors` names them.")
    return str(error.detail)


def _field_errors(detail: Any, pointer: str = "") -> list[dict[str, str]]:
    """Flatten DRF's nested errors to a list with a JSON pointer each."""
    if isinstance(detail, dict):
        return [row for name, inner in detail.items() for row in _field_errors(inner, f"{pointer}/{name}")]
    if isinstance(detail, list) and any(isinstance(inner, dict | list) for inner in detail):
        return [row for number, inner in enumerate(detail) for row in _field_errors(inner, f"{pointer}/{number}")]
    texts = detail if isinstance(detail, list) else [detail]
    return [{"pointer": pointer, "detail": str(text), "code": str(getattr(text, "code", "invalid"))} for text in texts]


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if (wait := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait))
    return headers
