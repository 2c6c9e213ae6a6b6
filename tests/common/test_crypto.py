"""Sealed values open only where they belong."""

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from apps.common import crypto

OWNER = "integracao_conector:7:client_secret"


def test_a_sealed_value_opens_for_its_owner() -> None:
    sealed = crypto.seal("çecret", owner=OWNER)
    assert "ecret" not in sealed
    assert crypto.unseal(sealed, owner=OWNER) == "çecret"


def test_a_value_moved_to_another_row_or_field_does_not_open() -> None:
    sealed = crypto.seal("secret", owner=OWNER)
    for other in ("integracao_conector:8:client_secret", "integracao_conector:7:refresh_token"):
        with pytest.raises(crypto.SealBroken, match="another row or field"):
            crypto.unseal(sealed, owner=other)


def test_an_altered_value_does_not_open() -> None:
    sealed = crypto.seal("secret", owner=OWNER)
    altered = sealed[:-10] + ("A" if sealed[-10] != "A" else "B") + sealed[-9:]
    with pytest.raises(crypto.SealBroken):
        crypto.unseal(altered, owner=OWNER)


def test_old_keys_open_and_new_keys_seal(settings: Settings) -> None:
    old = list(settings.FIELD_ENCRYPTION_KEYS)
    sealed = crypto.seal("secret", owner=OWNER)
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *old]
    resealed = crypto.seal(crypto.unseal(sealed, owner=OWNER), owner=OWNER)
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    assert crypto.unseal(resealed, owner=OWNER) == "secret"
    with pytest.raises(crypto.SealBroken, match="FIELD_ENCRYPTION_KEYS"):
        crypto.unseal(sealed, owner=OWNER)
