"""Every misbehaviour, the quota, and what the journal says of them."""

import http.client
import json
import time

import pytest

from apps.sandbox.client import ControlError

from .conftest import send


@pytest.fixture
def item_id(shop) -> str:
    return shop.item(available_quantity=5)


def put(shop, item_id: str, quantity: int, timeout: float = 10):
    token = {"Authorization": f"Bearer {shop.pair['access_token']}"}
    return send(shop.box.url, "PUT", f"/items/{item_id}", {"available_quantity": quantity}, token, timeout)


def last_call(shop) -> dict:
    return [entry for entry in shop.control.journal() if "control" not in entry][-1]


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, "too_many_requests"), (500, "internal_server_error"), (409, "conflict"), (403, "access_denied")],
)
def test_a_status_with_its_body_and_nothing_applied(shop, item_id, status: int, error: str) -> None:
    shop.control.faults({"method": "PUT", "path": "^/items/", "action": "status", "status": status, "times": 2})
    replies = [put(shop, item_id, 3) for _ in range(3)]
    assert [reply.status for reply in replies] == [status, status, 200]
    assert replies[0].json["error"] == error
    journal = [entry for entry in shop.control.journal() if entry["method"] == "PUT"]
    assert [(entry["fault"], entry["applied"]) for entry in journal[:2]] == [("status", [])] * 2
    assert journal[2]["applied"] == [{"item": item_id, "available_quantity": [5, 3]}]
    assert shop.control.faults() == []


def test_the_token_call_has_its_own_429(shop) -> None:
    shop.control.faults({"path": "^/oauth/token$", "action": "status", "status": 429, "headers": {"Retry-After": 3}})
    reply = shop.token_call(grant_type="refresh_token", refresh_token=shop.refresh_token)
    assert (reply.status, reply.json["error"], reply.headers["Retry-After"]) == (429, "local_rate_limited", "3")
    shop.control.clear_faults()
    assert shop.token_call(grant_type="refresh_token", refresh_token=shop.refresh_token).status == 200


@pytest.mark.parametrize(("action", "kept"), [("reset", 5), ("reset_after_applying", 2)])
def test_a_reset_connection(shop, item_id, action: str, kept: int) -> None:
    shop.control.faults({"method": "PUT", "path": "", "action": action, "times": 1})
    with pytest.raises(ConnectionResetError):
        put(shop, item_id, 2)
    assert shop.shown(item_id) == kept
    entry = [entry for entry in shop.control.journal() if entry["method"] == "PUT"][-1]
    assert (entry["status"], bool(entry["applied"])) == (None, kept == 2)


@pytest.mark.parametrize(("action", "kept"), [("timeout", 5), ("timeout_after_applying", 2)])
def test_no_answer(shop, item_id, action: str, kept: int) -> None:
    shop.control.faults({"method": "PUT", "path": "", "action": action, "times": 1})
    with pytest.raises(TimeoutError):
        put(shop, item_id, 2, timeout=0.2)
    assert shop.shown(item_id) == kept


@pytest.mark.parametrize("action", ["slow_header", "slow_body"])
def test_an_answer_that_drips(shop, item_id, action: str) -> None:
    shop.control.faults({"method": "PUT", "path": "", "action": action, "delay_ms": 25, "times": 1})
    token = {"Authorization": f"Bearer {shop.pair['access_token']}"}
    connection = http.client.HTTPConnection(shop.box.url.removeprefix("http://"), timeout=1.0)
    connection.request("PUT", f"/items/{item_id}", json.dumps({"available_quantity": 2}), token)
    began = time.monotonic()
    response = connection.getresponse()
    if action == "slow_body":
        assert time.monotonic() - began < 1.0
        assert response.read(1) == b"{"
        response.read(60)
    assert time.monotonic() - began > 1.0  # longer than any single read may take
    response.close()
    connection.close()
    assert shop.shown(item_id) == 2


def test_odd_answers(shop, item_id) -> None:
    shop.control.faults({"method": "PUT", "path": "", "action": "wrong_json", "times": 1})
    reply = put(shop, item_id, 4)
    assert (reply.status, shop.shown(item_id)) == (200, 4)
    with pytest.raises(json.JSONDecodeError):
        reply.json  # noqa: B018 reading it is the test
    shop.control.faults({"method": "PUT", "path": "", "action": "html", "times": 1})
    reply = put(shop, item_id, 3)
    assert (reply.status, reply.headers["Content-Type"], reply.raw[:6]) == (502, "text/html", b"<html>")
    shop.control.faults({"method": "PUT", "path": "", "action": "redirect", "status": 307, "times": 1})
    reply = put(shop, item_id, 3)
    assert (reply.status, reply.headers["Location"], shop.shown(item_id)) == (307, "/moved", 4)
    shop.control.faults({"path": "", "action": "status", "status": 200, "body": "", "times": 1})
    assert put(shop, item_id, 3).raw == b""


def test_lies_and_other_numbers(shop, item_id) -> None:
    shop.control.faults({"method": "PUT", "path": "", "action": "lie", "times": 1})
    assert put(shop, item_id, 3).json["available_quantity"] == 5
    shop.control.faults({"method": "PUT", "path": "", "action": "lie", "echo": True, "times": 1})
    assert put(shop, item_id, 3).json["available_quantity"] == 3
    assert shop.shown(item_id) == 5
    shop.control.faults({"method": "PUT", "path": "", "action": "wrong_quantity", "times": 1})
    assert (put(shop, item_id, 3).json["available_quantity"], shop.shown(item_id)) == (2, 2)
    shop.control.faults({"method": "PUT", "path": "", "action": "wrong_quantity", "quantity": 9, "times": 1})
    assert (put(shop, item_id, 3).status, shop.shown(item_id)) == (200, 9)


def test_a_fault_for_one_seller_or_for_a_share_of_calls(shop, make_shop) -> None:
    other = make_shop()
    shop.control.faults({"path": "^/users/me$", "action": "status", "status": 503, "user_id": shop.user_id})
    assert (shop.get("/users/me").status, other.get("/users/me").status) == (503, 200)
    shop.control.clear_faults()
    shop.control.faults({"path": "^/users/me$", "action": "status", "percent": 50})
    answers = [shop.get("/users/me").status for _ in range(60)]
    assert {200, 500} == set(answers)


def test_a_delay(shop) -> None:
    shop.control.faults({"path": "^/users/me$", "action": "delay", "delay_ms": 120, "times": 1})
    began = time.monotonic()
    assert shop.get("/users/me").status == 200
    assert time.monotonic() - began >= 0.12


@pytest.mark.parametrize(
    "fault",
    [{"path": "", "action": "explode"}, {"path": "(", "action": "status"}, {"action": "status", "percent": 0}, "reset"],
)
def test_faults_that_could_never_work_are_refused(shop, fault) -> None:
    with pytest.raises(ControlError) as refused:
        shop.control.faults(fault)
    assert refused.value.status == 400
    assert shop.control.faults() == []


def test_the_quota_is_each_applications_own(shop, make_shop) -> None:
    other = make_shop()
    shop.control.rate_limit(60, burst=3, retry_after=7)
    replies = [shop.get("/users/me") for _ in range(5)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
    assert replies[3].headers["Retry-After"] == "7"
    assert {reply.json["message"] for reply in replies[3:]} == {"Too Many Requests", "client.id over quota"}
    assert other.get("/users/me").status == 200
    assert shop.token_call(grant_type="refresh_token", refresh_token=shop.refresh_token).status == 200
    shop.control.rate_limit(None)
    assert shop.get("/users/me").status == 200


def test_user_product_stock_has_a_limit_of_its_own(shop, item_id) -> None:
    product = shop.get(f"/items/{item_id}").json["user_product_id"]
    shop.control.rate_limit(None, user_product_stock_per_minute=2)
    assert [shop.get(f"/user-products/{product}/stock").status for _ in range(3)] == [200, 200, 429]
    assert shop.get("/users/me").status == 200


def test_the_journal_names_the_caller_and_hides_secrets(shop, item_id) -> None:
    shop.renew()
    put(shop, item_id, 1)
    entry = last_call(shop)
    assert (entry["method"], entry["path"], entry["status"]) == ("PUT", f"/items/{item_id}", 200)
    assert (entry["user_id"], entry["client_id"]) == (shop.user_id, shop.application["client_id"])
    assert entry["body"] == {"available_quantity": 1}
    text = shop.box.market.journal.read(0, 1000).decode()
    for secret in (shop.application["client_secret"], shop.pair["access_token"], shop.account["refresh_token"]):
        assert secret not in text
    sequence = [entry["seq"] for entry in shop.control.journal()]
    assert sequence == list(range(1, len(sequence) + 1))
    assert [entry["seq"] for entry in shop.control.journal(after=2, limit=2)] == [3, 4]
