"""Programs sign in with an API key: `Authorization: Bearer saldo_…`, or `X-Api-Key: saldo_…`.

The tenant comes from the key, never from the request (law 8). A key's text is never stored, logged or shown again.
"""

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.tenants.models import ApiKey, Tenant, hash_key

USE_RECORDED_EVERY = timedelta(minutes=1)
"""`last_used_at` is written at most this often: a read must not cost a write."""


class KeyHolder:
    """Who asks, when a key does: what DRF and the log need of a user."""

    is_authenticated = True

    def __init__(self, key: ApiKey) -> None:
        self.key = key

    def __str__(self) -> str:
        return f"key:{self.key.prefix}"


class ApiKeyAuthentication(BaseAuthentication):
    """Find the key, or say 401 with one same sentence whatever is wrong with it."""

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        """Return (holder, key); None when the request carries no key at all. Raises AuthenticationFailed."""
        text = _key_in(request)
        if text is None:
            return None
        key = ApiKey.objects.select_related("tenant").filter(key_hash=hash_key(text)).first()
        if key is None or not key.is_usable:
            raise AuthenticationFailed(
                _("This API key is unknown, expired or revoked. Make one with create_api_key."), code="invalid_api_key"
            )
        _record_use(key)
        return KeyHolder(key), key

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return "Bearer"


class HasScope(BasePermission):
    """Let a key in whose scopes hold the one that the view names in `required_scope`."""

    message = _("This API key lacks the scope that this address needs.")
    code: ClassVar[str] = "missing_scope"

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell whether the key's scopes hold the view's."""
        # a view that names no scope fails here, loudly: it must not let anybody in
        return isinstance(request.auth, ApiKey) and view.required_scope in request.auth.scopes


def tenant_of_key(request: Request) -> Tenant:
    """Return the tenant whose key the request carries; only for views behind `HasScope`."""
    if not isinstance(request.auth, ApiKey):
        raise NotAuthenticated
    return request.auth.tenant


def _key_in(request: Request) -> str | None:
    scheme, _space, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return text.strip()
    return request.headers.get("X-Api-Key") or None


def _record_use(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - USE_RECORDED_EVERY:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_RECORDED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
