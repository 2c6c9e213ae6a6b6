"""The pages on which listings get their products: suggestions, many at once, by file; one made new; one taken away."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.validators import RegexValidator
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.connectors.models import Connector, Listing, MappingItem, MappingJob
from apps.console import listing_product, mapping_jobs, suggestions
from apps.console.forms import CsvFile
from apps.console.keyset import page_of
from apps.console.mapping_jobs import CannotChange, CannotPlan
from apps.console.number_words import in_words
from apps.console.people import people_named
from apps.console.suggestions import WHY
from apps.inventory.models import Product
from apps.tenants import access

SECRET_COLUMNS = ("client_secret_enc", "refresh_token_enc", "access_token_enc")

Status = MappingJob.Status
State = MappingItem.State

ROWS = 25
"""Listings on one page of suggestions."""

JOBS_SHOWN = 5


class ListingsCsv(CsvFile):
    """The template of listings, filled in."""


class NewProduct(forms.Form):
    """The product that a listing sells and that is not there yet; filled in from what the channel says of it."""

    sku = forms.CharField(label="SKU", max_length=100, widget=forms.TextInput({"autocomplete": "off"}))
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=300, widget=forms.TextInput({"autocomplete": "off", "maxlength": 300})
    )
    gtin = forms.CharField(
        label=gettext_lazy("GTIN (bar code), if it has one"),
        max_length=14,
        required=False,
        validators=[RegexValidator(r"^(\d{8}|\d{12,14})$", gettext_lazy("A GTIN has 8, 12, 13 or 14 digits."))],
        widget=forms.TextInput({"autocomplete": "off", "inputmode": "numeric"}),
    )


# --- Suggestions -----------------------------------------------------------------------------------------------------


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The listings without a product, each with what it probably sells and why."""
    return _index(request)


def _index(request: HttpRequest, *, form: ListingsCsv | None = None, refusal: str = "") -> HttpResponse:
    connectors = list(access.owned(request, Connector.objects.only("pk", "name", "tenant_id").order_by("name")))
    connector = _chosen_connector(request, connectors)
    page = page_of(request, _unmapped(request, connector), "id", size=ROWS)
    found = suggestions.suggest(access.tenant_of(request), page.rows)
    jobs = list(access.owned(request, MappingJob.objects.all()).order_by("-made_at", "-id")[:JOBS_SHOWN])
    context = {
        "page": page,
        "found": found,
        "waiting": listing_product.waiting_events(page.rows),
        "connectors": connectors,
        "connector": connector,
        "jobs": jobs,
        "people": people_named(request, (job.made_by for job in jobs)),
        "form": form or ListingsCsv(),
        "refusal": refusal,
    }
    return render(request, "console/mapping.html", context, status=422 if form or refusal else 200)


def _unmapped(request: HttpRequest, connector: Connector | None) -> QuerySet[Listing]:
    rows = access.owned(request, Listing.objects.filter(product__isnull=True).select_related("connector"))
    rows = rows.defer(*(f"connector__{name}" for name in SECRET_COLUMNS))
    return rows.filter(connector=connector) if connector else rows


def _chosen_connector(request: HttpRequest, connectors: list[Connector]) -> Connector | None:
    asked = request.GET.get("connector", "") or request.POST.get("connector", "")
    return next((one for one in connectors if str(one.pk) == asked), None)


@login_required
@require_POST
def plan(request: HttpRequest) -> HttpResponse:
    """Plan to map the ticked listings, each to the product chosen beside it. Nothing is mapped by it."""
    access.require(request, "mappings:import")
    chosen = []
    for text in request.POST.getlist("listing")[: mapping_jobs.LINES_MAX]:
        product = request.POST.get(f"product-{text}", "")
        if text.isdecimal() and product.isdecimal() and len(text) < 19 and len(product) < 19:
            chosen.append((int(text), int(product)))
    return _planned(request, lambda: mapping_jobs.plan_chosen(access.tenant_of(request), chosen, actor=_actor(request)))


@login_required
@require_POST
def plan_certain(request: HttpRequest) -> HttpResponse:
    """Plan to map every listing whose product a code names and none contradicts. Nothing is mapped by it."""
    access.require(request, "mappings:import")
    connectors = list(access.owned(request, Connector.objects.only("pk", "tenant_id")))
    connector = _chosen_connector(request, connectors)
    return _planned(
        request,
        lambda: mapping_jobs.plan_certain(
            access.tenant_of(request), actor=_actor(request), connector_id=connector.pk if connector else None
        ),
    )


def _planned(request: HttpRequest, make: Callable[[], MappingJob]) -> HttpResponse:
    try:
        job = make()
    except CannotPlan as refusal:
        return _index(request, refusal=str(refusal))
    return redirect("console:mapping-job", pk=job.pk)


# --- The file --------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def template(request: HttpRequest) -> StreamingHttpResponse:
    """The listings as a CSV to fill in: those without a product, or all (`?all=1`)."""
    rows = access.owned(request, Listing.objects.select_related("product").order_by("-id"))
    if not request.GET.get("all"):
        rows = rows.filter(product__isnull=True)
    if request.GET.get("connector", "").isdecimal():
        rows = rows.filter(connector_id=int(request.GET["connector"][:18]))
    lines = mapping_jobs.write_csv(rows.iterator(chunk_size=500))
    return _csv(lines, "anuncios_e_skus.csv")


@login_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Judge each line of a filled-in file and show what it would change. Nothing is mapped by it."""
    access.require(request, "mappings:import")
    form = ListingsCsv(request.POST, request.FILES)
    if not form.is_valid():
        return _index(request, form=form)
    name = str(form.cleaned_data["file"].name)
    tenant, actor = access.tenant_of(request), _actor(request)
    return _planned(request, lambda: mapping_jobs.plan_file(tenant, form.text, name=name, actor=actor))


def _csv(lines: Iterator[str], name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


# --- A job -----------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def job_page(request: HttpRequest, pk: str) -> HttpResponse:
    """One job: what it would do, how far it is, or what became of each line."""
    return _job_page(request, _job_or_404(request, pk))


def _job_page(request: HttpRequest, job: MappingJob, *, refusal: str = "", status: int = 200) -> HttpResponse:
    rows = MappingItem.objects.filter(job=job).select_related("listing", "product")
    state = request.GET.get("state", "")
    if state in State.values:
        rows = rows.filter(state=state)
    page = page_of(request, rows, "line", "id", descending=False)
    counts = mapping_jobs.progress(job)
    todo = Listing.objects.filter(pk__in=job.items.filter(state=State.WAITING).values("listing_id"))
    is_planned = job.status == Status.PROPOSED
    context = {
        "job": job,
        "progress": counts,
        "reasons": mapping_jobs.reasons(job),
        "page": page,
        "why": WHY,
        "codes": mapping_jobs.CODES,
        "states": State.choices,
        "state": state,
        "in_words": in_words(counts.waiting),
        "waiting_count": listing_product.waiting_for(job.tenant, todo) if is_planned else 0,
        "waiting": listing_product.waiting_events([item.listing for item in page.rows if item.listing])
        if is_planned
        else {},
        "earlier": mapping_jobs.earlier_of(job) if is_planned else None,
        "is_planned": is_planned,
        "is_open": job.finished_at is None,
        "people": people_named(request, [job.made_by, job.confirmed_by]),
        "refusal": refusal,
    }
    return render(request, "console/mapping_job.html", context, status=status)


@login_required
@require_POST
def confirm(request: HttpRequest, pk: str) -> HttpResponse:
    """Let a planned job begin. A plan with refused lines needs a second yes: that those are left out."""
    access.require(request, "mappings:import")
    job = _job_or_404(request, pk)
    count = request.POST.get("count", "")[:18]
    if mapping_jobs.progress(job).failed and job.status == Status.PROPOSED and not request.POST.get("leaves_out"):
        text = _("Some lines are refused. Say that they are left out, or correct the file and send it again.")
        return _job_page(request, job, refusal=text, status=422)
    try:
        mapping_jobs.confirm(job, actor=_actor(request), count=int(count) if count.isdecimal() else -1)
    except CannotChange as refusal:
        job.refresh_from_db()
        return _job_page(request, job, refusal=_refused(refusal), status=409)
    return redirect("console:mapping-job", pk=job.pk)


@login_required
@require_POST
def pause(request: HttpRequest, pk: str) -> HttpResponse:
    """Begin no further batch for now."""
    return _decided(request, pk, mapping_jobs.pause)


@login_required
@require_POST
def resume(request: HttpRequest, pk: str) -> HttpResponse:
    """Go on with a paused job."""
    return _decided(request, pk, mapping_jobs.resume)


@login_required
@require_POST
def cancel(request: HttpRequest, pk: str) -> HttpResponse:
    """End a job; what is mapped stays mapped."""
    return _decided(request, pk, mapping_jobs.cancel)


def _decided(request: HttpRequest, pk: str, decide: Callable[..., None]) -> HttpResponse:
    access.require(request, "mappings:import")
    job = _job_or_404(request, pk)
    try:
        decide(job, actor=_actor(request))
    except CannotChange as refusal:
        job.refresh_from_db()
        return _job_page(request, job, refusal=_refused(refusal), status=409)
    return redirect("console:mapping-job", pk=job.pk)


def _refused(refusal: CannotChange) -> str:
    if refusal.code == "moved":
        return _("Another number was shown, or there is nothing to map. Nothing was changed: look again.")
    return _("Somebody else decided meanwhile; this page shows how it stands. Nothing was changed by your button.")


@login_required
@require_safe
def report(request: HttpRequest, pk: str) -> StreamingHttpResponse:
    """What became of each line, as a CSV; the refused ones can be corrected in it and sent again."""
    job = _job_or_404(request, pk)
    rows = MappingItem.objects.filter(job=job).order_by("line", "id").iterator(chunk_size=1000)
    return _csv(_report(rows), f"mapeamento-{str(job.pk)[:8]}.csv")


def _report(rows: Iterator[MappingItem]) -> Iterator[str]:
    yield "\ufeff" + ";".join([_("line"), _("listing"), "SKU", _("result"), _("reason")]) + "\r\n"
    for row in rows:
        out = io.StringIO()
        cells = [row.line, row.named, row.sku, row.get_state_display(), mapping_jobs.words(row.code)]
        csv.writer(out, delimiter=";").writerow([mapping_jobs.harmless(str(cell)) for cell in cells])
        yield out.getvalue()


def _job_or_404(request: HttpRequest, pk: str) -> MappingJob:
    return access.owned_or_404(request, MappingJob.objects.select_related("tenant"), pk=pk)


# --- One listing -----------------------------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def unmap(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what it means that a listing sells no product any more; then, confirmed, make it so."""
    access.require(request, "mappings:write")
    row = _listing_or_404(request, pk)
    if request.method == "POST":
        if listing_product.unmap_listing(row, actor=_actor(request)):
            text = _("%(listing)s sells no product now: the channel keeps its number, and its next sales wait.")
            messages.success(request, text % {"listing": row})
        else:
            messages.info(request, _("%(listing)s sold no product already.") % {"listing": row})
        return redirect("console:listing", pk=row.pk)
    is_again = bool(
        row.product_id
        and row.seller_sku
        and suggestions.certain_products(access.tenant_of(request), [row]).get(row.pk) == row.product
    )
    return render(request, "console/unmap.html", {"listing": row, "is_again": is_again})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_product(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the product that a listing sells, filled in from the channel's words, and map the listing to it."""
    access.require(request, "listings:import")
    row = _listing_or_404(request, pk)
    if row.product_id is not None:
        messages.info(request, _("%(listing)s sells a product already.") % {"listing": row})
        return redirect("console:listing", pk=row.pk)
    form = NewProduct(request.POST or None, initial=_from_channel(row))
    if form.is_valid() and _made(request, row, form):
        return redirect("console:listing", pk=row.pk)
    waiting = listing_product.waiting_events([row]).get(row.pk, 0)
    context = {"listing": row, "form": form, "waiting": waiting}
    return render(request, "console/new_product.html", context, status=422 if form.is_bound else 200)


def _made(request: HttpRequest, row: Listing, form: NewProduct) -> bool:
    said: dict[str, Any] = form.cleaned_data
    if access.owned(request, Product.objects.filter(sku=said["sku"])).exists():
        form.add_error("sku", _("A product with this SKU is there already: map the listing to it instead."))
        return False
    try:
        product = listing_product.make_product(row, **said, actor=_actor(request))
    except IntegrityError:  # somebody made it at this very moment
        form.add_error("sku", _("A product with this SKU is there already: map the listing to it instead."))
        return False
    text = _("%(sku)s was made and %(listing)s sells it. No number is told before its stock is entered.")
    messages.success(request, text % {"sku": product.sku, "listing": row})
    return True


def _from_channel(row: Listing) -> dict[str, str]:
    return {"sku": row.seller_sku, "name": row.title, "gtin": row.gtin}


def _listing_or_404(request: HttpRequest, pk: int) -> Listing:
    rows = Listing.objects.select_related("product", "connector", "tenant")
    return access.owned_or_404(request, rows.defer(*(f"connector__{name}" for name in SECRET_COLUMNS)), pk=pk)


def _actor(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"
