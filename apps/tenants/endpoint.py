"""`@endpoint`: an address of the API as one plain function with typed values in and out.

    @endpoint(method="POST", scope="stock:reserve", body=ReserveBody, answer=ReserveAnswer, status=201,
              problems=(("insufficient_stock", 409),), tags=("Reservations",))
    def reserve(request: HttpRequest, caller: Caller, body: ReserveBody) -> ReserveAnswer: ...

It is the least that lies between the web server and a view: who calls (identity.py), how often (rate_limit.py), the
scope, the decoded body (common/typed_json.py), the encoded answer. Errors are raised as `Problem`; api_shell.py answers
them. What an endpoint says of itself here is also its part of the OpenAPI document (config/openapi.py), with the
function's docstring: the first line is the summary, the rest the description.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _

from apps.common.api_shell import read_body, too_large
from apps.common.problems import Problem, wrong_method
from apps.common.typed_json import convert_query, decode
from apps.tenants import rate_limit
from apps.tenants.identity import find_caller
from apps.tenants.signatures import find_signer

View = Callable[..., Any]

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a status or headers of its own. answer: of the endpoint's type, or None for no body."""

    answer: Any
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What an endpoint says of itself: see `endpoint`."""

    method: str
    scope: str
    body: Any
    is_raw: bool
    is_signed: bool
    query: Any
    answer: Any
    status: int
    problems: Sequence[tuple[str, int]]
    tags: Sequence[str]
    example: Any
    body_example: Any
    request_headers: Sequence[str]
    answer_headers: Sequence[str]
    statuses: Sequence[int]
    view: View


def endpoint(
    *,
    method: str,
    scope: str = "",
    body: Any = None,
    is_raw: bool = False,
    is_signed: bool = False,
    query: Any = None,
    answer: Any = None,
    status: int = 200,
    problems: Sequence[tuple[str, int]] = (),
    tags: Sequence[str] = (),
    example: Any = None,
    body_example: Any = None,
    request_headers: Sequence[str] = (),
    answer_headers: Sequence[str] = (),
    statuses: Sequence[int] = (),
) -> Callable[[View], Callable[..., HttpResponseBase]]:
    """Make a function `(request, caller[, body][, query=…], **path)` into a Django view of the API.

    method: the one method it takes; `by_method` joins several on one address. GET takes HEAD too.
    scope: what the caller must be allowed (tenants/scopes.py).
    body, answer: the types (msgspec) of the JSON in and out; None for none.
    is_raw: the view is given the body's bytes and reads them itself; `body` then only describes them.
    is_signed: the caller is whoever signed the body (signatures.py), which is its one right: no scope, no key.
    query: a struct of the parameters after the `?`, given to the view as `query`.
    status: of an answer that is no `Reply`; `statuses` names the others that a `Reply` may have.
    problems: (code, status) of the view's own refusals, each in common/problem_codes.py.
    example, body_example: shown in the documentation; each must be of its type, or the import fails.
    request_headers, answer_headers: names out of config/openapi.py's HEADERS, for the documentation.
    """

    def decorate(view: View) -> Callable[..., HttpResponseBase]:
        about = Endpoint(
            method=method,
            scope=scope,
            body=body,
            is_raw=is_raw,
            is_signed=is_signed,
            query=query,
            answer=answer,
            status=status,
            problems=problems,
            tags=tags,
            example=example,
            body_example=body_example,
            request_headers=request_headers,
            answer_headers=answer_headers,
            statuses=statuses,
            view=view,
        )
        _check_examples(about)
        serve = functools.wraps(view)(_serve(about))
        serve.endpoint = about  # type: ignore[attr-defined]  # where the OpenAPI document finds it
        return serve

    return decorate


def by_method(*views: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Return one view that hands a request to the endpoint of its method: `path("x", by_method(list_x, make_x))`."""
    served = {view.endpoint.method: view for view in views}  # type: ignore[attr-defined]
    if "GET" in served:
        served["HEAD"] = served["GET"]

    def serve(request: HttpRequest, **path: Any) -> HttpResponseBase:
        view = served.get(request.method or "")
        if view is None:
            raise wrong_method(served)
        return view(request, **path)

    serve.endpoints = [view.endpoint for view in views]  # type: ignore[attr-defined]
    return serve


def _serve(about: Endpoint) -> Callable[..., HttpResponseBase]:
    """Return the view; everything that does not change between requests is looked up once, here."""
    method, scope, status, view, query = about.method, about.scope, about.status, about.view, about.query
    is_signed = about.is_signed
    decoder = None if about.body is None else msgspec.json.Decoder(about.body)

    def serve(request: HttpRequest, **path: Any) -> HttpResponseBase:
        if request.method != method and not (method == "GET" and request.method == "HEAD"):
            raise wrong_method([method])
        if is_signed:
            raw = _body_of(request)
            caller = find_signer(request, raw)
        else:
            caller = find_caller(request)
        request.actor = caller.actor  # type: ignore[attr-defined]
        rate_limit.take(caller.bucket)
        if not is_signed:
            caller.require(scope)
        if query is not None:
            path["query"] = convert_query(request.GET.dict(), query)
        if is_signed:
            _require_json(request, raw)
            result = view(request, caller, raw, **path)
        elif about.is_raw:
            result = view(request, caller, _json_in(request), **path)
        elif decoder is None:
            result = view(request, caller, **path)
        else:
            result = view(request, caller, decode(_json_in(request), decoder), **path)
        if isinstance(result, Reply):
            return _respond(result.answer, result.status or status, result.headers)
        return _respond(result, status, None)

    return serve


def _respond(answer: Any, status: int, headers: Mapping[str, str] | None) -> HttpResponse:
    content = b"" if answer is None else _encode(answer)
    return HttpResponse(content, status=status, content_type="application/json", headers=headers)


def _json_in(request: HttpRequest) -> bytes:
    """Return the body, which must say that it is JSON. Raises Problem 413 or 415."""
    raw = _body_of(request)
    _require_json(request, raw)
    return raw


def _body_of(request: HttpRequest) -> bytes:
    raw = read_body(request, settings.API_BODY_MAX_BYTES)
    if raw is None:
        raise too_large()
    return raw


def _require_json(request: HttpRequest, raw: bytes) -> None:
    kind = request.META.get("CONTENT_TYPE", "")
    if raw and kind != "application/json" and not _is_json(kind):
        detail = _("The body is not declared as JSON (Content-Type: application/json). Nothing was changed.")
        raise Problem(415, "unsupported_media_type", detail)


def _is_json(kind: str) -> bool:
    media_type = kind.partition(";")[0].strip().lower()
    is_json = media_type == "application/json"
    return is_json or (media_type.startswith("application/") and media_type.endswith("+json"))


def _check_examples(about: Endpoint) -> None:
    """Convert the examples to their types, so that the documentation cannot show what the endpoint would refuse."""
    for example, kind in ((about.example, about.answer), (about.body_example, about.body)):
        if example is not None:
            msgspec.convert(msgspec.to_builtins(example), kind)
