"""Keep a list's filters under a name, share them with the company, rename and delete them."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from apps.console.lists import LISTS
from apps.console.models import SavedView
from apps.tenants import access, audit

VIEWS_MAX = 50
"""Views that one person keeps."""


class ViewForm(forms.Form):
    """A view's name, and whether the company sees it."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=60, widget=forms.TextInput({"autocomplete": "off"}))
    is_shared = forms.BooleanField(label=gettext_lazy("For everybody in the company"), required=False)


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The person's own views, to rename, share or delete."""
    rows = access.owned(request, SavedView.objects.filter(owner_id=request.user.pk)).order_by("page", "name")
    shown = [
        (row, LISTS[row.page].title, f"{reverse(f'console:{row.page}')}?{row.query}")
        for row in rows
        if row.page in LISTS
    ]
    return render(request, "console/saved_views.html", {"shown": shown})


@login_required
@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Keep the filters of a list; a name that the person has there already gets the new filters."""
    page, form = request.POST.get("list", ""), ViewForm(request.POST)
    if page not in LISTS:
        raise Http404("no such list")
    query = LISTS[page].query_of(request, request.POST.get("query", ""))
    target = redirect(f"{reverse(f'console:{page}')}?{query}")
    tenant = access.tenant_of(request)
    if not form.is_valid():
        messages.warning(request, _("The view was not saved: give it a name of at most 60 characters."))
        return target
    is_shared = _may_share(request, form)
    if access.owned(request, SavedView.objects.filter(owner_id=request.user.pk)).count() >= VIEWS_MAX:
        messages.warning(request, _("You keep %(count)s views already; delete one first.") % {"count": VIEWS_MAX})
        return target
    with transaction.atomic():
        row, is_new = SavedView.objects.update_or_create(
            tenant=tenant,
            owner_id=request.user.pk,
            page=page,
            name=form.cleaned_data["name"],
            defaults={"query": query, "is_shared": is_shared},
        )
        deed = "view.save" if is_new else "view.change"
        _record(request, row, deed, filters=query, is_shared=is_shared)
    messages.success(request, _("The view “%(name)s” is in the menu of this list.") % {"name": row.name})
    return target


@login_required
@require_POST
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Rename a view of one's own, or share it."""
    row = _own_or_404(request, pk)
    form = ViewForm(request.POST)
    if not form.is_valid():
        messages.warning(request, _("Nothing was changed: give the view a name of at most 60 characters."))
        return redirect("console:views")
    before = {"name": row.name, "is_shared": row.is_shared}
    row.name, row.is_shared = form.cleaned_data["name"], _may_share(request, form)
    try:
        with transaction.atomic():
            row.save(update_fields=["name", "is_shared"])
            _record(request, row, "view.change", before=before, after={"name": row.name, "is_shared": row.is_shared})
    except IntegrityError:
        text = _("Nothing was changed: you have another view with the name “%(name)s” on that list.")
        messages.warning(request, text % {"name": row.name})
    else:
        messages.success(request, _("The view “%(name)s” was changed.") % {"name": row.name})
    return redirect("console:views")


@login_required
@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget a view of one's own; its filters alone are gone, no row of a list."""
    row = _own_or_404(request, pk)
    with transaction.atomic():
        _record(request, row, "view.delete", before={"name": row.name, "filters": row.query})
        row.delete()
    messages.success(request, _("The view is deleted; the list itself stays as it was."))
    return redirect("console:views")


def _own_or_404(request: HttpRequest, pk: int) -> SavedView:
    return access.owned_or_404(request, SavedView.objects.filter(owner_id=request.user.pk), pk=pk)


def _may_share(request: HttpRequest, form: ViewForm) -> bool:
    """Return whether the view is to be shared. Raises PermissionDenied when the person's role may not."""
    if form.cleaned_data["is_shared"]:
        access.require(request, "views:share")
    return bool(form.cleaned_data["is_shared"])


def _record(request: HttpRequest, row: SavedView, action: str, **details: object) -> None:
    audit.record(
        access.tenant_of(request), f"user:{request.user.pk}", action, f"view:{row.pk}", list=row.page, **details
    )
