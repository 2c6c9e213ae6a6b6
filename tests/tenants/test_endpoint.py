"""What surrounds every view under /v1/: whatever is sent, the answer is right or a problem, never a defect of ours."""

import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.utils import translation
from pytest_django import Settings
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from apps.common.problems import camel
from apps.tenants import identity
from apps.tenants.models import ApiKey, Tenant
from apps.tenants.scopes import SCOPES
from config.wsgi import application
from tests.factories import TenantFactory

pytestmark = pytest.mark.urls("tests.tenants.echo_api")

Call = Callable[..., Any]


@pytest.fixture
def key(db: None) -> str:
    tenant: Tenant = TenantFactory(slug="alice")
    return ApiKey.issue(tenant, name="POS", scopes=list(SCOPES))[1]


@pytest.fixture
def call(key: str) -> Call:
    client = Client(headers={"X-Api-Key": key, "Accept-Language": "en"})

    def call(method: str, url: str, body: bytes | dict[str, Any] = b"", **options: Any) -> HttpResponse:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        options = {"content_type": "application/json", **options}
        response: HttpResponse = client.generic(method, url, raw, **options)
        assert response.headers["X-Trace-Id"]
        assert response.headers["Cache-Control"] == "no-store"
        if response.status_code >= 400:
            problem = json.loads(response.content)
            assert response.headers["Content-Type"] == "application/problem+json"
            assert set(problem) >= {"type", "title", "status", "detail", "instance", "code", "trace_id"}
            assert problem["status"] == response.status_code
            assert problem["trace_id"] == response.headers["X-Trace-Id"]
            assert problem["type"] == f"/problems/{problem['code']}"
        return response

    return call


def _code(response: HttpResponse) -> tuple[int, str]:
    return response.status_code, json.loads(response.content)["code"]


def test_a_body_is_decoded_and_the_answer_encoded(call: Call) -> None:
    response = call("POST", "/v1/echo", {"quantity": 2, "storeId": "S2", "at": "2026-11-22T10:00:00-03:00"})
    assert response.status_code == 201
    assert json.loads(response.content) == {
        "quantity": 2,
        "storeId": "S2",
        "at": "2026-11-22T10:00:00-03:00",
        "lines": [],
        "note": None,
    }


def test_fields_that_nobody_asked_for_change_nothing(call: Call) -> None:
    extras = {"tenant": "charlie", "tenant_id": 7, "version": 99, "reserved": 0, "status": "CONFIRMED"}
    response = call("POST", "/v1/echo", {"quantity": 2, **extras})
    assert response.status_code == 201
    assert not set(extras) & set(json.loads(response.content))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"quantity=2", 400, "malformed_json"),
        (b'{"quantity": 2} trailing', 400, "malformed_json"),
        (b'{"quantity": NaN}', 400, "malformed_json"),
        (b'{"quantity": "a", broken', 400, "malformed_json"),
        (b'\xef\xbb\xbf{"quantity": 2}', 400, "malformed_json"),
        (b'{"quantity": 2, "storeId": "\xff"}', 400, "malformed_json"),
        ('{"quantity": 2, "storeId": "ção"}'.encode("latin-1"), 400, "malformed_json"),
        (b'{"quantity": 2, "storeId": "\\ud800"}', 400, "malformed_json"),
        (b'{"quantity": 2, "note": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "malformed_json"),
        (b'{"note": ' * 100_000, 400, "malformed_json"),
        (b"", 422, "validation_failed"),
        (b"{}", 422, "validation_failed"),
        (b"[]", 422, "validation_failed"),
        (b"null", 422, "validation_failed"),
        (b'"text"', 422, "validation_failed"),
        (b'{"quantity": 1e400}', 422, "validation_failed"),
        (b'{"quantity": ' + b"9" * 5_000 + b"}", 422, "validation_failed"),
        (b'{"quantity": ' + b"9" * 30 + b"}", 422, "validation_failed"),
        (b'{"quantity": 2, "storeId": "a\\u0000"}', 422, "validation_failed"),
        (b'{"quantity": 2, "note": {"a": ["\\u0000"]}}', 422, "validation_failed"),
        (b'{"quantity": 2, "note": {"\\u0000": 1}}', 422, "validation_failed"),
        (b'{"quantity": 2, "note": "\\\\u0000 spelt out"}', 201, ""),
        (b'{"quantity": 1, "quantity": 2}', 201, ""),
    ],
)
def test_a_poisonous_body_is_refused_with_its_code(call: Call, body: bytes, status: int, code: str) -> None:
    response = call("POST", "/v1/echo", body)
    assert response.status_code == status
    assert json.loads(response.content).get("code", "") == code


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/quantity", "missing"),
        ({"quantity": "2"}, "/quantity", "wrong_type"),
        ({"quantity": 2.0}, "/quantity", "wrong_type"),
        ({"quantity": True}, "/quantity", "wrong_type"),
        ({"quantity": 0}, "/quantity", "out_of_range"),
        ({"quantity": 1001}, "/quantity", "out_of_range"),
        ({"quantity": 2, "storeId": "too long"}, "/storeId", "wrong_length"),
        ({"quantity": 2, "at": "yesterday"}, "/at", "wrong_form"),
        ({"quantity": 2, "lines": [{"sku": "A"}, {}]}, "/lines/1/sku", "missing"),
        ({"quantity": 2, "lines": [{"sku": "A"}, {"sku": 7}]}, "/lines/1/sku", "wrong_type"),
        ([], "", "wrong_type"),
    ],
)
def test_a_wrong_value_is_named_by_its_json_pointer(call: Call, body: Any, pointer: str, code: str) -> None:
    response = call("POST", "/v1/echo", json.dumps(body).encode())
    assert _code(response) == (422, "validation_failed")
    (error,) = json.loads(response.content)["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    assert error["detail"]


def test_every_wrong_field_is_named_at_once(call: Call) -> None:
    response = call("POST", "/v1/echo", {"storeId": 7, "at": "yesterday"})
    pointers = [error["pointer"] for error in json.loads(response.content)["errors"]]
    assert pointers == ["/quantity", "/storeId", "/at"]


def test_a_wrong_parameter_is_named(call: Call) -> None:
    assert json.loads(call("GET", "/v1/who?limit=7").content)["limit"] == 7
    response = call("GET", "/v1/who?limit=201&cursor=x")
    assert _code(response) == (422, "validation_failed")
    (error,) = json.loads(response.content)["errors"]
    assert (error["parameter"], error["code"]) == ("limit", "out_of_range")
    assert _code(call("GET", "/v1/who?limit=two"))[0] == 422


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"])
def test_a_body_of_another_kind_is_415(call: Call, kind: str) -> None:
    response = call("POST", "/v1/echo", b'{"quantity": 2}', content_type=kind)
    assert _code(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"])
def test_json_by_its_other_names_is_read(call: Call, kind: str) -> None:
    assert call("POST", "/v1/echo", b'{"quantity": 2}', content_type=kind).status_code == 201


def test_a_body_over_the_limit_is_413(call: Call, settings: Settings) -> None:
    settings.API_BODY_MAX_BYTES = 1024
    body = json.dumps({"quantity": 2, "note": "x" * 1024}).encode()
    response = call("POST", "/v1/echo", body)
    assert _code(response) == (413, "body_too_large")
    assert json.loads(response.content)["limitBytes"] == 1024
    assert _code(call("POST", "/v1/drf", body)) == (413, "body_too_large")


def _raw(key: str, **environment: Any) -> tuple[int, dict[str, Any]]:
    """Call the WSGI application as the web server does, with an environment no test client would make."""
    seen: list[str] = []
    full = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v1/echo",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "HTTP_X_API_KEY": key,
        "CONTENT_TYPE": "application/json",
        **environment,
    }
    answer = application(full, lambda status, headers: seen.append(status))  # type: ignore[arg-type]
    return int(seen[0].split()[0]), json.loads(b"".join(answer))


@pytest.mark.django_db(transaction=True)
def test_a_chunked_body_is_read_and_limited(key: str, settings: Settings) -> None:
    settings.API_BODY_MAX_BYTES = 1024
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked"}
    assert _raw(key, **chunked, **{"wsgi.input": io.BytesIO(b'{"quantity": 2}')})[0] == 201
    assert _raw(key, **chunked, **{"wsgi.input": io.BytesIO(b" " * 2000)})[0] == 413
    drf = {"PATH_INFO": "/v1/drf", **chunked}
    assert _raw(key, **drf, **{"wsgi.input": io.BytesIO(b'{"quantity": 2}')})[0] == 200
    assert _raw(key, **drf, **{"wsgi.input": io.BytesIO(b" " * 2000)})[0] == 413


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("length", ["²", "-1", "many", "9" * 400])
def test_a_length_that_is_none_is_no_defect(key: str, length: str) -> None:
    status, _body = _raw(key, CONTENT_LENGTH=length)
    assert status in (413, 422)


def test_a_wrong_method_is_405_and_names_the_right_ones(call: Call) -> None:
    response = call("DELETE", "/v1/echo")
    assert _code(response) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"
    assert call("PUT", "/v1/who").headers["Allow"] == "GET, HEAD, POST"
    assert call("PUT", "/v1/drf").status_code == 405
    assert call("HEAD", "/v1/who").status_code == 200
    changed = call("POST", "/v1/who")
    assert (changed.status_code, changed.headers["ETag"]) == (202, '"v7"')


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/", "/v1/echo/", "/v1/%ff%fe", "/v1/../admin", "/v1/echo%00"])
def test_an_unknown_address_is_a_404_document(call: Call, path: str) -> None:
    assert _code(call("GET", path)) == (404, "not_found")


def test_nul_in_parameters_is_400(call: Call) -> None:
    assert _code(call("GET", "/v1/who?cursor=a%00b")) == (400, "malformed_request")


@pytest.mark.parametrize("path", ["/v1/broken", "/v1/open"])
def test_a_defect_is_500_with_a_trace_and_without_details(call: Call, path: str) -> None:
    with capture_logs() as lines:
        response = call("GET", path)
    assert _code(response) == (500, "internal_error")
    assert b"hunter2" not in response.content
    (line,) = [line for line in lines if line["event"] == "api.failed"]
    assert (line["log_level"], line["path"]) == ("error", path)
    assert isinstance(line["exc_info"], RuntimeError)


def test_a_view_that_names_no_scope_lets_nobody_in(call: Call) -> None:
    assert call("GET", "/v1/scopeless").status_code == 500


def test_a_database_that_is_away_is_503_and_can_be_tried_again(call: Call) -> None:
    response = call("GET", "/v1/down")
    assert _code(response) == (503, "temporarily_unavailable")
    assert response.headers["Retry-After"] == "1"
    assert b"10.0.0.7" not in response.content


@pytest.mark.django_db(transaction=True)
def test_a_number_that_postgresql_cannot_hold_is_422(call: Call) -> None:
    assert _code(call("GET", "/v1/huge")) == (422, "value_out_of_range")


def test_facts_of_a_refusal_stand_beside_its_code(call: Call) -> None:
    response = call("GET", "/v1/refused")
    assert _code(response) == (409, "insufficient_stock")
    assert json.loads(response.content)["available"] == 3


def test_a_refusal_is_one_line_in_the_log(call: Call) -> None:
    with capture_logs() as lines:
        call("POST", "/v1/echo", {})
        call("GET", "/v1/refused")  # sold out: an answer, not an error
    (line,) = lines
    assert (line["event"], line["code"], line["path"]) == ("api.refused", "validation_failed", "/v1/echo")
    assert line["actor"].startswith("key:saldo_")


def test_drf_refuses_in_the_same_words(call: Call) -> None:
    response = call("POST", "/v1/drf", {"quantity": 0})
    assert _code(response) == (422, "validation_failed")
    (error,) = json.loads(response.content)["errors"]
    assert (error["pointer"], error["code"]) == ("/quantity", "min_value")
    assert _code(call("POST", "/v1/drf", b"{")) == (400, "malformed_json")
    assert _code(call("POST", "/v1/drf", b"a=1", content_type="text/plain")) == (415, "unsupported_media_type")
    assert json.loads(call("GET", "/v1/drf").content) == {"tenant": "alice"}
    assert json.loads(call("POST", "/v1/drf", {"quantity": 1}).content)["user"].startswith("key:saldo_")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"quantity": ' + b"[" * 100_000, 400),
        (b'{"quantity": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"quantity": NaN}', 400),
        (b'{"quantity": "\\ud800"}', 400),
        (b'{"quantity": "\xff"}', 400),
        (b'{"quantity": "\\u0000"}', 422),
        (b'{"quantity": ' + b"9" * 5_000 + b"}", 422),
        (b'{"quantity": ' + b"9" * 30 + b"}", 200),
        (b"[]", 422),
        (b"7", 422),
        (b"", 422),
    ],
)
def test_drf_is_poisoned_as_little(call: Call, body: bytes, status: int) -> None:
    assert call("POST", "/v1/drf", body).status_code == status


def test_a_fact_of_any_kind_can_be_told(call: Call) -> None:
    assert json.loads(call("GET", "/v1/odd").content)["fact"] == "Stock"


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", True),
        (f"00-{TRACE}-0000000000000000-01", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (TRACE, False),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", False),
    ],
)
def test_the_callers_trace_is_kept_when_it_is_one(call: Call, given: str, is_taken: bool) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        response = call("POST", "/v1/echo", {}, headers={"traceparent": given})
    assert (response.headers["X-Trace-Id"] == TRACE) is is_taken
    assert [line["trace_id"] for line in lines] == [response.headers["X-Trace-Id"]]


def test_refusals_speak_the_callers_language_whatever_the_thread_spoke_before(call: Call) -> None:
    def title(language: str) -> str:
        headers = {"Accept-Language": language} if language else {"Accept-Language": ""}
        return str(json.loads(call("GET", "/v1/nothing", headers=headers).content)["code"]) + translation.get_language()

    translation.activate("pt-br")
    assert title("en-GB,en;q=0.8") == "not_founden"
    assert title("") == "not_foundpt-br"
    assert title("en") == "not_founden"
    assert title("tlh, *") == "not_foundpt-br"
    assert title("pt-BR") == "not_foundpt-br"
    assert title("\x80" * 100) == "not_foundpt-br"


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_died_is_replaced_before_the_next_request(key: str) -> None:
    who = {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/who", "QUERY_STRING": ""}
    assert _raw(key, **who)[0] == 200
    identity.forget_all()  # so that the next one asks the database
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    with contextlib.closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])  # waits until it has ended
    assert _raw(key, **who)[0] == 200


def test_facts_have_names_in_camel_case() -> None:
    assert [camel(name) for name in ("available", "reservation_status")] == ["available", "reservationStatus"]
