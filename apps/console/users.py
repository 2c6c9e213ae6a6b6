"""The page of people: who works in the company, with which role. The rules are `tenants.team`'s."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from apps.console.proofs import fresh_proof
from apps.tenants import access, permissions, team
from apps.tenants.models import Membership, SecondFactor


class NewPerson(forms.Form):
    """Somebody who is to work here."""

    username = forms.CharField(
        label=gettext_lazy("Sign-in name"),
        max_length=150,
        validators=[UnicodeUsernameValidator()],
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )
    first_name = forms.CharField(
        label=gettext_lazy("First name"), max_length=150, widget=forms.TextInput({"autocomplete": "off"})
    )
    last_name = forms.CharField(
        label=gettext_lazy("Last name"), max_length=150, required=False, widget=forms.TextInput({"autocomplete": "off"})
    )
    email = forms.EmailField(
        label=gettext_lazy("E-mail (optional)"), required=False, widget=forms.EmailInput({"autocomplete": "off"})
    )
    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=Membership.Role.choices)


class NewRole(forms.Form):
    """Another role."""

    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=Membership.Role.choices)


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Who works here."""
    access.require(request, "users:read")
    return _page(request)


@login_required
@require_POST
@fresh_proof
def add(request: HttpRequest) -> HttpResponse:
    """Let somebody in, and show once the link by which they choose their password."""
    access.require(request, "users:write")
    form = NewPerson(request.POST)
    if not form.is_valid():
        return _page(request, form)
    mine = access.membership_of(request)
    try:
        made = team.add(by=mine, **form.cleaned_data)
    except team.CannotChange as refusal:
        form.add_error(None, str(refusal))
        return _page(request, form)
    if made.user.has_usable_password():
        messages.success(request, _("%(name)s works here again, with the old password.") % {"name": _name(made.user)})
        return redirect("console:users")
    return _link_page(request, made, mine)


@login_required
@require_POST
@fresh_proof
def change_role(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a colleague another role."""
    access.require(request, "users:write")
    row = _colleague_or_404(request, pk)
    form = NewRole(request.POST)
    if not form.is_valid():
        messages.error(request, _("There is no such role; nothing was changed."))
        return redirect("console:users")
    try:
        if team.change_role(row, form.cleaned_data["role"], by=access.membership_of(request)):
            words = {"name": _name(row.user), "role": Membership.Role(form.cleaned_data["role"]).label}
            messages.success(request, _("%(name)s is now: %(role)s.") % words)
    except team.CannotChange as refusal:
        messages.error(request, str(refusal))
    return redirect("console:users")


@login_required
@require_POST
@fresh_proof
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a colleague out of the company."""
    access.require(request, "users:write")
    row = _colleague_or_404(request, pk)
    try:
        team.remove(row, by=access.membership_of(request))
    except team.CannotChange as refusal:
        messages.error(request, str(refusal))
    else:
        text = _("%(name)s does not work here any more. What they did stays in the history.")
        messages.success(request, text % {"name": _name(row.user)})
    return redirect("console:users")


@login_required
@require_POST
@fresh_proof
def make_link(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a new link by which a colleague chooses a password."""
    access.require(request, "users:write")
    return _link_page(request, _colleague_or_404(request, pk), access.membership_of(request))


@login_required
@require_POST
@fresh_proof
def turn_second_factor_off(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a colleague who lost the second factor in with the password alone."""
    access.require(request, "users:write")
    row = _colleague_or_404(request, pk)
    try:
        if team.turn_second_factor_off(row, by=access.membership_of(request)):
            text = _("%(name)s signs in with the password alone until they set a second factor up again.")
            messages.success(request, text % {"name": _name(row.user)})
    except team.CannotChange as refusal:
        messages.error(request, str(refusal))
    return redirect("console:users")


def _link_page(request: HttpRequest, row: Membership, mine: Membership) -> HttpResponse:
    try:
        uidb64, token = team.password_link(row, by=mine)
    except team.CannotChange as refusal:
        messages.error(request, str(refusal))
        return redirect("console:users")
    address = request.build_absolute_uri(reverse("choose-password", args=[uidb64, token]))
    answer = render(request, "console/user_link.html", {"person": row.user, "address": address})
    answer["Cache-Control"] = "no-store"
    return answer


def _colleague_or_404(request: HttpRequest, pk: int) -> Membership:
    return access.owned_or_404(request, Membership.objects.select_related("user", "tenant"), pk=pk)


def _page(request: HttpRequest, form: NewPerson | None = None) -> HttpResponse:
    mine = access.membership_of(request)
    rows = list(access.owned(request, Membership.objects.select_related("user")).order_by("user__username"))
    with_factor = SecondFactor.objects.filter(pk__in=[row.user_id for row in rows]).values_list("pk", flat=True)
    table = [(name, label, permissions.HOLDERS[name]) for name, label in permissions.LABELS.items()]
    context = {
        "rows": rows,
        "mine": mine,
        "with_factor": set(with_factor),
        "form": form or NewPerson(initial={"role": Membership.Role.OPERATOR}),
        "roles": Membership.Role.choices,
        "table": table,
    }
    return render(request, "console/users.html", context, status=422 if form else 200)


def _name(user: User) -> str:
    return user.get_full_name() or user.get_username()
