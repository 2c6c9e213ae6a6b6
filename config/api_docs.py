"""The API explained by the hub itself: the OpenAPI document, its page, and a page for every error code.

No key is needed: nothing here is anybody's data. The page's scripts come from the wheel and not from a CDN.
"""

from functools import cache

import msgspec
import yaml
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from apps.common.problem_codes import CODES
from config.openapi import document

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Under /v1/ no middleware sets these. Swagger UI styles its elements inline; it has no inline script."""


@require_safe
def openapi_json(request: HttpRequest) -> HttpResponse:
    """Answer the OpenAPI document."""
    return HttpResponse(_as_json(), content_type="application/json")


@require_safe
def openapi_yaml(request: HttpRequest) -> HttpResponse:
    """Answer the OpenAPI document as YAML."""
    return HttpResponse(_as_yaml(), content_type="application/yaml")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the document as a page where every address can be tried."""
    response = render(request, "api/docs.html")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@vary_on_headers("Accept")
@require_safe
def problem(request: HttpRequest, code: str) -> HttpResponse:
    """Explain an error code: a page, or JSON for who accepts that and no HTML."""
    entry = CODES.get(code)
    if entry is None:
        raise Http404("no such code")
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        return JsonResponse({"code": code, "title": str(entry.title), "action": str(entry.action)})
    return render(request, "api/problem.html", {"code": code, "entry": entry})


@cache
def _as_json() -> bytes:
    return msgspec.json.encode(document())


@cache
def _as_yaml() -> bytes:
    text: str = yaml.safe_dump(msgspec.json.decode(_as_json()), sort_keys=False, allow_unicode=True)
    return text.encode()
