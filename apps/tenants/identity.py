"""Who calls: every request to the API is made by one `Caller`, found from its credential and from nothing else (law 8).

- An **API key**: `Authorization: Bearer saldo_…` or `X-Api-Key: saldo_…`.
- A **token** (JWT) of the operator's own identity provider: `Authorization: Bearer eyJ…` (tokens.py).
- A **person** signed in to the console: the session's cookie. Changes need the CSRF token. The tenant is the person's;
  of several, `X-Tenant: <short name>` chooses one, and only among the person's own.

A bad credential is 401 with one same sentence, whatever is wrong with it. Keys and tokens that were found good are
remembered in this process for `REMEMBERED_SECONDS`, so the hot path asks no database: a key that was revoked, or whose
scopes were changed, keeps what it had for at most that long. An expiry is met to the second.
"""

import hmac
import time
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.authentication import CSRFCheck

from apps.common.problems import Problem
from apps.tenants import tokens
from apps.tenants.access import membership_or_none
from apps.tenants.models import ApiKey, Membership, Tenant, hash_key

REMEMBERED_SECONDS = 5.0
"""How long a revoked key may still work."""

REMEMBERED_MAX = 10_000
"""Only good credentials are remembered; more than this at once is a flood of tokens, and all are forgotten."""

USE_RECORDED_EVERY = timedelta(minutes=1)
"""`last_used_at` is written at most this often: a read must not cost a write."""

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="saldo"'}
PREFIX_LENGTH = len(ApiKey.KEY_PREFIX) + 8
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a request.

    actor: `key:saldo_ab12cd34`, `user:7` or `token:<sub>`; what movements and logs say of them.
    tenant: the row as it was when the caller was found, at most REMEMBERED_SECONDS ago; not to be changed.
    """

    tenant_id: int
    tenant_slug: str
    actor: str
    scopes: frozenset[str]
    tenant: Tenant = field(repr=False, compare=False)

    @classmethod
    def of(cls, tenant: Tenant, actor: str, scopes: frozenset[str]) -> "Caller":
        """Return the caller who acts for `tenant`."""
        return cls(tenant.pk, tenant.slug, actor, scopes, tenant)

    @property
    def bucket(self) -> str:
        """Return the name under which the caller's requests are counted."""
        return f"{self.tenant_id}:{self.actor}"

    def require(self, scope: str) -> None:
        """Raise Problem 403 `missing_scope` when the caller may not do what the scope names."""
        if scope not in self.scopes:
            detail = _("This address needs the scope %(scope)s. Nothing was changed.") % {"scope": scope}
            raise Problem(403, "missing_scope", detail, scope=scope)


_remembered: dict[str, tuple[Caller, float]] = {}  # by the credential's hash; until when, by the monotonic clock


def find_caller(request: HttpRequest) -> Caller:
    """Return who makes this request. Raises Problem 401, and for people 403 or 404 as the module says."""
    text = _credential(request)
    if text is None:
        return _person(request)
    digest = hash_key(text)
    found = _remembered.get(digest)
    if found is not None and found[1] > time.monotonic():
        return found[0]
    caller, seconds_left = _holder(text, digest) if text.startswith(ApiKey.KEY_PREFIX) else _bearer(text)
    if len(_remembered) >= REMEMBERED_MAX:
        _remembered.clear()
    _remembered[digest] = caller, time.monotonic() + min(REMEMBERED_SECONDS, seconds_left)
    return caller


def forget_all() -> None:
    """Forget every remembered credential of this process, so that the next request asks the database."""
    _remembered.clear()


def _credential(request: HttpRequest) -> str | None:
    """Return the key or token that a request carries, or None. A kind of Authorization that is not ours is bad."""
    if authorization := request.META.get("HTTP_AUTHORIZATION"):
        scheme, _space, text = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise invalid_credentials()
        return str(text.strip())
    return request.META.get("HTTP_X_API_KEY") or None


def invalid_credentials() -> Problem:
    """Return the 401 that is the same for every bad credential, so that it helps nobody guess."""
    detail = _("This key or token is unknown, expired or revoked. Nothing was changed.")
    return Problem(401, "invalid_credentials", detail, headers=CHALLENGE)


def _holder(text: str, digest: str) -> tuple[Caller, float]:
    """Return who holds an API key, and for how many seconds it is good yet."""
    key = ApiKey.objects.select_related("tenant").filter(prefix=text[:PREFIX_LENGTH].replace("\0", "")).first()
    if key is None or not hmac.compare_digest(key.key_hash, digest) or not key.is_usable:
        raise invalid_credentials()
    _record_use(key)
    seconds_left = (key.expires_at - timezone.now()).total_seconds() if key.expires_at else REMEMBERED_SECONDS
    return Caller.of(key.tenant, f"key:{key.prefix}", frozenset(key.scopes)), seconds_left


def _record_use(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - USE_RECORDED_EVERY:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_RECORDED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _bearer(text: str) -> tuple[Caller, float]:
    """Return who a token speaks of, and for how many seconds it is good yet."""
    token = tokens.read(text)
    tenant = Tenant.objects.filter(slug=token.tenant_slug).first() if token else None
    if token is None or tenant is None:
        raise invalid_credentials()
    return Caller.of(tenant, f"token:{token.subject}", token.scopes), token.expires_at - time.time()


def _person(request: HttpRequest) -> Caller:
    """Return the person whose session the request's cookie names; nobody else is left who could be calling.

    No middleware ran here, so the session is opened now: `request.session` and `request.user` are as pages have them.
    """
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME) if "HTTP_COOKIE" in request.META else None
    if cookie:
        session_store: Any = import_module(settings.SESSION_ENGINE).SessionStore
        request.session = session_store(cookie)
        request.user = get_user(request)
    user = request.user if cookie else None
    if not isinstance(user, User):
        detail = _("Send an API key or a token: Authorization: Bearer …. Nothing was changed.")
        raise Problem(401, "not_authenticated", detail, headers=CHALLENGE)
    if request.method not in SAFE_METHODS:
        _require_csrf_token(request)
    membership = _membership(request, user)
    return Caller.of(membership.tenant, f"user:{user.pk}", membership.scopes)


def _require_csrf_token(request: HttpRequest) -> None:
    check = CSRFCheck(lambda request: None)  # type: ignore[arg-type]  # never called
    check.process_request(request)
    if check.process_view(request, find_caller, (), {}):  # type: ignore[arg-type]  # not called either
        detail = _("A change by a signed-in person needs the CSRF token as X-CSRFToken. Nothing was changed.")
        raise Problem(403, "csrf_failed", detail)


def _membership(request: HttpRequest, user: User) -> Membership:
    """Return the membership a signed-in person acts in: the one X-Tenant names among theirs, or the session's."""
    if slug := request.META.get("HTTP_X_TENANT"):
        own = Membership.objects.select_related("tenant").filter(user=user, tenant__slug=slug).first()
        if own is None:
            raise Problem(404, "unknown_tenant", _("You belong to no company of that name. Nothing was changed."))
        return own
    membership = membership_or_none(request)
    if membership is None:
        raise Problem(403, "no_membership", _("This account belongs to no company. Nothing was changed."))
    return membership
