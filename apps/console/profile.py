"""One's own account: what the role allows, the password, the second factor. It needs no company."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.console import login, proofs
from apps.console.proofs import fresh_proof
from apps.tenants import access, permissions, second_factor


class ChangePassword(PasswordChangeForm):
    """Django's form, whose old password counts as a try like any other."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.fields["old_password"].widget.attrs.pop("autofocus", None)

    def clean_old_password(self) -> str:
        """Check the old password, within the limit of tries. Raises ValidationError."""
        said: str = self.cleaned_data["old_password"]
        proofs.check_password(self.request, self.user, said)
        return said


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Who one is here."""
    return _page(request)


@login_required
@sensitive_post_parameters()
@require_POST
def change_password(request: HttpRequest) -> HttpResponse:
    """Choose another password; other sessions of the account end with it."""
    user = _person(request)
    form = ChangePassword(user, request.POST, request=request)
    if not form.is_valid():
        return _page(request, form)
    with transaction.atomic():
        form.save()
        login.record(user, "user.password_changed")
    update_session_auth_hash(request, user)
    proofs.remember(change_password, request)
    messages.success(request, _("Your password is changed. Wherever else you were signed in, you are not any more."))
    return redirect("console:profile")


@login_required
@fresh_proof
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def set_second_factor_up(request: HttpRequest) -> HttpResponse:
    """Take a second factor, or another one in its place."""
    return login.set_up(
        request,
        _person(request),
        "console/second_factor.html",
        lambda codes: login.codes_page(request, codes, reverse("console:profile")),
    )


@login_required
@require_POST
@fresh_proof
def turn_second_factor_off(request: HttpRequest) -> HttpResponse:
    """Go on with the password alone; staff may not where they must have one."""
    user = _person(request)
    if login.needs_second_factor(user):
        messages.warning(request, _("The platform's staff always have a second factor. Nothing was changed."))
    elif second_factor.turn_off(user):
        login.record(user, "user.second_factor_off")
        messages.success(request, _("The second factor is off: from now on your password alone opens the account."))
    return redirect("console:profile")


@login_required
@require_POST
@fresh_proof
def renew_recovery_codes(request: HttpRequest) -> HttpResponse:
    """Make new recovery codes; the old ones open nothing any more."""
    user = _person(request)
    if not second_factor.has_one(user):
        return redirect("console:profile")
    codes = second_factor.renew_codes(user)
    login.record(user, "user.recovery_codes_renewed")
    return login.codes_page(request, codes, reverse("console:profile"))


def _page(request: HttpRequest, form: forms.Form | None = None) -> HttpResponse:
    user = _person(request)
    membership = access.membership_or_none(request)
    held = permissions.held_by(membership.role) if membership else frozenset()
    context = {
        "form": form or ChangePassword(user, request=request),
        "has_factor": second_factor.has_one(user),
        "codes_left": second_factor.codes_left(user),
        "needs_factor": login.needs_second_factor(user),
        "allowed": [(name, label, name in held) for name, label in permissions.LABELS.items()] if membership else [],
    }
    return render(request, "console/profile.html", context, status=422 if form else 200)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  as login_required saw to
    return request.user
