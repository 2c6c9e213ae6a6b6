"""The pages of connectors: an application's credentials, letting the hub in at the channel, testing, import, sync.

Only an administrator of the tenant enters secrets or authorises (tenants/permissions.py says who does what).
No secret is ever shown: of each at most the last four characters, and those only to an administrator.
"""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.common.error_codes import UNKNOWN
from apps.connectors import authorizing, breaker, connecting, credentials, errands
from apps.connectors.connecting import CannotConnect
from apps.connectors.models import Connector, Errand, Listing
from apps.console import checkup
from apps.console.errors import explain
from apps.console.forms import NewConnector, PauseConnector, ReplaceSecrets
from apps.console.people import people_named
from apps.console.proofs import fresh_proof
from apps.console.views import back_to
from apps.sync import freshness, pausing, queue
from apps.sync.models import Divergence
from apps.tenants import access

SECRET_COLUMNS = ("client_secret_enc", "refresh_token_enc", "access_token_enc")

COUNTS = {
    "listing_count": Count("listings"),
    "unmapped_count": Count("listings", filter=Q(listings__product__isnull=True)),
    "failing_count": Count("listings", filter=Q(listings__sync_state=Listing.SyncState.ERROR)),
    "held_count": Count("listings", filter=Q(listings__held_at__isnull=False)),
}

ROADS = {
    "followed": gettext_lazy("Recorded until noticed"),
    "sent": gettext_lazy("Noticed until sent"),
    "accepted": gettext_lazy("Sent until accepted"),
    "total": gettext_lazy("Recorded until accepted"),
}


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The accounts on the channels: whether each works, and the address its application must call."""
    accounts = Connector.objects.defer(*SECRET_COLUMNS).select_related("watch").prefetch_related("silent_topics")
    rows = access.owned(request, accounts.annotate(**COUNTS).order_by("name", "id"))
    found = breaker.states(row.pk for row in rows)
    left_alone = {pk for pk, state in found.items() if state is not breaker.State.CLOSED}
    context = {
        "connectors": rows,
        "left_alone": left_alone,
        "people": people_named(request, (row.paused_by for row in rows)),
    }
    return render(request, "console/connectors.html", context)


@login_required
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """One connector: what it needs of a person, its addresses and credentials, the last test and import."""
    return _page(request, _connector_or_404(request, pk))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@fresh_proof
def new(request: HttpRequest) -> HttpResponse:
    """Enter an application's id and secret. Whose account it is, the channel says once a person authorised."""
    access.require(request, "connectors:write")
    form = NewConnector(request.POST or None)
    if not form.is_valid():
        return _render(request, "console/connector_new.html", {"form": form}, status=422 if form.is_bound else 200)
    said = form.cleaned_data
    row = connecting.register(
        access.tenant_of(request),
        kind=form.kind,
        name=said["name"],
        client_id=said["client_id"],
        client_secret=said["client_secret"],
        actor=_actor(request),
    )
    messages.success(request, _("The application is kept. Now register both addresses there, then authorise."))
    return redirect("console:assistant", pk=row.pk)


@login_required
@require_POST
@fresh_proof
def replace_secrets(request: HttpRequest, pk: int) -> HttpResponse:
    """Enter another secret of the application, or a refresh token that was got elsewhere."""
    access.require(request, "connectors:write")
    row = _connector_or_404(request, pk)
    form = ReplaceSecrets(request.POST)
    if not form.is_valid():
        return _page(request, row, form)
    said = form.cleaned_data
    if said["client_secret"]:
        connecting.replace_secret(row, said["client_secret"], actor=_actor(request))
        messages.success(request, _("The new secret is kept; the old one is forgotten."))
    if said["refresh_token"]:
        try:
            connecting.take_refresh_token(row, said["refresh_token"], actor=_actor(request))
        except CannotConnect as refusal:
            _say(request, refusal)
        else:
            messages.success(request, _("The account is connected; what waited goes on by itself."))
    return redirect("console:connector", pk=row.pk)


# --- Authorising --------------------------------------------------------------------------------------------------


@login_required
@require_POST
@fresh_proof
def authorize(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the person to the channel's consent page.

    By a page that goes on by itself, not by a redirect: `form-action` holds for each redirect that a form leads to, and
    through how many addresses the channel sends people is its own affair.
    """
    access.require(request, "connectors:write")
    row = _connector_or_404(request, pk)
    address = authorizing.begin(
        row, user=_person(request), session_key=request.session.session_key or "", redirect_uri=return_address()
    )
    return _render(request, "console/leaving.html", {"connector": row, "address": address}, status=200)


@login_required
@require_safe
def authorized(request: HttpRequest) -> HttpResponse:
    """Where the channel sends the person back to, with a code or without.

    A GET that changes something, for the channel redirects: what protects it is `state`. The answer is a redirect, so
    that the code stays in no address bar.
    """
    access.require(request, "connectors:write")
    state = request.GET.get("state", "")
    try:
        row = authorizing.claim(
            access.tenant_of(request),
            user=_person(request),
            session_key=request.session.session_key or "",
            state=state,
        )
    except CannotConnect as refusal:
        _say(request, refusal)
        return redirect("console:connectors")
    try:
        authorizing.finish(
            row,
            state=state,
            code=request.GET.get("code", ""),
            error=request.GET.get("error", ""),
            redirect_uri=return_address(),
            actor=_actor(request),
        )
    except CannotConnect as refusal:
        _say(request, refusal)
    else:
        messages.success(request, _("The account is connected; what waited goes on by itself."))
    return redirect("console:assistant" if row.is_shadow else "console:connector", pk=row.pk)


def return_address() -> str:
    """Return the `redirect_uri` to register at the channel: one for all connectors, without a variable part."""
    return settings.SALDO_PUBLIC_URL + reverse("console:authorized")


# --- Testing, importing, synchronising ----------------------------------------------------------------------------


@login_required
@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for a test of the connector."""
    access.require(request, "connectors:check")
    row = _connector_or_404(request, pk)
    if not row.user_id:
        messages.warning(request, _("There is nothing to test before the account is authorised."))
    elif not errands.ask(row, Errand.Kind.TEST, actor=_actor(request)):
        messages.info(request, _("A test is under way already; its steps show here."))
    return back_to(request, reverse("console:connector", args=[row.pk]))


@login_required
@require_POST
def import_listings(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for an import of the account's listings."""
    access.require(request, "listings:import")
    row = _connector_or_404(request, pk)
    makes_products = "makes_products" in request.POST
    if not row.user_id:
        messages.warning(request, _("There is nothing to import before the account is authorised."))
    elif not errands.ask(row, Errand.Kind.IMPORT, actor=_actor(request), makes_products=makes_products):
        messages.info(request, _("An import is under way already; how far it is shows here."))
    return back_to(request, reverse("console:connector", args=[row.pk]))


@login_required
@require_POST
def cancel_import(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the import that is under way to stop."""
    access.require(request, "listings:import")
    row = _connector_or_404(request, pk)
    errand = _newest(row, Errand.Kind.IMPORT)
    if errand and errands.cancel(errand):
        messages.success(request, _("The import stops after what it is reading now; what was read is kept."))
    else:
        messages.info(request, _("No import is under way."))
    return redirect("console:connector", pk=row.pk)


@login_required
@require_POST
def sync(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell the channel the numbers of all of the connector's mapped listings now."""
    access.require(request, "listings:sync")
    row = _connector_or_404(request, pk)
    count = queue.mark_now(access.owned(request, Listing.objects.filter(connector=row)))
    if not count:
        messages.warning(request, _("No listing has a product yet, so there is no number to tell."))
    elif not row.is_running:
        text = ngettext(
            "%(count)s listing is in the queue; it is told once the connector works again.",
            "%(count)s listings are in the queue; they are told once the connector works again.",
            count,
        )
        messages.warning(request, text % {"count": count})
    else:
        text = ngettext(
            "%(count)s listing is in the queue; the result shows among the synchronisations.",
            "%(count)s listings are in the queue; the results show among the synchronisations.",
            count,
        )
        messages.success(request, text % {"count": count})
    return redirect("console:connector", pk=row.pk)


@login_required
@require_POST
def compare(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the channel's numbers to be read back and compared with the hub's."""
    access.require(request, "connectors:check")
    row = _connector_or_404(request, pk)
    if not row.is_running:
        messages.warning(request, _("Nothing may be read from this account now, so there is nothing to compare."))
    elif not errands.ask(row, Errand.Kind.RECONCILE, actor=_actor(request)):
        messages.info(request, _("A comparison is under way already; how far it is shows here."))
    return redirect("console:connector", pk=row.pk)


@login_required
@require_POST
def cancel_compare(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the comparison that is under way to stop."""
    access.require(request, "connectors:check")
    row = _connector_or_404(request, pk)
    errand = _newest(row, Errand.Kind.RECONCILE)
    if errand and errands.cancel(errand):
        messages.success(request, _("The comparison stops after what it is reading now; what it found is kept."))
    else:
        messages.info(request, _("No comparison is under way."))
    return redirect("console:connector", pk=row.pk)


# --- Pausing, shadow mode -----------------------------------------------------------------------------------------


@login_required
@require_POST
def pause(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop reading from and telling the account, for a reason that everybody sees."""
    access.require(request, "connectors:pause")
    row = _connector_or_404(request, pk)
    form = PauseConnector(request.POST)
    if not form.is_valid():
        messages.error(request, _("Say why the connector is paused: whoever finds it so must know. It goes on."))
    elif pausing.pause(row, reason=form.cleaned_data["reason"], actor=_actor(request)):
        messages.success(
            request, _("The connector is paused: nothing is read or told. What the channel tells is stored and waits.")
        )
    else:
        messages.info(request, _("The connector does not work now, so there is nothing to pause."))
    return redirect("console:connector", pk=row.pk)


@login_required
@require_POST
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a paused connector go on."""
    access.require(request, "connectors:pause")
    row = _connector_or_404(request, pk)
    if pausing.resume(row, actor=_actor(request)):
        messages.success(request, _("The connector goes on: what waited is read, and numbers that differ are sent."))
    else:
        messages.info(request, _("The connector is not paused."))
    return redirect("console:connector", pk=row.pk)


@login_required
@require_POST
def enter_shadow(request: HttpRequest, pk: int) -> HttpResponse:
    """Compute and log numbers from now on, and send none."""
    access.require(request, "connectors:pause")
    row = _connector_or_404(request, pk)
    if pausing.enter_shadow(row, actor=_actor(request)):
        messages.success(request, _("Shadow mode: sales come in, numbers are computed and logged, and none is sent."))
    else:
        messages.info(request, _("The connector is in shadow mode already."))
    return back_to(request, reverse("console:connector", args=[row.pk]))


@login_required
@require_POST
def leave_shadow(request: HttpRequest, pk: int) -> HttpResponse:
    """Send numbers again."""
    access.require(request, "connectors:pause")
    row = _connector_or_404(request, pk)
    if pausing.leave_shadow(row, actor=_actor(request)):
        messages.success(request, _("Shadow mode has ended: every number of this account is sent now."))
    else:
        messages.info(request, _("The connector is not in shadow mode."))
    return redirect("console:connector", pk=row.pk)


# --- Parts --------------------------------------------------------------------------------------------------------


def _page(request: HttpRequest, row: Connector, form: ReplaceSecrets | None = None) -> HttpResponse:
    """Render the connector's page; with a form that was refused, 422."""
    of_row = Errand.objects.filter(tenant_id=row.tenant_id, connector=row)
    newest = {errand.kind: errand for errand in of_row.order_by("kind", "-id").distinct("kind")}
    tested, imported = newest.get(Errand.Kind.TEST), newest.get(Errand.Kind.IMPORT)
    compared = newest.get(Errand.Kind.RECONCILE)
    holds_secrets = access.membership_of(request).may("connectors:write")
    told = freshness.measure(tenant_id=row.tenant_id, connector_id=row.pk)
    offered = freshness.too_many(tenant_id=row.tenant_id, connector_id=row.pk)
    context = {
        "connector": row,
        "counts": Connector.objects.filter(pk=row.pk).annotate(**COUNTS).values(*COUNTS).get(),
        "return_address": return_address(),
        "form": form or ReplaceSecrets(),
        "endings": _endings(row) if holds_secrets else {},
        "tested": tested,
        "steps": checkup.in_words(tested) if tested else [],
        "imported": imported,
        "told": told[0] if told else None,
        "spans": [(ROADS[step], span) for step, span in told[0].spans.items()] if told else [],
        "offered": offered[0] if offered else None,
        "compared": compared,
        "newest_run": row.reconcile_runs.order_by("-started_at").first(),
        "divergences": _open_divergences(row),
        "pause_form": PauseConnector(),
        "people": people_named(request, [row.paused_by, row.shadow_by]),
        "is_busy": any(errand and errand.is_open for errand in (tested, imported, compared)),
    }
    return _render(request, "console/connector.html", context, status=422 if form else 200)


def _render(request: HttpRequest, template: str, context: dict[str, object], *, status: int) -> HttpResponse:
    response = render(request, template, context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _connector_or_404(request: HttpRequest, pk: int) -> Connector:
    return access.owned_or_404(request, Connector.objects.select_related("tenant"), pk=pk)


def _newest(row: Connector, kind: Errand.Kind) -> Errand | None:
    return Errand.objects.filter(tenant_id=row.tenant_id, connector=row, kind=kind).order_by("-id").first()


def _open_divergences(row: Connector) -> int:
    rows = Divergence.objects.filter(connector=row, resolved_at__isnull=True, ignored_at__isnull=True)
    return int(rows.aggregate(count=Count("pk"))["count"])


def _endings(row: Connector) -> dict[str, str]:
    """Return the last characters of the secrets there are; "" for one that is there and may not show any."""
    return {
        field: credentials.ending(row, field)
        for field in ("client_secret", "refresh_token")
        if getattr(row, f"{field}_enc")
    }


def _say(request: HttpRequest, refusal: CannotConnect) -> None:
    advice = explain(refusal.code, was_asked=True) or UNKNOWN
    messages.error(request, f"{advice.meaning} {advice.action}")


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise TypeError("a page for people who signed in")
    return request.user


def _actor(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"
