"""What is wrong with a value is said in whole sentences of our own, never in the decoder's words."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from django.utils import translation
from msgspec import Meta

from apps.common.problems import Problem
from apps.common.typed_json import convert_query, decode

Text = Annotated[str, Meta(min_length=1, max_length=3)]
Few = Annotated[list[int], Meta(min_length=1, max_length=1)]
Number = Annotated[int, Meta(ge=1, le=5)]

CASES: list[tuple[Any, Any, str, str]] = [
    (int, "a", "wrong_type", "This must be a whole number, not a text."),
    (int | None, "a", "wrong_type", "This must be a whole number or null, not a text."),
    (int | str, [], "wrong_type", "This must be a whole number or a text, not a list."),
    (str, 1, "wrong_type", "This must be a text, not a whole number."),
    (bool, 1.5, "wrong_type", "This must be true or false, not a number."),
    (list[int], {}, "wrong_type", "This must be a list, not an object."),
    (datetime, True, "wrong_type", "This must be a moment such as 2026-11-22T14:32:10Z, not true or false."),
    (UUID, 7, "wrong_type", "This must be an id (UUID), not a whole number."),
    (bytes, 7, "wrong_type", "This must be something else, not a whole number."),
    (Text, "", "wrong_length", "The length must be at least 1."),
    (Text, "abcd", "wrong_length", "The length must be at most 3."),
    (Few, [], "wrong_length", "The length must be at least 1."),
    (tuple[int, int], [1], "wrong_length", "The length must be 2."),
    (Number, 0, "out_of_range", "This must be at least 1."),
    (Number, 9, "out_of_range", "This must be at most 5."),
    (Literal["A", "B"], "C", "unknown_value", "'C' is not one of the allowed values."),
    (Literal["A", "B"], "C\n", "unknown_value", r"'C\n' is not one of the allowed values."),
    (Annotated[str, Meta(pattern="^a$")], "b", "wrong_form", "This must have the form '^a$'."),
    (
        Annotated[datetime, Meta(tz=True)],
        "2026-11-22T14:32:10",
        "no_time_zone",
        "The time needs a zone, such as Z or -03:00.",
    ),
    (datetime, "x", "wrong_form", "This is not a moment such as 2026-11-22T14:32:10Z."),
    (UUID, "x", "wrong_form", "This is not an id (UUID)."),
    (Decimal, "x", "wrong_form", "This does not have the form that is needed here."),
    (Annotated[int, Meta(multiple_of=6)], 7, "invalid", "This value is none that can be taken here."),
]


def _errors(kind: Any, value: Any) -> list[dict[str, str]]:
    body = msgspec.defstruct("Body", [("value", kind)])
    with translation.override("en"), pytest.raises(Problem) as refused:
        decode(json.dumps({"value": value}).encode(), msgspec.json.Decoder(body))
    errors: list[dict[str, str]] = refused.value.facts["errors"]
    return errors


@pytest.mark.parametrize(("kind", "value", "code", "detail"), CASES)
def test_each_kind_of_error_has_its_sentence(kind: Any, value: Any, code: str, detail: str) -> None:
    assert _errors(kind, value) == [{"pointer": "/value", "detail": detail, "code": code}]


def test_the_parameters_of_an_address_are_told_of_alike() -> None:
    query = msgspec.defstruct("Query", [("limit", Number)])
    with translation.override("en"), pytest.raises(Problem) as refused:
        convert_query({"limit": "many"}, query)
    [error] = refused.value.facts["errors"]
    assert (error["parameter"], error["detail"]) == ("limit", "This must be a whole number, not a text.")
