"""The page that asks for the password or a code again, before what matters most."""

from django import forms
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from apps.console import proofs
from apps.console.login import Code
from apps.tenants import second_factor


class Password(forms.Form):
    """The password of whoever is signed in."""

    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput({"autocomplete": "current-password", "autofocus": True}),
    )


@login_required
@never_cache
@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """Ask for the code, or for the password of whoever has no second factor; then go back."""
    user = request.user
    assert isinstance(user, User)  # noqa: S101  as login_required saw to
    has_factor = second_factor.has_one(user)
    target = proofs.next_of(request, reverse("home"))
    form = (Code if has_factor else Password)(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            if has_factor:
                proofs.check_code(request, user, form.cleaned_data["code"])
            else:
                proofs.check_password(request, user, form.cleaned_data["password"])
        except forms.ValidationError as wrong:
            form.add_error(None, wrong)
        else:
            proofs.remember(confirm, request)
            return redirect(target)
    context = {"form": form, "next": target, "has_factor": has_factor}
    return render(request, "console/confirm.html", context, status=422 if form.errors else 200)
