"""Tokens: single use, bound to the application, errors of contract §1.4 and §1.5."""

import base64
import hashlib
from collections.abc import Callable
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

BACK = "http://127.0.0.1:9/back"


def authorize(raw, application, user_id, answer="yes", **query) -> tuple[int, dict[str, list[str]]]:
    """Fill in the consent page as a person does; returns the status and what came back with the redirect."""
    asked = urlencode(
        {"response_type": "code", "client_id": application["client_id"], "redirect_uri": BACK, "state": "s 1", **query}
    )
    page = raw("GET", f"/authorization?{asked}")
    if page.status != 200:
        return page.status, {}
    reply = raw("POST", f"/authorization?{asked}", urlencode({"user_id": user_id, "answer": answer}))
    return reply.status, parse_qs(urlsplit(reply.headers.get("Location", "")).query)


def test_a_refresh_token_works_once_and_gives_the_next(shop) -> None:
    spent = shop.refresh_token
    first = shop.token_call(grant_type="refresh_token", refresh_token=spent)
    again = shop.token_call(grant_type="refresh_token", refresh_token=spent)
    assert first.status == 200
    assert set(first.json) == {"access_token", "token_type", "expires_in", "scope", "user_id", "refresh_token"}
    assert (first.json["token_type"], first.json["expires_in"], first.json["user_id"]) == (
        "bearer",
        21600,
        shop.user_id,
    )
    assert again.status == 400
    assert (again.json["error"], again.json["status"], again.json["cause"]) == ("invalid_grant", 400, [])
    assert shop.control.journal()[-1]["note"] == "refresh token already used"
    newest = first.json["refresh_token"]
    assert shop.token_call(grant_type="refresh_token", refresh_token=newest).status == 200


def test_a_refresh_token_is_bound_to_its_application(shop) -> None:
    other = shop.control.application()
    reply = shop.token_call(
        grant_type="refresh_token",
        refresh_token=shop.refresh_token,
        client_id=other["client_id"],
        client_secret=other["client_secret"],
    )
    assert (reply.status, reply.json["error"]) == (400, "invalid_grant")
    assert shop.token_call(grant_type="refresh_token", refresh_token=shop.refresh_token).status == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "refresh_token", "client_secret": "wrong", "refresh_token": "TG-1-1"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_id": "1", "refresh_token": "TG-1-1"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "nonsense"}, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "TG-x", "redirect_uri": BACK}, "invalid_grant"),
        ({}, "invalid_request"),
    ],
)
def test_token_errors(shop, form: dict[str, str], error: str) -> None:
    reply = shop.token_call(**form)
    assert (reply.status, reply.json["error"]) == (400, error)


def test_the_token_call_takes_a_form_body_only(shop, raw) -> None:
    fields = {
        "grant_type": "refresh_token",
        "client_id": shop.application["client_id"],
        "client_secret": shop.application["client_secret"],
        "refresh_token": shop.refresh_token,
    }
    as_json = raw("POST", "/oauth/token", fields)
    in_query = raw("POST", f"/oauth/token?{urlencode(fields)}", "")
    twice = raw("POST", "/oauth/token", urlencode(fields) + "&grant_type=refresh_token")
    assert [reply.json["error"] for reply in (as_json, in_query, twice)] == ["invalid_request"] * 3
    assert raw("POST", "/oauth/token", urlencode(fields)).status == 200


def test_a_code_is_good_once_and_only_for_its_redirect(shop, raw) -> None:
    status, back = authorize(raw, shop.application, shop.user_id)
    assert (status, back["state"]) == (302, ["s 1"])
    form = {"grant_type": "authorization_code", "code": back["code"][0], "redirect_uri": BACK}
    good = shop.token_call(**form)
    assert (good.status, good.json["user_id"]) == (200, shop.user_id)
    assert shop.token_call(**form).json["error"] == "invalid_grant"
    _, back = authorize(raw, shop.application, shop.user_id)
    other = shop.token_call(**{**form, "code": back["code"][0], "redirect_uri": BACK + "/"})
    assert other.json["error"] == "invalid_grant"


def test_authorising_again_ends_the_old_refresh_token(shop, raw) -> None:
    _, back = authorize(raw, shop.application, shop.user_id)
    shop.token_call(grant_type="authorization_code", code=back["code"][0], redirect_uri=BACK)
    old = shop.token_call(grant_type="refresh_token", refresh_token=shop.refresh_token)
    assert old.json["error"] == "invalid_grant"
    fresh = shop.control.grant(shop.user_id)["refresh_token"]
    assert shop.token_call(grant_type="refresh_token", refresh_token=fresh).status == 200


def test_pkce(shop, raw) -> None:
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()

    def exchange(**more: str):
        _, back = authorize(raw, shop.application, shop.user_id, code_challenge=challenge, code_challenge_method="S256")
        return shop.token_call(grant_type="authorization_code", code=back["code"][0], redirect_uri=BACK, **more)

    assert exchange(code_verifier=verifier).status == 200
    assert exchange().json["error"] == "invalid_request"
    assert exchange(code_verifier="w" * 50).json["error"] == "invalid_grant"
    shop.control.application(client_id=shop.application["client_id"], pkce_required=True)
    assert authorize(raw, shop.application, shop.user_id)[0] == 400


def test_refusals_of_the_consent_page(shop, raw) -> None:
    assert authorize(raw, shop.application, shop.user_id, answer="no")[1]["error"] == ["access_denied"]
    shop.control.account(client_id=shop.application["client_id"], user_id=shop.user_id, operator=True)
    assert authorize(raw, shop.application, shop.user_id)[0] == 400
    assert authorize(raw, {"client_id": "1"}, shop.user_id)[0] == 400
    shop.control.application(client_id=shop.application["client_id"], redirect_uri="http://elsewhere/x")
    assert authorize(raw, shop.application, shop.user_id)[0] == 400
    page = raw("GET", f"/authorization?response_type=code&client_id=1&redirect_uri={quote(BACK)}")
    assert 'lang="pt-BR"' in page.raw.decode()


def test_an_operator_is_told_so_on_the_page(shop, raw) -> None:
    shop.control.account(client_id=shop.application["client_id"], user_id=shop.user_id, operator=True)
    asked = urlencode({"response_type": "code", "client_id": shop.application["client_id"], "redirect_uri": BACK})
    reply = raw("POST", f"/authorization?{asked}", urlencode({"user_id": shop.user_id, "answer": "yes"}))
    assert reply.status == 400
    assert "invalid_operator_user_id" in reply.raw.decode()


def test_401_bodies_vary_and_nothing_answers_without_a_token(shop, raw) -> None:
    bodies = {raw("GET", "/users/me", headers={"Authorization": "Bearer nonsense"}).raw for _ in range(8)}
    assert len(bodies) > 2
    missing = raw("GET", f"/users/me?access_token={shop.pair['access_token']}")
    assert (missing.status, missing.json["message"]) == (401, "authorization value not present")


@pytest.mark.parametrize(
    ("kind", "reads", "renews"), [("access", 401, 200), ("refresh", 200, 400), ("grant", 401, 400)]
)
def test_tokens_can_be_killed(shop, kind: str, reads: int, renews: int) -> None:
    shop.control.kill_token(shop.user_id, kind)
    assert shop.get("/users/me").status == reads
    assert shop.token_call(grant_type="refresh_token", refresh_token=shop.refresh_token).status == renews


def test_an_access_token_expires(shop) -> None:
    shop.control.application(client_id=shop.application["client_id"], expires_in=1)
    shop.renew()
    assert shop.pair["expires_in"] == 1
    assert shop.get("/users/me").status == 200
    shop.box.market.state.tables["token"][shop.pair["access_token"]]["expires"] -= 1
    assert shop.get("/users/me").status == 401


def test_who_am_i(shop, make_shop: Callable[..., object]) -> None:
    me = shop.get("/users/me").json
    assert (me["id"], me["site_id"], me["status"]["mercadoenvios"]) == (shop.user_id, "MLB", "not_accepted")
    other = make_shop()
    assert "email" not in shop.get(f"/users/{other.user_id}").json
    assert shop.get(f"/users/{shop.user_id}").json["email"]
    assert shop.get("/users/1").status == 404
    shop.control.faults({"path": "^/users/me$", "action": "partial", "missing": ["seller_reputation"], "times": 1})
    partial = shop.get("/users/me")
    assert (partial.status, partial.headers["X-Content-Missing"]) == (206, "seller_reputation")
    assert partial.json["seller_reputation"] is None
    assert shop.get(f"/applications/{shop.application['client_id']}").json["max_requests_per_hour"] == 18000
    assert shop.get(f"/applications/{other.application['client_id']}").status == 403
