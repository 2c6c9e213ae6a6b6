"""The few tags and filters that the pages share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, Q
from django.http import Http404, HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from apps.connectors.models import Connector
from apps.console import badges, bulk_words, moments, proofs, reasons
from apps.console.channel_words import WORDS
from apps.console.errors import explain
from apps.console.lists import LISTS, kept_pairs
from apps.console.models import SavedView
from apps.events.models import IntegrationEvent
from apps.inventory.models import Movement
from apps.notifications.models import Trouble
from apps.tenants import flags
from apps.tenants.access import membership_of, of_tenant, why_not
from apps.tenants.models import Membership

register = template.Library()

MINUS = "−"

VIEWS_SHOWN_MAX = 100

TROUBLES_COUNTED_MAX = 99
"""Beyond it the menu says 99: whoever has so many looks at the page."""


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return one symbol of static/img/icons.svg; it says nothing that words beside it do not."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', _sprite(), name)


def _sprite() -> str:
    return static("img/icons.svg")


@register.simple_tag
def badge(row: Model | badges.Badge) -> SafeString:
    """Return the badge of a row's state, or the badge given."""
    shown = row if isinstance(row, badges.Badge) else badges.badge_of(row)
    return format_html('<span class="badge badge-{}">{}{}</span>', shown.tone, icon(shown.icon), shown.words)


@register.simple_tag
def oversold_badge() -> SafeString:
    """Return the badge of a balance that promises more than is there."""
    return badge(badges.OVERSOLD)


@register.simple_tag
def shadow_badge() -> SafeString:
    """Return the badge of a connector that sends nothing."""
    return badge(badges.SHADOW)


@register.simple_tag
def moment(when: datetime | None) -> SafeString:
    """Return a `<time>`: how long ago in words, date, seconds and zone on hover; a dash for never."""
    if when is None:
        return format_html('<span class="zero">{}</span>', "—")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', when.isoformat(), moments.in_full(when), moments.ago(when)
    )


@register.simple_tag
def token_until(connector: Connector) -> SafeString:
    """Return for how long the access to an account lasts yet, in words; it is renewed by itself while it is used."""
    until = connector.access_token_expires_at
    if until is None:
        return moment(None)
    seconds = (until - timezone.now()).total_seconds()
    words = _("valid for %(span)s more") if seconds > 0 else _("ended %(span)s ago")
    words %= {"span": moments.span_of(abs(seconds))}
    return format_html('<time datetime="{}" title="{}">{}</time>', until.isoformat(), moments.in_full(until), words)


@register.simple_tag
def exact(when: datetime | None) -> SafeString:
    """Return a `<time>` with date and time to the millisecond, and the zone on hover; a dash for never."""
    if when is None:
        return format_html('<span class="zero">{}</span>', "—")
    shown = moments.to_the_millisecond(when)
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(), moments.in_full(when), shown)


@register.filter
def number(value: int | Decimal | None) -> str:
    """Return a number with thousands separated; a question mark for unknown."""
    if value is None:
        return "?"
    return formats.number_format(value, force_grouping=True).replace("-", MINUS)


@register.filter
def channel_word(word: str) -> SafeString | str:
    """Return a channel's word for a state in the reader's language, the word itself beside it; a dash for none."""
    known = WORDS.get(word)
    if not word or known is None:
        return format_html('<span class="mono">{}</span>', word or "—")
    return format_html('{} <span class="channel-word mono">{}</span>', known, word)


@register.filter
def roughly(value: int) -> str:
    """Return an estimate as people say one: `840`, `12 mil`, `1,2 mi`."""
    if value < 10_000:
        return number(value)
    if value < 1_000_000:
        return _("%(thousands)s thousand") % {"thousands": number(round(value / 1000))}
    return _("%(millions)s million") % {"millions": formats.number_format(round(value / 1_000_000, 1), 1)}


@register.filter
def total(counts: Iterable[int] | None) -> int:
    """Return the sum of some counts; 0 for none."""
    return sum(counts or ())


@register.filter
def minus(value: int, other: int) -> int:
    """Return a difference."""
    return value - other


@register.simple_tag
def bulk_why(code: str) -> str:
    """Return why a member of a job failed or was skipped, in a sentence; a dash for no reason."""
    return str(bulk_words.why(code)) if code else "—"


@register.filter
def signed(value: int) -> str:
    """Return a change with its sign: +3, −2, 0."""
    return f"+{number(value)}" if value > 0 else number(value)


@register.filter
def direction(value: int) -> str:
    """Return the CSS class of a change: positive, negative or zero."""
    return "positive" if value > 0 else "negative" if value < 0 else "zero"


@register.filter
def milliseconds(value: int | None) -> str:
    """Return a duration: `412 ms`, `1,2 s`; a dash while unknown."""
    if value is None:
        return "—"
    return f"{value} ms" if value < 1000 else f"{formats.number_format(value / 1000, 1)} s"


@register.filter
def seconds(value: float) -> str:
    """Return a duration given in seconds: `412 ms`, `1,2 s`, `3 min`."""
    return moments.span_of(value)


@register.filter
def unit_seconds(value: float) -> str:
    """Return an exposure: `7,1 unit·seconds`."""
    shown = formats.number_format(value, 1 if value < 100 else 0, force_grouping=True)
    return _("%(number)s unit·seconds") % {"number": shown}


@register.simple_tag
def money(amount: Decimal | None, currency: str) -> str:
    """Return an amount in its currency: `R$ 1.234,56`; a dash when there is none."""
    if amount is None:
        return "—"
    sign = {"BRL": "R$", "USD": "US$"}.get(currency, currency)
    return f"{sign} {formats.number_format(amount, 2, force_grouping=True)}".strip()


@register.filter
def available_after(row: Movement) -> int:
    """Return how many units could still be promised after a movement."""
    return row.on_hand_after - row.reserved_after - row.blocked_after


@register.filter
def less(value: int, other: int) -> int:
    """Return a number less another."""
    return value - other


@register.filter
def plus(value: int, other: int) -> int:
    """Return the sum of two numbers."""
    return value + other


@register.filter
def trace_start(trace_id: object) -> str:
    """Return the first characters of a trace id: enough to see which rows belong together."""
    return str(trace_id)[:8]


@register.simple_tag
def day(when: datetime) -> SafeString:
    """Return a `<time>` with the date alone, as the reader's calendar has it, and the full time on hover."""
    shown = formats.date_format(timezone.localtime(when), "SHORT_DATE_FORMAT")
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(), moments.in_full(when), shown)


@register.filter
def get(mapping: Mapping[Any, Any], key: object) -> object:
    """Return the entry of a mapping, or None."""
    return mapping.get(key)


@register.inclusion_tag("console/_advice.html")
def advice(
    code: str, text: str = "", has_given_up: bool = False, trace: object = "", was_asked: bool = False
) -> dict[str, object]:
    """Say what an error means and what to do, with the channel's own words and the trace id folded away."""
    found = explain(code, has_given_up=has_given_up, was_asked=was_asked)
    return {"advice": found, "code": code, "text": text, "trace": trace or ""}


@register.filter
def has_given_up(event: IntegrationEvent) -> bool:
    """Tell whether the hub leaves an event to a person."""
    return event.status == IntegrationEvent.Status.ERROR


@register.filter
def actor(name: str, people: Mapping[str, str]) -> str:
    """Return who did it, in words: a colleague's name, a program of the hub, a command."""
    kind, _colon, who = name.partition(":")
    if name in people:
        return people[name]
    words = {
        "user": _("Somebody of support"),
        "worker": _("Saldo, by itself"),
        "command": _("Command line (%(who)s)") % {"who": who},
        "ledger": _("Saldo, because its time had come"),
        "key": _("Program with the key %(who)s…") % {"who": who},
        "token": _("Program %(who)s") % {"who": who},
        "demo": _("Demonstration data"),
        "address": _("Not signed in (%(who)s)") % {"who": who},
    }
    return words.get(kind, name)


@register.filter
def reason(text: str) -> str:
    """Return why stock moved; the hub's own words in the reader's language, a person's as written."""
    return reasons.in_words(text)


@register.simple_tag(takes_context=True)
def current(context: Mapping[str, Any], name: str) -> SafeString:
    """Return `aria-current` when the page shown is `console:<name>` or a page below it."""
    request: HttpRequest | None = context.get("request")
    address = reverse(f"console:{name}")
    path = request.path if request is not None else ""
    is_here = path == address or (path.startswith(address) and name != "home")  # all pages are below the first
    return format_html('aria-current="{}"', "page") if is_here else SafeString("")


@register.simple_tag(takes_context=True)
def live(context: Mapping[str, Any], seconds: int = 5) -> SafeString:
    """Return the attributes of the region `rows`, which htmx then takes afresh from its own page every few seconds.

    static/js/console.js says when not: while the tab is hidden, paused or in use, and less often after a failure.
    """
    request: HttpRequest = context["request"]
    return format_html(
        'data-live hx-get="{}" hx-select="#rows" hx-target="this" hx-swap="outerHTML" hx-trigger="every {}s, look"',
        request.get_full_path() if request.method == "GET" else request.path,
        seconds,
    )


@register.simple_tag(takes_context=True)
def membership(context: Mapping[str, Any]) -> Membership | None:
    """Return the signed-in person's place in the tenant they work in; None for strangers and error pages."""
    request: HttpRequest | None = context.get("request")
    if request is None or not getattr(request, "user", AnonymousUser()).is_authenticated:
        return None
    try:
        return membership_of(request)
    except Http404:
        return None


@dataclass(frozen=True, slots=True)
class Permitted:
    """Whether the reader may do something; as a condition it is the answer, `reason` says why not and whom to ask."""

    is_permitted: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.is_permitted


@register.simple_tag(takes_context=True)
def may(context: Mapping[str, Any], permission: str) -> Permitted:
    """Tell whether the signed-in person's role holds a permission: `{% may "prices:write" as may_change %}`."""
    here = membership(context)
    return Permitted(True) if here and here.may(permission) else Permitted(False, why_not(permission))


@register.inclusion_tag("console/_prove.html", takes_context=True)
def prove_first(context: Mapping[str, Any]) -> dict[str, object]:
    """Ask for the password or code before a form is filled in whose button would ask for it (proofs.py)."""
    request: HttpRequest = context["request"]
    return {"is_fresh": proofs.is_fresh(request), "here": request.path}


@register.simple_tag(takes_context=True)
def other_memberships(context: Mapping[str, Any]) -> list[Membership]:
    """Return the person's other tenants, to change to."""
    here = membership(context)
    if here is None:
        return []
    rows = Membership.objects.filter(user_id=here.user_id).exclude(pk=here.pk)
    return list(rows.select_related("tenant").order_by("tenant__name"))


@register.inclusion_tag("console/_switched_off.html", takes_context=True)
def switched_off(context: Mapping[str, Any]) -> dict[str, object]:
    """Say what is switched off, paused or in shadow mode for the tenant, so that nobody looks for a fault."""
    here = membership(context)
    off = flags.switched_off(here.tenant) if here else set()
    stopped = Connector.objects.filter(Q(status=Connector.Status.PAUSED) | Q(shadow_since__isnull=False))
    return {
        "channels": [kind.label for kind in Connector.Kind if flags.integration(kind) in off],
        "stopped": of_tenant(here.tenant, stopped.only("name", "status", "status_reason")) if here else [],
    }


@register.inclusion_tag("console/_list_tools.html", takes_context=True)
def list_tools(context: Mapping[str, Any]) -> dict[str, object]:
    """Return the menus of a list that lists.LISTS knows: its views, and its export; nothing on other pages."""
    request, here = context.get("request"), membership(context)
    match = request.resolver_match if request else None
    page = LISTS.get(match.url_name or "") if match and here else None
    if page is None or request is None or here is None or match is None:
        return {}
    rows = SavedView.objects.filter(Q(owner_id=here.user_id) | Q(is_shared=True), page=match.url_name)
    saved = list(of_tenant(here.tenant, rows).order_by("name", "pk")[:VIEWS_SHOWN_MAX])
    return {
        "request": request,
        "csrf_token": context.get("csrf_token"),
        "page_name": match.url_name,
        "path": request.path,
        "query": "&".join(kept_pairs(request.GET, set(context["filters"].filters))),
        "built_in": page.views,
        "mine": [view for view in saved if view.owner_id == here.user_id],
        "shared": [view for view in saved if view.owner_id != here.user_id],
        "may_share": here.may("views:share"),
    }


@register.simple_tag(takes_context=True)
def open_troubles(context: Mapping[str, Any]) -> int:
    """Return how many causes keep numbers of the tenant from their channels now."""
    here = membership(context)
    if here is None:
        return 0
    found = Trouble.objects.filter(tenant_id=here.tenant_id, closed_at__isnull=True).values_list("pk", flat=True)
    return len(found[:TROUBLES_COUNTED_MAX])


@register.simple_tag
def environment() -> dict[str, str]:
    """Return what this installation is, for the bar on top: a simulator, a development machine, or the real thing."""
    if settings.SALDO_DEMO:
        return {
            "kind": "simulator",
            "name": _("DEMONSTRATION"),
            "text": _("nothing here reaches a real marketplace"),
        }
    if settings.IS_DEVELOPMENT:
        return {"kind": "development", "name": _("DEVELOPMENT"), "text": ""}
    if settings.SALDO_STAGING:
        return {"kind": "staging", "name": _("STAGING"), "text": _("for trying out; not the shop's own stock")}
    return {"kind": "production", "name": _("PRODUCTION"), "text": ""}
