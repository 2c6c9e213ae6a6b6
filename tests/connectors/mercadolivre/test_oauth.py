"""Trading tokens with the sandbox, whose refresh tokens work once, as the real ones do."""

from typing import Any

import pytest

from apps.connectors.channel import ChannelError
from apps.connectors.mercadolivre import oauth
from apps.sandbox.server import Sandbox
from tests.connectors.mercadolivre.conftest import calls, misbehave


@pytest.fixture
def grant(application: dict[str, Any], seller: dict[str, Any]) -> dict[str, str]:
    return {
        "client_id": application["client_id"],
        "client_secret": application["client_secret"],
        "refresh_token": seller["refresh_token"],
    }


def refused(grant: dict[str, str]) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        oauth.refresh(**grant)
    for secret in (grant["client_secret"], grant["refresh_token"]):
        assert secret not in str(caught.value)
    return caught.value


def answer(box: Sandbox, status: int, body: object) -> None:
    misbehave(box, path="^/oauth/token", action="status", status=status, body=body, times=1)


def test_a_refresh_gives_a_new_pair_and_spends_the_old_token(grant: dict[str, str], seller: dict[str, Any]) -> None:
    pair = oauth.refresh(**grant)
    assert pair.user_id == str(seller["user_id"])
    assert pair.expires_in_seconds == 21_600
    assert pair.refresh_token not in ("", grant["refresh_token"])
    spent = refused(grant)
    assert (spent.code, spent.account, spent.permanent, spent.status) == ("invalid_grant", True, True, 400)


def test_a_pair_does_not_show_its_secrets(grant: dict[str, str]) -> None:
    pair = oauth.refresh(**grant)
    assert pair.access_token not in repr(pair)
    assert pair.refresh_token not in repr(pair)


def test_parameters_travel_in_the_body_never_in_the_address(box: Sandbox, grant: dict[str, str]) -> None:
    oauth.refresh(**grant)
    (call,) = calls(box, "/oauth/token")
    assert (call["method"], call["query"]) == ("POST", {})


def test_a_wrong_secret_asks_for_a_person(grant: dict[str, str]) -> None:
    error = refused({**grant, "client_secret": "not-the-secret"})
    assert (error.code, error.account, error.permanent) == ("invalid_client", True, True)


@pytest.mark.parametrize("word", ["invalid_grant", "invalid_client", "unauthorized_client", "unauthorized_application"])
@pytest.mark.parametrize("key", ["error_description", "message"])
@pytest.mark.parametrize("status", [400, 401, 403])
def test_words_that_end_the_grant_are_the_accounts_trouble(
    box: Sandbox, grant: dict[str, str], word: str, key: str, status: int
) -> None:
    answer(box, status, {"error": word, key: "it was already used", "status": status, "cause": []})
    error = refused(grant)
    assert (error.code, error.account, error.permanent, error.status) == (word, True, True, status)
    assert "it was already used" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (429, {"message": "too many", "error": "local_rate_limited", "status": 429}, "rate_limited"),
        (500, {"message": "Internal", "error": "internal_server_error", "status": 500}, "server_error"),
        (503, {"error": "invalid_grant"}, "server_error"),
        (400, {"message": "error_role_idp", "error": "internal_error", "status": 400}, "token_refused"),
        (400, {"error": "invalid_request", "error_description": "x"}, "token_refused"),
        (403, {"error": "forbidden", "message": "blocked IP"}, "token_refused"),
        (400, [], "token_refused"),
        (400, {"error": ["invalid_grant"]}, "token_refused"),
    ],
)
def test_anything_else_is_tried_again_with_the_same_token(
    box: Sandbox, grant: dict[str, str], status: int, body: object, code: str
) -> None:
    answer(box, status, body)
    error = refused(grant)
    assert (error.code, error.account, error.permanent) == (code, False, False)
    assert oauth.refresh(**grant).access_token


@pytest.mark.parametrize("action", ["reset", "html"])
def test_a_broken_road_does_not_end_the_grant(box: Sandbox, grant: dict[str, str], action: str) -> None:
    misbehave(box, path="^/oauth/token", action=action, times=1)
    error = refused(grant)
    assert (error.account, error.permanent) == (False, False)
    assert oauth.refresh(**grant).access_token


def test_an_answer_lost_after_the_token_was_spent_shows_as_invalid_grant_next_time(
    box: Sandbox, grant: dict[str, str]
) -> None:
    misbehave(box, path="^/oauth/token", action="reset_after_applying", times=1)
    assert refused(grant).code == "connection_failed"
    assert refused(grant).code == "invalid_grant"


def test_a_new_refresh_token_is_kept_whatever_else_the_answer_lacks(box: Sandbox, grant: dict[str, str]) -> None:
    answer(box, 200, {"access_token": "APP_USR-1", "refresh_token": "TG-2"})
    pair = oauth.refresh(**grant)
    assert (pair.access_token, pair.refresh_token) == ("APP_USR-1", "TG-2")
    assert (pair.expires_in_seconds, pair.user_id) == (10_800, "")


def test_without_a_new_refresh_token_the_old_one_stays(box: Sandbox, grant: dict[str, str]) -> None:
    answer(box, 200, {"access_token": "APP_USR-1", "expires_in": "3600", "user_id": 7})
    pair = oauth.refresh(**grant)
    assert (pair.refresh_token, pair.expires_in_seconds, pair.user_id) == (grant["refresh_token"], 3600, "7")


@pytest.mark.parametrize("token", [None, "", 7, "two words", "line\nbreak", "x" * 3000])
def test_a_token_that_cannot_travel_in_a_header_is_no_token(box: Sandbox, grant: dict[str, str], token: object) -> None:
    answer(box, 200, {"access_token": token, "refresh_token": "TG-2"})
    assert refused(grant).code == "unreadable_answer"
