"""What Mercado Livre's refusals are called here, whatever envelope they come in; the one refresh; the two multigets."""

from functools import partial
from typing import Any

import pytest

from apps.connectors.channel import ChannelError
from apps.connectors.mercadolivre.client import Client
from apps.sandbox.server import Sandbox
from tests.connectors.mercadolivre.conftest import Tokens, calls, misbehave


@pytest.fixture
def client(tokens: Tokens) -> Client:
    return Client(tokens)


def refused(client: Client, verb: str = "", *arguments: object) -> ChannelError:
    """Do what must be refused, by default a stock write, and return the error."""
    call = partial(getattr(client, verb), *arguments) if verb else partial(client.put_quantity, "MLB1", 3)
    with pytest.raises(ChannelError) as caught:
        call()
    assert 0 < len(str(caught.value)) < 500
    return caught.value


def answer(box: Sandbox, status: int, body: object, path: str = "^/(items|orders|users)", **fault: object) -> None:
    misbehave(box, path=path, action="status", status=status, body=body, **fault)


VALIDATION = {"message": "Validation error", "error": "validation_error", "status": 400}


def cause(code: str, message: str = "no", kind: str | None = "error") -> dict[str, Any]:
    return {"cause_id": 1, "code": code, "message": message} | ({"type": kind} if kind else {})


@pytest.mark.parametrize(
    ("status", "body", "code", "permanent", "account"),
    [
        (409, {"message": "item optimistic locking error: conflict", "error": "conflict"}, "conflict", False, False),
        (409, {"message": "Conflict. Try again later"}, "conflict", False, False),
        (
            429,
            {"error": "too_many_requests", "message": "client.id over quota", "status": 429},
            "rate_limited",
            False,
            False,
        ),
        (500, {"message": "Internal Server Error", "cause": []}, "server_error", False, False),
        (504, {"message": "Gateway Timeout", "error": "closed"}, "server_error", False, False),
        (
            404,
            {"message": "Item with id MLB1 not found", "error": "not_found", "cause": []},
            "item_not_found",
            True,
            False,
        ),
        (404, {"code": "not_found", "message": "not_found"}, "item_not_found", True, False),
        (
            400,
            {**VALIDATION, "cause": [cause("item.available_quantity.not_modifiable")]},
            "stock_managed_by_channel",
            True,
            False,
        ),
        (
            400,
            {"error": "item.available_quantity.not_modifiable", "cause": ""},
            "stock_managed_by_channel",
            True,
            False,
        ),
        (
            400,
            {**VALIDATION, "cause": [cause("item.available_quantity.invalid", kind=None)]},
            "quantity_invalid",
            True,
            False,
        ),
        (
            400,
            {**VALIDATION, "cause": [cause("item.status.not_modifiable", "Item in status closed is not …")]},
            "item_closed",
            True,
            False,
        ),
        (
            400,
            {"message": "Cannot update item MLB1 [status:under_review, has_bids:false]"},
            "item_under_review",
            True,
            False,
        ),
        (403, {"message": "Cannot update item MLB1 [status:closed]", "cause": None}, "item_closed", True, False),
        (400, {**VALIDATION, "cause": [cause("body.invalid_field_types")]}, "validation_failed", True, False),
        (
            400,
            {**VALIDATION, "cause": [cause("item.available_quantity.invalid", kind="warning")]},
            "validation_failed",
            True,
            False,
        ),
        (400, {"cause": {"code": "item.available_quantity.invalid"}}, "quantity_invalid", True, False),
        (400, {"cause": ["item"]}, "validation_failed", True, False),
        (400, [], "validation_failed", True, False),
        (400, None, "validation_failed", True, False),
        (422, {"message": "x"}, "validation_failed", True, False),
        (403, {"status": 403, "error": "Invalid scopes", "code": "FORBIDDEN"}, "permission_missing", True, True),
        (403, {"status": 403, "error": "access_denied", "message": "forbidden"}, "forbidden", True, False),
        (
            403,
            {"message": "At least one policy returned UNAUTHORIZED.", "code": "PA_UNAUTHORIZED_RESULT_FROM_POLICIES"},
            "permission_missing",
            True,
            True,
        ),
        (403, {"error": "unauthorized_scopes", "message": "x"}, "unauthorized_application", True, True),
        (403, {"error": "x", "message": "unauthorized_application"}, "unauthorized_application", True, True),
    ],
)
def test_a_refused_write_gets_its_stable_name(
    box: Sandbox, client: Client, status: int, body: object, code: str, permanent: bool, account: bool
) -> None:
    answer(box, status, body)
    error = refused(client)
    assert (error.code, error.permanent, error.account, error.status) == (code, permanent, account, status)


@pytest.mark.parametrize(
    ("status", "code"), [(502, "server_error"), (404, "item_not_found"), (400, "validation_failed")]
)
def test_a_page_of_html_is_decided_by_its_status_and_not_repeated(
    box: Sandbox, client: Client, status: int, code: str
) -> None:
    misbehave(box, path="^/items", action="html", status=status)
    error = refused(client)
    assert (error.code, error.status) == (code, status)
    assert "<" not in str(error)


def test_an_order_not_found_may_appear_yet(box: Sandbox, client: Client) -> None:
    error = refused(client, "order", "2000000000000001")
    assert (error.code, error.permanent, error.account, error.status) == ("order_not_found", False, False, 404)


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("1.5", 1.5), ("999999", 3600.0), ("soon", None), ("", None), ("-3", None)]
)
def test_the_wait_they_ask_for_is_passed_on_within_reason(
    box: Sandbox, client: Client, value: str, seconds: float | None
) -> None:
    answer(box, 429, {"error": "too_many_requests"}, headers={"Retry-After": value} if value else {})
    assert refused(client).retry_after_seconds == seconds


def test_a_wait_given_as_a_date_is_understood(box: Sandbox, client: Client) -> None:
    answer(box, 503, {}, headers={"Retry-After": "Fri, 31 Dec 2999 23:59:59 GMT"})
    assert refused(client).retry_after_seconds == 3600.0


def test_their_message_is_repeated_without_secrets_and_not_endlessly(box: Sandbox, client: Client) -> None:
    told = "token APP_USR-1-2-abc of\nana@example.com, CPF 123.456.789-09, CNPJ 12.345.678/0001-95 " + "x" * 900
    answer(box, 400, {"message": told})
    text = str(refused(client))
    assert "token [token] of [e-mail], CPF [document], CNPJ [document] xxx".replace("[e-mail],", "[e-mail]") in text
    assert len(text) < 400


# --- 401 -----------------------------------------------------------------------------------------------------------


def test_a_401_refreshes_once_and_repeats_once(
    box: Sandbox, client: Client, tokens: Tokens, seller: dict[str, Any]
) -> None:
    client.me()
    box.control.kill_token(seller["user_id"], "access")
    before = tokens.access_token()
    assert isinstance(client.me(), dict)
    assert tokens.rejected == [before]
    assert [call["status"] for call in calls(box, "/users/me")] == [200, 401, 200]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"message": "invalid_token", "error": "not_found", "status": 401, "cause": []}, "unauthorized"),
        ({"code": "unauthorized", "message": "invalid access token"}, "unauthorized"),
        ({"message": "app blocked", "error": "unauthorized_scopes"}, "unauthorized_application"),
        (None, "unauthorized"),
    ],
)
def test_a_401_with_a_new_token_too_is_the_accounts_trouble(
    box: Sandbox, client: Client, tokens: Tokens, body: object, code: str
) -> None:
    answer(box, 401, body)
    error = refused(client)
    assert (error.code, error.account, error.status) == (code, True, 401)
    assert len(tokens.rejected) == 1
    assert len(calls(box, "/items/MLB1")) == 2
    assert len(calls(box, "/users/me")) == 1


@pytest.mark.parametrize("action", ["status", "partial"])
def test_a_401_of_one_resource_while_the_token_opens_the_account_is_that_resources_trouble(
    box: Sandbox, client: Client, tokens: Tokens, seller: dict[str, Any], action: str
) -> None:
    item_id, other_id = box.control.create_many(seller["user_id"], 2)
    sale, other_sale = box.control.sell(item_id), box.control.sell(other_id)
    foreign = {"message": "The user has not access to the order", "error": "not_owned_order", "status": 401}
    answer(box, 401, foreign, path=f"^/orders/{sale['order_id']}$")
    if action == "partial":
        misbehave(box, path="^/users/me$", action="partial", missing=["seller_reputation"])
    error = refused(client, "order", str(sale["order_id"]))
    assert (error.code, error.permanent, error.account, error.status) == ("forbidden", True, False, 401)
    assert "The user has not access" not in str(error)  # their words about orders may name a buyer
    asked = [(call["path"], call["status"]) for call in calls(box) if call["path"] != "/oauth/token"]
    order = f"/orders/{sale['order_id']}"
    assert asked == [(order, 401), (order, 401), ("/users/me", 206 if action == "partial" else 200)]
    assert len(tokens.rejected) == 1
    raw, is_complete = client.order(str(other_sale["order_id"]))
    assert isinstance(raw, dict)
    assert (str(raw["id"]), is_complete) == (str(other_sale["order_id"]), True)


@pytest.mark.parametrize("status", [401, 403])
def test_a_401_while_the_account_does_not_open_either_stays_the_accounts_trouble(
    box: Sandbox, client: Client, status: int
) -> None:
    answer(box, 401, None, path="^/items")
    misbehave(box, path="^/users/me$", action="status", status=status)
    error = refused(client)
    assert (error.code, error.permanent, error.account, error.status) == ("unauthorized", False, True, 401)


@pytest.mark.parametrize("fault", [{"action": "reset"}, {"action": "status", "status": 503}])
def test_a_hiccup_of_the_token_check_stops_no_account(box: Sandbox, client: Client, fault: dict[str, Any]) -> None:
    answer(box, 401, None, path="^/items")
    misbehave(box, path="^/users/me$", **fault)
    error = refused(client)
    assert (error.permanent, error.account) == (False, False)


def test_the_account_itself_is_not_asked_a_third_time(box: Sandbox, client: Client) -> None:
    answer(box, 401, None, path="^/users/me$", times=2)  # a third call would be answered
    error = refused(client, "me")
    assert (error.code, error.account, error.status) == ("unauthorized", True, 401)
    assert [call["status"] for call in calls(box, "/users/me")] == [401, 401]


def test_a_grant_that_is_gone_passes_through(box: Sandbox, client: Client, seller: dict[str, Any]) -> None:
    client.me()
    box.control.kill_token(seller["user_id"], "grant")
    error = refused(client, "me")
    assert (error.code, error.account, error.permanent) == ("invalid_grant", True, True)


# --- No answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "code"),
    [("reset", "connection_failed"), ("redirect", "redirected")],
)
def test_a_broken_road_is_tried_again_later(box: Sandbox, client: Client, action: str, code: str) -> None:
    misbehave(box, path="^/items", action=action)
    error = refused(client)
    assert (error.code, error.permanent, error.account, error.status) == (code, False, False, 0)


def test_a_read_of_half_a_json_is_unreadable(box: Sandbox, client: Client) -> None:
    misbehave(box, path="^/users/me", action="wrong_json")
    error = refused(client, "me")
    assert (error.code, error.permanent, error.account) == ("unreadable_answer", False, False)


@pytest.mark.parametrize("identifier", ["", "../users/me", "MLB1?x=1", "MLB1#", "MLB 1", "MLB1/..", "x" * 65, "MLB1\n"])
def test_an_id_that_would_call_something_else_is_not_asked_for(box: Sandbox, client: Client, identifier: str) -> None:
    for verb in ("order", "item", "shipment"):
        error = refused(client, verb, identifier)
        assert (error.code, error.permanent) == ("invalid_id", True)
    assert calls(box) == []


# --- Lists ---------------------------------------------------------------------------------------------------------


def test_a_multiget_falls_back_to_the_older_form_and_stays_there(
    box: Sandbox, client: Client, seller: dict[str, Any]
) -> None:
    ids = box.control.create_many(seller["user_id"], 2)
    answer(box, 404, {"message": "Item with id bulk not found", "error": "not_found"}, path="^/items/bulk")
    for _ in range(2):
        rows = client.items(ids)
        assert isinstance(rows, list)
        assert [row["code"] for row in rows] == [200, 200]
    assert [call["path"] for call in calls(box, "/items")] == ["/items/bulk", "/items", "/items"]


def test_a_multiget_refused_for_another_reason_does_not_fall_back(box: Sandbox, client: Client) -> None:
    answer(box, 429, {}, path="^/items/bulk")
    assert refused(client, "items", ["MLB1"]).code == "rate_limited"
    assert client.has_bulk_multiget


def test_more_than_twenty_ids_are_a_mistake_of_ours(client: Client) -> None:
    with pytest.raises(ValueError, match="20"):
        client.items([f"MLB{number}" for number in range(21)])


def test_a_scan_reads_every_page(box: Sandbox, client: Client, seller: dict[str, Any]) -> None:
    ids = box.control.create_many(seller["user_id"], 250)
    assert sorted(client.item_ids(str(seller["user_id"]))) == sorted(ids)
    assert len(calls(box, "/items/search")) == 4


def test_a_scan_whose_scroll_died_starts_again_once(box: Sandbox, client: Client, seller: dict[str, Any]) -> None:
    ids = box.control.create_many(seller["user_id"], 250)
    misbehave(box, path="/items/search", action="delay", delay_ms=1, times=2)  # two pages, then
    expired = {"message": "Invalid or expired scroll_id", "error": "bad_request", "status": 400}
    answer(box, 400, expired, path="/items/search", times=1)
    assert sorted(client.item_ids(str(seller["user_id"]))) == sorted(ids)
    asked = calls(box, "/items/search")
    assert [call["status"] for call in asked] == [200, 200, 400, 200, 200, 200, 200]
    assert ["scroll_id" in call["query"] for call in asked] == [False, True, True, False, True, True, True]


def test_a_scan_that_dies_twice_is_refused(box: Sandbox, client: Client, seller: dict[str, Any]) -> None:
    answer(box, 400, {"message": "Invalid or expired scroll_id"}, path="/items/search")
    assert refused(client, "item_ids", str(seller["user_id"])).code == "validation_failed"
    assert len(calls(box, "/items/search")) == 2


def test_a_scan_that_fails_says_so_rather_than_giving_a_part(
    box: Sandbox, client: Client, seller: dict[str, Any]
) -> None:
    box.control.create_many(seller["user_id"], 150)
    misbehave(box, path="/items/search", action="status", status=500)
    assert refused(client, "item_ids", str(seller["user_id"])).code == "server_error"
