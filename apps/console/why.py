"""The pages "why is this number 7?": of a listing now, and of a number that was told before."""

from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from apps.connectors.models import Connector, Listing
from apps.console.badges import Badge
from apps.inventory.models import Product
from apps.orders.intake import REFERENCE_TYPE
from apps.orders.models import Order
from apps.sync import asking, explain, inputs
from apps.sync.asking import CannotSync
from apps.sync.explain import Change, Hindrance, Hold, State, Step, Way
from apps.sync.models import SyncLog
from apps.tenants import access

SECRET_COLUMNS = ("connector__client_secret_enc", "connector__refresh_token_enc", "connector__access_token_enc")

STATES: dict[State, Badge] = {
    State.NOT_MAPPED: Badge(gettext_lazy("Mapping needed"), "warn", "link"),
    State.KEPT_BY_CHANNEL: Badge(gettext_lazy("Counted by the channel itself"), "quiet", "info"),
    State.STOCK_UNKNOWN: Badge(gettext_lazy("No stock was received or counted yet"), "warn", "question"),
    State.TELLING: Badge(gettext_lazy("Being told now"), "info", "send"),
    State.WAITING: Badge(gettext_lazy("In the queue"), "info", "clock"),
    State.RETRY: Badge(gettext_lazy("Waits for its next try"), "warn", "clock"),
    State.HELD: Badge(gettext_lazy("Held: too many zeros at once, see the connector"), "warn", "pause"),
    State.SHADOWED: Badge(gettext_lazy("Shadow: computed, not sent"), "warn", "pause"),
    State.DIFFERS: Badge(gettext_lazy("Differs: the comparison finds it within a minute"), "warn", "clock"),
    State.RIGHT: Badge(gettext_lazy("The channel shows this number"), "ok", "check"),
}
HINDRANCES: dict[Hindrance, str | Promise] = {
    Hindrance.STOPPED: gettext_lazy("The connector is stopped: nothing of this account is told until it works again."),
    Hindrance.SWITCHED_OFF: gettext_lazy("The integration is switched off: nothing is told until it is on again."),
    Hindrance.SHADOWED: gettext_lazy("The connector is in shadow mode: numbers are computed and logged, none is sent."),
    Hindrance.LEFT_ALONE: gettext_lazy("The channel does not answer, so it is left alone for a moment."),
}


@dataclass(frozen=True, slots=True)
class HeldUnits:
    """A hold, and the order it is for when it is one of this tenant's."""

    hold: Hold
    order: Order | None


@login_required
@require_safe
def why(request: HttpRequest, pk: int) -> HttpResponse:
    """Why a listing shows its number, and what would make it one more."""
    rows = Listing.objects.select_related("product", "connector", "tenant").defer(*SECRET_COLUMNS)
    found = explain.explain(access.owned_or_404(request, rows, pk=pk))
    wanted = found.wanted
    context = {
        "why": found,
        "listing": found.listing,
        "state": STATES[found.state],
        "hindrance": HINDRANCES[found.hindrance] if found.hindrance else "",
        "made_of": found.made_of,
        "steps": [in_words(step) for step in found.steps],
        "holds": _with_orders(request, found.holds),
        "ways": [way_in_words(change) for change in wanted.changes] if wanted else [],
        "is_joint": wanted is not None and not any(change.is_enough for change in wanted.changes),
    }
    return render(request, "console/why.html", context)


@login_required
@require_safe
def told(request: HttpRequest, pk: int) -> HttpResponse:
    """What a number that was told was made of, as it was then, and what the channel answered."""
    rows = SyncLog.objects.select_related("product", "listing", "connector").defer(*SECRET_COLUMNS)
    log = access.owned_or_404(request, rows, pk=pk)
    made_of = None if log.inputs is None else inputs.restored(log.inputs)
    steps = [in_words(step) for step in explain.steps_of(made_of)] if made_of else []
    return render(request, "console/told.html", {"log": log, "made_of": made_of, "steps": steps})


@login_required
@require_POST
def sync_product(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell the channel the number of every listing of a product now."""
    access.require(request, "listings:sync")
    product = access.owned_or_404(request, Product.objects.all(), pk=pk)
    try:
        asked = asking.ask(product, Connector.Kind.MERCADO_LIVRE, actor=f"user:{request.user.pk}")
    except CannotSync as refusal:
        messages.warning(request, str(CANNOT[refusal.code]))
    else:
        count = sum(row.state is not State.KEPT_BY_CHANNEL for row in asked.listings)
        text = ngettext(
            "%(count)s listing is next in the queue; the result shows here.",
            "%(count)s listings are next in the queue; the results show here.",
            count,
        )
        messages.success(request, text % {"count": count})
    return redirect(f"{reverse('console:syncs')}?{urlencode({'product': product.sku})}")


CANNOT: dict[str, str | Promise] = {
    "product_not_mapped": gettext_lazy("No listing sells this product yet: choose it on a listing's page first."),
    "stock_unknown": gettext_lazy("Saldo was never told what there is of this product: receive or count it first."),
    "stock_kept_by_channel": gettext_lazy("The channel itself counts the stock of every listing of this product."),
}


def in_words(step: Step) -> tuple[str, int]:
    """Return what a step does, and the units after it."""
    texts = {
        "pool": _("Available at the places that count"),
        "margin": _("Share published: %(rule)s%%"),
        "buffer": _("Held back: %(rule)s"),
        "end": _("Zero at %(rule)s or fewer"),
        "cap": _("At most %(rule)s"),
        "in_flight": _("Sold there, not heard of yet: %(rule)s"),
        "depots": _("What the channel's depots have of it"),
    }
    return texts[step.name] % {"rule": step.rule}, step.units


def way_in_words(change: Change) -> str:
    """Return what somebody could do, in a sentence's beginning."""
    units = {"count": change.value}
    match change.way:
        case Way.UNITS:
            text = ngettext("%(count)s more unit available", "%(count)s more units available", change.value) % units
        case Way.FREE:
            text = ngettext("free %(count)s held unit", "free %(count)s held units", change.value) % units
        case Way.UNBLOCK:
            text = ngettext("unblock %(count)s unit", "unblock %(count)s units", change.value) % units
        case Way.PLACES:
            text = (
                ngettext(
                    "sell from the other places, too: %(count)s unit",
                    "sell from the other places, too: %(count)s units",
                    change.value,
                )
                % units
            )
        case Way.MARGIN:
            text = _("publish %(count)s%%") % units
        case Way.BUFFER:
            text = _("hold back %(count)s only") % units
        case Way.END:
            text = _("show zero only at %(count)s or fewer") % units
        case Way.CAP:
            text = _("raise the limit to %(count)s") % units
    return text


def _with_orders(request: HttpRequest, holds: tuple[Hold, ...]) -> list[HeldUnits]:
    """Return each hold with its order; one query for all of them."""
    numbers = {int(hold.reference_id) for hold in holds if hold.reference_type == REFERENCE_TYPE}
    found = access.owned(request, Order.objects.filter(pk__in=numbers)).in_bulk() if numbers else {}
    return [
        HeldUnits(hold, found.get(int(hold.reference_id)) if hold.reference_type == REFERENCE_TYPE else None)
        for hold in holds
    ]
