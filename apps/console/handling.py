"""Moving stock by hand: correct, receive, send to another place, say what arrived.

Three steps on one address: the form, what it would change, the deed. What it would change is not computed here: the
ledger does it in a transaction that is rolled back, so numbers and refusals are the very ones that the deed would meet.
The deed names the versions of the balances as they were shown; when stock moved meanwhile it is refused (409), and the
page says what happened and shows the new numbers with what was typed kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from apps.console.documents import orders_named
from apps.console.people import people_named
from apps.console.shelf import Channel, channels_of
from apps.console.stock_forms import Adjust, Arrive, Receive, Send, StockForm, as_seen
from apps.console.templatetags.console import number
from apps.inventory import ledger
from apps.inventory.ledger import Move, Posted
from apps.inventory.models import Balance, Movement, Product, Reservation, Transfer
from apps.inventory.refusals import InsufficientStock, KeyInFlight, KeyReused, LedgerError, VersionMismatch
from apps.tenants import access
from apps.tenants.models import Tenant

WAIT_MS = 2_000
"""How long a person waits for a balance that somebody holds, before being told to try again."""

HOLDS_SHOWN_MAX = 10
MOVED_SHOWN_MAX = 10

METHODS = ["GET", "HEAD", "POST"]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What there is at a place. `version` counts its movements."""

    on_hand: int = 0
    reserved: int = 0
    available: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """A place before and after."""

    code: str
    before: Numbers
    after: Numbers

    @property
    def delta(self) -> int:
        """Return by how much the units on hand change."""
        return self.after.on_hand - self.before.on_hand

    @property
    def units_short(self) -> int:
        """Return how many promised units are not there afterwards."""
        return max(0, self.after.reserved - self.after.on_hand)


@dataclass(frozen=True, slots=True)
class Told:
    """What a channel is told: the number that a listing should show before and after."""

    channel: Channel
    after: int | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What the form would change."""

    places: tuple[Changed, ...]
    channels: tuple[Told, ...]

    @property
    def changes_nothing(self) -> bool:
        """Tell whether every number stays: then there is nothing to confirm but a count that was right."""
        return not any(place.delta for place in self.places)

    @property
    def units_short(self) -> int:
        """Return how many promised units would be missing afterwards that are not missing now."""
        return sum(
            max(0, place.units_short - max(0, place.before.reserved - place.before.on_hand)) for place in self.places
        )


@dataclass(frozen=True, slots=True)
class Words:
    """What a page calls its deed."""

    name: str  # of the URL
    title: Any
    lead: Any
    deed: Any


WORDS = {
    Adjust: Words(
        "adjust",
        gettext_lazy("Adjust stock"),
        gettext_lazy("Put the number on hand right, with a reason. The channels get the new number within seconds."),
        gettext_lazy("Adjust the stock"),
    ),
    Receive: Words(
        "receive",
        gettext_lazy("Receive goods"),
        gettext_lazy("Units that arrived at a place are for sale at once, on every channel that sells from there."),
        gettext_lazy("Receive the goods"),
    ),
    Send: Words(
        "transfer",
        gettext_lazy("Transfer to another place"),
        gettext_lazy("Units leave one place at once. They count at the other when somebody says that they arrived."),
        gettext_lazy("Transfer the units"),
    ),
    Arrive: Words(
        "arrive",
        gettext_lazy("Receive a transfer"),
        gettext_lazy("Say how many of the units that were sent have arrived. They are for sale there at once."),
        gettext_lazy("Receive the units"),
    ),
}
TABS = (Adjust, Receive, Send)


@login_required
@require_http_methods(METHODS)
def adjust(request: HttpRequest, pk: int) -> HttpResponse:
    """Correct what is on hand at a place."""
    return _change(request, _product(request, pk), Adjust)


@login_required
@require_http_methods(METHODS)
def receive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take goods in."""
    return _change(request, _product(request, pk), Receive)


@login_required
@require_http_methods(METHODS)
def transfer(request: HttpRequest, pk: int) -> HttpResponse:
    """Send units from one place to another."""
    return _change(request, _product(request, pk), Send)


@login_required
@require_http_methods(METHODS)
def arrive(request: HttpRequest, pk: str) -> HttpResponse:
    """Say that units of a transfer arrived."""
    access.require(request, "stock:adjust")
    rows = Transfer.objects.select_related("product", "origin", "destination").filter(destination__isnull=False)
    row = access.owned_or_404(request, rows, pk=pk)
    return _change(request, row.product, Arrive, transfer=row)


def _product(request: HttpRequest, pk: int) -> Product:
    access.require(request, "stock:adjust")
    return access.owned_or_404(request, Product.objects.all(), pk=pk)


def _change(request: HttpRequest, product: Product, kind: type[StockForm], **extra: Any) -> HttpResponse:
    """Show the form, then what it would change, then do it."""
    if request.method != "POST":
        reason = request.GET.get("motivo", "")
        initial = {
            "location": request.GET.get("local"),
            "destination": request.GET.get("para"),
            "reason": reason,
            "how": next(iter(Adjust.DIRECTIONS.get(reason, ())), None),
        }
        form = kind(product=product, initial={name: value for name, value in initial.items() if value}, **extra)
        return _page(request, product, form)
    form = kind(request.POST, product=product, **extra)
    if not form.is_valid():
        return _page(request, product, form, status=422)
    step = request.POST.get("step")
    if step == "edit":
        return _page(request, product, form)
    if isinstance(form, Adjust):
        form.on_hand = {pk: row.on_hand for pk, row in _now(form).items()}
    if step == "confirm" and form.cleaned_data["seen"]:
        return _do(request, product, form)
    return _preview(request, product, form)


def _do(request: HttpRequest, product: Product, form: StockForm) -> HttpResponse:
    tenant = access.tenant_of(request)
    try:
        with transaction.atomic():
            posted = _post(tenant, form.moves(_actor(request)))
    except VersionMismatch:
        return _preview(request, product, form, moved=_moved_since(request, form))
    except LedgerError as refusal:
        return _refused(request, product, form, refusal)
    messages.success(request, _done_in_words(form, posted))
    return redirect("console:movements", pk=product.pk)


def _preview(
    request: HttpRequest, product: Product, form: StockForm, moved: Sequence[Movement] | None = None
) -> HttpResponse:
    """Show what the form would change. moved: what changed since the person saw it last, when that is so."""
    before = _now(form)
    form.cleaned_data["seen"] = ""
    if isinstance(form, Adjust):
        form.on_hand = {pk: row.on_hand for pk, row in before.items()}
    channels = channels_of(request, [product.pk])
    try:
        with transaction.atomic():
            posted = _post(access.tenant_of(request), form.moves(_actor(request)))
            after = {row.listing.pk: row.made_of for row in channels_of(request, [product.pk])}
            transaction.set_rollback(True)
    except LedgerError as refusal:
        return _refused(request, product, form, refusal, moved)
    codes = {place.pk: place.code for place in form.places()}
    # a version that moved between the two looks is refused at the deed, and shown then
    places = [
        Changed(
            codes[row.location_id],
            before.get(row.location_id, Numbers()),
            Numbers(row.on_hand, row.reserved, row.available, row.version),
        )
        for row in posted
    ]
    told = [Told(row, made_of.number if (made_of := after.get(row.listing.pk)) else None) for row in channels]
    seen = as_seen((pk, row.version, row.on_hand) for pk, row in before.items())
    context = {
        "summary": list(_in_words(form)),
        "preview": Preview(tuple(places), tuple(told)),
        "sent": [(name, value) for name, value in _sent(form) if name not in ("seen", "step")] + [("seen", seen)],
        "moved": moved,
        "people": people_named(request, (row.actor for row in moved or ())),
    }
    return _page(request, product, form, context, status=200 if moved is None else 409)


def _post(tenant: Tenant, moves: Sequence[Move]) -> list[Posted]:
    """Make the moves one after the other in the caller's transaction. Raises the first refusal."""
    made = []
    for move in moves:
        verdict = ledger.post(tenant, [move], wait_ms=WAIT_MS)[0]
        if isinstance(verdict, LedgerError):
            raise verdict
        made.append(verdict)
    return made


def _now(form: StockForm) -> dict[int, Numbers]:
    """Return what there is at the form's places, by their ids; zeros where there never was anything."""
    ids = [place.pk for place in form.places()]
    rows = Balance.objects.filter(tenant_id=form.product.tenant_id, product=form.product, location_id__in=ids)
    found = {row.location_id: Numbers(row.on_hand, row.reserved, row.available, row.version) for row in rows}
    return {pk: found.get(pk, Numbers()) for pk in ids}


def _moved_since(request: HttpRequest, form: StockForm) -> list[Movement]:
    """Return what moved at the form's places since the person was shown the numbers, the newest first."""
    found: list[Movement] = []
    for place in form.places():
        rows = Movement.objects.filter(product=form.product, location=place, version__gt=form.expected(place) or 0)
        newest = access.owned(request, rows.select_related("location")).order_by("-recorded_at", "-version")
        found += newest[:MOVED_SHOWN_MAX]
    return found


def _refused(
    request: HttpRequest,
    product: Product,
    form: StockForm,
    refusal: LedgerError,
    moved: Sequence[Movement] | None = None,
) -> HttpResponse:
    """Say what the ledger refused, what is available, and whose holds there are."""
    holds: list[Reservation] = []
    if isinstance(refusal, InsufficientStock):
        rows = Reservation.objects.filter(product=product, location=form.places()[0], status=Reservation.Status.PENDING)
        holds = list(access.owned(request, rows).order_by("id")[:HOLDS_SHOWN_MAX])
    text = refusal.detail
    if isinstance(refusal, KeyReused):
        text = _("This form was sent before and its change was made. Open the page again for another change.")
    elif isinstance(refusal, KeyInFlight):  # a double click: the page of the second one is what the browser shows
        text = _(
            "This form was sent a moment ago and its change is being made: once, however often it is sent. "
            "Open the product's page to see it."
        )
    context = {
        "refusal": text,
        "holds": holds,
        "orders": orders_named(request, holds) if holds else {},
        "refused_at": form.places()[0],
        "moved": moved,
        "people": people_named(request, (row.actor for row in moved or ())),
    }
    return _page(request, product, form, context, status=409)


def _page(
    request: HttpRequest,
    product: Product,
    form: StockForm,
    context: Mapping[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    balances = product.balances.select_related("location").order_by("location__code")
    words = WORDS[type(form)]
    shown = {
        "product": product,
        "form": form,
        "words": words,
        "balances": access.owned(request, balances),
        "transfer": form.transfer if isinstance(form, Arrive) else None,
        "tabs": [] if isinstance(form, Arrive) else [_tab(WORDS[kind], words, product) for kind in TABS],
    }
    return render(request, "console/stock_change.html", {**shown, **(context or {})}, status=status)


def _tab(words: Words, here: Words, product: Product) -> tuple[Any, str, bool]:
    return words.title, reverse(f"console:{words.name}", args=[product.pk]), words is here


def _sent(form: StockForm) -> Iterable[tuple[str, str]]:
    """Yield what the person typed, to be sent again with the confirmation."""
    for name in form.fields:
        value = form.data.get(name)
        if value is not None:
            yield name, str(value)


def _in_words(form: StockForm) -> Iterable[tuple[Any, Any]]:
    """Yield label and value of what was typed, as the person reads it."""
    for field in form.visible_fields():
        value = form.cleaned_data.get(field.name)
        choices = dict(getattr(field.field, "choices", ())) if isinstance(value, str) else {}
        if isinstance(value, bool):
            value = _("Yes") if value else None
        if value not in (None, ""):
            yield field.label, choices.get(value, number(value) if isinstance(value, int) else value)


def _done_in_words(form: StockForm, posted: Sequence[Posted]) -> str:
    codes = {place.pk: place.code for place in form.places()}
    texts = [
        _("%(place)s: %(on_hand)s on hand, %(available)s available.")
        % {"place": codes[row.location_id], "on_hand": number(row.on_hand), "available": number(row.available)}
        for row in posted
    ]
    return " ".join([_("Done."), *texts, _("The channels get their numbers within seconds.")])


def _actor(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"
