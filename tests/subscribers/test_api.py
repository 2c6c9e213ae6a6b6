"""Subscribers over HTTP: what each door answers, who may pass, and that no secret is shown twice."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.subscribers.models import Delivery, Subscriber
from apps.tenants.models import ApiKey

from .conftest import Receiver, Shop, deliver, follow, open_shop, tell, verified

URL = "http://127.0.0.1:9/nobody"
SCOPES = ["subscribers:read", "subscribers:write"]
Call = Callable[..., Any]


def caller(shop: Shop, scopes: list[str] | None = None) -> Call:
    """Return a function that calls the API with a key of the shop: (method, path, body) -> response."""
    _row, text = ApiKey.issue(shop.tenant, name="ERP", scopes=SCOPES if scopes is None else scopes)

    def call(method: str, path: str, body: object = None) -> Any:
        response = Client().generic(
            method,
            f"/v1{path}",
            b"" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {text}"},
        )
        if response.status_code >= 400:
            assert response.headers["Content-Type"] == "application/problem+json"
            assert set(response.json()) >= {"type", "title", "status", "detail", "code", "trace_id"}
        return response

    return call


@pytest.fixture
def call(shop: Shop) -> Call:
    return caller(shop)


@pytest.fixture
def created(call: Call) -> dict[str, Any]:
    answer = call("POST", "/subscribers", {"url": URL, "description": "ERP", "event_types": ["inventory.reserve.*"]})
    assert answer.status_code == 201
    return answer.json()


def test_a_subscriber_is_made_and_its_secret_shown_once(call: Call, created: dict[str, Any]) -> None:
    secret = created["secret"]
    assert secret.startswith("whsec_")
    assert created["secret_last4"] == secret[-4:]
    path = f"/subscribers/{created['id']}"
    for answer in (call("GET", path), call("GET", "/subscribers"), call("PATCH", path, {"description": "x"})):
        assert answer.status_code == 200
        assert secret not in answer.content.decode()
    assert secret not in Subscriber.objects.get().secret_enc


def test_the_location_leads_to_the_row(call: Call) -> None:
    answer = call("POST", "/subscribers", {"url": URL})
    assert call("GET", answer.headers["Location"].removeprefix("/v1")).json()["id"] == answer.json()["id"]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/url", "missing"),
        ({"url": "http://10.0.0.1/"}, "/url", "forbidden_address"),
        ({"url": "http://u:p@example.com/"}, "/url", "invalid_url"),
        ({"url": "http://example.com/\u0000"}, "/url", "nul_character"),
        ({"url": URL, "event_types": ["inventory.nonsense"]}, "/event_types/0", "unknown_event_type"),
        ({"url": URL, "event_types": "inventory.*"}, "/event_types", "wrong_type"),
        ({"url": URL, "description": "x" * 201}, "/description", "wrong_length"),
    ],
)
def test_a_wrong_field_is_named(call: Call, body: object, pointer: str, code: str) -> None:
    answer = call("POST", "/subscribers", body)
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]
    assert not Subscriber.objects.exists()


@pytest.mark.parametrize("body", [[], "x", 7, None, [{"url": URL}], {"url": URL, "description": "\ud800"}])
def test_a_body_of_another_shape_is_refused(call: Call, body: object) -> None:
    assert call("POST", "/subscribers", body).status_code in (400, 422)


def test_fields_that_are_the_hubs_are_not_written(call: Call, created: dict[str, Any]) -> None:
    body = {"status": "PAUSED", "tenant": 999, "secret_enc": "x", "failures": 7, "id": "x"}
    answer = call("PATCH", f"/subscribers/{created['id']}", body)
    assert answer.status_code == 200
    assert {**answer.json(), "updated_at": ""} == {
        **{name: value for name, value in created.items() if name != "secret"},
        "updated_at": "",
    }


def test_its_choice_of_types_and_address_are_changed(call: Call, created: dict[str, Any]) -> None:
    path = f"/subscribers/{created['id']}"
    answer = call("PATCH", path, {"url": URL + "2", "event_types": []}).json()
    assert (answer["url"], answer["event_types"]) == (URL + "2", [])
    assert call("PATCH", path, {"url": "http://169.254.169.254/"}).status_code == 422
    assert call("GET", path).json()["url"] == URL + "2"


def test_pause_resume_delete(call: Call, created: dict[str, Any]) -> None:
    path = f"/subscribers/{created['id']}"
    assert call("POST", f"{path}/pause").json()["status"] == "PAUSED"
    assert call("POST", f"{path}/pause").json()["status"] == "PAUSED"
    assert call("POST", f"{path}/resume").json()["status"] == "ACTIVE"
    assert call("DELETE", path).status_code == 204
    assert call("GET", path).status_code == 404
    assert call("GET", "/subscribers").json()["results"] == []
    row = Subscriber.objects.get()
    assert (row.url, row.secret_enc, row.previous_secret_enc) == ("", "", "")


def test_the_secret_is_rotated(call: Call, created: dict[str, Any]) -> None:
    path = f"/subscribers/{created['id']}/rotate-secret"
    answer = call("POST", path).json()
    assert answer["secret"] != created["secret"]
    assert answer["previous_secret_until"] is not None
    assert call("POST", path, {"overlap_seconds": 0}).json()["previous_secret_until"] is None
    assert call("POST", path, {"overlap_seconds": 86401}).status_code == 422


def test_a_test_event_travels_the_whole_way(shop: Shop, call: Call, receiver: Receiver) -> None:
    created = call("POST", "/subscribers", {"url": receiver.url, "event_types": ["inventory.reserve.*"]}).json()
    answer = call("POST", f"/subscribers/{created['id']}/test")
    assert (answer.status_code, answer.json()["status"], answer.json()["attempts"]) == (202, "PENDING", [])
    deliver()
    event = verified(receiver.requests[0], created["secret"])
    assert (event["type"], event["id"]) == ("subscriber.test", answer.json()["event_id"])
    seen = call("GET", answer.headers["Location"].removeprefix("/v1")).json()
    assert (seen["status"], seen["attempts"][0]["outcome"]) == ("DELIVERED", "delivered")
    call("POST", f"/subscribers/{created['id']}/pause")
    refused = call("POST", f"/subscribers/{created['id']}/test")
    assert (refused.status_code, refused.json()["code"]) == (409, "subscriber_not_active")


def test_deliveries_are_listed_with_their_tries_page_by_page(
    shop: Shop, call: Call, receivers: Callable[..., Receiver], django_assert_max_num_queries: Any
) -> None:
    receiver = receivers(lambda request: 500)
    subscriber, _ = shop.subscribe(receiver.url)
    for _ in range(5):
        shop.receive(shop.shirt)
    tell()
    path = f"/subscribers/{subscriber.pk}/deliveries"
    with django_assert_max_num_queries(6):
        first = call("GET", f"{path}?limit=2").json()
    assert [row["status"] for row in first["results"]] == ["PENDING", "PENDING"]
    seen = [row["id"] for row in first["results"]]
    page = first
    while page["next"]:
        page = call("GET", page["next"].partition("/v1")[2]).json()
        seen += [row["id"] for row in page["results"]]
    assert seen == sorted(Delivery.objects.values_list("pk", flat=True), reverse=True)
    assert page["results"][-1]["attempts"] == [
        {
            **page["results"][-1]["attempts"][0],
            "number": 1,
            "outcome": "http_error",
            "http_status": 500,
            "detail": "the receiver answered 500",
        }
    ]
    assert call("GET", f"{path}?status=DELIVERED").json()["results"] == []
    assert call("GET", f"{path}?status=nonsense").status_code == 422


@pytest.mark.parametrize(
    "cursor", ["x", "cD1hYmM=", "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "WyJhIl0", "WyIxIiwiMiIsIjMiXQ", "e30"]
)
@pytest.mark.parametrize("what", ["", "/deliveries", "/replays"])
def test_a_cursor_that_is_none_of_ours_is_no_failure(
    call: Call, created: dict[str, Any], what: str, cursor: str
) -> None:
    path = f"/subscribers/{created['id']}{what}" if what else "/subscribers"
    answer = call("GET", f"{path}?cursor={cursor}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


def test_a_replay_is_started_watched_and_cancelled(shop: Shop, call: Call, created: dict[str, Any]) -> None:
    path = f"/subscribers/{created['id']}/replays"
    answer = call("POST", path, {"since": "2026-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["status"]) == (202, "RUNNING")
    again = call("POST", path, {"since": "2026-01-01T00:00:00Z"})
    assert (again.status_code, again.json()["code"]) == (409, "replay_running")
    one = answer.headers["Location"].removeprefix("/v1")
    assert call("DELETE", one).json()["status"] == "CANCELLED"
    assert call("POST", path, {"since": "2026-01-01T00:00:00Z"}).status_code == 202
    follow()
    assert [row["status"] for row in call("GET", path).json()["results"]] == ["DONE", "CANCELLED"]


@pytest.mark.parametrize(
    "since",
    [None, "", "yesterday", 7, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01T00:00:00Z"],
)
def test_a_moment_that_is_none_is_400_or_a_replay_of_nothing(
    call: Call, created: dict[str, Any], since: object
) -> None:
    answer = call("POST", f"/subscribers/{created['id']}/replays", {"since": since})
    assert answer.status_code in (202, 400, 422)
    follow()


ADDRESSES = [
    *(("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-secret"), ("POST", "/pause"), ("POST", "/resume")),
    *(("POST", "/test"), ("GET", "/deliveries"), ("GET", "/deliveries/{delivery}"), ("GET", "/replays")),
    *(("POST", "/replays"), ("GET", "/replays/{replay}"), ("DELETE", "/replays/{replay}")),
]


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_a_strangers_subscriber_does_not_exist(
    shop: Shop, call: Call, created: dict[str, Any], method: str, path: str
) -> None:
    own = f"/subscribers/{created['id']}"
    delivery = call("POST", f"{own}/test").json()["id"]
    replay = call("POST", f"{own}/replays", {"since": "2026-01-01T00:00:00Z"}).json()["id"]
    path = own + path.format(delivery=delivery, replay=replay)
    before = list(Subscriber.objects.values())
    charlie = caller(open_shop("charlie"))
    body = {"since": "2026-01-01T00:00:00Z"} if method in ("POST", "PATCH") else None
    assert charlie(method, path, body).status_code == 404
    assert list(Subscriber.objects.values()) == before
    assert charlie("GET", "/subscribers").json()["results"] == []
    assert call(method, path, body).status_code < 300 or path.endswith("replays")


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_each_door_asks_for_its_scope(shop: Shop, created: dict[str, Any], method: str, path: str) -> None:
    wrong = "subscribers:write" if method == "GET" else "subscribers:read"
    path = f"/subscribers/{created['id']}" + path.format(delivery=1, replay="00000000-0000-4000-8000-000000000000")
    answer = caller(shop, [wrong])(method, path, {})
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert Client().generic(method, f"/v1{path}").status_code == 401


def test_another_subscribers_delivery_is_not_found_by_its_number(shop: Shop, call: Call) -> None:
    first, second = (call("POST", "/subscribers", {"url": URL}).json()["id"] for _ in range(2))
    delivery = call("POST", f"/subscribers/{first}/test").json()["id"]
    assert call("GET", f"/subscribers/{second}/deliveries/{delivery}").status_code == 404
    assert call("GET", f"/subscribers/{second}/deliveries/{10**30}").status_code == 404


def test_a_tenant_has_a_limited_number_of_subscribers(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.subscribers.subscribing.SUBSCRIBERS_MAX", 1)
    call("POST", "/subscribers", {"url": URL})
    answer = call("POST", "/subscribers", {"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_subscribers")
