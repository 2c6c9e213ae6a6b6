"""The second factor: six digits that an authenticator computes of a shared secret and the time (TOTP, RFC 6238).

The reckoning is django-otp's. The secret is sealed like every other (common/crypto.py); django-otp's own tables, which
keep it in the clear, are not used. A code is good once, 30 seconds early or late too; a recovery code is good once.
"""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import transaction
from django_otp.oath import TOTP

from apps.common import crypto
from apps.tenants.models import RecoveryCode, SecondFactor

SECRET_BYTES = 20
TOLERATED_STEPS = 1
RECOVERY_CODES = 10
ISSUER = "Saldo"

Person = User | AbstractBaseUser | AnonymousUser


@dataclass(frozen=True, slots=True)
class Offer:
    """A secret that a person may take into an authenticator; nothing is kept until its first code comes back."""

    secret: str
    address: str

    @property
    def in_groups(self) -> str:
        """Return the secret in groups of four, for typing."""
        return " ".join(self.secret[start : start + 4] for start in range(0, len(self.secret), 4))


def new_secret() -> str:
    """Return a new secret, in base32 as authenticators want it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def offer(user: User, secret: str) -> Offer:
    """Return what a person needs to enter a secret into an authenticator: the text, and the address of the QR code."""
    label = quote(f"{ISSUER}:{user.get_username()}")
    return Offer(secret, f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': ISSUER})}")


def has_one(user: Person) -> bool:
    """Tell whether a person has a second factor."""
    return user.pk is not None and SecondFactor.objects.filter(pk=user.pk).exists()


def turn_on(user: User, secret: str, code: str) -> list[str] | None:
    """Keep a secret once a code shows that the authenticator has it. Returns the recovery codes, None for a wrong code.

    A factor there was before is replaced, with its recovery codes.
    """
    step = _step_of(secret, code, after=-1)
    if step is None:
        return None
    with transaction.atomic():
        SecondFactor.objects.filter(pk=user.pk).delete()
        sealed = crypto.seal(secret, owner=_owner(user.pk))
        factor = SecondFactor.objects.create(user=user, secret_enc=sealed, last_step=step)
        return _new_codes(factor)


def turn_off(user: User) -> bool:
    """Forget a person's factor and its recovery codes. Tells whether there was one."""
    return SecondFactor.objects.filter(pk=user.pk).delete()[0] > 0


def renew_codes(user: User) -> list[str]:
    """Return new recovery codes; the old ones open nothing any more. Raises SecondFactor.DoesNotExist."""
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().get(pk=user.pk)
        factor.recovery_codes.all().delete()
        return _new_codes(factor)


def codes_left(user: User) -> int:
    """Return how many recovery codes a person has left."""
    return RecoveryCode.objects.filter(factor_id=user.pk).count()


def check(user: User, code: str) -> bool:
    """Tell whether a code is a person's now, and spend it. Takes a recovery code as well."""
    typed = "".join(code.split()).replace("-", "")
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(pk=user.pk).first()
        if factor is None:
            return False
        secret = crypto.unseal(factor.secret_enc, owner=_owner(user.pk))
        step = _step_of(secret, typed, after=factor.last_step)
        if step is not None:
            factor.last_step = step
            factor.save(update_fields=["last_step"])
            return True
        return factor.recovery_codes.filter(code_hash=_hash(user.pk, typed)).delete()[0] > 0


def reseal(factor: SecondFactor) -> None:
    """Seal a factor's secret with the newest key. Raises SealBroken when it cannot be opened."""
    owner = _owner(factor.pk)
    factor.secret_enc = crypto.seal(crypto.unseal(factor.secret_enc, owner=owner), owner=owner)
    factor.save(update_fields=["secret_enc"])


def _step_of(secret: str, code: str, *, after: int) -> int | None:
    """Return the time step whose code this is, None when it is none's or was spent."""
    typed = "".join(code.split())
    if not (typed.isascii() and typed.isdigit() and len(typed) == 6):
        return None
    reckoned = TOTP(base64.b32decode(secret))
    reckoned.time = int(time.time())  # one moment for the check and for the step that is remembered
    is_right = reckoned.verify(int(typed), tolerance=TOLERATED_STEPS, min_t=after + 1)
    return int(reckoned.t()) if is_right else None


def _new_codes(factor: SecondFactor) -> list[str]:
    codes = [secrets.token_hex(8) for _number in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(factor=factor, code_hash=_hash(factor.pk, code)) for code in codes)
    return ["-".join(code[start : start + 4] for start in range(0, 16, 4)) for code in codes]


def _hash(user_id: int, code: str) -> str:
    """Return what is kept of a recovery code: it has 64 random bits, and is bound to the person."""
    return hashlib.sha256(f"{user_id}:{code.lower()}".encode()).hexdigest()


def _owner(user_id: int) -> str:
    return f"second_factor:{user_id}"
