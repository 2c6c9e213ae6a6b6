"""People and roles, keys, the audit trail: what an administrator does there, and what nobody may."""

import re
import threading
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.console import trail
from apps.tenants import audit, permissions, second_factor, team
from apps.tenants.models import ApiKey, AuditEntry, Membership, Tenant, WebhookSecret
from tests import factories
from tests.console.test_login import SECRET, code_now
from tests.console.test_pages import QUERIES_MAX, signed_in

pytestmark = pytest.mark.django_db

Role = Membership.Role


@pytest.fixture
def tenant() -> Tenant:
    return factories.TenantFactory(name="Casa")


@pytest.fixture
def ada(tenant: Tenant) -> User:
    """The company's only administrator."""
    return factories.member(tenant, Role.ADMIN, first_name="Ada")


@pytest.fixture
def admin(ada: User) -> Client:
    return signed_in(ada)


def place_of(user: User) -> Membership:
    return Membership.objects.get(user=user)


def newest(tenant: Tenant) -> AuditEntry:
    return AuditEntry.objects.filter(tenant=tenant).latest("id")


# --- People ---------------------------------------------------------------------------------------------------------

PERSON = {"username": "bia", "first_name": "Bia", "last_name": "Reis", "email": "", "role": Role.OPERATOR}


def test_a_person_is_added_and_chooses_a_password_by_a_link_that_works_once(admin: Client, tenant: Tenant) -> None:
    shown = admin.post(reverse("console:add-user"), PERSON)
    assert shown["Cache-Control"] == "no-store"
    link = re.search(r'value="(http://testserver/entrar/senha/[^"]+)"', shown.content.decode())
    assert link
    bia = User.objects.get(username="bia")
    assert place_of(bia).role == Role.OPERATOR
    assert not bia.has_usable_password()
    visitor = Client()
    form = visitor.get(link[1], follow=True)
    new = "violeta-e-trombone-47"
    address = form.redirect_chain[-1][0]
    assert visitor.post(address, {"new_password1": new, "new_password2": new}).status_code == 302
    assert visitor.post(reverse("login"), {"username": "bia", "password": new}).status_code == 302
    again = Client().get(link[1], follow=True)
    assert again.context["validlink"] is False
    assert {"user.added", "user.link_made", "user.password_chosen"} <= set(
        AuditEntry.objects.filter(tenant=tenant).values_list("action", flat=True)
    )


def test_a_taken_name_is_refused_and_gives_no_way_into_the_account(admin: Client) -> None:
    charlie = factories.member(factories.TenantFactory(), username="charlie")
    answer = admin.post(reverse("console:add-user"), PERSON | {"username": "CHARLIE"})
    assert answer.status_code == 422
    assert "/entrar/senha/" not in answer.content.decode()
    assert charlie.memberships.count() == 1


def test_who_was_removed_comes_back_with_the_same_account(admin: Client, tenant: Tenant) -> None:
    bob = factories.member(tenant, username="bob")
    admin.post(reverse("console:remove-user", args=[place_of(bob).pk]))
    assert not bob.memberships.exists()
    assert newest(tenant).details == {"changes": {"role": [Role.OPERATOR, None]}}
    admin.post(reverse("console:add-user"), PERSON | {"username": "bob", "role": Role.ANALYST})
    assert place_of(bob).role == Role.ANALYST


def test_a_role_changes_at_once_and_before_and_after_are_written_down(admin: Client, tenant: Tenant, ada: User) -> None:
    bob = factories.member(tenant, Role.ANALYST)
    bobs = signed_in(bob)
    assert bobs.get(reverse("console:users")).status_code == 403
    admin.post(reverse("console:change-role", args=[place_of(bob).pk]), {"role": Role.MANAGER})
    assert bobs.get(reverse("console:users")).status_code == 200
    entry = newest(tenant)
    assert (entry.actor, entry.action, entry.subject) == (f"user:{ada.pk}", "user.role_changed", f"user:{bob.pk}")
    assert entry.details == {"changes": {"role": [Role.ANALYST, Role.MANAGER]}}


@pytest.mark.parametrize("button", ["change-role", "remove-user"])
def test_the_last_administrator_stays(button: str, admin: Client, ada: User) -> None:
    admin.post(reverse(f"console:{button}", args=[place_of(ada).pk]), {"role": Role.OPERATOR})
    assert place_of(ada).role == Role.ADMIN


def test_an_administrator_whose_account_is_off_does_not_count_as_another(admin: Client, ada: User) -> None:
    factories.member(place_of(ada).tenant, Role.ADMIN, is_active=False)
    admin.post(reverse("console:remove-user", args=[place_of(ada).pk]))
    assert place_of(ada).role == Role.ADMIN


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_demote_each_other_at_once_leave_one(tenant: Tenant, ada: User) -> None:
    eve = factories.member(tenant, Role.ADMIN)
    start = threading.Barrier(2)

    def demote(by: Membership, whom: Membership) -> None:
        try:
            start.wait()
            team.change_role(whom, Role.ANALYST, by=by)
        except team.CannotChange:
            pass
        finally:
            connection.close()

    pairs = [(place_of(ada), place_of(eve)), (place_of(eve), place_of(ada))]
    threads = [threading.Thread(target=demote, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Membership.objects.filter(tenant=tenant, role=Role.ADMIN).count() == 1


def test_nobody_gives_more_than_they_have(tenant: Tenant) -> None:
    manager, bob = factories.member(tenant, Role.MANAGER), factories.member(tenant)
    with pytest.raises(team.CannotChange):
        team.change_role(place_of(bob), Role.ADMIN, by=place_of(manager))
    with pytest.raises(team.CannotChange):
        team.add(place_of(manager), **(PERSON | {"role": Role.ADMIN}))
    assert not User.objects.filter(username="bia").exists()


@pytest.mark.parametrize("whose", ["of another company too", "the platform's"])
@pytest.mark.parametrize("button", ["user-link", "user-second-factor-off"])
def test_an_account_that_opens_more_is_not_opened_from_here(
    button: str, whose: str, admin: Client, tenant: Tenant
) -> None:
    bob = factories.member(tenant, is_staff=whose == "the platform's")
    place = place_of(bob)
    if whose == "of another company too":
        factories.MembershipFactory(user=bob)
    second_factor.turn_on(bob, SECRET, code_now())
    answer = admin.post(reverse(f"console:{button}", args=[place.pk]))
    assert answer.status_code == 302
    assert second_factor.has_one(bob)


def test_a_lost_second_factor_is_turned_off(admin: Client, tenant: Tenant) -> None:
    bob = factories.member(tenant)
    second_factor.turn_on(bob, SECRET, code_now())
    admin.post(reverse("console:user-second-factor-off", args=[place_of(bob).pk]))
    assert not second_factor.has_one(bob)
    assert newest(tenant).action == "user.second_factor_off"


def test_a_manager_sees_the_people_and_no_button(tenant: Tenant) -> None:
    bob = factories.member(tenant, username="bob")
    page = signed_in(factories.member(tenant, Role.MANAGER)).get(reverse("console:users")).content.decode()
    assert bob.username in page
    assert reverse("console:add-user") not in page
    assert reverse("console:remove-user", args=[place_of(bob).pk]) not in page


# --- Keys -----------------------------------------------------------------------------------------------------------


def made_key(admin: Client, **said: Any) -> str:
    answer = admin.post(reverse("console:make-key"), {"name": "ERP", "scopes": ["stock:read"], "days": "30"} | said)
    assert answer["Cache-Control"] == "no-store"
    found = re.search(r'value="(saldo_[^"]+)"', answer.content.decode())
    assert found
    return found[1]


def opens(text: str) -> bool:
    answer = Client().get("/v1/reservations", headers={"authorization": f"Bearer {text}"})
    return bool(answer.status_code == 200)


def test_a_key_is_shown_once_and_does_what_was_ticked(admin: Client, tenant: Tenant) -> None:
    text = made_key(admin)
    assert opens(text)
    key = ApiKey.objects.get()
    assert key.scopes == ["stock:read"]
    assert timedelta(days=29) < (key.expires_at or timezone.now()) - timezone.now() < timedelta(days=31)
    page = admin.get(reverse("console:keys")).content.decode()
    assert key.prefix in page
    assert text not in page
    assert text not in str(newest(tenant).details)


def test_a_key_needs_a_scope_that_there_is(admin: Client) -> None:
    for scopes in ([], ["everything:write"], ["users:write"]):
        answer = admin.post(reverse("console:make-key"), {"name": "ERP", "scopes": scopes, "days": ""})
        assert answer.status_code == 422
    assert not ApiKey.objects.exists()


def test_a_replaced_key_opens_for_a_while_and_a_revoked_one_not_at_all(
    admin: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.tenants.identity.REMEMBERED_SECONDS", 0.0)
    old = made_key(admin)
    answer = admin.post(reverse("console:rotate-key", args=[ApiKey.objects.get().pk]), {"hours": "1"})
    new = re.search(r'value="(saldo_[^"]+)"', answer.content.decode())
    assert new
    assert opens(old)
    assert opens(new[1])
    first = ApiKey.objects.earliest("id")
    assert (first.expires_at or timezone.now()) < timezone.now() + timedelta(minutes=61)
    entry = newest(tenant)
    assert (entry.action, entry.subject) == ("key.replaced", f"key:{first.prefix}")
    for key in ApiKey.objects.all():
        admin.post(reverse("console:revoke-key", args=[key.pk]))
    assert not opens(old)
    assert not opens(new[1])


def test_webhook_secrets_are_made_replaced_and_revoked(admin: Client, tenant: Tenant) -> None:
    answer = admin.post(reverse("console:make-webhook-secret"), {"name": "Loja virtual"})
    assert re.search(r'value="saldo_wh_[^"]+"', answer.content.decode())
    first = WebhookSecret.objects.get()
    admin.post(reverse("console:rotate-webhook-secret", args=[first.pk]), {"hours": "24"})
    assert WebhookSecret.objects.count() == 2
    third = admin.post(reverse("console:make-webhook-secret"), {"name": "mais uma"})
    assert third.status_code == 422
    admin.post(reverse("console:revoke-webhook-secret", args=[first.pk]))
    first.refresh_from_db()
    assert not first.is_usable
    assert newest(tenant).action == "webhook_secret.revoked"
    page = admin.get(reverse("console:keys")).content.decode()
    assert "saldo_wh_" not in page


# --- The audit trail ------------------------------------------------------------------------------------------------


def test_the_trail_shows_who_what_and_before_and_after(admin: Client, tenant: Tenant, ada: User) -> None:
    listing = factories.ListingFactory(tenant=tenant)
    audit.record(
        tenant, f"user:{ada.pk}", "publication_rule_changed", f"listing:{listing.pk}", changes={"cap": [None, 7]}
    )
    audit.record(factories.TenantFactory(), "user:1", "key.made", "key:stranger")
    page = admin.get(reverse("console:trail")).content.decode()
    assert "Ada" in page
    assert reverse("console:listing", args=[listing.pk]) in page
    assert re.search(r'class="from">—</span>.*<strong>7</strong>', page)
    assert "stranger" not in page


def test_the_trail_is_filtered_by_who_what_which_and_when(admin: Client, tenant: Tenant, ada: User) -> None:
    bob = factories.member(tenant)
    audit.record(tenant, f"user:{bob.pk}", "label_shown", "package:11")
    audit.record(tenant, "key:saldo_1a2b3c4d", "event.reprocessed", "event:12")
    old = audit.record(tenant, f"user:{ada.pk}", "flag.switched", "flag:x")
    AuditEntry.objects.filter(pk=old.pk).update(recorded_at=timezone.now() - timedelta(days=3))

    def found(**query: str) -> list[str]:
        return [row.action for row in admin.get(reverse("console:trail"), query).context["page"].rows]

    assert found() == ["flag.switched", "event.reprocessed", "label_shown"]
    assert found(who=f"user:{bob.pk}") == ["label_shown"]
    assert found(who="key") == ["event.reprocessed"]
    assert found(action="label_shown") == ["label_shown"]
    assert found(subject="event:12") == found(subject="12") == ["event.reprocessed"]
    assert found(period="24h") == ["event.reprocessed", "label_shown"]
    assert found(who="user:999999") == []  # a choice that is not offered shows nothing, and says so


def test_the_trail_costs_the_same_whatever_it_shows(admin: Client, tenant: Tenant, ada: User) -> None:
    for number in range(120):
        audit.record(tenant, f"user:{ada.pk}", "label_shown", f"order:{number}")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = admin.get(reverse("console:trail"))
    assert len(page.context["page"].rows) == 50
    assert len(queries) <= QUERIES_MAX
    assert not any("COUNT(" in query["sql"] for query in queries)


# --- Permissions ----------------------------------------------------------------------------------------------------

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "permissions.md"


def table_of_permissions() -> str:
    """The table of docs/permissions.md, as the code has it."""
    lines = ["| Permission | " + " | ".join(permissions.RANK) + " |", "|---|" + "---|" * len(permissions.RANK)]
    for name, holders in permissions.HOLDERS.items():
        marks = " | ".join("yes" if role in holders else "" for role in permissions.RANK)
        lines.append(f"| `{name}` | {marks} |")
    return "\n".join(lines)


def test_the_documents_table_is_the_codes() -> None:
    assert table_of_permissions() in DOCUMENT.read_text(), (
        "copy this into docs/permissions.md:\n" + table_of_permissions()
    )


def test_each_role_holds_all_that_the_one_below_it_holds() -> None:
    held = [permissions.held_by(role) for role in permissions.RANK]
    assert all(lower < higher for lower, higher in pairwise(held))
    assert set(permissions.RANK) == {str(role) for role in Role}


def test_nobody_asks_for_roles_in_another_way() -> None:
    root = DOCUMENT.parents[1]
    files = [*root.glob("templates/**/*.html"), *root.glob("apps/**/*.py")]
    old = re.compile(r"\.may_write|\.may_administer|require_write|require_administrator|\.role (==|in) ")
    assert len(files) > 100
    assert {path.name for path in files if old.search(path.read_text())} == {"team.py", "models.py"}


def test_every_permission_that_a_template_asks_for_is_known() -> None:
    templates = DOCUMENT.parents[1].glob("templates/**/*.html")
    asked = {name for path in templates for name in re.findall(r'{% may "([^"]+)"', path.read_text())}
    assert asked
    assert asked <= set(permissions.HOLDERS)


NO_DEEDS = {"login.refused", "trouble.email"}
"""What looks like one and is written in a log."""


def test_every_deed_that_is_written_down_has_words() -> None:
    apps = DOCUMENT.parents[1] / "apps"
    kinds = "|".join(sorted({deed.partition(".")[0] for deed in trail.DEEDS if "." in deed}))
    deed = re.compile(rf'"((?:{kinds})\.[a-z_]+)"')
    written = {
        found
        for path in apps.rglob("*.py")
        if "migrations" not in path.parts
        for found in deed.findall(path.read_text())
    }
    assert len(written) > 40
    assert written - NO_DEEDS - set(trail.DEEDS) == set()
