"""The audit trail: who did what to which thing, newest first, with what was before and after."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import django_filters
from django import forms
from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from apps.console import moments
from apps.console.filters import PERIODS, Filters
from apps.console.keyset import page_of
from apps.console.people import people_named
from apps.tenants import access
from apps.tenants.models import AuditEntry, Membership

DEEDS: dict[str, str | Promise] = {
    "batch_unblocked": gettext_lazy("Batch unblocked"),
    "batch_blocked": gettext_lazy("Batch blocked"),
    "bulk.approved": gettext_lazy("Many reprocessed: approved"),
    "bulk.cancelled": gettext_lazy("Many reprocessed: cancelled"),
    "bulk.confirmed": gettext_lazy("Many reprocessed: confirmed"),
    "bulk.paused": gettext_lazy("Many reprocessed: paused"),
    "bulk.resumed": gettext_lazy("Many reprocessed: resumed"),
    "connector.activated": gettext_lazy("First listings activated"),
    "connector.authorised": gettext_lazy("Account authorised"),
    "connector.described": gettext_lazy("Account's name or places changed"),
    "connector.paused": gettext_lazy("Account paused"),
    "connector.registered": gettext_lazy("Account entered"),
    "connector.resumed": gettext_lazy("Account resumed"),
    "connector.secret_replaced": gettext_lazy("Account's secret replaced"),
    "connector.shadow_entered": gettext_lazy("Shadow mode begun"),
    "connector.shadow_left": gettext_lazy("Shadow mode ended"),
    "demo.troubles": gettext_lazy("Demonstration's troubles brought about"),
    "depots_chosen": gettext_lazy("Depots chosen"),
    "divergence.heeded": gettext_lazy("Divergence heeded again"),
    "divergence.ignored": gettext_lazy("Divergence ignored"),
    "divergence.sent": gettext_lazy("Our number sent"),
    "errand.import": gettext_lazy("Listings imported"),
    "errand.reconcile": gettext_lazy("Comparison asked for"),
    "errand.test": gettext_lazy("Test asked for"),
    "event.content_shown": gettext_lazy("Event's content seen unmasked"),
    "event.reprocessed": gettext_lazy("Event reprocessed"),
    "export.ask": gettext_lazy("List asked for as a file"),
    "export.cancel": gettext_lazy("File of a list cancelled"),
    "export.download": gettext_lazy("File of a list downloaded"),
    "flag.switched": gettext_lazy("Integration switched"),
    "key.made": gettext_lazy("API key made"),
    "key.replaced": gettext_lazy("API key replaced"),
    "key.revoked": gettext_lazy("API key revoked"),
    "label_shown": gettext_lazy("Label taken"),
    "listing.mapped": gettext_lazy("Listing mapped"),
    "listing.unmapped": gettext_lazy("Listing unmapped"),
    "login.done": gettext_lazy("Signed in"),
    "login.failed": gettext_lazy("Sign-in failed"),
    "mapping_job.cancelled": gettext_lazy("Mapping of many cancelled"),
    "mapping_job.confirmed": gettext_lazy("Mapping of many confirmed"),
    "mapping_job.paused": gettext_lazy("Mapping of many paused"),
    "mapping_job.resumed": gettext_lazy("Mapping of many resumed"),
    "plan.applied": gettext_lazy("Plan applied"),
    "price_asked": gettext_lazy("Price changed"),
    "product.made": gettext_lazy("Product made"),
    "publication_rule_changed": gettext_lazy("Publication rule changed"),
    "recipient_exported": gettext_lazy("Person's data exported"),
    "recipient_forgotten": gettext_lazy("Person's data erased"),
    "recipient_shown": gettext_lazy("Recipient shown"),
    "search.asked": gettext_lazy("Missed orders searched for"),
    "trouble.seen": gettext_lazy("Pending matter taken on"),
    "trouble.unseen": gettext_lazy("Pending matter left again"),
    "user.added": gettext_lazy("Person added"),
    "user.link_made": gettext_lazy("Password link made"),
    "user.password_changed": gettext_lazy("Password changed"),
    "user.password_chosen": gettext_lazy("Password chosen by link"),
    "user.recovery_codes_renewed": gettext_lazy("Recovery codes renewed"),
    "user.removed": gettext_lazy("Person removed"),
    "user.role_changed": gettext_lazy("Role changed"),
    "user.second_factor_off": gettext_lazy("Second factor off"),
    "user.second_factor_on": gettext_lazy("Second factor on"),
    "view.change": gettext_lazy("View changed"),
    "view.delete": gettext_lazy("View deleted"),
    "view.save": gettext_lazy("View kept"),
    "webhook_secret.made": gettext_lazy("Webhook secret made"),
    "webhook_secret.replaced": gettext_lazy("Webhook secret replaced"),
    "webhook_secret.revoked": gettext_lazy("Webhook secret revoked"),
    "zeros_let_through": gettext_lazy("Zeros let through"),
}
"""What the actions are called; one that is not here shows its own name."""

PAGES = {
    "connector": "console:connector",
    "listing": "console:listing",
    "order": "console:order",
    "event": "console:event",
    "product": "console:movements",
}
"""Kinds of subjects that have a page."""

KINDS: dict[str, str | Promise] = {
    "connector": gettext_lazy("connector"),
    "listing": gettext_lazy("listing"),
    "order": gettext_lazy("order"),
    "event": gettext_lazy("event"),
    "package": gettext_lazy("parcel"),
    "user": gettext_lazy("person"),
    "key": gettext_lazy("API key"),
    "webhook_secret": gettext_lazy("webhook secret"),
    "divergence": gettext_lazy("divergence"),
    "reprocess": gettext_lazy("reprocessing"),
    "flag": gettext_lazy("integration"),
    "product": gettext_lazy("product"),
    "mapping_job": gettext_lazy("mapping of many"),
    "trouble": gettext_lazy("pending matter"),
    "export": gettext_lazy("file of a list"),
    "view": gettext_lazy("view"),
    "batch": gettext_lazy("batch"),
}


PARTS: dict[str, str | Promise] = {
    "role": gettext_lazy("role"),
    "expires_at": gettext_lazy("expires"),
    "revoked_at": gettext_lazy("revoked"),
    "name": gettext_lazy("name"),
    "scopes": gettext_lazy("scopes"),
    "successor": gettext_lazy("new key"),
    "address": gettext_lazy("address"),
    "what": gettext_lazy("what was wrong"),
    "count": gettext_lazy("how many"),
    "reason": gettext_lazy("why"),
    "filters": gettext_lazy("filters"),
    "price": gettext_lazy("price"),
    "is_enabled": gettext_lazy("on"),
    "margin_percent": gettext_lazy("margin (%)"),
    "buffer_units": gettext_lazy("held back"),
    "end_when": gettext_lazy("ends at"),
    "cap": gettext_lazy("maximum"),
    "product": gettext_lazy("product"),
    "source": gettext_lazy("source"),
    "locations": gettext_lazy("places"),
    "file": gettext_lazy("file"),
    "sku": "SKU",
    "gtin": "GTIN",
    "list": gettext_lazy("list"),
    "note": gettext_lazy("note"),
    "seen_by": gettext_lazy("taken on by"),
    "since": gettext_lazy("since"),
    "units": gettext_lazy("units"),
}
"""What the details are called; one that is not here shows its own name."""

PROOFS: dict[str, str | Promise] = {"password": gettext_lazy("Password"), "code": gettext_lazy("Code")}
"""What can be wrong when a sign-in fails."""

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")


@dataclass(frozen=True, slots=True)
class Line:
    """One detail of a deed: what was before and after, or a fact alone (before None)."""

    name: str
    before: str | None
    after: str


class TrailFilters(Filters):
    """Deeds: by who, what, of which, and when."""

    MOMENT: ClassVar[str] = "recorded_at"

    who = django_filters.ChoiceFilter(
        method="by_whom", label=gettext_lazy("Who"), empty_label=gettext_lazy("Everybody")
    )
    action = django_filters.ChoiceFilter(
        choices=sorted(DEEDS.items()), label=gettext_lazy("What"), empty_label=gettext_lazy("Everything")
    )
    subject = django_filters.CharFilter(
        method="of_which",
        label=gettext_lazy("Of which"),
        max_length=100,
        widget=forms.TextInput({"placeholder": "order:17", "autocomplete": "off", "spellcheck": "false"}),
    )
    period = django_filters.ChoiceFilter(
        choices=PERIODS, method="in_period", label=gettext_lazy("Period"), empty_label=gettext_lazy("Any time")
    )

    class Meta:
        model = AuditEntry
        fields: ClassVar[list[str]] = []

    def __init__(self, *args: Any, colleagues: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [
            ("key", _("Programs with a key")),
            ("command", _("Command line")),
            ("worker", _("Saldo, by itself")),
            ("address", _("Not signed in")),
        ]
        self.filters["who"].extra["choices"] = [*colleagues, *kinds]

    def by_whom(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        """Keep what one person did, or one kind of actor."""
        return rows.filter(actor=value) if ":" in value else rows.filter(actor__startswith=f"{value}:")

    def of_which(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        """Keep deeds to one thing: `order:17`, or the 17 alone."""
        wanted = value.strip()
        return rows.filter(Q(subject=wanted) | Q(subject__endswith=f":{wanted}"))


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Who did what."""
    access.require(request, "audit:read")
    colleagues = access.owned(request, Membership.objects.select_related("user")).order_by("user__username")
    choices = [(f"user:{one.user_id}", one.user.get_full_name() or one.user.get_username()) for one in colleagues]
    filters = TrailFilters(
        request.GET, access.owned(request, AuditEntry.objects.all()), request=request, colleagues=choices
    )
    page = page_of(request, filters.qs, "id")
    named = (name for row in page.rows for name in (row.actor, row.subject, *_people_in(row.details)))
    people = people_named(request, named)
    context = {
        "filters": filters,
        "page": page,
        "people": people,
        "deeds": {row.pk: DEEDS.get(row.action, row.action) for row in page.rows},
        "subjects": {row.pk: subject_of(row, people) for row in page.rows},
        "lines": {row.pk: list(lines_of(row.details, people)) for row in page.rows},
    }
    return render(request, "console/trail.html", context)


def subject_of(row: AuditEntry, people: dict[str, str]) -> tuple[str, str]:
    """Return what a deed was done to, in words, and the address of its page ("" where it has none)."""
    kind, _colon, key = row.subject.partition(":")
    if row.subject in people:
        return people[row.subject], ""
    words = f"{KINDS[kind]} {key}" if kind in KINDS else row.subject
    address = reverse(PAGES[kind], args=[int(key)]) if kind in PAGES and key.isdecimal() and len(key) < 19 else ""
    return words, address


def lines_of(details: dict[str, Any], people: Mapping[str, str]) -> Iterable[Line]:
    """Return a deed's details one by one: `{"changes": {name: [before, after]}}`, and facts beside it.

    people: the names of actors (`user:7`) that the details may hold.
    """
    for name, value in details.items():
        if name == "changes" and isinstance(value, dict):
            for part, pair in value.items():
                is_pair = isinstance(pair, list) and len(pair) == 2
                words = str(PARTS.get(part, part))
                before, after = (_plain(pair[0], people), pair[1]) if is_pair else (None, pair)
                yield Line(words, before, _plain(after, people))
        else:
            yield Line(str(PARTS.get(name, name)), None, _plain(value, people))


def _people_in(details: dict[str, Any]) -> Iterator[str]:
    """Yield the actors among the values before and after."""
    changes = details.get("changes")
    for pair in changes.values() if isinstance(changes, dict) else ():
        yield from (value for value in pair if isinstance(value, str)) if isinstance(pair, list) else ()


def _plain(value: Any, people: Mapping[str, str]) -> str:
    if value is None or value == "" or value == []:
        return "—"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(inner, people)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(inner, people) for inner in value)
    text = str(value)
    if text in people:
        return people[text]
    if text in PROOFS:
        return str(PROOFS[text])
    if text in Membership.Role.values:
        return str(Membership.Role(text).label)
    return _moment(text) or text


def _moment(text: str) -> str:
    """Return a moment in words; "" for any other text, also one that a person typed to look like a moment."""
    if not MOMENT.fullmatch(text):
        return ""
    try:
        return moments.in_full(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return ""
