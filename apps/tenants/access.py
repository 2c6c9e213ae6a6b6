"""The only way a view gets a row: bound to the tenant of whoever asks, and 404 for strangers.

404 and not 403, because "it exists but is not yours" already tells a stranger something (OWASP API1:2023).
Each model names the path from its row to its tenant in `TENANT_PATH`, so this room need not know the rooms above it.
"""

from typing import TypeVar

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from apps.tenants import permissions
from apps.tenants.models import Membership, Tenant

M = TypeVar("M", bound=Model)

SESSION_KEY = "tenant_id"


def membership_of(request: HttpRequest) -> Membership:
    """Return the signed-in person's membership in the tenant they work in now.

    The tenant chosen last is remembered in the session; a person of one tenant never chooses. Raises Http404 when the
    person belongs to none.
    """
    membership = membership_or_none(request)
    if membership is None:
        raise Http404("this account belongs to no tenant")
    return membership


def membership_or_none(request: HttpRequest) -> Membership | None:
    """Return the same, or None for whoever belongs to no tenant. One query a request, not one a template tag."""
    cached: Membership | None = getattr(request, "_saldo_membership", None)
    if cached is None:
        memberships = _memberships(request.user).select_related("tenant").order_by("tenant__slug")
        chosen = request.session.get(SESSION_KEY)
        cached = (chosen and memberships.filter(tenant_id=chosen).first()) or memberships.first()
        request._saldo_membership = cached  # type: ignore[attr-defined]
    return cached


def stand_in(membership: Membership) -> HttpRequest:
    """Return a request as the member would send it, for work that is done for them later: it owns what they own."""
    request = HttpRequest()
    request.method, request.user = "GET", membership.user
    request._saldo_membership = membership  # type: ignore[attr-defined]
    return request


def tenant_of(request: HttpRequest) -> Tenant:
    """Return the tenant the signed-in person works in now; Http404 when there is none."""
    return membership_of(request).tenant


def owned(request: HttpRequest, rows: QuerySet[M]) -> QuerySet[M]:
    """Return only those rows that belong to the tenant of whoever asks."""
    return of_tenant(tenant_of(request), rows)


def of_tenant(tenant: Tenant, rows: QuerySet[M]) -> QuerySet[M]:
    """Return only those rows that belong to `tenant`."""
    return rows.filter(**{_tenant_path(rows): tenant.pk})


def owned_or_404(request: HttpRequest, rows: QuerySet[M], **lookup: object) -> M:
    """Return the one owned row that matches; another tenant's row and no row at all are the same 404."""
    row = owned(request, rows).filter(**lookup).first()
    if row is None:
        raise Http404("no such row for this tenant")
    return row


def visible_to(user: User | AnonymousUser, rows: QuerySet[M]) -> QuerySet[M]:
    """Return the rows of every tenant the person belongs to; the platform's own staff (superusers) see all."""
    if user.is_superuser:
        return rows
    return rows.filter(**{f"{_tenant_path(rows)}__in": _memberships(user).values("tenant_id")})


class Forbidden(PermissionDenied):
    """The role does not hold a permission; the text, in the reader's language, says who does."""


def require(request: HttpRequest, permission: str) -> None:
    """Raise Forbidden (403) unless the person's role holds the permission (permissions.py); 404 for strangers."""
    if not membership_of(request).may(permission):
        raise Forbidden(why_not(permission))


def why_not(permission: str) -> str:
    """Return why a role that does not hold a permission may not do this, and whom to ask."""
    roles = ", ".join(str(Membership.Role(role).label) for role in permissions.HOLDERS[permission])
    return _("Your role does not allow this: %(what)s. Who may: %(roles)s.") % {
        "what": permissions.LABELS[permission],
        "roles": roles,
    }


def _memberships(user: User | AnonymousUser) -> QuerySet[Membership]:
    return Membership.objects.filter(user_id=user.pk) if user.pk else Membership.objects.none()


def _tenant_path(rows: QuerySet[M]) -> str:
    path: str = rows.model.TENANT_PATH  # type: ignore[attr-defined]  # a model without one must fail, not leak
    return path
