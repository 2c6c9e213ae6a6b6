"""Proving who one is: a password or a code, within a limit of tries; and again before what matters most (step-up).

`@fresh_proof` lets a view go on only while the last proof of this session is younger than `FRESH_SECONDS`; else it asks
for one and comes back. Signing in is a proof too.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.tenants import second_factor, tries

FRESH_SECONDS = 10 * 60
PROVED_AT = "proved_at"

View = Callable[..., HttpResponse]


def remember(sender: object, request: HttpRequest, **_about: Any) -> None:
    """Note in the session that the person has proved now who they are; Django's sign-in signal calls it too."""
    request.session[PROVED_AT] = time.time()


def is_fresh(request: HttpRequest) -> bool:
    """Tell whether the last proof is young enough."""
    age_seconds = time.time() - float(request.session.get(PROVED_AT, 0))
    return 0 <= age_seconds < FRESH_SECONDS


def fresh_proof(view: View) -> View:
    """Make a view ask for the password or code first when the last proof is too old. Nothing of the form is kept."""

    @wraps(view)
    def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return ask_first(request) or view(request, *args, **kwargs)

    return asked


def ask_first(request: HttpRequest) -> HttpResponse | None:
    """Return the way to the question when the last proof is too old; None when nothing need be asked."""
    if is_fresh(request):
        return None
    if request.method == "POST":
        messages.info(request, _("Nothing was changed yet: confirm that it is you, then press the button again."))
    return redirect(f"{reverse('console:confirm')}?{urlencode({'next': _page_of(request)})}")


def _page_of(request: HttpRequest) -> str:
    """Return the page to come back to: for a button, the one it stands on."""
    if request.method in ("GET", "HEAD"):
        return request.get_full_path()
    came_from = urlsplit(request.headers.get("Referer", ""))
    is_ours = came_from.netloc == request.get_host() and came_from.path
    return came_from._replace(scheme="", netloc="", fragment="").geturl() if is_ours else reverse("home")


def next_of(request: HttpRequest, otherwise: str) -> str:
    """Return where a form wants to go afterwards; never to another site."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if is_ours else otherwise


def check_password(request: HttpRequest, user: User, password: str) -> None:
    """Check a signed-in person's password. Raises ValidationError, with the minutes to wait after too many."""
    _check(request, user.get_username(), "password", lambda: user.check_password(password))


def check_code(request: HttpRequest, user: User, code: str) -> None:
    """Check a code of a person's authenticator, or spend a recovery code. Raises ValidationError like the above."""
    _check(request, user.get_username(), "code", lambda: second_factor.check(user, code))


def _check(request: HttpRequest, name: str, what: str, is_right: Callable[[], bool]) -> None:
    # codes are counted apart: a right password must not give their tries back
    counted = name if what == "password" else f"{what}:{name}"
    try:
        number = tries.begin(request, counted)
    except tries.TooMany as refusal:
        raise forms.ValidationError(too_many(refusal)) from None
    if not is_right():
        tries.failed(request, name, what)
        wrong = {"password": _("This is not your password."), "code": _("This code is wrong or was used before.")}
        raise forms.ValidationError(wrong[what])
    tries.took(number, request, counted)


def too_many(refusal: tries.TooMany) -> str:
    """Return what a person is told whose try was not looked at."""
    text = ngettext(
        "Too many wrong tries. Nothing was checked; try again in %(count)s minute.",
        "Too many wrong tries. Nothing was checked; try again in %(count)s minutes.",
        refusal.wait_minutes,
    )
    return text % {"count": refusal.wait_minutes}
