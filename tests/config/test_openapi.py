"""The OpenAPI document: complete, valid, the same in docs/ as served, and readable without the network."""

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator, FormatChecker

from apps.common.problem_codes import CODES
from apps.inventory.models import Movement
from apps.subscribers import envelope, signing
from apps.subscribers.event_types import BY_NAME, TEST_TYPE
from apps.subscribers.models import Subscriber
from config.openapi import document
from tests.factories import LocationFactory, ProductFactory, TenantFactory, stocked

FILE = Path(__file__).resolve().parent.parent.parent / "docs/openapi.json"
REFRESH = "WRITE_OPENAPI=1 scripts/test tests/config/test_openapi.py"
NOT_OF_THE_API = {"openapi-json", "openapi-yaml", "api-docs", "event-schemas", "event-schema", "ml-notification"}


def test_the_file_in_docs_is_the_document() -> None:
    if os.environ.get("WRITE_OPENAPI"):
        FILE.write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n")
    is_same = FILE.exists() and json.loads(FILE.read_text()) == json.loads(json.dumps(document()))
    assert is_same, f"docs/openapi.json is old. Write it anew, and look at what changed for callers: {REFRESH}"


def test_the_document_is_valid_openapi_3_1() -> None:
    assert document()["openapi"] == "3.1.0"
    validate_schema(document())


def _addresses(patterns: list[Any], prefix: str = "/") -> dict[str, str]:
    found: dict[str, str] = {}
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found |= _addresses(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path.startswith(("/v1/", "/api/", "/internal/")):
            found[re.sub(r"<[^>]+>", "{}", path)] = pattern.name or ""
    return found


def test_every_address_of_the_api_is_in_it() -> None:
    described = {re.sub(r"{[^}]+}", "{}", path) for path in document()["paths"]}
    served = {path for path, name in _addresses(get_resolver().url_patterns).items() if name not in NOT_OF_THE_API}
    assert served == described


def _operations() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    ]


def test_every_operation_says_what_it_is_and_how_it_refuses() -> None:
    ids = [operation["operationId"] for _name, operation in _operations()]
    assert len(ids) == len(set(ids))
    for name, operation in _operations():
        assert operation["summary" if "summary" in operation else "description"], name
        assert operation["tags"], name
        assert {"401", "429", "500", "503"} <= set(operation["responses"]), name
        if operation["security"] != [{"signature": []}]:
            assert "403" in operation["responses"], name
            assert "Scope: `" in operation["description"], name


def _resolved(reference: str) -> Any:
    value: Any = document()
    for step in reference.removeprefix("#/").split("/"):
        value = value[step]
    return value


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()


def test_every_reference_leads_somewhere() -> None:
    assert all(_resolved(reference) is not None for reference in _references(document()))


def test_every_example_is_of_its_schema() -> None:
    definitions = {"components": document()["components"]}
    checked = 0
    for name, operation in _operations():
        bodies = [*operation["responses"].values(), operation.get("requestBody", {})]
        for media in [media for body in bodies for media in body.get("content", {}).values()]:
            examples = [_resolved(example["$ref"])["value"] for example in media.get("examples", {}).values()]
            examples += [media["example"]] if "example" in media else []
            for example in examples:
                errors = list(Draft202012Validator({**media["schema"], **definitions}).iter_errors(example))
                assert not errors, f"{name}: {errors[0].message}"
                checked += 1
    assert checked > 5


# --- what subscribers are sent --------------------------------------------------------------------------------------


def _sent(name: str) -> tuple[Draft202012Validator, dict[str, Any]]:
    """Return what the document says that an event of this type looks like, and its example."""
    operation = document()["webhooks"][name]["post"]
    media = operation["requestBody"]["content"]["application/cloudevents+json"]
    schema = {**media["schema"], "components": document()["components"]}
    return Draft202012Validator(schema, format_checker=FormatChecker()), media["example"]


def test_every_type_of_event_is_a_webhook() -> None:
    assert set(document()["webhooks"]) == {*BY_NAME, TEST_TYPE}
    for name in document()["webhooks"]:
        validator, example = _sent(name)
        assert example["type"] == name
        assert list(validator.iter_errors(example)) == []
        for member in ("id", "data", "time"):
            assert not validator.is_valid({key: value for key, value in example.items() if key != member}), member
        assert not validator.is_valid({**example, "type": "inventory.stock.eaten"})


@pytest.mark.django_db
def test_what_is_sent_is_what_the_document_says() -> None:
    tenant = TenantFactory(slug="alice")
    stocked(ProductFactory(tenant=tenant), LocationFactory(tenant=tenant), 5)
    movement = Movement.objects.select_related("tenant", "product", "location").get()
    body = envelope.body_of(movement)
    assert list(_sent("inventory.stock.received")[0].iter_errors(json.loads(body))) == []
    test = envelope.test_body(movement.trace_id, tenant.slug, movement.recorded_at)
    assert list(_sent(TEST_TYPE)[0].iter_errors(json.loads(test))) == []
    subscriber = Subscriber(tenant=tenant, url="https://erp.example.com/hooks")
    signing.issue(subscriber)
    headers = signing.headers(subscriber, movement.trace_id, body, movement.recorded_at)
    for name, webhook in document()["webhooks"].items():
        parameters = [_resolved(parameter["$ref"]) for parameter in webhook["post"]["parameters"]]
        told = {header["name"]: header["schema"] for header in parameters}
        assert told.keys() == headers.keys(), name
        assert all(Draft202012Validator(told[header]).is_valid(value) for header, value in headers.items())


def test_json_and_yaml_are_served_to_anybody() -> None:
    served = Client().get("/v1/openapi.json")
    assert (served.status_code, served.headers["Content-Type"]) == (200, "application/json")
    assert served.json() == json.loads(json.dumps(document()))
    assert yaml.safe_load(Client().get("/v1/openapi.yaml").content) == served.json()
    refused = Client().post("/v1/openapi.json")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert refused.headers["Allow"] == "GET, HEAD"


@pytest.mark.django_db  # a file that is closed ends a request, and that looks after the connections there are
def test_the_page_needs_no_other_server_and_no_inline_script() -> None:
    response = Client().get("/v1/docs")
    text = response.content.decode()
    assert response.status_code == 200
    assert "https://" not in text
    assert "//cdn" not in text
    assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", text)
    assert "script-src 'self';" in response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
        with contextlib.closing(Client().get(address)) as file:
            assert file.status_code == 200, address
    assert Client().get("/swagger").headers["Location"] == "/v1/docs"


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_page(code: str) -> None:
    entry = CODES[code]
    page = Client().get(f"/problems/{code}", headers={"Accept": "text/html", "Accept-Language": "en"})
    assert page.status_code == 200
    assert f'<p class="code">{code}</p>' in page.content.decode()
    data = Client().get(f"/problems/{code}", headers={"Accept": "application/json", "Accept-Language": "en"}).json()
    assert data["code"] == code
    assert set(data) == {"code", "title", "action"}
    assert entry.title


def test_a_code_that_is_none_has_no_page() -> None:
    assert Client().get("/problems/nothing").status_code == 404
