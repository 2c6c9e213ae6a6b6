"""Read a channel back and compare: is what we believe to have told what buyers see?

A **run** walks over a connector's items by their id, twenty a call, and is a row: where it stands, what it found.
Each **step** is one call and one transaction that writes the differences and moves the run on, so a killed worker costs
one step, which is done again. Runs that begin by themselves go at a pace (`RECONCILE_CALLS_PER_MINUTE`); those that a
person asked for go on until they are done.

The hub's side is looked at before and after the channel is read: what changed meanwhile is in flight and not judged.
`drift.judge` says what each difference is, `divergences` keeps it and repairs what may be.

Whether the channel sold something that the hub has not taken in, only the rooms above can tell (orders and events):
they hand in a `FindSales`.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.common.slots import slot
from apps.connectors import credentials, errands
from apps.connectors.channel import READ_BACK_MAX, Channel, ChannelError, ListingSnapshot
from apps.connectors.importing import capability_of, import_item
from apps.connectors.models import Connector, Errand, Listing
from apps.sync import divergences, drift
from apps.sync.drift import Drift, Hub, Owner, Repair, Sales, Verdict
from apps.sync.looking import Batch, Report, look, owners, read_places
from apps.sync.models import Divergence, ReconcileRun
from apps.tenants.flags import IS_OFF

log = structlog.get_logger(__name__)

Kind = Divergence.Kind

FindSales = Callable[[Connector, bool], Mapping[str, Sales] | None]
"""Given a connector and whether nothing may be written, return what was sold there and not taken in: by listing
(`MLB1` or `MLB1/22`) and by user product. None when it cannot be told."""

SCAN_EVERY = timedelta(hours=24)
"""How often a run that begins by itself also looks for listings that are unknown here: it costs a call per hundred."""

UNKNOWN_MAX = 200
"""Unknown items that are read in one run; the rest is counted."""

GIVE_UP = timedelta(hours=6)
"""A run that could not be finished in so long ends as it is; the next one begins anew."""

RUN_DAYS = 30
"""Reports are kept for so long."""


# --- Runs -----------------------------------------------------------------------------------------------------------


def begin(connector: Connector, trigger: ReconcileRun.Trigger, *, is_read_only: bool = False) -> ReconcileRun:
    """Return the connector's open run of this kind, or a new one. A run that was cut short goes on where it stood."""
    same = ReconcileRun.objects.filter(
        connector=connector, trigger=trigger, is_read_only=is_read_only, finished_at__isnull=True
    ).select_related("connector")
    found = same.first()
    if found is None:
        try:
            with transaction.atomic():
                found = ReconcileRun.objects.create(
                    tenant_id=connector.tenant_id,
                    connector=connector,
                    trigger=trigger,
                    is_read_only=is_read_only,
                    report=asdict(Report()),
                )
        except IntegrityError:  # somebody else began it at this moment
            found = same.get()
    return found


def run_whole(
    run: ReconcileRun, find_sales: FindSales, on_progress: Callable[[ReconcileRun], None] | None = None
) -> ReconcileRun:
    """Take a run to its end. Raises ChannelError (the run then ends with the reason), and what `on_progress` raises."""
    try:
        while step(run, find_sales):
            if on_progress:
                on_progress(run)
    except ChannelError as refusal:
        _end(run, refusal)
        raise
    except errands.Cancelled:
        _end(run)
        raise
    return run


def run_errand(errand: Errand, find_sales: FindSales) -> None:
    """Compare as somebody asked, counting as it goes. Raises ChannelError, errands.Cancelled."""
    run = begin(errand.connector, ReconcileRun.Trigger.MANUAL)
    run_whole(run, find_sales, lambda so_far: errands.note(errand, {"run": so_far.pk, **so_far.report}))
    errands.note(errand, {"run": run.pk, **run.report})


BEGIN_DUE = f"""
INSERT INTO conferencia (tenant_id, connector_id, trigger, is_read_only, cursor, has_compared, report, error_code,
                         error_msg, started_at, worked_at)
SELECT c.tenant_id, c.id, 'HORARIA', false, '', false, %s::jsonb, '', '', now(), now() FROM integracao_conector c
 WHERE c.status = 'ATIVO' AND c.external_user_id <> '' AND NOT {IS_OFF}
   AND NOT EXISTS (SELECT FROM conferencia r WHERE r.connector_id = c.id AND NOT r.is_read_only
                      AND (r.started_at > now() - make_interval(mins => %s)
                           OR (r.finished_at IS NULL AND r.trigger = 'HORARIA')))
ON CONFLICT DO NOTHING
"""  # noqa: S608  every part is a constant of ours


def begin_due() -> int:
    """Begin a run for every account that was not compared for `RECONCILE_EVERY_MINUTES`. Returns how many."""
    if not settings.RECONCILE_EVERY_MINUTES:
        return 0
    ReconcileRun.objects.filter(finished_at__lt=timezone.now() - timedelta(days=RUN_DAYS)).delete()
    with connection.cursor() as cursor:
        cursor.execute(BEGIN_DUE, [json.dumps(asdict(Report())), settings.RECONCILE_EVERY_MINUTES])
        return int(cursor.rowcount)


OPEN_HOURLY = f"""
SELECT r.id FROM conferencia r JOIN integracao_conector c ON c.id = r.connector_id
 WHERE r.finished_at IS NULL AND r.trigger = 'HORARIA' AND c.status = 'ATIVO' AND NOT {IS_OFF}
 ORDER BY r.worked_at
"""  # noqa: S608


def go_on(find_sales: FindSales, *, steps: int, max_seconds: float) -> int:
    """Take every open run that began by itself `steps` steps further, within `max_seconds` in all.

    The one that waited longest first. Never raises for a channel's failure: it is kept with the run, which goes on at
    the next tick. Returns how many steps were done.
    """
    ends_at, done = time.monotonic() + max_seconds, 0
    with connection.cursor() as cursor:
        cursor.execute(OPEN_HOURLY)
        open_runs = [row[0] for row in cursor.fetchall()]
    for pk in open_runs:
        with slot(f"reconcile:{pk}") as is_mine:
            if is_mine:
                done += _some_steps(pk, find_sales, steps, ends_at)
    return done


def _some_steps(pk: int, find_sales: FindSales, steps: int, ends_at: float) -> int:
    run = ReconcileRun.objects.select_related("connector").get(pk=pk)
    done = 0
    try:
        while done < steps and time.monotonic() < ends_at and run.finished_at is None:
            done += 1
            step(run, find_sales)
    except ChannelError as refusal:
        log.warning("reconcile_failed", connector_id=run.connector_id, code=refusal.code, reason=str(refusal))
        run.error_code, run.error_msg = refusal.code, str(refusal)[:500]
        run.save(update_fields=["error_code", "error_msg", "worked_at"])
        if refusal.account:
            credentials.stop(run.connector_id, refusal)
    if run.finished_at is None and run.started_at < timezone.now() - GIVE_UP:
        _end(run)
    return done


def _end(run: ReconcileRun, refusal: ChannelError | None = None) -> None:
    """End a run, whole or not; a whole one has no error."""
    run.finished_at = timezone.now()
    if refusal:
        run.error_code, run.error_msg = refusal.code, str(refusal)[:500]
    run.save(update_fields=["finished_at", "error_code", "error_msg", "worked_at"])
    log.info("reconciled", connector_id=run.connector_id, run_id=run.pk, error_code=run.error_code, **run.report)


# --- One step -------------------------------------------------------------------------------------------------------


def step(run: ReconcileRun, find_sales: FindSales) -> bool:
    """Compare the next twenty items, or look for unknown ones when all are compared. Returns whether there is more.

    Raises ChannelError, with nothing written of this step.
    """
    connector = run.connector
    channel = credentials.open_connector(connector)
    if not run.cursor and not run.has_compared:
        _learn_account(connector, channel)
    if not run.has_compared:
        item_ids = _next_items(run)
        if item_ids:
            _compare(run, channel, item_ids, find_sales)
            return True
        _end_comparing(run)
    if _wants_scan(run):
        _scan(run, channel)
    run.error_code = run.error_msg = ""
    _end(run)
    return False


def _end_comparing(run: ReconcileRun) -> None:
    with transaction.atomic():
        divergences.take_turns(run)
        run.report["resolved"] += divergences.resolve_unmapped(run, timezone.now())
        run.has_compared = True
        run.save(update_fields=["has_compared", "report", "worked_at"])


def _learn_account(connector: Connector, channel: Channel) -> None:
    has_depots = channel.account().has_depots
    if has_depots != connector.has_depots:
        connector.has_depots = has_depots
        connector.save(update_fields=["has_depots", "updated_at"])


def _next_items(run: ReconcileRun) -> list[str]:
    """Return the next items of which a listing sells a product. One that was replaced by others has ended."""
    mapped = Listing.objects.filter(connector=run.connector_id, product__isnull=False, item_id__gt=run.cursor)
    alive = mapped.exclude(capability=Listing.Capability.MOVED)
    return list(alive.order_by("item_id").values_list("item_id", flat=True).distinct()[:READ_BACK_MAX])


def _compare(run: ReconcileRun, channel: Channel, item_ids: list[str], find_sales: FindSales) -> None:
    """Compare some items and write down what differs."""
    before = {hub.listing_id: hub for hub in look(run.connector, item_ids)}
    shown = channel.read_back(item_ids)
    batch = Batch(run, channel, item_ids, shown, list(before.values()), Report(**run.report))
    read_places(batch)
    if any(_is_suspect(batch, hub) for hub in batch.hubs):
        batch.sales = find_sales(run.connector, run.is_read_only)
    batch.hubs = look(run.connector, item_ids)  # as it is now, after the channel was read
    named = owners(batch)
    verdicts = {
        hub.listing_id: _judge(batch, hub, named[hub.listing_id], is_steady=_was(before, hub))
        for hub in batch.hubs
        if hub.item_id in shown
    }
    with transaction.atomic():
        follows = divergences.write(batch, verdicts)
        run.cursor, run.report = item_ids[-1], asdict(batch.report)
        run.save(update_fields=["cursor", "report", "worked_at"])
    for item_id in follows:
        import_item(run.connector, item_id)


def _was(before: dict[int, Hub], hub: Hub) -> bool:
    return hub.listing_id in before and hub.is_as(before[hub.listing_id])


def _is_suspect(batch: Batch, hub: Hub) -> bool:
    """Tell whether a sale that the hub has not heard of could explain what the channel shows."""
    number = batch.number(hub)
    return number is not None and hub.is_writable and hub.target is not None and number != hub.target


def _judge(batch: Batch, hub: Hub, owner: Owner, *, is_steady: bool) -> Verdict:
    connector, row = batch.run.connector, batch.snapshot(hub)
    rows = batch.shown[hub.item_id]
    capability = capability_of(row, has_depots=connector.has_depots) if row else hub.capability
    has_moved = row is None and any(one.has_moved for one in rows or ())
    if has_moved:
        return Verdict((Drift(Kind.MOVED, Repair.FOLLOW),), is_number_judged=False)
    return drift.judge(
        hub,
        row,
        item_exists=rows is not None,
        now=timezone.now(),
        account_id=connector.user_id,
        capability=capability,
        owner=owner,
        sales=_sales_of(batch, hub),
        units=batch.units.get(hub.listing_id),
        is_steady=is_steady,
        is_shadow=connector.is_shadow and not hub.is_live,
    )


def _sales_of(batch: Batch, hub: Hub) -> Sales | None:
    if batch.sales is None:
        return None
    key = f"{hub.item_id}/{hub.variation_id}" if hub.variation_id else hub.item_id
    names = [name for name in (hub.user_product_id or key, key) if name in batch.sales]
    return batch.sales[names[0]] if names else Sales()


# --- What the hub does not know -------------------------------------------------------------------------------------


def _wants_scan(run: ReconcileRun) -> bool:
    """Tell whether it is time to look for listings that are unknown here: always when a person asked."""
    if run.scanned_at:
        return False
    recent = ReconcileRun.objects.filter(connector=run.connector_id, scanned_at__gt=timezone.now() - SCAN_EVERY)
    return run.trigger != ReconcileRun.Trigger.HOURLY or not recent.exists()


def _scan(run: ReconcileRun, channel: Channel) -> None:
    """Write down what is for sale at the channel and has no listing here."""
    here = set(Listing.objects.filter(connector=run.connector_id).values_list("item_id", flat=True))
    strange = [item_id for item_id in channel.item_ids() if item_id not in here]
    shown: dict[str, list[ListingSnapshot] | None] = {}
    for start in range(0, min(len(strange), UNKNOWN_MAX), READ_BACK_MAX):
        shown |= channel.read_back(strange[start : min(start + READ_BACK_MAX, UNKNOWN_MAX)])
    now, report = timezone.now(), Report(**run.report)
    report.unknown_items_not_read = max(0, len(strange) - UNKNOWN_MAX)
    with transaction.atomic():
        divergences.take_turns(run)
        rows = Divergence.objects.select_for_update().filter(
            connector=run.connector_id, kind=Kind.UNKNOWN_LISTING, resolved_at__isnull=True
        )
        known = {(row.item_id, row.variation_id): row for row in rows}
        for one in (one for several in shown.values() for one in several or () if one.status != "closed"):
            divergences.keep_unknown(run, one, known.pop((one.item_id, one.variation_id), None), now)
            report.count(report.found, Kind.UNKNOWN_LISTING)
        unread = set(strange) - set(shown)
        gone = [row for row in known.values() if row.item_id not in unread and _is_no_news(row, here)]
        report.resolved += divergences.resolve(gone, now)
        run.scanned_at, run.report = now, asdict(report)
        run.save(update_fields=["scanned_at", "report", "worked_at"])


def _is_no_news(row: Divergence, here: set[str]) -> bool:
    """Tell whether an unknown listing is known by now, or is gone. `here`: the items of which some listing is known."""
    same = Listing.objects.filter(connector=row.connector_id, item_id=row.item_id, variation_id=row.variation_id)
    return row.item_id not in here or same.exists()
