"""What a handler receives and gives back, and the error envelopes of the marketplace (contract §6.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, NoReturn
from urllib.parse import parse_qsl

Json = Any
"""Any JSON value."""

Doc = dict[str, Any]
"""A JSON object."""


@dataclass
class Answer:
    """What is sent back: ``body`` is JSON unless it is ``bytes`` (sent as is) or ``None`` (empty)."""

    status: int
    body: Json = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"

    def payload(self) -> bytes:
        """The body in bytes."""
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


class Refusal(Exception):
    """Raised by a handler to answer an error; carries the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status} {answer.body!r}")
        self.answer = answer


def refusal(status: int, error: str, message: str, cause: Json = None) -> Refusal:
    """The standard envelope ``{message, error, status, cause}`` (contract §6.2), to be raised."""
    body = {"message": message, "error": error, "status": status, "cause": [] if cause is None else cause}
    return Refusal(Answer(status, body))


def refuse(status: int, error: str, message: str, cause: Json = None) -> NoReturn:
    """Raise ``refusal`` with the same arguments."""
    raise refusal(status, error, message, cause)


def refuse_validation(code: str, message: str, cause_id: int, references: list[str]) -> NoReturn:
    """Answer 400 ``validation_error`` with one blocking cause (contract §6.2 Validation).

    Raises: Refusal, always.
    """
    cause = {
        "department": "items",
        "cause_id": cause_id,
        "type": "error",
        "code": code,
        "references": references,
        "message": message,
    }
    refuse(400, "validation_error", "Validation error", [cause])


@dataclass
class Call:
    """One HTTP call received.

    ``user_id`` and ``client_id`` are those of the bearer token, once it was recognised. Handlers write into
    ``applied`` what the call changed, for the journal. ``fault`` is the misbehaviour that the control asked for.
    """

    method: str
    path: str
    raw_query: str
    headers: Message
    body: bytes
    user_id: int | None = None
    client_id: str | None = None
    applied: list[Doc] = field(default_factory=list)
    note: str | None = None
    fault: Doc | None = None

    def __post_init__(self) -> None:
        self.pairs = parse_qsl(self.raw_query, keep_blank_values=True)
        self.query = dict(self.pairs)

    def fault_is(self, action: str) -> bool:
        """Whether the control asked for this misbehaviour on this call."""
        return self.fault is not None and self.fault["action"] == action

    def json(self) -> Json:
        """The body as JSON.

        Raises: Refusal 400 when it is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            refuse(400, "bad_request", "The body does not contain a valid JSON")

    def json_object(self) -> Doc:
        """The body as a JSON object.

        Raises: Refusal 400 when it is anything else.
        """
        value = self.json()
        if not isinstance(value, dict):
            refuse(400, "bad_request", "The body must be a JSON object")
        return value

    def is_form(self) -> bool:
        """Whether the body is ``application/x-www-form-urlencoded``."""
        content_type = self.headers.get("Content-Type") or ""
        return content_type.split(";")[0].strip().lower() == "application/x-www-form-urlencoded"

    def form_pairs(self) -> list[tuple[str, str]]:
        """The form fields of the body in order; empty when it is not a form."""
        if not self.is_form():
            return []
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def number(self, name: str, default: int, minimum: int = 0) -> int:
        """A whole number of the query string.

        Raises: Refusal 400 when it is no number or is below ``minimum``.
        """
        text = self.query.get(name, "")
        if not text:
            return default
        if not text.lstrip("-").isdigit() or len(text) > 18 or int(text) < minimum:
            refuse(400, "bad_request", f"Invalid value for {name}: {text[:40]}")
        return int(text)

    def quantity_to_keep(self, asked: int) -> int:
        """The number a stock write keeps: the one asked for, unless the fault ``wrong_quantity`` says otherwise."""
        if self.fault is None or not self.fault_is("wrong_quantity"):
            return asked
        return int(self.fault.get("quantity", max(0, asked - 1)))

    def lie_echoes(self) -> bool:
        """Whether the fault ``lie`` also shows the number that was asked for."""
        return self.fault is not None and self.fault_is("lie") and bool(self.fault.get("echo"))
