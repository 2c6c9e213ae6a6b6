"""The same callers and scopes for DRF's views as `@endpoint` has for plain ones.

A DRF view names `required_scope = "stock:read"`, or `required_scopes = {"GET": …, "POST": …}` by method.
"""

from collections.abc import Mapping
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.tenants import rate_limit
from apps.tenants.identity import CHALLENGE, SAFE_METHODS, Caller, find_caller
from apps.tenants.models import Tenant


class Asker:
    """Who asks: what DRF and the log need of a user."""

    is_authenticated = True

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def __str__(self) -> str:
        return self.caller.actor


class CallerAuthentication(BaseAuthentication):
    """Find the caller, and count the request against their limit."""

    def authenticate(self, request: Request) -> tuple[Any, Caller]:
        """Return (asker, caller). Raises Problem 401, 403 or 429."""
        caller = find_caller(request._request)
        request._request.actor = caller.actor  # type: ignore[attr-defined]
        rate_limit.take(caller.bucket)
        return Asker(caller), caller

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return CHALLENGE["WWW-Authenticate"]


class HasScope(BasePermission):
    """Let a caller in whose scopes hold the one that the view names."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell that the caller may do this. Raises Problem 403 `missing_scope`."""
        # a view that names no scope fails here, loudly: it must not let anybody in
        by_method: Mapping[str, str] | None = getattr(view, "required_scopes", None)
        method = "GET" if request.method in SAFE_METHODS else str(request.method)
        if by_method and method not in by_method:
            raise MethodNotAllowed(method)
        caller_of(request).require(by_method[method] if by_method else view.required_scope)
        return True


def caller_of(request: Request) -> Caller:
    """Return who makes this request; only for views behind `HasScope`."""
    if not isinstance(request.auth, Caller):
        raise TypeError("this view has no CallerAuthentication, so nobody can be named")
    return request.auth


def tenant_of_key(request: Request) -> Tenant:
    """Return the tenant whose key (or token, or session) the request carries; only for views behind `HasScope`."""
    return caller_of(request).tenant
