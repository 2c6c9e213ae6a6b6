"""Signing in: tries are limited, a second factor asks for its code, staff must have one where the setting says so."""

import base64
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import TOTP

from apps.console import proofs
from apps.tenants import second_factor, tries
from apps.tenants.models import AuditEntry, LoginTry, Membership, SecondFactor
from tests import factories

pytestmark = pytest.mark.django_db

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code_now(secret: str = SECRET, steps: int = 0) -> str:
    reckoned = TOTP(base64.b32decode(secret), drift=steps)
    return f"{reckoned.token():06d}"


def sign_in(client: Client, user: User, password: str = factories.PASSWORD, **more: Any) -> Any:
    return client.post(reverse("login"), {"username": user.username, "password": password}, **more)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def with_factor(**user: Any) -> tuple[User, list[str]]:
    """A person whose authenticator has SECRET; the code of the step before now is spent."""
    person = factories.member(factories.TenantFactory(), **user)
    codes = second_factor.turn_on(person, SECRET, code_now(steps=-1))
    assert codes
    return person, codes


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> Iterator[None]:
    """Hash quickly: these tests are about how often a password is looked at, and fifty real looks take a minute."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    factories.hashed_password.cache_clear()
    yield
    factories.hashed_password.cache_clear()


@pytest.fixture
def bob() -> User:
    return factories.member(factories.TenantFactory())


def test_the_password_opens_and_it_is_written_down(client: Client, bob: User) -> None:
    assert sign_in(client, bob).status_code == 302
    assert is_signed_in(client)
    assert AuditEntry.objects.get().action == "login.done"
    assert not LoginTry.objects.exists()


def test_after_five_wrong_tries_the_right_password_is_not_looked_at_and_the_wait_is_told(
    client: Client, bob: User
) -> None:
    for _number in range(tries.BY_BOTH):
        assert "Too many" not in sign_in(client, bob, "wrong").content.decode()
    answer = sign_in(client, bob, headers={"accept-language": "en"})
    assert not is_signed_in(client)
    assert "Too many wrong tries. Nothing was checked; try again in 15 minutes." in answer.content.decode()
    assert AuditEntry.objects.filter(action="login.failed", subject=f"user:{bob.pk}").count() == tries.BY_BOTH


def test_the_limit_ends_after_its_window(client: Client, bob: User) -> None:
    for _number in range(tries.BY_BOTH):
        sign_in(client, bob, "wrong")
    LoginTry.objects.update(tried_at=timezone.now() - tries.WINDOW)
    sign_in(client, bob)
    assert is_signed_in(client)


def test_a_right_password_forgets_the_wrong_ones_before(client: Client, bob: User) -> None:
    for _round in range(2):
        for _number in range(tries.BY_BOTH - 1):
            sign_in(client, bob, "wrong")
        sign_in(client, bob)
        assert is_signed_in(client)
        client.logout()


def test_another_address_may_still_try_until_the_names_own_limit(client: Client, bob: User) -> None:
    for number in range(tries.BY_NAME):
        sign_in(client, bob, "wrong", REMOTE_ADDR=f"10.0.0.{number}")
    sign_in(client, bob, REMOTE_ADDR="10.0.1.1")
    assert not is_signed_in(client)


def test_an_address_that_tries_many_names_is_limited_and_an_unknown_name_counts(client: Client, bob: User) -> None:
    for number in range(tries.BY_ADDRESS):
        answer = client.post(reverse("login"), {"username": f"nobody{number}", "password": "x"})
        assert answer.status_code == 200
    sign_in(client, bob)
    assert not is_signed_in(client)
    sign_in(client, bob, REMOTE_ADDR="10.0.1.1")
    assert is_signed_in(client)


def test_it_holds_when_redis_is_away(client: Client, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_args: Any, **_more: Any) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(redis.connection.Connection, "connect", gone)
    cache.close()
    for _number in range(tries.BY_BOTH):
        sign_in(client, bob, "wrong")
    sign_in(client, bob)
    assert not is_signed_in(client)


@pytest.mark.django_db(transaction=True)
def test_many_tries_at_once_count_one_by_one() -> None:
    request = RequestFactory().post("/entrar/")
    let_through: list[int] = []

    def one_try() -> None:
        try:
            let_through.append(tries.begin(request, "bob"))
        except tries.TooMany:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=one_try) for _number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_through) == tries.BY_BOTH


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "10.9.9.9"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (1, "nonsense", "0.0.0.0"),  # noqa: S104
        (1, "", "0.0.0.0"),  # noqa: S104
    ],
)
def test_the_address_is_what_the_own_proxy_says_and_not_what_the_caller_claims(
    settings: Any, proxies: int, forwarded: str, expected: str
) -> None:
    settings.PROXIES_IN_FRONT = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="10.9.9.9", HTTP_X_FORWARDED_FOR=forwarded)
    assert tries.address_of(request) == expected


# --- The second factor ----------------------------------------------------------------------------------------------


def test_a_second_factor_asks_for_its_code_before_anybody_is_signed_in(client: Client) -> None:
    person, _codes = with_factor()
    answer = client.post(
        f"{reverse('login')}?next=/console/estoque/",
        {"username": person.username, "password": factories.PASSWORD, "next": "/console/estoque/"},
    )
    assert answer["Location"] == reverse("login-code")
    assert not is_signed_in(client)
    assert client.get("/console/estoque/").status_code == 302
    page = client.get(reverse("login-code")).content.decode()
    assert 'autocomplete="one-time-code"' in page
    wrong = client.post(reverse("login-code"), {"code": "000000"})
    assert wrong.status_code == 422
    assert not is_signed_in(client)
    right = client.post(reverse("login-code"), {"code": code_now()})
    assert right["Location"] == "/console/estoque/"
    assert is_signed_in(client)


def test_a_code_pasted_with_a_space_is_taken(client: Client) -> None:
    person, _codes = with_factor()
    sign_in(client, person)
    code = code_now()
    client.post(reverse("login-code"), {"code": f" {code[:3]} {code[3:]} "})
    assert is_signed_in(client)


def test_a_code_opens_once(client: Client) -> None:
    person, _codes = with_factor()
    code = code_now()
    assert second_factor.check(person, code)
    sign_in(client, person)
    client.post(reverse("login-code"), {"code": code})
    assert not is_signed_in(client)


def test_a_recovery_code_opens_once(client: Client) -> None:
    person, codes = with_factor()
    sign_in(client, person)
    client.post(reverse("login-code"), {"code": codes[0].upper()})
    assert is_signed_in(client)
    client.logout()
    sign_in(client, person)
    client.post(reverse("login-code"), {"code": codes[0]})
    assert not is_signed_in(client)


def test_codes_are_limited_and_the_right_password_does_not_give_tries_back(client: Client) -> None:
    person, _codes = with_factor()
    for _number in range(tries.BY_BOTH):
        sign_in(client, person)
        client.post(reverse("login-code"), {"code": "000000"})
    sign_in(client, person)
    answer = client.post(reverse("login-code"), {"code": code_now()})
    assert answer.status_code == 422
    assert not is_signed_in(client)


def test_the_second_step_alone_leads_back_to_the_first(client: Client) -> None:
    assert client.get(reverse("login-code"))["Location"] == reverse("login")
    assert client.get(reverse("login-setup"))["Location"] == reverse("login")


def test_the_first_step_is_forgotten_after_a_while(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    person, _codes = with_factor()
    sign_in(client, person)
    session = client.session
    session["login_pending"] = session["login_pending"] | {"at": 0}
    session.save()
    assert client.post(reverse("login-code"), {"code": code_now()})["Location"] == reverse("login")


def test_the_secret_is_sealed_and_never_stored_in_the_clear() -> None:
    person, codes = with_factor()
    row = SecondFactor.objects.get(pk=person.pk)
    assert SECRET not in row.secret_enc
    assert not row.recovery_codes.filter(code_hash__in=[codes[0], codes[0].replace("-", "")]).exists()
    second_factor.reseal(row)
    assert second_factor.check(person, code_now())


# --- Staff ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def staff(settings: Any) -> User:
    settings.STAFF_SECOND_FACTOR = True
    return factories.UserFactory(is_staff=True, is_superuser=True)


def test_staff_without_a_second_factor_set_one_up_on_their_way_in(client: Client, staff: User) -> None:
    assert sign_in(client, staff)["Location"] == reverse("login-setup")
    assert not is_signed_in(client)
    page = client.get(reverse("login-setup"))
    assert "no-store" in page["Cache-Control"]
    secret = page.context["offer"].secret
    assert "<svg" in page.content.decode()
    assert client.get(reverse("login-setup")).context["offer"].secret == secret
    wrong = client.post(reverse("login-setup"), {"code": "000000"})
    assert wrong.status_code == 422
    done = client.post(reverse("login-setup"), {"code": code_now(secret)})
    assert len(re.findall(r"[0-9a-f]{4}(?:-[0-9a-f]{4}){3}", done.content.decode())) == second_factor.RECOVERY_CODES
    assert is_signed_in(client)
    assert client.get("/admin/").status_code == 200


def test_staff_sign_in_with_the_password_alone_where_no_second_factor_is_asked_for(
    client: Client, staff: User, settings: Any
) -> None:
    settings.STAFF_SECOND_FACTOR = False
    sign_in(client, staff)
    assert is_signed_in(client)


def test_the_administration_has_the_same_way_in(client: Client, staff: User) -> None:
    asked = client.get("/admin/tenants/tenant/")
    login = client.get(asked["Location"])
    assert login.status_code == 302
    assert login["Location"].startswith("/entrar/?next=/admin/")
    assert client.post("/admin/login/", {"username": staff.username, "password": factories.PASSWORD}).status_code == 302
    assert not is_signed_in(client)


# --- One's own account, and proofs --------------------------------------------------------------------------------


def test_what_matters_asks_for_the_password_again_when_the_last_proof_is_old(client: Client) -> None:
    admin = factories.member(factories.TenantFactory(), Membership.Role.ADMIN)
    sign_in(client, admin)
    session = client.session
    session[proofs.PROVED_AT] -= proofs.FRESH_SECONDS + 1
    session.save()
    form = {"name": "ERP", "scopes": ["stock:read"]}
    asked = client.post(reverse("console:make-key"), form, headers={"referer": "http://testserver/console/chaves/"})
    assert asked["Location"] == "/console/confirmar/?next=%2Fconsole%2Fchaves%2F"
    assert not admin.memberships.get().tenant.api_keys.exists()
    assert client.post(asked["Location"], {"password": "wrong"}).status_code == 422
    assert client.post(asked["Location"], {"password": factories.PASSWORD})["Location"] == "/console/chaves/"
    assert client.post(reverse("console:make-key"), form).status_code == 200
    assert admin.memberships.get().tenant.api_keys.exists()


def test_who_has_a_second_factor_confirms_with_a_code_and_the_password_does_not_do(client: Client) -> None:
    person, _codes = with_factor()
    client.force_login(person)
    address = reverse("console:confirm")
    assert client.post(address, {"password": factories.PASSWORD}).status_code == 422
    assert client.post(address, {"code": code_now()}).status_code == 302


def test_confirming_never_leads_to_another_site(client: Client, bob: User) -> None:
    client.force_login(bob)
    answer = client.post(reverse("console:confirm"), {"password": factories.PASSWORD, "next": "https://evil.example/"})
    assert answer["Location"] == reverse("home")


def test_a_changed_password_ends_the_other_sessions(client: Client, bob: User) -> None:
    other = Client()
    other.force_login(bob)
    sign_in(client, bob)
    new = "another-battery-horse"
    said = {"old_password": factories.PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post(reverse("console:change-password"), said | {"old_password": "wrong"}).status_code == 422
    assert client.post(reverse("console:change-password"), said).status_code == 302
    assert client.get(reverse("console:profile")).status_code == 200
    assert other.get(reverse("console:profile")).status_code == 302


def test_a_person_turns_their_second_factor_on_renews_codes_and_turns_it_off(client: Client, bob: User) -> None:
    client.force_login(bob)
    secret = client.get(reverse("console:second-factor")).context["offer"].secret
    shown = client.post(reverse("console:second-factor"), {"code": code_now(secret)})
    assert shown["Cache-Control"] == "no-store"
    first = shown.context["codes"]
    renewed = client.post(reverse("console:recovery-codes")).context["codes"]
    assert not second_factor.check(bob, first[0])
    assert second_factor.check(bob, renewed[0])
    client.post(reverse("console:second-factor-off"))
    assert not second_factor.has_one(bob)
    deeds = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert deeds == ["user.second_factor_on", "user.recovery_codes_renewed", "user.second_factor_off"]


def test_staff_who_must_have_one_cannot_turn_it_off(client: Client, settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = True
    person, _codes = with_factor(is_staff=True)
    client.force_login(person)
    client.post(reverse("console:second-factor-off"))
    assert second_factor.has_one(person)


def test_cookies_are_bound_to_the_host_where_there_is_tls() -> None:
    assert settings.SESSION_COOKIE_SAMESITE == settings.CSRF_COOKIE_SAMESITE == "Lax"
    assert settings.SESSION_COOKIE_HTTPONLY
