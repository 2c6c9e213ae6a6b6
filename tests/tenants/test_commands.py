"""API keys from the shell: made, listed, replaced with an overlap, ended."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from apps.tenants.models import ApiKey, Tenant, hash_key
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Tenant:
    tenant: Tenant = TenantFactory(slug="alice")
    return tenant


def _run(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    result: dict[str, Any] = json.loads(out.getvalue())
    return result


def test_a_key_is_made_with_scopes_and_an_end(alice: Tenant) -> None:
    made = _run(
        *("create_api_key", "--tenant=alice", "--scope=stock:read", "--scope", "stock:reserve,stock:read"),
        "--expires-in-days=30",
    )
    key = ApiKey.objects.get()
    assert made["scopes"] == key.scopes == ["stock:read", "stock:reserve"]
    assert key.key_hash == hash_key(made["key"])
    assert key.expires_at is not None
    assert timedelta(days=29) < key.expires_at - timezone.now() <= timedelta(days=30)
    assert _run("create_api_key", "--tenant=alice")["scopes"] == ["stock:read"]


def test_a_scope_that_nothing_asks_for_is_refused_with_those_there_are(alice: Tenant) -> None:
    with pytest.raises(CommandError, match=r"no scope stock:reed.*Known: stock:read, stock:reserve"):
        call_command("create_api_key", "--tenant=alice", "--scope=stock:reed")
    assert not ApiKey.objects.exists()


def test_a_replaced_key_overlaps_with_the_new_one(alice: Tenant) -> None:
    old, _text = ApiKey.issue(alice, name="POS 3", scopes=["stock:read"])
    made = _run("rotate_api_key", old.prefix, "--overlap-hours=24")
    new = ApiKey.objects.get(prefix=made["prefix"])
    old.refresh_from_db()
    assert (new.name, new.scopes, new.tenant, new.expires_at) == ("POS 3", ["stock:read"], alice, None)
    assert new.key_hash == hash_key(made["key"])
    assert new.is_usable
    assert old.is_usable
    assert old.expires_at is not None
    assert timedelta(hours=23) < old.expires_at - timezone.now() <= timedelta(hours=24)


def test_a_replacement_has_the_lifetime_of_the_old_and_does_not_lengthen_it(alice: Tenant) -> None:
    end = timezone.now() + timedelta(hours=2)
    old, _text = ApiKey.issue(alice, name="POS 3", scopes=["stock:read"], expires_at=end)
    ApiKey.objects.update(created_at=end - timedelta(days=30))
    made = _run("rotate_api_key", old.prefix)
    old.refresh_from_db()
    assert old.expires_at == end
    expires_at = ApiKey.objects.get(prefix=made["prefix"]).expires_at
    assert expires_at is not None
    assert timedelta(days=29) < expires_at - timezone.now() <= timedelta(days=30)


def test_a_dead_key_is_not_replaced(alice: Tenant) -> None:
    old, _text = ApiKey.issue(alice, name="POS 3", scopes=["stock:read"])
    assert _run("revoke_api_key", old.prefix)["prefix"] == old.prefix
    with pytest.raises(CommandError, match="revoked or expired"):
        call_command("rotate_api_key", old.prefix)
    with pytest.raises(CommandError, match="no API key with this prefix"):
        call_command("rotate_api_key", "saldo_00000000")
    with pytest.raises(CommandError, match="--overlap-hours must be from 0"):
        call_command("rotate_api_key", old.prefix, "--overlap-hours=-1")
    assert ApiKey.objects.count() == 1


def test_revoking_again_keeps_the_first_moment(alice: Tenant) -> None:
    key, _text = ApiKey.issue(alice, name="POS 3", scopes=["stock:read"])
    first = _run("revoke_api_key", key.prefix)["revoked_at"]
    assert _run("revoke_api_key", key.prefix)["revoked_at"] == first


def test_the_list_shows_every_key_of_the_tenant_and_no_secret(alice: Tenant) -> None:
    _old, old_text = ApiKey.issue(alice, name="POS 3", scopes=["stock:read"])
    ApiKey.issue(TenantFactory(), name="theirs", scopes=["stock:read"])
    listed = _run("list_api_keys", "--tenant=alice")["keys"]
    assert [(key["name"], key["is_usable"]) for key in listed] == [("POS 3", True)]
    out = StringIO()
    call_command("list_api_keys", "--tenant=alice", stdout=out)
    assert "POS 3" in out.getvalue()
    assert old_text[15:] not in out.getvalue() + json.dumps(listed)
