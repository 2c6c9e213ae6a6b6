"""Signing in: name and password, then a code for whoever has a second factor. The administration comes in here too.

Nobody is signed in before the last step: until then the session holds only who passed the first one, for some minutes.
The platform's staff without a second factor set one up on their way in (STAFF_SECOND_FACTOR).
"""

import time
from typing import Any

import segno
from django import forms
from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from apps.common import crypto
from apps.console import proofs
from apps.tenants import audit, second_factor, tries
from apps.tenants.models import Membership

PENDING, OFFERED = "login_pending", "offered_secret"
PENDING_SECONDS = 10 * 60


class Code(forms.Form):
    """Six digits of an authenticator, or a recovery code. A password manager may fill it in."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        widget=forms.TextInput(
            {"autocomplete": "one-time-code", "spellcheck": "false", "autocapitalize": "off", "autofocus": True}
        ),
    )


class NameAndPassword(AuthenticationForm):
    """Django's form, within the limit of tries."""

    request: HttpRequest  # Django's form is also made without one; its view never does so

    def clean(self) -> dict[str, Any]:
        """Check the password if there may be one more try. Raises ValidationError."""
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not name or not password:
            return dict(self.cleaned_data)
        try:
            number = tries.begin(self.request, name)
        except tries.TooMany as refusal:
            raise forms.ValidationError(proofs.too_many(refusal)) from None
        try:
            said: dict[str, Any] = super().clean()
        except forms.ValidationError:
            tries.failed(self.request, name, "password")
            raise
        tries.took(number, self.request, name)
        return said


class Login(LoginView):
    """The first step."""

    template_name = "console/login.html"
    authentication_form = NameAndPassword

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Sign the person in, or lead them to their second step."""
        user = form.get_user()
        assert isinstance(user, User)  # noqa: S101  the form has just found it
        target = self.get_success_url()
        if second_factor.has_one(user):
            return _go_on(self.request, user, target, "login-code")
        if needs_second_factor(user):
            return _go_on(self.request, user, target, "login-setup")
        _enter(self.request, user)
        return redirect(target)


class ChoosePassword(PasswordResetConfirmView):
    """Where a link made by an administrator leads: its holder chooses a password, once."""

    template_name = "console/choose_password.html"
    success_url = reverse_lazy("login")

    def form_valid(self, form: Any) -> HttpResponse:
        """Keep the password, and write it down."""
        answer = super().form_valid(form)
        record(form.user, "user.password_chosen")
        return answer


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """The second step: a code."""
    user = _pending(request)
    if user is None:
        return redirect("login")
    form = Code(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            proofs.check_code(request, user, form.cleaned_data["code"])
        except forms.ValidationError as wrong:
            form.add_error("code", wrong)
        else:
            target = request.session[PENDING]["next"]
            _enter(request, user)
            return redirect(target)
    return render(request, "console/login_code.html", {"form": form}, status=422 if form.errors else 200)


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def setup(request: HttpRequest) -> HttpResponse:
    """The second step of staff who have no second factor yet: make one."""
    user = _pending(request)
    if user is None or second_factor.has_one(user):
        return redirect("login")
    target = request.session[PENDING]["next"]

    def done(codes: list[str]) -> HttpResponse:
        _enter(request, user)
        return codes_page(request, codes, target)

    return set_up(request, user, "console/login_setup.html", done)


def set_up(request: HttpRequest, user: User, template: str, done: Any) -> HttpResponse:
    """Show a new secret as a QR code and as text; keep it once a code shows that the authenticator has it.

    done: makes the answer from the new recovery codes.
    """
    owner = f"offered:{user.pk}"
    sealed = request.session.get(OFFERED)
    try:
        secret = crypto.unseal(sealed or "", owner=owner)
    except crypto.SealBroken:
        secret = second_factor.new_secret()
        request.session[OFFERED] = crypto.seal(secret, owner=owner)
    form = Code(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        codes = second_factor.turn_on(user, secret, form.cleaned_data["code"])
        if codes is not None:
            request.session.pop(OFFERED, None)
            record(user, "user.second_factor_on")
            answer: HttpResponse = done(codes)
            return answer
        form.add_error("code", _("This is not the code of this secret now. Look whether the phone's clock is right."))
    offered = second_factor.offer(user, secret)
    context = {"form": form, "offer": offered, "picture": _picture(offered.address)}
    answer = render(request, template, context, status=422 if form.errors else 200)
    answer["Cache-Control"] = "no-store"
    return answer


def codes_page(request: HttpRequest, codes: list[str], target: str) -> HttpResponse:
    """Show new recovery codes, which is done once."""
    answer = render(request, "console/recovery_codes.html", {"codes": codes, "target": target})
    answer["Cache-Control"] = "no-store"
    return answer


def needs_second_factor(user: User) -> bool:
    """Tell whether a person may not go without one."""
    return user.is_staff and settings.STAFF_SECOND_FACTOR


def _picture(address: str) -> SafeString:
    """Return the QR code of an address as SVG, dark on white whatever the page's colours: scanners want it so."""
    drawn = segno.make(address, error="m").svg_inline(scale=4, border=4, light="#fff", omitsize=False)
    return mark_safe(drawn)  # noqa: S308  paths that segno reckoned; no text of anybody's is in it


def _go_on(request: HttpRequest, user: User, target: str, step: str) -> HttpResponse:
    if request.user.is_authenticated:
        logout(request)
    request.session.cycle_key()
    request.session[PENDING] = {"user": user.pk, "at": time.time(), "next": target}
    return redirect(step)


def _pending(request: HttpRequest) -> User | None:
    """Return who passed the first step in this session, not long ago."""
    said = request.session.get(PENDING) or {}
    if time.time() - float(said.get("at", 0)) > PENDING_SECONDS:
        return None
    return User.objects.filter(pk=said.get("user", 0), is_active=True).first()


def _enter(request: HttpRequest, user: User) -> None:
    request.session.pop(PENDING, None)
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    record(user, "login.done", address=tries.address_of(request))


def record(user: User, action: str, **details: Any) -> None:
    """Write down what a person did with their own account, in each company they belong to."""
    for membership in Membership.objects.filter(user=user).select_related("tenant"):
        audit.record(membership.tenant, f"user:{user.pk}", action, f"user:{user.pk}", **details)
