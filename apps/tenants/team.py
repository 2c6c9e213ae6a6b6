"""Who works in a company: adding people, changing their roles, removing them.

A company always keeps an administrator, and nobody gives or takes away more than they have themselves. Each change is
one transaction behind the company's lock, audited with before and after. An account may belong to several companies;
what would open it (a new password, no second factor) is for the administrators of one company only while it belongs to
no other and is not the platform's.
"""

from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _

from apps.tenants import audit, permissions, second_factor
from apps.tenants.models import AuditEntry, Membership, Tenant


class CannotChange(Exception):
    """The change would break a rule of the team; the text, in the reader's language, says which."""


def add(by: Membership, *, username: str, first_name: str, last_name: str, email: str, role: str) -> Membership:
    """Make an account without a password and let it into the company. Raises CannotChange.

    An account that worked here before, and works nowhere else now, comes back as it is.
    """
    with transaction.atomic():
        tenant = _locked(by)
        _require_rank(by, role)
        user = User.objects.filter(username__iexact=username).first()
        if user is None:
            user = User(username=username, first_name=first_name, last_name=last_name, email=email)
            user.set_unusable_password()
            user.save()
        elif not _comes_back(tenant, user):
            raise CannotChange(
                _(
                    "The sign-in name %(name)s is taken; nobody was added. Choose another name. If the same person "
                    "works for another company here, ask support to add them."
                )
                % {"name": username}
            )
        made = Membership.objects.create(tenant=tenant, user=user, role=role)
        audit.record(tenant, _actor(by), "user.added", f"user:{user.pk}", changes={"role": [None, role]})
    return made


def change_role(membership: Membership, role: str, *, by: Membership) -> bool:
    """Give a colleague another role, from the next request on. Tells whether it was another. Raises CannotChange."""
    with transaction.atomic():
        tenant = _locked(by)
        row = Membership.objects.select_for_update().get(pk=membership.pk, tenant=tenant)
        before = row.role
        if role == before:
            return False
        _require_rank(by, role, before)
        if before == permissions.ADMIN:
            _require_another_administrator(row)
        row.role = role
        row.save(update_fields=["role"])
        audit.record(tenant, _actor(by), "user.role_changed", f"user:{row.user_id}", changes={"role": [before, role]})
    return True


def remove(membership: Membership, *, by: Membership) -> None:
    """Let a colleague out of the company, from the next request on. The account itself stays. Raises CannotChange."""
    with transaction.atomic():
        tenant = _locked(by)
        row = Membership.objects.select_for_update().get(pk=membership.pk, tenant=tenant)
        _require_rank(by, row.role)
        if row.role == permissions.ADMIN:
            _require_another_administrator(row)
        row.delete()
        audit.record(tenant, _actor(by), "user.removed", f"user:{row.user_id}", changes={"role": [row.role, None]})


def password_link(membership: Membership, *, by: Membership) -> tuple[str, str]:
    """Return the two parts of a link by which a colleague chooses a password, once and within three days.

    Django's own token: it holds the password's hash and the last sign-in, so it ends with either. Raises CannotChange.
    """
    with transaction.atomic():
        user = _own_account(membership, by)
        audit.record(membership.tenant, _actor(by), "user.link_made", f"user:{user.pk}")
    return urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)


def turn_second_factor_off(membership: Membership, *, by: Membership) -> bool:
    """Forget the second factor of a colleague who lost it. Tells whether there was one. Raises CannotChange."""
    with transaction.atomic():
        user = _own_account(membership, by)
        was_on = second_factor.turn_off(user)
        if was_on:
            audit.record(membership.tenant, _actor(by), "user.second_factor_off", f"user:{user.pk}")
    return was_on


def belongs_here_alone(membership: Membership) -> bool:
    """Tell whether an account is this company's alone, so that its administrators may open it to its owner again."""
    user = membership.user
    elsewhere = Membership.objects.filter(user=user).exclude(pk=membership.pk).exists()
    return not (user.is_staff or user.is_superuser or elsewhere)


def _own_account(membership: Membership, by: Membership) -> User:
    if membership.tenant_id != by.tenant_id:
        raise CannotChange(_("This person does not work here; nothing was changed."))
    _require_rank(by, membership.role)
    if not belongs_here_alone(membership):
        raise CannotChange(
            _("This account also belongs to another company or to the platform, so only support may open it again.")
        )
    return membership.user


def _comes_back(tenant: Tenant, user: User) -> bool:
    was_here = AuditEntry.objects.filter(tenant=tenant, action="user.removed", subject=f"user:{user.pk}").exists()
    return was_here and not user.is_staff and not Membership.objects.filter(user=user).exists()


def _locked(by: Membership) -> Tenant:
    """Return the company, locked: two administrators who demote each other at once must not both succeed."""
    return Tenant.objects.select_for_update(no_key=True).get(pk=by.tenant_id)


def _require_rank(by: Membership, *roles: str) -> None:
    """Refuse to deal with roles above one's own. The role counts as it is now, not as it was when the page opened."""
    mine = Membership.objects.filter(pk=by.pk).values_list("role", flat=True).first()
    if mine is None or not all(permissions.is_at_most(role, mine) for role in roles):
        raise CannotChange(_("Nobody gives or takes away a role above their own; nothing was changed."))


def _require_another_administrator(row: Membership) -> None:
    others = Membership.objects.filter(tenant_id=row.tenant_id, role=permissions.ADMIN, user__is_active=True)
    if not others.exclude(pk=row.pk).exists():
        raise CannotChange(
            _("This is the company's last administrator; nothing was changed. Make somebody else one first.")
        )


def _actor(by: Membership) -> str:
    return f"user:{by.user_id}"
