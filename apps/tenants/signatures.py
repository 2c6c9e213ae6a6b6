"""Who signed a post: the signed doors' way of knowing a caller, from raw bytes, in constant time.

    X-ML-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>]
    v1 = HMAC-SHA256(the secret's text as UTF-8, "<t>." + raw body)

`X-Tenant` names the tenant by short name or id, but it only says whose secrets to try: the one that made the signature
decides (law 8). A tenant has two valid secrets at most, so that one can be replaced without a gap. Whatever is
wrong (no header, an unknown tenant, an old timestamp, another body) is one same 401 after the same work.

A good signature may be seen again within its five minutes: the doors behind it must not mind a repetition.
"""

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.common import crypto
from apps.common.problems import Problem
from apps.tenants.identity import USE_RECORDED_EVERY, Caller
from apps.tenants.models import Tenant, WebhookSecret

log = structlog.get_logger(__name__)

PREFIX = "saldo_wh_"

VALID_MAX = 2
"""Secrets of one tenant that are good at the same time: the old and the new one of a rotation."""

TOLERANCE_SECONDS = 300
"""How far the sender's clock may be off, and for how long a caught signature can be used again; both ways."""

VALUES_MAX = 4
"""`v1=` values in one header; a sender that rotates its secret sends two."""

SIGNATURE = re.compile(rf"t=(\d{{1,12}})((?:,v1=[0-9a-f]{{64}}){{1,{VALUES_MAX}}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a header says: when it was signed, and the signatures of which one must be right."""

    timestamp: str
    values: tuple[str, ...]


NOTHING = Claimed("0", ("0" * 64,))
"""What stands in for a header that is missing or unreadable, so that it costs the same work."""


def find_signer(request: HttpRequest, body: bytes) -> Caller:
    """Return the tenant whose secret signed `body` as the caller. Raises Problem 401 `invalid_signature`."""
    claimed = _claimed(request.META.get("HTTP_X_ML_SIGNATURE", ""))
    candidates = _candidates(request.META.get("HTTP_X_TENANT", ""))
    signer = _signer(claimed, body, candidates)
    is_timely = abs(time.time() - int(claimed.timestamp)) <= TOLERANCE_SECONDS
    if signer is None or not is_timely:
        raise _invalid_signature()
    _record_use(signer)
    return Caller.of(signer.tenant, f"webhook:{signer.secret_last4}", frozenset())


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return the header that a sender with this secret gives a body. timestamp: unix seconds."""
    return f"t={timestamp},v1={_hmac(secret, str(timestamp), body)}"


def _hmac(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def _claimed(header: str) -> Claimed:
    match = SIGNATURE.fullmatch(header.replace(" ", ""))
    return Claimed(match[1], tuple(match[2].removeprefix(",v1=").split(",v1="))) if match else NOTHING


def _candidates(named: str) -> list[WebhookSecret]:
    """Return the usable secrets of the tenant with this short name or id.

    One query, whatever is named. A name that is one tenant's short name and another's id leads to both: the secret that
    made the signature tells which of them is meant.
    """
    is_id = named.isascii() and named.isdecimal() and len(named) < 19
    whose = Q(tenant__slug=named.replace("\0", "")[:50]) | Q(tenant_id=int(named) if is_id else 0)
    return list(_usable().filter(whose).select_related("tenant").order_by("created_at"))


def _signer(claimed: Claimed, body: bytes, candidates: list[WebhookSecret]) -> WebhookSecret | None:
    """Return the candidate that made one of the signatures. All are tried, and never fewer than VALID_MAX."""
    found = None
    for candidate in [*candidates, *[None] * (VALID_MAX - len(candidates))]:
        expected = _hmac(_text_of(candidate), claimed.timestamp, body)
        is_match = False
        for value in claimed.values:
            is_match |= hmac.compare_digest(value, expected)
        if is_match and candidate is not None:
            found = candidate
    return found


def _text_of(secret: WebhookSecret | None) -> str:
    """Return a secret's text, for None one that nobody has; one that cannot be opened signs nothing."""
    try:
        if secret is not None:
            return crypto.unseal(secret.secret_enc, owner=_owner(secret))
    except crypto.SealBroken as broken:
        log.error("webhook_secret_unreadable", reason=str(broken))
    return crypto.unseal(_nobodys(tuple(settings.FIELD_ENCRYPTION_KEYS)), owner="webhook_secret:nobody")


@lru_cache(1)
def _nobodys(keys: tuple[str, ...]) -> str:
    """Return a sealed secret that signs for nobody, so that an unknown tenant costs the same opening of a seal."""
    return crypto.seal(secrets.token_urlsafe(32), owner="webhook_secret:nobody")


def _record_use(secret: WebhookSecret) -> None:
    now = timezone.now()
    if secret.last_used_at is None or secret.last_used_at < now - USE_RECORDED_EVERY:
        WebhookSecret.objects.filter(pk=secret.pk).update(last_used_at=now)


def _invalid_signature() -> Problem:
    detail = _("The post is not signed by a valid secret of this tenant, or its time is off. Nothing was stored.")
    return Problem(401, "invalid_signature", detail)


# --- The life of a secret -------------------------------------------------------------------------------------------


def issue(tenant: Tenant, *, name: str) -> tuple[WebhookSecret, str]:
    """Make a secret. Returns its row and its text, which is shown nowhere again.

    Raises ValidationError when the tenant has two valid ones already.
    """
    with transaction.atomic():
        Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)  # or two at once would make a third
        if _usable().filter(tenant=tenant).count() >= VALID_MAX:
            raise ValidationError(
                _("This tenant has two valid secrets already; revoke the one that is not used any more.")
            )
        text = PREFIX + secrets.token_urlsafe(32)
        secret = WebhookSecret(tenant=tenant, name=name, secret_last4=text[-4:])
        secret.secret_enc = crypto.seal(text, owner=_owner(secret))
        secret.full_clean()
        secret.save(force_insert=True)
    return secret, text


def rotate(secret: WebhookSecret, *, overlap: timedelta) -> tuple[WebhookSecret, str]:
    """Make a secret in this one's place, which is believed for `overlap` longer. Returns the new row and its text.

    Raises ValidationError when this one is not valid any more, or another rotation is still under way.
    """
    with transaction.atomic():
        new, text = issue(secret.tenant, name=secret.name)
        old = WebhookSecret.objects.get(pk=secret.pk)  # behind the tenant's lock
        if not old.is_usable:
            raise ValidationError(_("This secret is revoked or expired, so there is nothing to hand over."))
        ends_at = timezone.now() + overlap
        old.expires_at = min(old.expires_at or ends_at, ends_at)
        old.save(update_fields=["expires_at"])
    return new, text


def revoke(secret: WebhookSecret) -> None:
    """End a secret now, for good. An earlier end stays."""
    if secret.revoked_at is None:
        secret.revoked_at = timezone.now()
        secret.save(update_fields=["revoked_at"])


def reseal(secret: WebhookSecret) -> None:
    """Seal a secret with the newest key. Raises SealBroken when it cannot be opened."""
    owner = _owner(secret)
    secret.secret_enc = crypto.seal(crypto.unseal(secret.secret_enc, owner=owner), owner=owner)
    secret.save(update_fields=["secret_enc"])


def _usable() -> QuerySet[WebhookSecret]:
    return WebhookSecret.objects.filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()), revoked_at__isnull=True
    )


def _owner(secret: WebhookSecret) -> str:
    return f"webhook_secret:{secret.pk}"
