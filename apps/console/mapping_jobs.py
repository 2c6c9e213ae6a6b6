"""Many listings mapped at once: a plan, a person's yes, work in batches, a report.

`plan_chosen`, `plan_certain` and `plan_file` judge each line and keep it (`MappingItem`); nothing is mapped. `confirm`
lets the job begin: a small one is done at once, a large one by a worker. Each line is judged again when its turn comes,
so what somebody mapped meanwhile is left as it is.

Invariants: a listing that sells a product is never given another one here; a listing gets one product a job; listings
that share one stock at the channel get one product (sync/sharing.py). A line ends once.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import structlog
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.connectors.models import SHARING, Listing, MappingItem, MappingJob, lock
from apps.console import listing_product, suggestions
from apps.console.suggestions import Reason
from apps.inventory.models import Product
from apps.sync import queue
from apps.tenants import audit
from apps.tenants.access import of_tenant
from apps.tenants.models import Tenant

log = structlog.get_logger(__name__)

Status = MappingJob.Status
State = MappingItem.State

BATCH = 100
"""Lines done in one transaction; a job of no more is done while the person waits."""

LINES_MAX = 20_000
"""Lines of one job, and of one file."""

COLUMNS = ("anuncio", "titulo", "sku_no_canal", "sku")

CODES: dict[str, str | Promise] = {
    "unknown_listing": gettext_lazy("No listing has this id here. Import the account's listings first."),
    "unknown_sku": gettext_lazy("No product has this SKU. Correct it, or make the product first."),
    "two_skus": gettext_lazy("The same listing is given two SKUs. It can sell one product only: leave one line."),
    "other_product": gettext_lazy("It sells another product already. Unmap it on its own page first."),
    "shared_stock": gettext_lazy(
        "It shares its stock at the channel with a listing of another product. Both must sell the same one."
    ),
    "columns": gettext_lazy("This line does not have the four columns of the template."),
    "already": gettext_lazy("It sells this product already."),
    "repeated": gettext_lazy("The same line was there before."),
    "empty": gettext_lazy("No SKU was filled in."),
    "cancelled": gettext_lazy("The job was cancelled before its turn."),
}
"""Why a line is refused or left as it is."""

LEFT = ("already", "repeated", "empty", "cancelled")


class CannotPlan(Exception):
    """There is no plan; the text, in the reader's language, says why and what to do."""


class CannotChange(Exception):
    """The job was not confirmed, paused …: `code` is `ended` (not in such a state) or `moved` (another number)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Line:
    """One line before it is judged. code: why it cannot be taken, known already."""

    number: int
    named: str
    sku: str
    listing: Listing | None = None
    product: Product | None = None
    reason: str = ""
    code: str = ""


# --- Planning --------------------------------------------------------------------------------------------------------


def plan_chosen(tenant: Tenant, chosen: Sequence[tuple[int, int]], *, actor: str) -> MappingJob:
    """Plan what a person ticked: (listing id, product id) of this tenant. Raises CannotPlan."""
    listings = of_tenant(tenant, Listing.objects.all()).in_bulk({pair[0] for pair in chosen})
    products = of_tenant(tenant, Product.objects.all()).in_bulk({pair[1] for pair in chosen})
    found = suggestions.suggest(tenant, list(listings.values()))
    lines = []
    for number, (listing_id, product_id) in enumerate(chosen, 1):
        listing, product = listings.get(listing_id), products.get(product_id)
        if listing is None or product is None:
            continue
        why = next((one.reason for one in found.get(listing_id, ()) if one.product == product), Reason.CHOSEN)
        lines.append(Line(number, str(listing), product.sku, listing, product, why))
    return _plan(MappingJob(tenant=tenant, source=MappingJob.Source.SUGGESTIONS), lines, actor=actor)


def plan_certain(tenant: Tenant, *, actor: str, connector_id: int | None = None) -> MappingJob:
    """Plan every listing without a product for which a code says the product. Raises CannotPlan."""
    rows = Listing.objects.filter(connector_id=connector_id) if connector_id else Listing.objects.all()
    lines = [
        Line(number, str(listing), best.product.sku, listing, best.product, best.reason)
        for number, (listing, best) in enumerate(suggestions.certain(tenant, rows, most=LINES_MAX), 1)
    ]
    return _plan(MappingJob(tenant=tenant, source=MappingJob.Source.SUGGESTIONS), lines, actor=actor)


def plan_file(tenant: Tenant, text: str, *, name: str, actor: str) -> MappingJob:
    """Plan a CSV (`anuncio;titulo;sku_no_canal;sku`): each line with its error, if it has one. Raises CannotPlan.

    The same file again while its job is planned or under way gives that job.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()
    of_file = MappingJob.objects.filter(tenant=tenant, file_hash=digest)
    open_one = of_file.filter(finished_at__isnull=True).order_by("-made_at").first()
    if open_one is not None:
        return open_one
    job = MappingJob(
        tenant=tenant, source=MappingJob.Source.FILE, file_name=name[:200], file_hash=digest, made_by=actor[:100]
    )
    return _plan(job, _read(tenant, text), actor=actor)


def earlier_of(job: MappingJob) -> MappingJob | None:
    """Return the newest job that the same file had before and that was done."""
    if not job.file_hash:
        return None
    same = MappingJob.objects.filter(tenant_id=job.tenant_id, file_hash=job.file_hash, status=Status.DONE)
    return same.exclude(pk=job.pk).order_by("-made_at").first()


@transaction.atomic
def _plan(job: MappingJob, lines: Sequence[Line], *, actor: str) -> MappingJob:
    if not lines:
        raise CannotPlan(_("There is nothing to map: tick a listing that has a suggestion, or send a file with lines."))
    _judge_together(lines)
    _judge(lines)
    job.made_by = actor[:100]
    job.save(force_insert=True)
    now = timezone.now()
    MappingItem.objects.bulk_create(
        (
            MappingItem(
                job=job,
                line=line.number,
                named=line.named[:130],
                sku=line.sku[:100],
                listing=line.listing,
                product=line.product,
                reason=line.reason,
                state=_state_of(line.code),
                code=line.code,
                finished_at=now if line.code else None,
            )
            for line in lines
        ),
        batch_size=1000,
    )
    return job


def _state_of(code: str) -> State:
    if not code:
        return State.WAITING
    return State.SKIPPED if code in LEFT else State.FAILED


def _judge_together(lines: Sequence[Line]) -> None:
    """Refuse a listing that is given two SKUs, and stock that is shared by two; leave a line that repeats another."""
    good = [line for line in lines if not line.code]
    said: dict[int, set[int]] = {}
    shared: dict[tuple[int, str], set[int]] = {}
    for line in good:
        if line.listing is not None and line.product is not None:
            said.setdefault(line.listing.pk, set()).add(line.product.pk)
            shared.setdefault(_stock_of(line.listing), set()).add(line.product.pk)
    seen: set[int] = set()
    for line in good:
        if line.listing is None:
            continue
        if len(said[line.listing.pk]) > 1:
            line.code = "two_skus"
        elif len(shared[_stock_of(line.listing)]) > 1:
            line.code = "shared_stock"
        elif line.listing.pk in seen:
            line.code = "repeated"
        seen.add(line.listing.pk)


def _stock_of(listing: Listing) -> tuple[int, str]:
    """Return what names the stock at the channel that a listing shows: its own, or one that it shares."""
    is_shared = listing.user_product_id and listing.capability in SHARING
    return (listing.connector_id, listing.user_product_id) if is_shared else (0, str(listing.pk))


def _judge(lines: Iterable[Line]) -> None:
    """Say of each line whether it can be done as things are now."""
    good = [line for line in lines if not line.code and line.listing is not None]
    ids = {line.listing.user_product_id for line in good if line.listing and line.listing.user_product_id}
    connectors = {line.listing.connector_id for line in good if line.listing}
    mapped = Listing.objects.filter(
        connector_id__in=connectors, user_product_id__in=ids, capability__in=SHARING, product__isnull=False
    )
    sisters: dict[tuple[int, str], set[int]] = {}
    for connector_id, name, product_id in mapped.values_list("connector_id", "user_product_id", "product_id"):
        sisters.setdefault((connector_id, name), set()).add(product_id or 0)
    for line in good:
        if line.listing is None or line.product is None:
            continue
        if line.listing.product_id == line.product.pk:
            line.code = "already"
        elif line.listing.product_id is not None:
            line.code = "other_product"
        elif sisters.get(_stock_of(line.listing), set()) - {line.product.pk}:
            line.code = "shared_stock"


# --- The file --------------------------------------------------------------------------------------------------------


def write_csv(listings: Iterable[Listing]) -> Iterator[str]:
    """Yield the lines of the template: every listing given, with the SKU of its product, if it has one."""
    yield "\ufeff" + ";".join(COLUMNS) + "\r\n"
    for row in listings:
        cells = (str(row), row.title, row.seller_sku, row.product.sku if row.product else "")
        out = io.StringIO()
        csv.writer(out, delimiter=";").writerow(map(harmless, cells))
        yield out.getvalue()


def harmless(cell: str) -> str:
    """Return a cell as text, where a spreadsheet would run it."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _plain(cell: str) -> str:
    cell = cell.strip()
    return cell[1:] if cell.startswith(("'=", "'+", "'-", "'@")) else cell


def _read(tenant: Tenant, text: str) -> list[Line]:
    """Read a CSV and find the listings and products that its lines name. Raises CannotPlan for no such file."""
    first, _newline, _rest = text.lstrip("\ufeff").partition("\n")
    delimiter = ";" if ";" in first else ","
    try:
        rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise CannotPlan(_("The file is not a CSV that can be read: %(reason)s") % {"reason": error}) from None
    if not rows or [cell.strip().lower() for cell in rows[0]] != list(COLUMNS):
        raise CannotPlan(_("The first line must be: %(columns)s") % {"columns": ";".join(COLUMNS)})
    if len(rows) > LINES_MAX + 1:
        raise CannotPlan(_("The file has more than %(most)s lines; split it.") % {"most": LINES_MAX})
    lines = [_line(number, [_plain(cell) for cell in row]) for number, row in enumerate(rows[1:], 2) if any(row)]
    listings = _listings_named(tenant, {line.named for line in lines if not line.code})
    products = of_tenant(tenant, Product.objects.filter(sku__in={line.sku for line in lines if not line.code}))
    by_sku = {one.sku: one for one in products}
    for line in lines:
        if not line.code:
            line.listing, line.product = listings.get(line.named), by_sku.get(line.sku)
            line.code = "unknown_listing" if not line.listing else "unknown_sku" if not line.product else ""
    return lines


def _line(number: int, cells: list[str]) -> Line:
    if len(cells) != len(COLUMNS):
        return Line(number, cells[0] if cells else "", "", code="columns")
    named, _title, _seller_sku, sku = cells
    return Line(number, named, sku, reason=Reason.FILE, code="" if sku else "empty")


def _listings_named(tenant: Tenant, names: set[str]) -> dict[str, Listing]:
    """Return the listings that are called so, `MLB1` or `MLB1/2`; one id on two accounts names neither."""
    items = {name.partition("/")[0] for name in names}
    found: dict[str, list[Listing]] = {}
    for row in of_tenant(tenant, Listing.objects.filter(item_id__in=items)):
        found.setdefault(str(row), []).append(row)
    return {name: rows[0] for name, rows in found.items() if len(rows) == 1}


# --- What people decide ----------------------------------------------------------------------------------------------


def confirm(job: MappingJob, *, actor: str, count: int) -> MappingJob:
    """Let a planned job begin; one of at most BATCH lines is done when this returns. Raises CannotChange.

    count: how many lines the person was shown that would be mapped.
    """
    with transaction.atomic():
        row = _locked(job, Status.PROPOSED)
        todo = row.items.filter(state=State.WAITING).count()
        if not todo or todo != count:
            raise CannotChange("moved")
        row.status, row.confirmed_by, row.started_at = Status.RUNNING, actor[:100], timezone.now()
        row.save(update_fields=["status", "confirmed_by", "started_at"])
        audit.record(
            row.tenant,
            actor,
            "mapping_job.confirmed",
            f"mapping_job:{row.pk}",
            count=todo,
            source=row.source,
            file=row.file_name,
        )
    if todo <= BATCH:
        step(row)
        row.refresh_from_db()
    return row


@transaction.atomic
def pause(job: MappingJob, *, actor: str) -> None:
    """Begin no further batch for now. Raises CannotChange."""
    _move(job, Status.RUNNING, Status.PAUSED, actor, "mapping_job.paused")


@transaction.atomic
def resume(job: MappingJob, *, actor: str) -> None:
    """Go on with a paused job. Raises CannotChange."""
    _move(job, Status.PAUSED, Status.RUNNING, actor, "mapping_job.resumed")


@transaction.atomic
def cancel(job: MappingJob, *, actor: str) -> None:
    """End a job: what is mapped stays mapped, the rest is left as it is. Raises CannotChange."""
    row = _locked(job, Status.PROPOSED, Status.RUNNING, Status.PAUSED)
    before, now = row.status, timezone.now()
    row.items.filter(state=State.WAITING).update(state=State.SKIPPED, code="cancelled", finished_at=now)
    row.status, row.finished_at = Status.CANCELLED, now
    row.save(update_fields=["status", "finished_at"])
    changes = {"status": [before, str(row.status)]}
    audit.record(row.tenant, actor, "mapping_job.cancelled", f"mapping_job:{row.pk}", changes=changes)


def _move(job: MappingJob, of: Status, to: Status, actor: str, action: str) -> None:
    row = _locked(job, of)
    row.status = to
    row.save(update_fields=["status"])
    changes = {"status": [str(of), str(to)]}
    audit.record(row.tenant, actor, action, f"mapping_job:{row.pk}", changes=changes)


def _locked(job: MappingJob, *states: Status) -> MappingJob:
    row = MappingJob.objects.select_for_update(no_key=True, of=("self",)).select_related("tenant").get(pk=job.pk)
    if row.status not in states:
        raise CannotChange("ended")
    return row


# --- The work --------------------------------------------------------------------------------------------------------


def go_on() -> None:
    """Do a batch of each job that is under way, until none is left."""
    while True:
        jobs = list(MappingJob.objects.filter(status=Status.RUNNING).order_by("made_at")[:20])
        if not [job for job in jobs if step(job)]:
            return


@transaction.atomic
def step(job: MappingJob) -> bool:
    """Map the next batch of a job's lines. Returns False when there was nothing to do.

    The job's row is held meanwhile, so a pause or a cancellation waits for the batch and holds afterwards.
    """
    try:
        row = _locked(job, Status.RUNNING)
    except CannotChange:
        return False
    waiting = row.items.filter(state=State.WAITING).order_by("line")
    items = list(waiting.select_related("product")[:BATCH])
    if items:
        _do(row, items)
    if not waiting.exists():
        MappingJob.objects.filter(pk=row.pk).update(status=Status.DONE, finished_at=timezone.now())
        log.info("mapping_job_done", job_id=str(row.pk), tenant=row.tenant_id)
    return bool(items)


def _do(job: MappingJob, items: Sequence[MappingItem]) -> None:
    ids = lock(Listing.objects.filter(pk__in=[item.listing_id for item in items]))
    listings = Listing.objects.select_related("tenant").in_bulk(ids)
    lines = [Line(item.line, item.named, item.sku, listings.get(item.listing_id or 0), item.product) for item in items]
    _judge(lines)
    now = timezone.now()
    done = []
    for item, line in zip(items, lines, strict=True):
        item.state, item.code, item.finished_at = (
            (_state_of(line.code), line.code, now) if line.code else (State.DONE, "", now)
        )
        if not line.code and line.listing is not None and line.product is not None:
            listing_product.set_product(line.listing, line.product)
            actor = job.confirmed_by or job.made_by
            listing_product.record_mapped(line.listing, None, line.product.sku, actor=actor)
            done.append(line.listing.pk)
    MappingItem.objects.bulk_update(items, ["state", "code", "finished_at"])
    queue.mark_now(Listing.objects.filter(pk__in=done))


# --- How far it is ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, in lines. The four counts add up to all there are."""

    waiting: int
    done: int
    failed: int
    skipped: int

    @property
    def total(self) -> int:
        """Return how many lines there are."""
        return self.waiting + self.done + self.failed + self.skipped

    @property
    def ended(self) -> int:
        """Return how many of them ended."""
        return self.total - self.waiting

    @property
    def percent(self) -> int:
        """Return how much of it ended; 100 only when all did."""
        return 100 * self.ended // self.total if self.total else 100


def progress(job: MappingJob) -> Progress:
    """Return how far a job is."""
    counts = job.items.aggregate(**{state.name.lower(): Count("pk", filter=Q(state=state)) for state in State})
    return Progress(**counts)


def reasons(job: MappingJob) -> list[tuple[str, str, int]]:
    """Return why lines were refused or left: (state, sentence, how many), the most first."""
    rows = job.items.exclude(code="").values_list("state", "code").annotate(count=Count("pk"))
    found = Counter({(state, code): count for state, code, count in rows})
    return [(str(State(state).label), words(code), count) for (state, code), count in found.most_common()]


def words(code: str) -> str:
    """Return why a line was refused or left, in a sentence."""
    return str(CODES.get(code, code))
