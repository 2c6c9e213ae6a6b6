"""The page of keys: API keys and webhook secrets, made, replaced with an overlap, revoked. A secret is shown once."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from apps.console.proofs import fresh_proof
from apps.tenants import access, audit, signatures
from apps.tenants.models import ApiKey, WebhookSecret
from apps.tenants.scopes import SCOPES

DAYS = [
    ("30", gettext_lazy("30 days")),
    ("90", gettext_lazy("90 days")),
    ("365", gettext_lazy("1 year")),
    ("", gettext_lazy("Never")),
]
OVERLAPS = [
    ("0", gettext_lazy("Ends at once")),
    ("1", gettext_lazy("1 hour longer")),
    ("24", gettext_lazy("1 day longer")),
    ("168", gettext_lazy("1 week longer")),
]
ENDED_SHOWN = 50
"""Ended keys on the page, the newest of them; the administration has all."""


class NewKey(forms.Form):
    """What a program may do, and for how long."""

    name = forms.CharField(
        label=gettext_lazy("What it is for"), max_length=100, widget=forms.TextInput({"autocomplete": "off"})
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("What it may do"),
        choices=[(name, label) for name, label in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple(),
    )
    days = forms.ChoiceField(label=gettext_lazy("Expires in"), choices=DAYS, required=False, initial="365")


class NewSecret(forms.Form):
    """Who signs with it."""

    name = forms.CharField(
        label=gettext_lazy("Who signs with it"), max_length=100, widget=forms.TextInput({"autocomplete": "off"})
    )


class Overlap(forms.Form):
    """How long the old one stays good."""

    hours = forms.ChoiceField(label=gettext_lazy("The old one"), choices=OVERLAPS, initial="24")


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The programs' ways in: what each may do, when it was last used, when it ends."""
    access.require(request, "keys:write")
    return _page(request)


@login_required
@require_POST
@fresh_proof
def make(request: HttpRequest) -> HttpResponse:
    """Make an API key, and show it once."""
    access.require(request, "keys:write")
    form = NewKey(request.POST)
    if not form.is_valid():
        return _page(request, key_form=form)
    said = form.cleaned_data
    expires_at = timezone.now() + timedelta(days=int(said["days"])) if said["days"] else None
    with transaction.atomic():
        key, text = ApiKey.issue(
            access.tenant_of(request), name=said["name"], scopes=said["scopes"], expires_at=expires_at
        )
        _record(request, "key.made", f"key:{key.prefix}", name=key.name, scopes=key.scopes, expires_at=_iso(expires_at))
    return _shown_once(request, text, name=key.name, is_key=True)


@login_required
@require_POST
@fresh_proof
def rotate(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a key in another's place, which stays good for a while."""
    access.require(request, "keys:write")
    row = access.owned_or_404(request, ApiKey.objects.all(), pk=pk)
    overlap = _overlap(request)
    try:
        with transaction.atomic():
            key, text = row.rotate(overlap=overlap)
            before, row = row.expires_at, ApiKey.objects.get(pk=row.pk)
            changes = {"expires_at": [_iso(before), _iso(row.expires_at)]}
            _record(request, "key.replaced", f"key:{row.prefix}", successor=key.prefix, changes=changes)
    except ValidationError as refusal:
        messages.error(request, " ".join(refusal.messages))
        return redirect("console:keys")
    return _shown_once(request, text, name=key.name, is_key=True, old_ends_at=row.expires_at)


@login_required
@require_POST
@fresh_proof
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """End a key for good."""
    access.require(request, "keys:write")
    row = access.owned_or_404(request, ApiKey.objects.all(), pk=pk)
    if row.revoked_at is None:
        with transaction.atomic():
            row.revoke()
            _record(request, "key.revoked", f"key:{row.prefix}", changes={"revoked_at": [None, _iso(row.revoked_at)]})
        messages.success(request, _("The key opens nothing any more, within five seconds.") + f" {row}")
    return redirect("console:keys")


@login_required
@require_POST
@fresh_proof
def make_secret(request: HttpRequest) -> HttpResponse:
    """Make a webhook secret, and show it once."""
    access.require(request, "keys:write")
    form = NewSecret(request.POST)
    if form.is_valid():
        try:
            with transaction.atomic():
                secret, text = signatures.issue(access.tenant_of(request), name=form.cleaned_data["name"])
                _record(request, "webhook_secret.made", f"webhook_secret:{secret.pk}", name=secret.name)
        except ValidationError as refusal:
            form.add_error(None, refusal)
        else:
            return _shown_once(request, text, name=secret.name, is_key=False)
    return _page(request, secret_form=form)


@login_required
@require_POST
@fresh_proof
def rotate_secret(request: HttpRequest, pk: str) -> HttpResponse:
    """Make a webhook secret in another's place, which is believed for a while."""
    access.require(request, "keys:write")
    row = access.owned_or_404(request, WebhookSecret.objects.select_related("tenant"), pk=pk)
    try:
        with transaction.atomic():
            secret, text = signatures.rotate(row, overlap=_overlap(request))
            before = row.expires_at
            row.refresh_from_db(fields=["expires_at"])
            changes = {"expires_at": [_iso(before), _iso(row.expires_at)]}
            _record(request, "webhook_secret.replaced", f"webhook_secret:{row.pk}", changes=changes)
    except ValidationError as refusal:
        messages.error(request, " ".join(refusal.messages))
        return redirect("console:keys")
    return _shown_once(request, text, name=secret.name, is_key=False, old_ends_at=row.expires_at)


@login_required
@require_POST
@fresh_proof
def revoke_secret(request: HttpRequest, pk: str) -> HttpResponse:
    """End a webhook secret for good."""
    access.require(request, "keys:write")
    row = access.owned_or_404(request, WebhookSecret.objects.all(), pk=pk)
    if row.revoked_at is None:
        with transaction.atomic():
            signatures.revoke(row)
            changes = {"revoked_at": [None, _iso(row.revoked_at)]}
            _record(request, "webhook_secret.revoked", f"webhook_secret:{row.pk}", changes=changes)
        messages.success(request, _("What %(name)s signs is not believed any more.") % {"name": row})
    return redirect("console:keys")


def _overlap(request: HttpRequest) -> timedelta:
    form = Overlap(request.POST)
    return timedelta(hours=int(form.cleaned_data["hours"])) if form.is_valid() else timedelta(hours=24)


def _shown_once(request: HttpRequest, text: str, **about: Any) -> HttpResponse:
    answer = render(request, "console/key_made.html", {"text": text, **about})
    answer["Cache-Control"] = "no-store"
    return answer


def _page(request: HttpRequest, key_form: NewKey | None = None, secret_form: NewSecret | None = None) -> HttpResponse:
    keys = list(access.owned(request, ApiKey.objects.order_by("-created_at", "-id")))
    secrets = list(access.owned(request, WebhookSecret.objects.defer("secret_enc").order_by("-created_at", "-id")))
    context = {
        "keys": [key for key in keys if key.is_usable],
        "ended": [key for key in keys if not key.is_usable][:ENDED_SHOWN],
        "secrets": [secret for secret in secrets if secret.is_usable],
        "secrets_max": signatures.VALID_MAX,
        "key_form": key_form or NewKey(),
        "secret_form": secret_form or NewSecret(),
        "overlap": Overlap(auto_id=False),
        "labels": SCOPES,
    }
    return render(request, "console/keys.html", context, status=422 if key_form or secret_form else 200)


def _record(request: HttpRequest, action: str, subject: str, **details: Any) -> None:
    audit.record(access.tenant_of(request), f"user:{request.user.pk}", action, subject, **details)


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
