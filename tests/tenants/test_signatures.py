"""The life of a webhook secret, in code and at the shell. What it opens is in tests/fase_02/test_webhook_ml.py."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from pytest_django import Settings

from apps.common import crypto
from apps.tenants import signatures
from apps.tenants.models import Tenant, WebhookSecret
from tests.factories import ConnectorFactory, TenantFactory
from tests.senders import Sender, message

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Tenant:
    tenant: Tenant = TenantFactory(slug="alice")
    ConnectorFactory(tenant=tenant)
    return tenant


def _run(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    result: dict[str, Any] = json.loads(out.getvalue())
    return result


def _opens(text: str) -> bool:
    return bool(Sender("alice", [text]).post(message()).status_code == 202)


def test_the_header_is_what_the_documentation_says() -> None:
    """Worked out without the hub: `printf '1795348800.{}' | openssl dgst -sha256 -hmac secret`."""
    assert signatures.sign("secret", 1795348800, b"{}") == (
        "t=1795348800,v1=a2bb56e28c051bf8ec34a6b17227a73c171ec872e2d3f7a2bdd11b571f529cff"
    )


def test_a_secret_is_made_replaced_with_an_overlap_and_ended(alice: Tenant) -> None:
    made = _run("create_webhook_secret", "--tenant=alice", "--name=ERP")
    new = _run("rotate_webhook_secret", made["id"], "--overlap-hours=2")
    old = WebhookSecret.objects.get(pk=made["id"])
    assert old.expires_at is not None
    assert timedelta(hours=1) < old.expires_at - timezone.now() <= timedelta(hours=2)
    assert _opens(made["secret"])
    assert _opens(new["secret"])
    _run("revoke_webhook_secret", made["id"])
    assert not _opens(made["secret"])
    assert _opens(new["secret"])
    listed = _run("list_webhook_secrets", "--tenant=alice")["secrets"]
    assert [(row["id"], row["name"], row["is_usable"]) for row in listed] == [
        (new["id"], "ERP", True),
        (made["id"], "ERP", False),
    ]
    assert listed[0]["last_used_at"]


def test_no_list_shows_a_secret(alice: Tenant) -> None:
    text = _run("create_webhook_secret", "--tenant=alice")["secret"]
    out = StringIO()
    call_command("list_webhook_secrets", "--tenant=alice", stdout=out)
    assert f"…{text[-4:]}" in out.getvalue()
    assert text[:-4] not in out.getvalue()
    row = WebhookSecret.objects.values().get()
    assert text not in str(row)
    assert crypto.unseal(row["secret_enc"], owner=f"webhook_secret:{row['id']}") == text


def test_a_third_valid_secret_is_refused(alice: Tenant) -> None:
    first, _text = signatures.issue(alice, name="ERP")
    signatures.issue(alice, name="ERP")
    with pytest.raises(ValidationError, match="two valid"):
        signatures.issue(alice, name="ERP")
    with pytest.raises(CommandError, match=r"not replaced.*two valid secrets.*revoke"):
        call_command("rotate_webhook_secret", str(first.pk))
    signatures.issue(TenantFactory(), name="another tenant's")
    signatures.revoke(first)
    signatures.issue(alice, name="ERP")
    assert WebhookSecret.objects.filter(tenant=alice).count() == 3


def test_a_dead_secret_is_not_replaced(alice: Tenant) -> None:
    secret, _text = signatures.issue(alice, name="ERP")
    signatures.revoke(secret)
    with pytest.raises(CommandError, match="revoked or expired"):
        call_command("rotate_webhook_secret", str(secret.pk))
    for unknown in ("00000000-0000-0000-0000-000000000000", "x"):
        with pytest.raises(CommandError, match="no webhook secret with this id"):
            call_command("revoke_webhook_secret", unknown)
    with pytest.raises(CommandError, match="--overlap-hours must be from 0"):
        call_command("rotate_webhook_secret", str(secret.pk), "--overlap-hours=1000")
    assert WebhookSecret.objects.count() == 1


def test_a_secret_outlives_the_installations_key(alice: Tenant, settings: Settings) -> None:
    _secret, text = signatures.issue(alice, name="ERP")
    new = Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [new, *settings.FIELD_ENCRYPTION_KEYS]
    assert _run("rotate_keys")["webhook_secrets"] == 1
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert _opens(text)
