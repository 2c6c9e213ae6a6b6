"""Sealing of secrets that must be read back (marketplace credentials), with keys that can be rotated.

Fernet proves that a ciphertext was made with our key, not *where* it belongs: copied into another row it would open
there. So the owner's identity is sealed in with the value and compared when it is opened (ASVS 11.3.3).
"""

import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBroken(Exception):
    """A sealed value cannot be opened: made with a key we no longer hold, altered, or moved from another row."""


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_ENCRYPTION_KEYS])


def seal(value: str, *, owner: str) -> str:
    """Return `value` encrypted with the newest key and bound to `owner`, e.g. `integracao_conector:7:client_secret`."""
    return _keys().encrypt(json.dumps([owner, value]).encode()).decode()


def unseal(sealed: str, *, owner: str) -> str:
    """Return the value sealed for `owner`.

    Raises SealBroken when the text is not ours, was altered, or was sealed for another owner.
    """
    try:
        bound_to, value = json.loads(_keys().decrypt(sealed.encode()))
    except InvalidToken:
        raise SealBroken(f"{owner} was not sealed with any of FIELD_ENCRYPTION_KEYS, or it was altered") from None
    if bound_to != owner:
        raise SealBroken(f"{owner} holds a value that was sealed for another row or field")
    return str(value)
