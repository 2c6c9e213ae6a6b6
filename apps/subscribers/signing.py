"""Signatures of Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, base64, one per secret that is valid now.

A secret is sealed in its subscriber's row and shown once. When it is rotated, the one before signs along until its
time is up, so a receiver that learns of the new one later verifies without a gap.
"""

import base64
import hashlib
import hmac
import secrets
import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from apps.common import crypto
from apps.subscribers.models import Subscriber

PREFIX = "whsec_"
SECRET_BYTES = 32

OVERLAP_SECONDS_MAX = 24 * 60 * 60
"""For how long a rotated secret goes on signing, unless somebody wants less (because it leaked)."""


def issue(subscriber: Subscriber) -> str:
    """Give the subscriber a new secret and return its text, which is shown nowhere else again. Saves nothing."""
    secret = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    subscriber.secret_enc = crypto.seal(secret, owner=_owner(subscriber))
    subscriber.secret_last4 = secret[-4:]
    return secret


def rotate(subscriber: Subscriber, overlap_seconds: int = OVERLAP_SECONDS_MAX) -> str:
    """Replace the secret; the one before signs along for `overlap_seconds`. Returns the new one's text."""
    with transaction.atomic():
        locked = Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber.pk)
        locked.previous_secret_enc = locked.secret_enc if overlap_seconds else ""
        locked.previous_secret_until = timezone.now() + timedelta(seconds=overlap_seconds) if overlap_seconds else None
        secret = issue(locked)
        locked.save(
            update_fields=[
                *("secret_enc", "secret_last4", "previous_secret_enc", "previous_secret_until", "updated_at"),
            ]
        )
    return secret


def reseal(subscriber: Subscriber) -> None:
    """Seal the subscriber's secrets with the newest key. Raises SealBroken when one cannot be opened."""
    with transaction.atomic():
        locked = Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber.pk)
        for field in ("secret_enc", "previous_secret_enc"):
            if sealed := getattr(locked, field):
                owner = _owner(locked)
                setattr(locked, field, crypto.seal(crypto.unseal(sealed, owner=owner), owner=owner))
        locked.save(update_fields=["secret_enc", "previous_secret_enc"])


def headers(subscriber: Subscriber, identity: uuid.UUID, body: bytes, now: datetime) -> dict[str, str]:
    """Return the three headers that prove who sent `body`, when, and under which id. Raises SealBroken."""
    timestamp = int(now.timestamp())
    signed = b".".join([str(identity).encode(), str(timestamp).encode(), body])
    sealed = [subscriber.secret_enc]
    if subscriber.previous_secret_until and subscriber.previous_secret_until > now:
        sealed.append(subscriber.previous_secret_enc)
    owner = _owner(subscriber)
    return {
        "webhook-id": str(identity),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(crypto.unseal(secret, owner=owner), signed) for secret in sealed),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _owner(subscriber: Subscriber) -> str:
    return f"subscribers:{subscriber.pk}:secret"
