"""Who calls: keys, tokens and people, and that nobody else gets in."""

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from apps.tenants import identity
from apps.tenants.models import ApiKey, Membership, Tenant
from apps.tenants.scopes import SCOPES
from tests.factories import MembershipFactory, TenantFactory, UserFactory, member

pytestmark = [pytest.mark.urls("tests.tenants.echo_api"), pytest.mark.django_db]

READ = "/v1/who"


@pytest.fixture
def alice() -> Tenant:
    tenant: Tenant = TenantFactory(slug="alice")
    return tenant


@pytest.fixture
def charlie() -> Tenant:
    tenant: Tenant = TenantFactory(slug="charlie")
    return tenant


def _issue(tenant: Tenant, *scopes: str, **options: Any) -> tuple[ApiKey, str]:
    return ApiKey.issue(tenant, name="POS", scopes=list(scopes or SCOPES), **options)


def _get(authorization: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
    sent = {**({"Authorization": authorization} if authorization else {}), **headers}
    response = Client(headers={"Accept-Language": "en"}).get(READ, headers=sent)
    if response.status_code == 401:
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    return response.status_code, json.loads(response.content)


# --- keys ---------------------------------------------------------------------------------------------------------


def test_a_key_speaks_for_its_tenant_and_for_no_other(alice: Tenant, charlie: Tenant) -> None:
    key, text = _issue(alice)
    expected = {"tenant": "alice", "actor": f"key:{key.prefix}", "limit": 50}
    assert _get(f"Bearer {text}") == (200, expected)
    assert _get(f"bearer  {text} ") == (200, expected)
    assert _get(**{"X-Api-Key": text, "X-Tenant": "charlie"}) == (200, expected)


def test_every_bad_credential_is_refused_in_the_same_words(alice: Tenant) -> None:
    now = timezone.now()
    _key, good = _issue(alice)
    expired, expired_text = _issue(alice, expires_at=now - timedelta(seconds=1))
    revoked, revoked_text = _issue(alice)
    revoked.revoke()
    bad = [
        "Bearer saldo_guess",
        f"Bearer {good[:-1]}",
        f"Bearer {good}x",
        f"Bearer {expired_text}",
        f"Bearer {revoked_text}",
        f"Bearer {expired.key_hash}",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer \x00\x01",
        "Bearer " + "x" * 20_000,
        "Bearer",
        f"Basic {base64.b64encode(good.encode()).decode()}",
        "Bearer çãõ",
    ]
    said = {(status, body["code"], body["detail"], body["title"]) for status, body in map(_get, bad)}
    assert len(said) == 1
    assert said.pop()[:2] == (401, "invalid_credentials")


def test_without_any_credential_it_is_401_too(alice: Tenant) -> None:
    status, body = _get()
    assert (status, body["code"]) == (401, "not_authenticated")


def test_the_hot_path_asks_no_database(alice: Tenant) -> None:
    _key, text = _issue(alice)
    _get(f"Bearer {text}")
    with CaptureQueriesContext(connection) as queries:
        assert _get(f"Bearer {text}")[0] == 200
    assert len(queries) == 0


def test_a_revoked_key_is_forgotten_within_seconds(alice: Tenant) -> None:
    key, text = _issue(alice)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        assert _get(f"Bearer {text}")[0] == 200
        key.revoke()
        assert _get(f"Bearer {text}")[0] == 200  # remembered, and documented
        _pass(clock, identity.REMEMBERED_SECONDS + 0.1)
        assert _get(f"Bearer {text}")[0] == 401


def _pass(clock: Any, seconds: float) -> None:
    """Let time go by, on the wall's clock and, which time-machine leaves alone, on the cache's."""
    clock.shift(seconds)
    for digest, (caller, until) in list(identity._remembered.items()):
        identity._remembered[digest] = (caller, until - seconds)


def test_an_expiry_is_met_though_the_key_is_remembered(alice: Tenant) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        _key, text = _issue(alice, expires_at=start + timedelta(seconds=2))
        assert _get(f"Bearer {text}")[0] == 200
        _pass(clock, 2.1)
        assert _get(f"Bearer {text}")[0] == 401


def test_the_last_use_is_written_once_a_minute(alice: Tenant) -> None:
    _key, text = _issue(alice)
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        used = []
        for _ in range(4):
            _get(f"Bearer {text}")
            used.append(ApiKey.objects.get().last_used_at)
            _pass(clock, 25)
    assert used[0] == used[1] == used[2] == start
    assert used[3] == start + timedelta(seconds=75)


def test_a_key_without_the_scope_is_told_which(alice: Tenant) -> None:
    _key, text = _issue(alice, "movements:read")
    status, body = _get(f"Bearer {text}")
    assert (status, body["code"], body["scope"]) == (403, "missing_scope", "stock:read")
    response = Client().get("/v1/drf", headers={"X-Api-Key": text})
    assert (response.status_code, response.json()["scope"]) == (403, "stock:read")


def test_a_flood_of_credentials_does_not_fill_the_memory(alice: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "REMEMBERED_MAX", 3)
    for _ in range(8):
        assert _get(f"Bearer {_issue(alice)[1]}")[0] == 200
        _get("Bearer saldo_guess")
    assert len(identity._remembered) <= 3


# --- tokens -------------------------------------------------------------------------------------------------------

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM = (
    RSA_KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
SECRET = "a shared secret of more than thirty-two characters"


@pytest.fixture
def rs256(settings: Settings) -> None:
    settings.JWT_ALGORITHM, settings.JWT_KEY = "RS256", PUBLIC_PEM


@pytest.fixture
def hs256(settings: Settings) -> None:
    settings.JWT_ALGORITHM, settings.JWT_KEY = "HS256", SECRET


def _token(key: Any = RSA_KEY, algorithm: str = "RS256", **claims: Any) -> str:
    now = int(time.time())
    full = {"sub": "pos-3", "tenant": "alice", "scope": "stock:read stock:reserve", "exp": now + 300, **claims}
    return "Bearer " + jwt.encode({k: v for k, v in full.items() if v is not None}, key, algorithm)


def test_a_token_speaks_for_the_tenant_it_names(alice: Tenant, rs256: None) -> None:
    assert _get(_token()) == (200, {"tenant": "alice", "actor": "token:pos-3", "limit": 50})
    assert _get(_token(scope=None, scopes=["stock:read"]))[0] == 200
    assert _get(_token(scope="movements:read"))[1]["code"] == "missing_scope"
    assert _get(_token(scope=None))[1]["code"] == "missing_scope"


def test_a_shared_secret_works_too(alice: Tenant, hs256: None) -> None:
    assert _get(_token(SECRET, "HS256"))[0] == 200
    assert _get(_token("another secret of more than thirty-two characters", "HS256"))[0] == 401
    assert _get(_token())[0] == 401  # signed with RS256


def _signed_with_the_public_key() -> str:
    """The classic confusion: an HMAC whose secret is the public key. PyJWT refuses to make one, so by hand."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"sub": "pos-3", "tenant": "alice", "scope": "stock:read", "exp": int(time.time()) + 300}
    body = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    mac = hmac.new(PUBLIC_PEM.encode(), body.encode(), hashlib.sha256).digest()
    return f"Bearer {body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_a_token_that_is_not_ours_opens_nothing(alice: Tenant, rs256: None) -> None:
    now = int(time.time())
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    bad = {
        "no end": _token(exp=None),
        "ended": _token(exp=now - 60),
        "end is no time": _token(exp="tomorrow"),
        "not yet": _token(nbf=now + 60),
        "no subject": _token(sub=None),
        "empty subject": _token(sub=""),
        "long subject": _token(sub="x" * 101),
        "subject with line feed": _token(sub="pos\n3"),
        "no tenant": _token(tenant=None),
        "unknown tenant": _token(tenant="nobody"),
        "tenant is no text": _token(tenant=["alice"]),
        "NUL tenant": _token(tenant="alice\0"),
        "another key": _token(other),
        "no signature": _token(None, "none"),
        "public key as secret": _signed_with_the_public_key(),
        "another algorithm": _token(RSA_KEY, "RS512"),
        "made for somebody": _token(aud="billing"),
        "cut": _token()[:-5],
        "three dots": "Bearer ...",
    }
    assert {name: _get(text)[0] for name, text in bad.items()} == dict.fromkeys(bad, 401)


def test_issuer_and_audience_are_checked_where_set(alice: Tenant, rs256: None, settings: Settings) -> None:
    settings.JWT_ISSUER, settings.JWT_AUDIENCE = "https://id.example", "saldo"
    assert _get(_token(iss="https://id.example", aud="saldo"))[0] == 200
    assert _get(_token(iss="https://id.example", aud=["saldo", "billing"]))[0] == 200
    assert _get(_token(iss="https://evil.example", aud="saldo"))[0] == 401
    assert _get(_token(iss="https://id.example", aud="billing"))[0] == 401
    assert _get(_token())[0] == 401


def test_clocks_may_differ_a_little(alice: Tenant, rs256: None) -> None:
    assert _get(_token(exp=int(time.time()) - 5))[0] == 200


def test_a_token_is_not_remembered_past_its_end(alice: Tenant, rs256: None) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        token = _token(exp=int(time.time()) - 8)  # two seconds of leeway left
        assert _get(token)[0] == 200
        _pass(clock, 3)
        assert _get(token)[0] == 401


def test_tokens_are_off_unless_configured(alice: Tenant) -> None:
    assert _get(_token())[0] == 401


# --- people -------------------------------------------------------------------------------------------------------


def _signed_in(user: Any, **options: Any) -> Client:
    client = Client(headers={"Accept-Language": "en"}, **options)
    client.force_login(user)
    return client


@pytest.mark.parametrize(
    ("role", "get", "post", "drf_post"),
    [
        (Membership.Role.ANALYST, 200, 403, 403),
        (Membership.Role.OPERATOR, 200, 403, 403),
        (Membership.Role.MANAGER, 200, 202, 200),
        (Membership.Role.ADMIN, 200, 202, 200),
    ],
)
def test_a_person_may_do_what_the_role_holds(alice: Tenant, role: str, get: int, post: int, drf_post: int) -> None:
    client = _signed_in(member(alice, role))
    assert client.get(READ).status_code == get
    assert client.post(READ).status_code == post
    assert client.post("/v1/drf", {"quantity": 1}, content_type="application/json").status_code == drf_post


def test_a_person_is_named_by_number_and_not_by_name(alice: Tenant) -> None:
    bob = member(alice, first_name="Roberto")
    assert _signed_in(bob).get(READ).json() == {"tenant": "alice", "actor": f"user:{bob.pk}", "limit": 50}


def test_a_change_needs_the_csrf_token_and_a_reading_none(alice: Tenant) -> None:
    client = _signed_in(member(alice, Membership.Role.MANAGER), enforce_csrf_checks=True)
    assert client.get(READ).status_code == 200
    for url in (READ, "/v1/drf"):
        refused = client.post(url, {"quantity": 1}, content_type="application/json")
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    token = "t" * 32
    client.cookies["csrftoken"] = token
    assert client.post(READ, headers={"X-CSRFToken": token}).status_code == 202
    assert client.post(READ, headers={"X-CSRFToken": "u" * 32}).status_code == 403


def test_a_key_beside_a_cookie_is_what_counts(alice: Tenant, charlie: Tenant) -> None:
    client = _signed_in(member(alice), enforce_csrf_checks=True)
    _key, text = _issue(charlie)
    assert client.post(READ, headers={"X-Api-Key": text}).json()["tenant"] == "charlie"
    assert client.get(READ, headers={"X-Api-Key": "saldo_guess"}).status_code == 401


def test_a_person_of_several_companies_chooses_only_among_their_own(alice: Tenant, charlie: Tenant) -> None:
    bob = member(alice)
    dora: Tenant = TenantFactory(slug="dora")
    MembershipFactory(tenant=dora, user=bob, role=Membership.Role.ANALYST)
    client = _signed_in(bob)
    assert client.get(READ).json()["tenant"] == "alice"
    assert client.get(READ, headers={"X-Tenant": "dora"}).json()["tenant"] == "dora"
    assert client.post(READ, headers={"X-Tenant": "dora"}).status_code == 403  # an analyst there
    for stranger in ("charlie", "nobody", "'"):
        refused = client.get(READ, headers={"X-Tenant": stranger})
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown_tenant")


def test_who_belongs_nowhere_or_was_switched_off_gets_nothing(alice: Tenant) -> None:
    nobody = _signed_in(UserFactory()).get(READ)
    assert (nobody.status_code, nobody.json()["code"]) == (403, "no_membership")
    bob = member(alice)
    client = _signed_in(bob)
    bob.is_active = False
    bob.save()
    assert client.get(READ).status_code == 401


@pytest.mark.parametrize("cookie", ["guess", "\x00", "x" * 5000, "çã"])
def test_a_made_up_session_is_nobody(alice: Tenant, cookie: str) -> None:
    client = Client()
    client.cookies["sessionid"] = cookie
    assert client.get(READ).status_code == 401
