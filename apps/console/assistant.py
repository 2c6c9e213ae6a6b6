"""The connector's assistant: seven steps from an application's id to numbers that are told.

Where somebody is, is read from the data each time: from what was entered, authorised, tested, imported, mapped and
activated. So it is left and taken up again by closing and opening the page, and nothing is asked for twice. Each step's
button is the one that the connector's own page has.
"""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from apps.connectors.models import WRITABLE, Connector, Errand, Listing
from apps.console import checkup
from apps.console.badges import Badge
from apps.console.connectors import return_address
from apps.inventory.models import Location
from apps.sync import pausing, simulating
from apps.sync.simulating import ROWS_MAX, Row, Simulation
from apps.tenants import access, audit, flags

FIRST_ONES = 10
"""Listings that an account is activated with."""

DONE = Badge(gettext_lazy("Done"), "ok", "check")
PART = Badge(gettext_lazy("Partly done"), "warn", "clock")
NEXT = Badge(gettext_lazy("Next"), "info", "next")
OPEN = Badge(gettext_lazy("Open"), "quiet", "minus")
BUSY = Badge(gettext_lazy("Under way"), "info", "play")
BLOCKED = Badge(gettext_lazy("Blocked"), "quiet", "lock")

TITLES: dict[str, str | Promise] = {
    "data": gettext_lazy("Name, places and addresses"),
    "authorise": gettext_lazy("Authorise"),
    "test": gettext_lazy("Test"),
    "import": gettext_lazy("Import the listings"),
    "map": gettext_lazy("Map the SKUs"),
    "simulate": gettext_lazy("Simulate"),
    "activate": gettext_lazy("Activate"),
}
"""The steps in their order; the keys are their anchors too."""


@dataclass(slots=True)
class Step:
    """One step as it stands: its badge, and in a sentence why."""

    key: str
    badge: Badge
    text: str

    @property
    def title(self) -> str:
        """Return its name."""
        return str(TITLES[self.key])

    @property
    def is_done(self) -> bool:
        """Tell whether nothing is left to do."""
        return self.badge is DONE

    @property
    def is_blocked(self) -> bool:
        """Tell whether another step must come first."""
        return self.badge is BLOCKED

    @property
    def is_next(self) -> bool:
        """Tell whether it is the one to do now."""
        return self.badge is NEXT


class Describe(forms.ModelForm):  # type: ignore[type-arg]  # generic to the stubs alone
    """What the account is called here, and whose stock it sells."""

    class Meta:
        model = Connector
        fields = ("name", "locations")
        widgets = {"locations": forms.CheckboxSelectMultiple(), "name": forms.TextInput({"autocomplete": "off"})}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        places: Any = self.fields["locations"]
        places.label_from_instance = lambda place: f"{place.code} · {place.name}"
        places.queryset = Location.objects.filter(tenant_id=self.instance.tenant_id).order_by("code")


# --- Where it stands -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """What the steps are read from."""

    connector: Connector
    tested: Errand | None
    imported: Errand | None
    listings: int
    simulation: Simulation
    is_off: bool

    @property
    def is_authorised(self) -> bool:
        """Tell whether somebody let Saldo in."""
        return bool(self.connector.user_id) and self.connector.status != Connector.Status.REAUTHORIZE

    @property
    def is_activated(self) -> bool:
        """Tell whether somebody decided that all numbers be told."""
        return bool(self.connector.user_id) and not self.connector.is_shadow

    @property
    def tells_all(self) -> bool:
        """Tell whether all numbers are told now."""
        return self.is_activated and self.connector.is_running and not self.is_off


def standing_of(row: Connector) -> Standing:
    """Read how far a connector is."""
    errands = Errand.objects.filter(tenant_id=row.tenant_id, connector=row)
    newest = {errand.kind: errand for errand in errands.order_by("kind", "-id").distinct("kind")}
    return Standing(
        connector=row,
        tested=newest.get(Errand.Kind.TEST),
        imported=newest.get(Errand.Kind.IMPORT),
        listings=Listing.objects.filter(connector=row).count(),
        simulation=simulating.simulate(row),
        is_off=not flags.is_on(row.tenant, flags.integration(row.kind)),
    )


def steps_of(now: Standing) -> list[Step]:
    """Return the seven steps; the first that can be done and is not done or partly done is the next."""
    steps = [_data(now), _authorise(now), _test(now), _import(now), _map(now), _simulate(now), _activate(now)]
    for step in steps:
        if step.badge is OPEN:
            step.badge = NEXT
            break
        if step.badge is BUSY:
            break
    return steps


def _data(now: Standing) -> Step:
    return Step("data", DONE, _("The application is entered; the name and the places can be changed here."))


def _authorise(now: Standing) -> Step:
    if now.is_authorised:
        return Step("authorise", DONE, _("Account %(account)s let Saldo in.") % {"account": now.connector.user_id})
    if now.connector.user_id:
        return Step("authorise", OPEN, _("The access to the account ended: authorise it again."))
    return Step("authorise", OPEN, _("Nobody let Saldo into the account yet. Register both addresses there first."))


def _test(now: Standing) -> Step:
    if not now.is_authorised:
        return Step("test", BLOCKED, _("The account must be authorised first."))
    if now.tested is None:
        return Step("test", OPEN, _("Token, account, one listing and the notification address are tried."))
    if now.tested.is_open:
        return Step("test", BUSY, _("The test is under way."))
    failed = [step for step in checkup.in_words(now.tested) if step.badge.tone != "ok"]
    if now.tested.status == Errand.Status.DONE and not failed:
        return Step("test", DONE, _("All four parts of the test went well."))
    names = ", ".join(str(step.name) for step in failed) or str(now.tested.get_status_display())
    return Step(
        "test", OPEN, _("The last test did not go well: %(parts)s. The reasons stand below.") % {"parts": names}
    )


def _import(now: Standing) -> Step:
    if not now.is_authorised:
        return Step("import", BLOCKED, _("The account must be authorised first."))
    if now.imported is not None and now.imported.is_open:
        count = now.imported.report.get("read", 0)
        text = ngettext("%(count)s listing was read so far.", "%(count)s listings were read so far.", count)
        return Step("import", BUSY, text % {"count": count})
    count = now.listings
    if now.imported is not None and now.imported.status != Errand.Status.DONE:
        return Step("import", OPEN, _("The last import did not end well; what was read is kept. Import again."))
    if now.imported is None and not count:
        return Step("import", OPEN, _("No listing is here yet. Reading them moves no stock."))
    text = ngettext("%(count)s listing is here.", "%(count)s listings are here.", count) % {"count": count}
    return Step("import", DONE, text)


def _map(now: Standing) -> Step:
    left = now.simulation.unmapped
    if not now.listings:
        return Step("map", BLOCKED, _("The listings must be imported first."))
    if not left:
        return Step("map", DONE, _("Every listing that Saldo may tell a number has its product."))
    text = ngettext(
        "%(count)s listing has no product: it keeps its number at the channel, and its sales wait.",
        "%(count)s listings have no product: they keep their numbers at the channel, and their sales wait.",
        left,
    ) % {"count": left}
    mapped = now.simulation.total + now.simulation.uncounted
    return Step("map", PART if mapped else OPEN, text)


def _simulate(now: Standing) -> Step:
    found = now.simulation
    if not found.total:
        if found.uncounted:
            return Step(
                "simulate", BLOCKED, _("No stock of the mapped products was entered yet, so there is no number.")
            )
        return Step("simulate", BLOCKED, _("A listing must be mapped first."))
    changed = found.raised + found.lowered
    text = _("Every number at the channel is what would be sent. Nothing is sent by looking.")
    if changed:
        text = ngettext(
            "%(count)s number would change at the channel, %(zeros)s of them to zero. Nothing is sent by looking.",
            "%(count)s numbers would change at the channel, %(zeros)s of them to zero. Nothing is sent by looking.",
            changed,
        ) % {"count": changed, "zeros": found.zeroed}
    return Step("simulate", DONE if now.is_activated or found.live else OPEN, text)


def _activate(now: Standing) -> Step:
    if now.tells_all:
        return Step("activate", DONE, _("Every number is told as stock moves. To go back, pause it."))
    why = _why_not_activated(now)
    if why:
        return Step("activate", BLOCKED, why)
    live = now.simulation.live
    if live:
        text = ngettext(
            "%(count)s listing is told already; the others wait for you.",
            "%(count)s listings are told already; the others wait for you.",
            live,
        )
        return Step("activate", PART, text % {"count": live})
    return Step("activate", OPEN, _("No number is sent yet: the account is in shadow mode."))


def _why_not_activated(now: Standing) -> str:
    if not now.is_authorised:
        return _("The account must be authorised first.")
    if now.is_off:
        return _("The integration is switched off for your company; its administrator switches it on.")
    if not now.connector.is_running:
        return _("The connector does not work now: resume it, or see on its page why it stopped.")
    return "" if now.simulation.total else _("There is no number to tell yet: see the simulation.")


# --- Pages -----------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """The seven steps of one connector, and what is next."""
    return _page(request, _connector_or_404(request, pk))


@login_required
@require_POST
def describe(request: HttpRequest, pk: int) -> HttpResponse:
    """Change what the account is called and whose stock it sells."""
    access.require(request, "publication:write")
    row = _connector_or_404(request, pk)
    before = _described(row)
    form = Describe(request.POST, instance=row)
    if not form.is_valid():
        return _page(request, row, form)
    with transaction.atomic():
        # these columns alone: the tokens change at any moment
        form.save(commit=False).save(update_fields=["name", "updated_at"])
        form.save_m2m()
        after = _described(row)
        changes = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        if changes:
            audit.record(row.tenant, _actor(request), "connector.described", f"connector:{pk}", changes=changes)
    messages.success(request, _("It is kept. Numbers that it changes are computed anew within a minute."))
    return redirect("console:assistant", pk=pk)


def _described(row: Connector) -> dict[str, Any]:
    return {"name": row.name, "locations": list(row.locations.order_by("code").values_list("code", flat=True))}


@login_required
@require_POST
def activate(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell the first listings; or, once these are told, all of them."""
    access.require(request, "connectors:pause")
    row = _connector_or_404(request, pk)
    now = standing_of(row)
    why = _why_not_activated(now)
    if why:
        messages.warning(request, why)
    elif request.POST.get("all"):
        if not may_tell_all(now):
            messages.warning(request, _("Begin with the first listings: they show whether the numbers are right."))
        elif pausing.leave_shadow(row, actor=_actor(request)):
            messages.success(request, _("The account is active: every number of it is sent now."))
    else:
        first = [one.listing_id for one in now.simulation.first_ones(FIRST_ONES)] if not now.simulation.live else []
        count = pausing.activate(row, first, actor=_actor(request))
        text = ngettext(
            "%(count)s listing is told now; its result shows below within seconds.",
            "%(count)s listings are told now; their results show below within seconds.",
            count,
        )
        messages.success(request, text % {"count": count})
    return redirect("console:assistant", pk=pk)


def may_tell_all(now: Standing) -> bool:
    """Tell whether the first listings are told already, so that all may follow."""
    return bool(now.simulation.live)


@login_required
@require_safe
def simulation(request: HttpRequest, pk: int) -> HttpResponse:
    """What the channel shows beside what it would be told, the largest differences first. Nothing is sent."""
    row = _connector_or_404(request, pk)
    found = simulating.simulate(row)
    context = {"connector": row, "found": found, "rows": _with_listings(request, found.rows[:ROWS_MAX])}
    return render(request, "console/simulation.html", context)


def _with_listings(request: HttpRequest, rows: list[Row]) -> list[tuple[Row, Listing]]:
    mine = access.owned(request, Listing.objects.select_related("product"))
    listings = mine.in_bulk([row.listing_id for row in rows])
    return [(row, listings[row.listing_id]) for row in rows if row.listing_id in listings]


def _page(request: HttpRequest, row: Connector, form: Describe | None = None) -> HttpResponse:
    now = standing_of(row)
    steps = steps_of(now)
    live = access.owned(request, Listing.objects.filter(connector=row, live_since__isnull=False))
    first = now.simulation.first_ones(FIRST_ONES) if row.is_shadow and not now.simulation.live else []
    context = {
        "connector": row,
        "now": now,
        "steps": {step.key: step for step in steps},
        "order": steps,
        "next": next((step for step in steps if step.is_next), None),
        "form": form or Describe(instance=row),
        "return_address": return_address(),
        "tested": checkup.in_words(now.tested) if now.tested else [],
        "by_status": _by_status(row),
        "read_only": Listing.objects.filter(connector=row).exclude(WRITABLE).count(),
        "first": _with_listings(request, first),
        "live": live.select_related("product", "connector").order_by("live_since", "pk")[: 2 * FIRST_ONES],
        "may_tell_all": may_tell_all(now),
        "is_busy": any(step.badge is BUSY for step in steps),
    }
    response = render(request, "console/assistant.html", context, status=422 if form else 200)
    response["Cache-Control"] = "no-store"
    return response


def _by_status(row: Connector) -> list[tuple[str, int]]:
    rows = Listing.objects.filter(connector=row).values_list("channel_status").annotate(count=Count("pk"))
    return [(status, count) for status, count in rows.order_by("-count")]


def _connector_or_404(request: HttpRequest, pk: int) -> Connector:
    return access.owned_or_404(request, Connector.objects.select_related("tenant"), pk=pk)


def _actor(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"
