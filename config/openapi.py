"""The OpenAPI 3.1 document of the whole API, made from the code that serves it.

DRF's views are read by drf-spectacular; `@endpoint`s say of themselves what the document needs, and `add_endpoints`
adds them; what subscribers are sent comes from webhooks.py. docs/openapi.json is the same document for people and
programs without a running hub; a test fails when it is old and says how to write it anew.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from inspect import cleandoc
from typing import Any

import msgspec
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from apps.common.api_shell import PREFIXES
from apps.common.problem_codes import CODES
from apps.common.problems import CONTENT_TYPE, camel
from apps.tenants.endpoint import Endpoint
from apps.tenants.scopes import SCOPES
from config import webhooks

Json = dict[str, Any]

READING = ("GET", "HEAD")
REF = "#/components/schemas/{name}"
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}, {"session": []}]
SIGNED: list[dict[str, list[str]]] = [{"signature": []}]
SECURITY_SCHEMES: Json = {
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-ML-Signature",
        "description": "`t=<unix seconds>,v1=<hex>[,v1=<hex>]`, where `v1` is HMAC-SHA256 over `<t>.` and the raw "
        "body, with a webhook secret (`manage.py create_webhook_secret`) as the key. `t` may be five minutes off.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`saldo_…`, made by `manage.py create_api_key`) or a JWT of your identity provider.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "A person signed in to the console; changes also need the `X-CSRFToken` header. Who belongs to "
        "several companies names one of them in `X-Tenant`, by its short name.",
    },
}

HEADERS: dict[str, Json] = {
    "Idempotency-Key": {
        "description": "A text of your own making that names this request. Send the same one when you repeat it: it "
        "takes effect once, and the first answer is given again.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
        "example": "order-1001-line-1-0f8fad5bd9cb469fa165",
    },
    "Idempotency-Replayed": {
        "description": "`true` when the request had been made before and this is the first answer again.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "If-Match": {
        "description": "The version the change is meant for, as an ETag gave it; another one is 412.",
        "schema": {"type": "string", "pattern": '^"v[0-9]+"$'},
        "example": '"v3"',
    },
    "X-Tenant": {
        "required": True,
        "description": "The company whose secret signed, by its short name or id.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 50},
        "example": "loja-da-ana",
    },
    "X-Event-Type": {
        "description": "What happened, as `tipo` in the body says it; either may be left out.",
        "schema": {"type": "string", "enum": ["ORDER_CREATED", "ORDER_UPDATED", "LABEL_AVAILABLE", "STATUS"]},
    },
    "ETag": {"description": "The version of what is shown.", "schema": {"type": "string"}, "example": '"v3"'},
    "Location": {"description": "The address of what was made.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before the next try.", "schema": {"type": "integer"}},
    "Link": {"description": "Addresses of the next and the previous page.", "schema": {"type": "string"}},
    "X-Trace-Id": {
        "description": "The trace that the request belongs to: `traceparent`'s, or a new one. Logs and movements "
        "carry it.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    },
}
"""Headers that an endpoint may name in `request_headers` and `answer_headers`."""

PROBLEM: Json = {
    "type": "object",
    "description": "An error (RFC 9457). Some have more members, such as `available`; `/problems/{code}` explains it.",
    "required": ["type", "title", "status", "detail", "instance", "code", "trace_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened and what it means, in the caller's language."},
        "instance": {"type": "string", "description": "The address that was asked."},
        "code": {"type": "string", "description": "For programs: it never changes.", "enum": sorted(CODES)},
        "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail", "code"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer to the value in the body."},
                    "parameter": {"type": "string", "description": "Name of the parameter of the address."},
                    "header": {"type": "string", "description": "Name of the header."},
                    "detail": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
        },
    },
}

ALWAYS = (
    ("malformed_request", 400),
    ("not_authenticated", 401),
    ("invalid_credentials", 401),
    ("missing_scope", 403),
    ("not_found", 404),
    ("rate_limited", 429),
    ("internal_error", 500),
    ("temporarily_unavailable", 503),
)
ALWAYS_SIGNED = (
    ("malformed_request", 400),
    ("invalid_signature", 401),
    ("rate_limited", 429),
    ("internal_error", 500),
    ("temporarily_unavailable", 503),
)
WITH_VALUES = (("validation_failed", 422), ("value_out_of_range", 422))
WITH_BODY = (("malformed_json", 400), ("body_too_large", 413), ("unsupported_media_type", 415))


@cache
def document() -> Json:
    """Return the whole document, in English; made once in a process."""
    with translation.override("en"):
        result: Json = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return result


def add_endpoints(result: Json, **context: Any) -> Json:
    """Add every `@endpoint` to drf-spectacular's document (one of its POSTPROCESSING_HOOKS)."""
    found = list(_endpoints(get_resolver().url_patterns, "/"))
    kinds = [kind for _path, about in found for kind in (about.body, about.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    schema_of = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    result.setdefault("components", {})
    for path, about in found:
        operation = _operation(path, about, schema_of)
        result["paths"].setdefault(_camel(path), {})[about.method.lower()] = operation
    result["paths"] = dict(sorted(result["paths"].items()))
    result["webhooks"] = webhooks.webhooks()
    sent = webhooks.components()
    schemas_of_all = {
        **result["components"].get("schemas", {}),
        **components,
        **sent.pop("schemas"),
        "Problem": PROBLEM,
    }
    result["components"] |= {
        **sent,
        "schemas": dict(sorted(schemas_of_all.items())),
        "headers": HEADERS,
        "examples": _problem_examples(result["paths"]),
        "securitySchemes": SECURITY_SCHEMES,
    }
    return result


def _endpoints(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Endpoint]]:
    """Return every endpoint below `prefix` with its address, `/v1/stores/<str:store_id>/…`."""
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if path.startswith(PREFIXES) or any(own.startswith(path) for own in PREFIXES):
                yield from _endpoints(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path.startswith(PREFIXES):
            one = getattr(pattern.callback, "endpoint", None)
            for about in [one] if one else getattr(pattern.callback, "endpoints", []):
                yield path, about


def _operation(path: str, about: Endpoint, schema_of: dict[int, Json]) -> Json:
    summary, _line, rest = cleandoc(about.view.__doc__ or "").partition("\n")
    parameters = [
        *_path_parameters(path),
        *_query_parameters(about.query),
        *map(_header_parameter, about.request_headers),
    ]
    codes = [*about.problems, *(ALWAYS_SIGNED if about.is_signed else ALWAYS)]
    codes += [("csrf_failed", 403)] * (about.method not in READING and not about.is_signed)
    codes += WITH_VALUES * bool(about.body or about.query) + WITH_BODY * bool(about.body)
    success = _success(about, schema_of.get(id(about.answer)))
    operation: Json = {
        "operationId": about.view.__name__,
        "tags": list(about.tags),
        "summary": summary.strip().rstrip("."),
        "description": rest.strip() if about.is_signed else f"{rest.strip()}\n\nScope: `{about.scope}`.".strip(),
        "parameters": parameters,
        "security": SIGNED if about.is_signed else SECURITY,
        "responses": {str(status): success for status in (about.status, *about.statuses)} | problem_answers(codes),
    }
    if about.body is not None:
        media: Json = {"schema": schema_of[id(about.body)]}
        if about.body_example is not None:
            media["example"] = msgspec.to_builtins(about.body_example)
        operation["requestBody"] = {"required": _is_required(about.body), "content": {"application/json": media}}
    return operation


def _is_required(kind: Any) -> bool:
    """Tell whether an empty body would be refused: it counts as `{}`."""
    try:
        msgspec.json.decode(b"{}", type=kind)
    except msgspec.ValidationError:
        return True
    return False


def _success(about: Endpoint, schema: Json | None) -> Json:
    headers = _headers(("X-Trace-Id", *about.answer_headers))
    answer: Json = {"description": "Done." if about.method not in READING else "Found.", "headers": headers}
    if schema is not None:
        media: Json = {"schema": schema}
        if about.example is not None:
            media["example"] = msgspec.to_builtins(about.example)
        answer["content"] = {"application/json": media}
    return answer


def problem_answers(codes: Iterable[tuple[str, int]]) -> Json:
    """Return the answers of an operation that can be refused with these (code, status), an example for each code."""
    answers: Json = {}
    for code, status in sorted(set(codes), key=lambda pair: (pair[1], pair[0])):
        names = ("X-Trace-Id", "Retry-After") if status in (429, 503) else ("X-Trace-Id",)
        media = {"schema": {"$ref": REF.format(name="Problem")}, "examples": {}}
        new = {"description": "", "headers": _headers(names), "content": {CONTENT_TYPE: media}}
        answer = answers.setdefault(str(status), new)
        answer["description"] = f"{answer['description']} `{code}`".strip()
        answer["content"][CONTENT_TYPE]["examples"][code] = {"$ref": f"#/components/examples/{code}"}
    return answers


def _problem_examples(paths: Json) -> Json:
    """Return the examples that the operations' refusals refer to."""
    answers = [
        (int(status), answer)
        for operations in paths.values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
    ]
    codes = {
        code: status
        for status, answer in answers
        for code in answer.get("content", {}).get(CONTENT_TYPE, {}).get("examples", ())
    }
    return {code: _problem_example(code, status) for code, status in sorted(codes.items())}


def _problem_example(code: str, status: int) -> Json:
    title = str(CODES[code].title)
    value = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": str(CODES[code].action),
        "instance": PREFIXES[0],
        "code": code,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    return {"summary": title, "value": value}


def _headers(names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
SCHEMA_OF_CONVERTER: dict[str, Json] = {
    "int": {"type": "integer", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
    "path": {"type": "string", "minLength": 1},  # slashes and all, as a source's name has them
    "store": {"type": "string", "minLength": 1},  # likewise
    "sku": {"type": "string", "minLength": 1},
    "slug": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
}
EXAMPLES = {"storeId": "S1", "sku": "SKU-001"}
"""What parameters of the address are filled with in the documentation."""

TEXT: Json = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}


def _path_parameters(path: str) -> list[Json]:
    parameters = []
    for converter, name in PARAMETER.findall(path):
        shown = camel(name)
        example = {"example": EXAMPLES[shown]} if shown in EXAMPLES else {}
        schema = SCHEMA_OF_CONVERTER.get(converter, TEXT)
        parameters.append({"name": shown, "in": "path", "required": True, "schema": schema, **example})
    return parameters


def _query_parameters(kind: Any) -> list[Json]:
    """Return the fields of a struct as parameters of the address; none without a struct."""
    if kind is None:
        return []
    _schemas, components = msgspec.json.schema_components([kind], ref_template=REF)
    struct = components[kind.__name__]
    required = struct.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": schema.get("description", ""),
            "schema": {key: value for key, value in schema.items() if key != "description"},
        }
        for name, schema in struct.get("properties", {}).items()
    ]


def _header_parameter(name: str) -> Json:
    return {"name": name, "in": "header", "required": False, **HEADERS[name]}


def _camel(path: str) -> str:
    """Return an address as OpenAPI writes it: `/v1/stores/{storeId}/…`."""
    return PARAMETER.sub(lambda match: f"{{{camel(match[2])}}}", path)


class DrfOperation(AutoSchema):
    """What the document says of a DRF view besides drf-spectacular's own: its scope and its refusals.

    A view may name refusals of its own as `@endpoint` does: `problems = (("unknown_subscriber", 404),)`.
    """

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular's own has no arguments either
        """Return the docstring and the scope."""
        by_method = getattr(self.view, "required_scopes", {})
        scope = by_method.get(self.method) or getattr(self.view, "required_scope", "")
        text: str = super().get_description()
        return f"{text}\n\nScope: `{scope}`.".strip() if scope in SCOPES else text

    def get_auth(self) -> list[Any]:
        """Return every way to sign in; none for a view that asks for nothing."""
        return SECURITY if self.view.permission_classes else [{}]

    def get_operation(self, *args: Any, **kwargs: Any) -> Json | None:
        """Return the operation with its refusals as problem documents."""
        operation: Json | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        takes_body = self.method in ("POST", "PUT", "PATCH")
        codes = [*getattr(self.view, "problems", ()), *ALWAYS, *(WITH_VALUES + WITH_BODY) * takes_body]
        codes += WITH_VALUES * any(parameter["in"] == "query" for parameter in operation.get("parameters", ()))
        codes += [("csrf_failed", 403)] * (self.method not in READING)
        for answer in operation["responses"].values():
            answer.setdefault("headers", {}).update(_headers(["X-Trace-Id"]))
        operation["responses"] |= problem_answers(codes)
        return operation
