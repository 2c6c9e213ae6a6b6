"""Write a list's rows into a file, part by part, in a worker.

A part is one keyset page of the list and one transaction: its lines, and how far the export has come. So a killed
worker's export goes on after its last part, nothing twice, and no transaction lasts longer than a page. Whoever works
on an export holds a lock that dies with the database session. They take turns: a large one does not hold up the others.

Two profiles. For spreadsheets: `;`, decimal comma, dd/mm/yyyy HH:MM in the company's time zone, a byte order mark. For
systems: comma, decimal point, ISO 8601 with its offset, headings that do not change with the language. In both, text
that a spreadsheet would run as a formula gets an apostrophe in front (OWASP "CSV injection"); numbers keep their sign.
"""

import csv
import io
import json
import time
import zlib
import zoneinfo
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.core.exceptions import EmptyResultSet
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Model, QuerySet
from django.db.models.functions import Coalesce, Now
from django.http import HttpRequest, QueryDict
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from apps.common.slots import slot
from apps.console.keyset import beyond, values_at
from apps.console.lists import LISTS, Cell, ListPage
from apps.console.models import Export, ExportPart
from apps.tenants import access, audit
from apps.tenants.models import Membership

log = structlog.get_logger(__name__)

ROWS_MAX = 1_000_000
"""Rows of one file: a spreadsheet shows 1,048,576 at most."""

PART_ROWS = 2_000
TURN_SECONDS = 5.0
"""How long one export is worked on before the next one gets its turn."""

TRIES_MAX = 3
"""Turns in a row in which no part was finished: then its workers die of it, and it is given up."""

OPEN_MAX = 5
"""Exports of one person that may be under way at a time."""

KEPT = timedelta(hours=24)

REASONS = {
    "worker_died": _("Every worker that took it stopped in the middle. Narrow the filters and ask again."),
    "forbidden": _("You may no longer see this list."),
    "internal_error": _("Saldo failed here; the fault is ours. Ask again, and tell support if it comes back."),
}
"""What an error code of an export means for who asked."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class TooMany(Exception):
    """The person has OPEN_MAX exports under way already."""


def ask(membership: Membership, page: str, query: str, profile: Export.Profile) -> Export:
    """Ask for an export of a list with these filters (a query string). Raises KeyError for an unknown list, TooMany."""
    shown = LISTS[page]
    mine = Export.objects.filter(tenant=membership.tenant, asked_by=membership.user)
    if mine.filter(finished_at__isnull=True).count() >= OPEN_MAX:
        raise TooMany
    query = shown.query_of(access.stand_in(membership), query)
    rows = shown.rows_of(_request(membership, query))
    with transaction.atomic():
        export = Export.objects.create(
            tenant=membership.tenant,
            asked_by=membership.user,
            page=page,
            query=query,
            profile=profile,
            language=translation.get_language() or "pt-br",
            rows_estimated=min(estimate(rows), ROWS_MAX),
            expires_at=timezone.now() + KEPT,
        )
        actor = f"user:{membership.user_id}"
        audit.record(membership.tenant, actor, "export.ask", f"export:{export.pk}", list=page, filters=query)
    return export


def cancel(export: Export) -> bool:
    """Stop an export. One that no worker took yet ends at once. Returns False when it has ended."""
    with transaction.atomic():
        open_ones = Export.objects.filter(pk=export.pk, finished_at__isnull=True)
        asked = open_ones.update(cancel_asked_at=Coalesce("cancel_asked_at", Now()))
        open_ones.filter(started_at__isnull=True).update(status=Export.Status.CANCELLED, finished_at=Now())
        if asked:
            audit.record(export.tenant, f"user:{export.asked_by_id}", "export.cancel", f"export:{export.pk}")
    return bool(asked)


def work_on() -> int:
    """Give every open export that nobody is at a turn, the oldest first. Returns how many had one."""
    turns = 0
    for pk in list(Export.objects.filter(finished_at__isnull=True).order_by("pk").values_list("pk", flat=True)):
        with slot(f"export:{pk}") as is_mine:
            if is_mine:
                turns += _turn(pk)
    return turns


def forget_expired() -> int:
    """Delete exports whose day is over, with what they hold. Returns how many."""
    old = list(Export.objects.filter(expires_at__lt=Now()).values_list("pk", flat=True)[:1000])
    ExportPart.objects.filter(export_id__in=old)._raw_delete("default")
    Export.objects.filter(pk__in=old).delete()
    return len(old)


def content(export: Export) -> Iterator[bytes]:
    """Yield a finished export, part by part."""
    numbers = ExportPart.objects.filter(export=export).order_by("number").values_list("number", flat=True)
    for number in list(numbers):
        part = ExportPart.objects.filter(export=export, number=number).values_list("content", flat=True).first()
        yield zlib.decompress(bytes(part or zlib.compress(b"")))


def estimate(rows: QuerySet[Any]) -> int:
    """Return about how many rows a query has, as the database's planner guesses; nothing is counted."""
    try:
        plan = json.loads(rows.order_by().explain(format="json"))
    except EmptyResultSet:
        return 0
    return int(plan[0]["Plan"]["Plan Rows"])


# --- A turn ---------------------------------------------------------------------------------------------------------


def _turn(pk: int) -> bool:
    begun = Export.objects.filter(pk=pk, finished_at__isnull=True).update(
        status=Export.Status.RUNNING, started_at=Coalesce("started_at", Now()), tries=F("tries") + 1
    )
    if not begun:
        return False
    export = Export.objects.select_related("tenant", "asked_by").get(pk=pk)
    if export.tries > TRIES_MAX:
        _end(export, Export.Status.FAILED, "worker_died")
        return True
    try:
        with translation.override(export.language), timezone.override(zoneinfo.ZoneInfo(export.tenant.time_zone)):
            _write_parts(export)
    except (OperationalError, InterfaceError):
        raise  # the database is away: the next worker goes on
    except Exception:  # a defect of ours: show it, go on with the others
        log.exception("export_broke", export_id=export.pk, page=export.page)
        _end(export, Export.Status.FAILED, "internal_error")
    return True


def _write_parts(export: Export) -> None:
    membership = Membership.objects.filter(tenant=export.tenant, user=export.asked_by).select_related("tenant").first()
    if membership is None or export.page not in LISTS:
        _end(export, Export.Status.FAILED, "forbidden")
        return
    shown = LISTS[export.page]
    rows = shown.rows_of(_request(membership, export.query))
    stop_at = time.monotonic() + TURN_SECONDS
    while True:
        if Export.objects.filter(pk=export.pk, cancel_asked_at__isnull=False).exists():
            ExportPart.objects.filter(export=export)._raw_delete("default")
            _end(export, Export.Status.CANCELLED)
            return
        found = _next_rows(rows, shown, export)
        _write_part(export, shown, found)
        if len(found) < PART_ROWS or export.rows_done >= ROWS_MAX:
            export.is_cut = len(found) == PART_ROWS and bool(_next_rows(rows, shown, export))
            _end(export, Export.Status.DONE)
            return
        if time.monotonic() > stop_at:
            return


def _next_rows(rows: QuerySet[Any], shown: ListPage, export: Export) -> list[Any]:
    if export.cursor is not None:
        rows = rows.filter(beyond(shown.order, export.cursor, is_falling=shown.is_descending))
    sign = "-" if shown.is_descending else ""
    return list(rows.order_by(*(f"{sign}{name}" for name in shown.order))[:PART_ROWS])


def _write_part(export: Export, shown: ListPage, found: list[Model]) -> None:
    writer = Writer(export.profile, shown)
    text = ("" if export.rows_done else writer.head()) + "".join(map(writer.line, found))
    raw = text.encode()
    with transaction.atomic():
        if text:
            number = ExportPart.objects.filter(export=export).count()
            ExportPart.objects.create(export=export, number=number, content=zlib.compress(raw))
        export.rows_done += len(found)
        export.bytes_done += len(raw)
        export.cursor = (
            json.loads(json.dumps(values_at(found[-1], shown.order), default=str)) if found else export.cursor
        )
        export.tries = 0
        export.save(update_fields=["rows_done", "bytes_done", "cursor", "tries"])


def _end(export: Export, status: Export.Status, error_code: str = "") -> None:
    Export.objects.filter(pk=export.pk, finished_at__isnull=True).update(
        status=status, finished_at=Now(), error_code=error_code, is_cut=export.is_cut
    )
    log.info("export_ended", export_id=export.pk, page=export.page, status=status.value, rows=export.rows_done)


def _request(membership: Membership, query: str) -> HttpRequest:
    request = access.stand_in(membership)
    request.GET = QueryDict(query)
    return request


# --- Lines ----------------------------------------------------------------------------------------------------------


class Writer:
    """Lines of a CSV in one of the profiles, in the language and time zone that are active."""

    def __init__(self, profile: str, shown: ListPage) -> None:
        self.is_for_people = profile == Export.Profile.SHEET
        self.columns = shown.columns
        self._out = io.StringIO()
        self._csv = csv.writer(self._out, delimiter=";" if self.is_for_people else ",")

    def head(self) -> str:
        """Return the first line."""
        if not self.is_for_people:
            return self._written([column.key for column in self.columns])
        return "\ufeff" + self._written([harmless(str(column.label)) for column in self.columns])

    def line(self, row: object) -> str:
        """Return a row's line."""
        return self._written([self._cell(column.value(row)) for column in self.columns])

    def _written(self, cells: list[str]) -> str:
        self._csv.writerow(cells)
        text = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return text

    def _cell(self, value: Cell) -> str:
        if value is None:
            return ""
        if isinstance(value, datetime):
            local = timezone.localtime(value)
            return local.strftime("%d/%m/%Y %H:%M") if self.is_for_people else local.isoformat()
        if isinstance(value, int | Decimal):
            text = format(value, "f") if isinstance(value, Decimal) else str(int(value))
            return text.replace(".", ",") if self.is_for_people else text
        return harmless(str(value))


def harmless(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
