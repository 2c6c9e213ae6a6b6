"""The pages of jobs over many: plan, confirm, progress, pause, cancel, report.

Nothing here does the work: a page shows what `events.bulk` planned and what workers did of it, and each button is one
decision. Managers and administrators decide; who only works here or reads sees everything.
"""

import csv
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.connectors.models import Connector, Listing
from apps.console import bulk_words, proofs, troubles
from apps.console.filters import EventFilters, SyncFilters
from apps.console.keyset import page_of
from apps.console.number_words import in_words
from apps.console.people import people_named
from apps.events import bulk, search
from apps.events.bulk import CannotChange, CannotPlan
from apps.events.models import IntegrationEvent, Reprocess, ReprocessItem
from apps.notifications.models import Trouble
from apps.sync.models import SyncLog
from apps.tenants import access, audit

Status = Reprocess.Status
State = ReprocessItem.State

SECRET_COLUMNS = ("client_secret_enc", "refresh_token_enc", "access_token_enc")

PAGE_PARAMETERS = ("before", "after", "page")
"""What a list's address says besides its filters."""

LOOK_BACK_DAYS = 15

OPEN = (Status.PROPOSED, Status.APPROVAL, Status.RUNNING, Status.PAUSED)
ENDED = (Status.DONE, Status.CANCELLED)

CSV_ROWS = 2000
"""Rows read at once of a report."""


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """What was sent through again and what is under way, newest first."""
    rows = access.owned(request, Reprocess.objects.defer("plan", "event_ids"))
    page = page_of(request, rows, "created_at", "id")
    context = {
        "page": page,
        "people": people_named(request, (row.actor for row in page.rows)),
        "progress": {row.pk: bulk.progress(row) for row in page.rows if row.status in (Status.RUNNING, Status.PAUSED)},
        "connectors": access.owned(request, Connector.objects.defer(*SECRET_COLUMNS).order_by("name")),
        "look_back_days": LOOK_BACK_DAYS,
    }
    return render(request, "console/reprocessings.html", context)


# --- Planning --------------------------------------------------------------------------------------------------------


@login_required
@require_POST
def plan_events(request: HttpRequest) -> HttpResponse:
    """Plan to reprocess the events of a list, chosen by the list's own filters. Nothing is begun by it."""
    access.require(request, "reprocessings:write")
    query = _filters(request)
    rows = access.owned(request, IntegrationEvent.objects.all())
    includes_done = bool(request.POST.get("includes_done"))
    if includes_done:
        access.require(request, "reprocessings:all")
    return _planned(
        request,
        lambda: bulk.plan_events(
            access.tenant_of(request),
            EventFilters(query, rows, request=request).qs,
            actor=_actor(request),
            filters=query.urlencode(),
            includes_done=includes_done,
        ),
        otherwise=reverse("console:events"),
    )


@login_required
@require_POST
def plan_syncs(request: HttpRequest) -> HttpResponse:
    """Plan to send again the numbers of the listings that a list of synchronisations is about."""
    access.require(request, "reprocessings:write")
    query = _filters(request)
    logs = SyncFilters(query, access.owned(request, SyncLog.objects.all()), request=request).qs
    listings = Listing.objects.filter(pk__in=logs.order_by().values("listing_id"))
    return _planned(
        request,
        lambda: bulk.plan_listings(
            access.tenant_of(request), listings, actor=_actor(request), filters=query.urlencode()
        ),
        otherwise=reverse("console:syncs"),
    )


@login_required
@require_POST
def plan_all_numbers(request: HttpRequest) -> HttpResponse:
    """Plan to send every number of a connector again. Only an administrator: it takes its calls for a while."""
    access.require(request, "listings:resend")
    row = access.owned_or_404(request, Connector.objects.only("pk", "tenant_id"), pk=_number(request, "connector"))
    query = QueryDict(mutable=True)
    query["connector"] = str(row.pk)
    return _planned(
        request,
        lambda: bulk.plan_listings(
            access.tenant_of(request),
            Listing.objects.filter(connector=row),
            actor=_actor(request),
            filters=query.urlencode(),
        ),
        otherwise=reverse("console:reprocessings"),
    )


@login_required
@require_POST
def plan_trouble(request: HttpRequest, pk: int) -> HttpResponse:
    """Plan to send again what a pending matter is about: its events, or the numbers of its listings."""
    access.require(request, "reprocessings:write")
    row = access.owned_or_404(request, Trouble.objects.all(), pk=pk)
    query = troubles.filters_of(row)
    if query is None:
        raise Http404("nothing of this matter can be sent again")
    tenant, actor = access.tenant_of(request), _actor(request)

    def plan() -> Reprocess:
        if row.kind == Trouble.Kind.LISTINGS:
            return bulk.plan_listings(tenant, troubles.listings_of(row), actor=actor)
        rows = access.owned(request, IntegrationEvent.objects.all())
        events = EventFilters(query, rows, request=request).qs
        return bulk.plan_events(tenant, events, actor=actor, filters=query.urlencode())

    return _planned(request, plan, otherwise=reverse("console:trouble", args=[row.pk]))


@login_required
@require_POST
def look_back(request: HttpRequest) -> HttpResponse:
    """Have the channel's orders searched again from some days ago on, for what no notification told."""
    access.require(request, "reprocessings:write")
    rows = Connector.objects.select_related("tenant").defer(*SECRET_COLUMNS)
    row = access.owned_or_404(request, rows, pk=_number(request, "connector"))
    days = min(max(_number(request, "days"), 1), LOOK_BACK_DAYS)
    since = timezone.now() - timedelta(days=days)
    if search.look_back(row, since):
        audit.record(row.tenant, _actor(request), "search.asked", f"connector:{row.pk}", since=since.isoformat())
        messages.success(
            request,
            _("%(connector)s is searched within a minute. Orders that Saldo missed appear among the events.")
            % {"connector": row.name},
        )
    else:
        messages.warning(
            request, _("%(connector)s was never connected, so there is nothing to search.") % {"connector": row.name}
        )
    return redirect("console:reprocessings")


def _planned(request: HttpRequest, plan: Callable[[], Reprocess], *, otherwise: str) -> HttpResponse:
    try:
        job = plan()
    except CannotPlan as refusal:
        messages.warning(request, str(bulk_words.NO_PLAN[refusal.code]))
        return redirect(otherwise)
    return redirect("console:reprocessing", pk=job.pk)


def _filters(request: HttpRequest) -> QueryDict:
    """Return the list's own filters, as its address has them."""
    query = QueryDict(request.POST.get("filters", "")[:2000].replace("\x00", ""), mutable=True)
    for name in PAGE_PARAMETERS:
        query.pop(name, None)
    for name in [name for name, value in query.items() if not value]:
        query.pop(name)
    return query


def _number(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "").strip().replace(".", "").replace(",", "")
    return int(text) if text.isdecimal() and len(text) < 16 else 0


def _actor(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"


# --- One job ---------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def page(request: HttpRequest, pk: str) -> HttpResponse:
    """One job: its plan, how far it is, or what became of every member."""
    return _page(request, _job_or_404(request, pk))


def _job_or_404(request: HttpRequest, pk: str) -> Reprocess:
    return access.owned_or_404(request, Reprocess.objects.exclude(verb="").select_related("tenant", "parent"), pk=pk)


def _page(request: HttpRequest, job: Reprocess, status: int = 200, refusal: str = "") -> HttpResponse:
    told = bulk.progress(job)
    state = request.GET.get("state", "")
    items = _items(request, job)
    if state in State.values:
        items = items.filter(state=state)
    shown = page_of(request, items, "id", descending=False)
    mine = access.membership_of(request)
    context = {
        "job": job,
        "progress": told,
        "is_open": job.status in OPEN,
        "is_ended": job.status in ENDED,
        "is_planned": job.status in (Status.PROPOSED, Status.APPROVAL),
        "groups": [
            {**group, "words": bulk_words.status_words(job, group["status"])} for group in job.summary.get("groups", ())
        ],
        "skipped": [(bulk_words.why(code), count) for code, count in job.summary.get("skipped", {}).items()],
        "reasons": [(State(state), bulk_words.why(code), count) for state, code, count in bulk.reasons(job)],
        "chosen_by": bulk_words.chosen_by(request, job),
        "in_words": in_words(job.count) if job.count < 1_000_000 else "",
        "must_type": job.count > bulk.TYPE_ABOVE,
        "needs_second": job.count > bulk.APPROVE_ABOVE,
        "may_decide": mine.may("reprocessings:write"),
        "may_approve": mine.may("reprocessings:write") and job.confirmed_by != _actor(request),
        "people": people_named(request, (job.actor, job.confirmed_by, job.approved_by)),
        "page": shown,
        "state": state,
        "states": [(one.value, one.label) for one in State],
        "sample": _sample(request, job) if job.status in (Status.PROPOSED, Status.APPROVAL) else [],
        "refusal": bulk_words.REFUSALS.get(refusal, ""),
        "typed": request.POST.get("typed", ""),
        "reason": request.POST.get("reason", ""),
    }
    return render(request, "console/reprocessing.html", context, status=status)


def _items(request: HttpRequest, job: Reprocess) -> QuerySet[ReprocessItem]:
    rows = access.owned(request, ReprocessItem.objects.filter(reprocess=job))
    return rows.select_related("event", "listing").defer("event__body", "event__payload")


def _sample(request: HttpRequest, job: Reprocess) -> list[ReprocessItem]:
    return list(_items(request, job).order_by("id")[: bulk.SAMPLE])


@login_required
@require_POST
def confirm(request: HttpRequest, pk: str) -> HttpResponse:
    """Begin what was planned, or hand it to the second person; whoever begins very many proves again who they are."""
    access.require(request, "reprocessings:write")
    if _job_or_404(request, pk).count > bulk.TYPE_ABOVE and (question := proofs.ask_first(request)):
        return question
    typed = _number(request, "typed") or None
    reason = request.POST.get("reason", "").replace("\x00", "")
    return _decide(
        request,
        pk,
        lambda job: bulk.confirm(
            job, actor=_actor(request), plan_hash=request.POST.get("plan_hash", ""), reason=reason, typed=typed
        ),
        _("It has begun. This page shows how far it is; you may leave it."),
    )


@login_required
@require_POST
def approve(request: HttpRequest, pk: str) -> HttpResponse:
    """Begin, as the second person, what a colleague confirmed."""
    said = _("It has begun. This page shows how far it is; you may leave it.")
    return _decide(request, pk, lambda job: bulk.approve(job, actor=_actor(request)), said)


@login_required
@require_POST
def pause(request: HttpRequest, pk: str) -> HttpResponse:
    """Begin nothing more of a job for now."""
    said = _("Paused: nothing more is begun. What is under way ends by itself.")
    return _decide(request, pk, lambda job: bulk.pause(job, actor=_actor(request)), said)


@login_required
@require_POST
def resume(request: HttpRequest, pk: str) -> HttpResponse:
    """Go on with a paused job."""
    return _decide(request, pk, lambda job: bulk.resume(job, actor=_actor(request)), _("It goes on where it stopped."))


@login_required
@require_POST
def cancel(request: HttpRequest, pk: str) -> HttpResponse:
    """End a job: nothing more is begun, what was done stays."""
    said = _("Cancelled: nothing more is begun. What was done stays done.")
    return _decide(request, pk, lambda job: bulk.cancel(job, actor=_actor(request)), said)


def _decide(request: HttpRequest, pk: str, decide: Callable[[Reprocess], Reprocess], said: str) -> HttpResponse:
    access.require(request, "reprocessings:write")
    job = _job_or_404(request, pk)
    if job.verb == Reprocess.Verb.LISTINGS and "connector=" in job.filters and job.status == Status.PROPOSED:
        access.require(request, "listings:resend")
    try:
        row = decide(job)
    except CannotChange as refusal:
        job.refresh_from_db()
        status = 422 if refusal.code in ("reason", "number") else 409
        return _page(request, job, status=status, refusal=refusal.code)
    if row.status == Status.APPROVAL:
        said = _("It waits for a second person: another manager or administrator approves it on this page.")
    messages.success(request, said)
    return redirect("console:reprocessing", pk=row.pk)


@login_required
@require_POST
def repeat_failures(request: HttpRequest, pk: str) -> HttpResponse:
    """Plan a job over what failed in this one."""
    access.require(request, "reprocessings:write")
    job = _job_or_404(request, pk)
    failures = ReprocessItem.objects.filter(reprocess=job, state=State.FAILED)
    tenant, actor = access.tenant_of(request), _actor(request)

    def plan() -> Reprocess:
        if job.verb == Reprocess.Verb.EVENTS:
            events = IntegrationEvent.objects.filter(pk__in=failures.values("event_id"))
            return bulk.plan_events(tenant, events, actor=actor, parent=job)
        listings = Listing.objects.filter(pk__in=failures.values("listing_id"))
        return bulk.plan_listings(tenant, listings, actor=actor, parent=job)

    return _planned(request, plan, otherwise=reverse("console:reprocessing", args=[job.pk]))


# --- The report as a file --------------------------------------------------------------------------------------------


class _Echo:
    """What `csv` writes to when the row itself is wanted."""

    def write(self, text: str) -> str:
        return text


@login_required
@require_safe
def report(request: HttpRequest, pk: str) -> StreamingHttpResponse:
    """The report as CSV, for a spreadsheet in Portuguese: semicolons, UTF-8 with its mark; streamed row by row."""
    job = _job_or_404(request, pk)
    rows = _items(request, job).order_by("id")
    response = StreamingHttpResponse(_lines(request, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="reprocessamento-{job.pk}.csv"'
    response["Cache-Control"] = "no-store"
    return response


def _lines(request: HttpRequest, rows: QuerySet[ReprocessItem]) -> Iterator[str]:
    writer: Any = csv.writer(_Echo(), delimiter=";")
    header = [_("Resource"), _("Result"), _("Reason code"), _("Reason"), _("Taken at"), _("Finished at"), _("Link")]
    yield "\ufeff" + writer.writerow(header)
    for item in rows.iterator(chunk_size=CSV_ROWS):
        name = "console:event" if item.event_id else "console:listing"
        link = request.build_absolute_uri(reverse(name, args=[item.event_id or item.listing_id]))
        moments = [moment.isoformat() if moment else "" for moment in (item.claimed_at, item.finished_at)]
        reason = str(bulk_words.why(item.code)) if item.code else ""
        cells = [bulk_words.name_of(item), item.get_state_display(), item.code, reason, *moments, link]
        yield writer.writerow([_harmless(str(cell)) for cell in cells])


def _harmless(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
