"""The page of files: ask for a list as CSV, see how far it is, cancel it, take it. Each person sees their own."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.console import exporting
from apps.console.keyset import page_of
from apps.console.lists import LISTS
from apps.console.models import Export
from apps.tenants import access, audit


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The person's files of the last day, newest first."""
    page = page_of(request, _mine(request).filter(expires_at__gt=timezone.now()), "id")
    shown = [(row, LISTS[row.page].title if row.page in LISTS else row.page) for row in page.rows]
    is_moving = any(row.is_open for row in page.rows)
    context = {"page": page, "shown": shown, "is_moving": is_moving, "reasons": exporting.REASONS}
    return render(request, "console/exports.html", context)


@login_required
@require_POST
def ask(request: HttpRequest) -> HttpResponse:
    """Ask for a list with its filters as a file; a worker writes it."""
    name, profile = request.POST.get("list", ""), request.POST.get("profile", "")
    if name not in LISTS or profile not in Export.Profile.values:
        raise Http404("no such list")
    try:
        exporting.ask(access.membership_of(request), name, request.POST.get("query", ""), Export.Profile(profile))
    except exporting.TooMany:
        text = _("You already have %(count)s files under way; wait for one of them, or cancel it.")
        messages.warning(request, text % {"count": exporting.OPEN_MAX})
    else:
        messages.success(request, _("The file is being written. How far it is shows here; stock is not touched."))
    return redirect("console:exports")


@login_required
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop writing a file."""
    row = access.owned_or_404(request, _mine(request), pk=pk)
    if exporting.cancel(row):
        messages.success(request, _("The file is no longer being written."))
    else:
        messages.warning(request, _("The file was finished already."))
    return redirect("console:exports")


@login_required
@require_safe
def download(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The file itself. No cache keeps it."""
    ready = _mine(request).filter(status=Export.Status.DONE, expires_at__gt=timezone.now())
    row = access.owned_or_404(request, ready, pk=pk)
    audit.record(row.tenant, f"user:{request.user.pk}", "export.download", f"export:{row.pk}", list=row.page)
    response = StreamingHttpResponse(exporting.content(row), content_type="text/csv; charset=utf-8")
    moment = timezone.localtime(row.created_at)
    response["Content-Disposition"] = f'attachment; filename="saldo-{row.page}-{moment:%Y-%m-%d-%H%M}.csv"'
    response["Cache-Control"] = "no-store"
    return response


def _mine(request: HttpRequest) -> QuerySet[Export]:
    rows = Export.objects.filter(asked_by_id=request.user.pk).select_related("tenant")
    return access.owned(request, rows)
