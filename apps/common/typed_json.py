"""JSON from outside, decoded into the typed values a view names (msgspec structs), with errors a caller can act on.

Strict: "1" is no number and 1.0 no integer. Fields that a struct does not name are ignored, so no caller can set what
the struct leaves out. The first decode is one pass in C; only when it fails is the body looked at field by field.
"""

import re
from typing import Any, TypeVar

import msgspec
from django.utils.translation import gettext as _
from rest_framework.parsers import BaseParser

from apps.common.problems import Problem, validation_failed

T = TypeVar("T")

DETAIL_MAX_CHARACTERS = 300


def decode(raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """Return the body as the decoder's type; no body at all counts as `{}`.

    Raises Problem: 400 `malformed_json` for what is not JSON in UTF-8, 422 `validation_failed` naming the values.
    """
    try:
        value = decoder.decode(raw or b"{}")
        if b"\\u0000" in raw:
            _refuse_nul(msgspec.json.decode(raw), "")
    except msgspec.ValidationError as error:
        raise validation_failed(_body_errors(raw or b"{}", decoder.type, str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(400, "malformed_json", _("The body is not JSON in UTF-8. Nothing was changed.")) from None
    return value


class StrictJsonParser(BaseParser):
    """The same reading of JSON for DRF's views, whose own parser falls over deep nesting and lets half letters in."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return what the body says. Raises Problem 400 or 422."""
        return decode(stream.read(), _ANYTHING)


_ANYTHING = msgspec.json.Decoder()


def convert_query(values: dict[str, str], kind: type[T]) -> T:
    """Return the parameters of an address as the type `kind`. Raises Problem 422 naming them."""
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        errors = _field_errors(values, kind, strict=False) or [_described(str(error), "")]
        raise validation_failed([{"parameter": e.pop("pointer").strip("/"), **e} for e in errors]) from None


def _body_errors(raw: bytes, kind: Any, first: str) -> list[dict[str, str]]:
    try:
        value = msgspec.json.decode(raw)
    except msgspec.ValidationError:  # a number that nothing can hold
        value = None
    except (ValueError, RecursionError):  # the decoder stopped at a wrong value before it met the malformed rest
        raise Problem(400, "malformed_json", _("The body is not JSON in UTF-8. Nothing was changed.")) from None
    return _field_errors(value, kind, strict=True) or [_described(first, "")]


def _field_errors(value: Any, kind: Any, *, strict: bool) -> list[dict[str, str]]:
    """Return what is wrong with each field of an object; nothing when the object as such is what is wrong."""
    if not (isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return []
    errors = []
    for field in msgspec.structs.fields(kind):
        pointer = f"/{_escaped(field.encode_name)}"
        if field.encode_name not in value:
            if field.required:
                errors.append({"pointer": pointer, "detail": _("This value is missing."), "code": "missing"})
            continue
        try:
            msgspec.convert(value[field.encode_name], field.type, strict=strict)
        except msgspec.ValidationError as error:
            errors.append(_described(str(error), pointer))
    return errors


def _refuse_nul(value: Any, pointer: str) -> None:
    """Raise Problem 422 for a text that holds a NUL character: PostgreSQL stores none."""
    if isinstance(value, str) and "\0" in value:
        detail = _("A text may not hold a NUL character.")
        raise validation_failed([{"pointer": pointer, "detail": detail, "code": "nul_character"}])
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in children:
        _refuse_nul(str(name), pointer)
        _refuse_nul(inner, f"{pointer}/{_escaped(str(name))}")


def _described(message: str, pointer: str) -> dict[str, str]:
    """Return msgspec's message as an error with a pointer, a code and a sentence in the caller's language."""
    what, _separator, path = message.partition(" - at `$")
    pointer += "".join(f"/{_escaped(step)}" for step in re.findall(r"[^.\[\]`]+", path) if step != "...")
    for pattern, code, sentence in _sentences():
        if match := re.fullmatch(pattern, what, re.DOTALL):
            facts = match.groupdict()
            if "field" in facts:
                pointer += f"/{_escaped(facts['field'])}"
            told = {name: _in_words(value) if name in ("wanted", "got") else value for name, value in facts.items()}
            return {"pointer": pointer, "detail": (sentence % told)[:DETAIL_MAX_CHARACTERS], "code": code}
    return {"pointer": pointer, "detail": _("This value is none that can be taken here."), "code": "invalid"}


def _sentences() -> list[tuple[str, str, str]]:
    """Return msgspec's messages as patterns, each with our code and sentence. Its own words are never shown."""
    return [
        (r"Object missing required field `(?P<field>.*)`", "missing", _("This value is missing.")),
        (r"Expected `(?P<wanted>.+)`, got `(?P<got>.+)`", "wrong_type", _("This must be %(wanted)s, not %(got)s.")),
        (r"Expected `\w+` of length >= (?P<limit>\d+)", "wrong_length", _("The length must be at least %(limit)s.")),
        (r"Expected `\w+` of length <= (?P<limit>\d+)", "wrong_length", _("The length must be at most %(limit)s.")),
        (r"Expected `\w+` of length (?P<limit>\d+).*", "wrong_length", _("The length must be %(limit)s.")),
        (r"Expected `\w+` matching regex (?P<form>.+)", "wrong_form", _("This must have the form %(form)s.")),
        (r"Expected `\w+` >= (?P<limit>.+)", "out_of_range", _("This must be at least %(limit)s.")),
        (r"Expected `\w+` <= (?P<limit>.+)", "out_of_range", _("This must be at most %(limit)s.")),
        (r"Expected `datetime` with a timezone.*", "no_time_zone", _("The time needs a zone, such as Z or -03:00.")),
        (r".*out of range", "out_of_range", _("This number is larger than can exist here.")),
        (r"Invalid (enum )?value (?P<value>.+)", "unknown_value", _("%(value)s is not one of the allowed values.")),
        (r"Invalid UUID", "wrong_form", _("This is not an id (UUID).")),
        (r"Invalid RFC3339 .+", "wrong_form", _("This is not a moment such as 2026-11-22T14:32:10Z.")),
        (r"Invalid .+", "wrong_form", _("This does not have the form that is needed here.")),
    ]


def _in_words(kinds: str) -> str:
    """Return the kinds of values that msgspec names (`int | null`) in the caller's language."""
    words = {
        "int": _("a whole number"),
        "float": _("a number"),
        "decimal": _("a number"),
        "str": _("a text"),
        "bool": _("true or false"),
        "array": _("a list"),
        "object": _("an object"),
        "null": _("null"),
        "datetime": _("a moment such as 2026-11-22T14:32:10Z"),
        "uuid": _("an id (UUID)"),
    }
    return _(" or ").join(dict.fromkeys(words.get(kind, _("something else")) for kind in kinds.split(" | ")))


def _escaped(step: str) -> str:
    """Return one step of a JSON pointer (RFC 6901)."""
    return step.replace("~", "~0").replace("/", "~1")
