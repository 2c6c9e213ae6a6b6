"""The page of mappings: what SKUs and statuses of the channels mean, decided by people, in and out as CSV."""

from functools import partial

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from apps.connectors.mappings import apply_csv, map_sku, map_status, read_csv, write_csv
from apps.connectors.models import Connector, SkuMapping, StatusMapping
from apps.console.decisions import shown_before
from apps.console.forms import CsvFile, CsvText, MapSku, MapStatus
from apps.console.keyset import page_of
from apps.console.listing_product import waiting_for_skus
from apps.events import inbox
from apps.tenants import access

CHANNEL = Connector.Kind.MERCADO_LIVRE
PREVIEW_LINES = 200
"""Good lines that a preview shows; those with an error are all shown."""


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """What is mapped now, the newest decision first."""
    return _page(request)


@login_required
@require_POST
def add_sku(request: HttpRequest) -> HttpResponse:
    """Say which product a SKU of the channel is; first show what waits for it, if anything does."""
    access.require(request, "mappings:write")
    form = MapSku(request.POST, tenant=access.tenant_of(request))
    if not form.is_valid() or form.product is None:
        return _page(request, sku_form=form)
    external_sku = form.cleaned_data["external_sku"]
    decide = partial(map_sku, access.tenant_of(request), CHANNEL, external_sku, form.product, actor=_actor(request))
    names = {"external": external_sku, "sku": form.product.sku}
    shown = shown_before(
        request,
        decide,
        title=_("What mapping %(external)s to %(sku)s would set free") % names,
        fields=("external_sku", "sku"),
        back=reverse("console:mappings"),
    )
    if shown is not None:
        return shown
    count = decide()
    messages.success(request, _mapped_text(1, count))
    return redirect("console:mappings")


@login_required
@require_POST
def add_status(request: HttpRequest) -> HttpResponse:
    """Say what a status of the channel means; orders in that state are read again at once.

    First show what those and the events that wait for it would change, if there are any.
    """
    access.require(request, "mappings:write")
    form = MapStatus(request.POST)
    if not form.is_valid():
        return _page(request, status_form=form)
    tenant, said = access.tenant_of(request), form.cleaned_data
    word, meaning = said["external_status"], StatusMapping.Meaning(said["meaning"])
    is_terminal, actor = said["is_terminal"], _actor(request)
    decide = partial(map_status, tenant, CHANNEL, word, meaning, is_terminal=is_terminal, actor=actor)
    shown = shown_before(
        request,
        decide,
        title=_("What “%(word)s” meaning “%(meaning)s” would set free") % {"word": word, "meaning": meaning.label},
        fields=("external_status", "meaning", "is_terminal"),
        back=reverse("console:mappings"),
        word=(CHANNEL, word),
    )
    if shown is not None:
        return shown
    mapping = decide()
    count = inbox.ask_again_about(tenant.pk, CHANNEL, mapping.external_status)
    text = ngettext(
        "“%(word)s” means: %(meaning)s. %(count)s order in that state is read again now.",
        "“%(word)s” means: %(meaning)s. %(count)s orders in that state are read again now.",
        count,
    )
    words = {"word": mapping.external_status, "meaning": mapping.get_meaning_display(), "count": count}
    messages.success(request, text % words)
    return redirect("console:mappings")


@login_required
@require_safe
def download(request: HttpRequest) -> StreamingHttpResponse:
    """All SKU mappings that count, as a CSV that can be sent back."""
    rows = access.owned(request, SkuMapping.objects.filter(replaced_at__isnull=True).select_related("product"))
    lines = write_csv(rows.order_by("external_sku").iterator(chunk_size=500))
    response = StreamingHttpResponse(("\ufeff" if not number else "") + line for number, line in enumerate(lines))
    response["Content-Type"] = "text/csv; charset=utf-8"
    response["Content-Disposition"] = 'attachment; filename="mapeamento_sku.csv"'
    return response


@login_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """First show what a CSV would change, line by line; then, sent again as confirmed, change it."""
    access.require(request, "mappings:import")
    tenant = access.tenant_of(request)
    confirmed = CsvText(request.POST)
    if confirmed.is_valid():
        lines = read_csv(tenant, confirmed.cleaned_data["text"])
        made, listings = apply_csv(tenant, lines, actor=_actor(request))
        messages.success(request, _mapped_text(made, listings))
        return redirect("console:mappings")
    form = CsvFile(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, csv_form=form)
    lines = read_csv(tenant, form.text)
    wrong = [line for line in lines if line.error]
    news = [line for line in lines if not line.error and line.is_news]
    context = {
        "wrong": wrong,
        "news": news[:PREVIEW_LINES],
        "news_count": len(news),
        "same_count": len(lines) - len(wrong) - len(news),
        "waiting_count": waiting_for_skus(tenant, [line.external_sku for line in news]),
        "text": form.text,
    }
    return render(request, "console/mappings_preview.html", context)


def _page(
    request: HttpRequest,
    *,
    sku_form: MapSku | None = None,
    status_form: MapStatus | None = None,
    csv_form: CsvFile | None = None,
) -> HttpResponse:
    rows = access.owned(request, SkuMapping.objects.filter(replaced_at__isnull=True).select_related("product"))
    statuses = access.owned(request, StatusMapping.objects.filter(replaced_at__isnull=True))
    context = {
        "page": page_of(request, rows, "made_at", "id"),
        "statuses": statuses.order_by("external_status"),
        "sku_form": sku_form or MapSku(tenant=access.tenant_of(request)),
        "status_form": status_form or MapStatus(),
        "csv_form": csv_form or CsvFile(),
    }
    is_refused = any((sku_form, status_form, csv_form))
    return render(request, "console/mappings.html", context, status=422 if is_refused else 200)


def _mapped_text(made: int, listings: int) -> str:
    first = ngettext("%(count)s mapping was made.", "%(count)s mappings were made.", made) % {"count": made}
    second = ngettext(
        "%(count)s listing got its product; what waited for it goes on by itself.",
        "%(count)s listings got their product; what waited for them goes on by itself.",
        listings,
    ) % {"count": listings}
    return f"{first} {second}"


def _actor(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"
