"""Divergences: kept for as long as a difference is seen, repaired where that is safe, settled when it is gone.

Each is one row per listing and kind while it is open. A repair happens only here, only to a listing that is still as it
was judged, and at most `drift.REPAIRS_MAX` times: one that does not hold is a person's matter.
"""

from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from apps.connectors.channel import ListingSnapshot
from apps.connectors.importing import capability_of
from apps.connectors.models import Listing
from apps.sync import drift, in_flight, queue
from apps.sync.drift import Drift, Hub, Repair, Verdict
from apps.sync.looking import Batch
from apps.sync.models import Divergence, ReconcileRun
from apps.tenants import audit

Kind = Divergence.Kind


def write(batch: Batch, verdicts: dict[int, Verdict]) -> list[str]:
    """Keep what differs, repair what may be, resolve what is gone. Returns the items whose heirs must be read."""
    report, now = batch.report, timezone.now()
    take_turns(batch.run)
    rows = Divergence.objects.select_for_update().filter(
        connector=batch.run.connector_id, item_id__in=batch.item_ids, resolved_at__isnull=True
    )
    known = {(row.item_id, row.variation_id, row.kind): row for row in rows}
    seen: set[tuple[str, str, str]] = set()
    follows: dict[str, None] = {}
    for hub in batch.hubs:
        verdict = verdicts.get(hub.listing_id)
        if verdict is None:
            seen |= {key for key in known if key[:2] == (hub.item_id, hub.variation_id)}  # not read: nothing is said
            continue
        report.listings += 1
        report.in_flight += verdict.is_in_flight
        report.equal += not verdict.drifts and not verdict.is_in_flight
        number = batch.number(hub)
        if verdict.is_in_flight:
            seen |= {(hub.item_id, hub.variation_id, kind) for kind in drift.NUMBER}
        elif number is not None and number == hub.target and hub.believed != number and not batch.run.is_read_only:
            report.learned += _learn_number(hub, number)
        for one in verdict.drifts:
            key = (hub.item_id, hub.variation_id, str(one.kind))
            seen.add(key)
            row = _keep(batch, hub, one, known.get(key), now)
            report.count(report.found, one.kind)
            if _is_repairable(batch, hub, one, row, now) and _repair(batch, hub, one, row):
                row.repairs, row.repaired_at = row.repairs + 1, now
                row.save(update_fields=["repairs", "repaired_at"])
                report.count(report.repaired, one.kind)
                if one.repair is Repair.FOLLOW:
                    follows[hub.item_id] = None
    seen |= _keep_unknown_variations(batch, known, now)
    unread = {item_id for item_id in batch.item_ids if item_id not in batch.shown}
    gone = [row for key, row in known.items() if key not in seen and row.item_id not in unread]
    report.resolved += resolve(gone, now)
    report.items += len(batch.item_ids)
    report.unreadable_items += len(unread)
    return list(follows)


def take_turns(run: ReconcileRun) -> None:
    """Let two runs of one connector, one by itself and one by hand, write one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"reconcile/{run.connector_id}"])


def _keep(batch: Batch, hub: Hub, one: Drift, row: Divergence | None, now: datetime) -> Divergence:
    """Write down that a difference was seen (again). A number that moved on is no longer the one that was ignored."""
    values = {"hub_quantity": hub.target, "channel_quantity": batch.number(hub), "detail": one.detail[:300]}
    if row is None:
        return Divergence.objects.create(
            tenant_id=batch.run.tenant_id,
            connector_id=batch.run.connector_id,
            listing_id=hub.listing_id,
            item_id=hub.item_id,
            variation_id=hub.variation_id,
            kind=one.kind,
            last_seen_at=now,
            **values,
        )
    if one.kind in drift.NUMBER and row.channel_quantity != values["channel_quantity"]:
        row.ignored_at, row.ignored_by = None, ""
        if one.kind in drift.UNEXPLAINED:
            row.first_seen_at = now  # another number: its time begins anew
    for name, value in values.items():
        setattr(row, name, value)
    row.last_seen_at, row.sightings = now, row.sightings + 1
    row.save()
    return row


def _is_repairable(batch: Batch, hub: Hub, one: Drift, row: Divergence, now: datetime) -> bool:
    if batch.run.is_read_only or row.ignored_at:
        return False
    return drift.may_repair(
        one, hub=hub, shown=batch.number(hub), seen_since=row.first_seen_at, repairs=row.repairs, now=now
    )


def _repair(batch: Batch, hub: Hub, one: Drift, row: Divergence) -> bool:
    """Repair one difference, if the listing is still as it was judged. Returns whether it was done."""
    same = Listing.objects.filter(pk=hub.listing_id, product_id=hub.product_id)
    if one.repair is Repair.SEND:
        idle = same.filter(due_at__isnull=True, lease_id__isnull=True, accepted_quantity=hub.accepted)
        return bool(
            idle.update(
                accepted_quantity=row.channel_quantity,
                sold_there=0,
                due_at=timezone.now(),
                due_trigger=Listing.Trigger.RECONCILE,
                cause_movement_id=None,
                cause_trace_id=None,
                **in_flight.FORGOTTEN,
            )
        )
    shown = batch.snapshot(hub)
    if one.repair is Repair.LEARN and shown is not None:
        return bool(
            same.update(
                capability=capability_of(shown, has_depots=batch.run.connector.has_depots),
                logistic_type=shown.logistic_type[:32],
                user_product_id=shown.user_product_id,
                channel_status=shown.status[:32],
                updated_at=timezone.now(),
            )
        )
    return True  # an order is taken in, or a listing read: by those who see to it


def _learn_number(hub: Hub, number: int) -> int:
    """Keep that the channel shows the right number, though the hub did not know that it was told."""
    idle = Listing.objects.filter(pk=hub.listing_id, lease_id__isnull=True, accepted_quantity=hub.accepted)
    return idle.update(accepted_quantity=number, sold_there=0, accepted_at=timezone.now(), **in_flight.FORGOTTEN)


def resolve(rows: list[Divergence], now: datetime) -> int:
    """Settle divergences that are gone, saying how. Returns how many."""
    for row in rows:
        row.resolved_at = now
        row.ending = Divergence.Ending.REPAIRED if row.repairs else Divergence.Ending.GONE
        if not row.repairs and row.repaired_at:
            row.ending = Divergence.Ending.BY_PERSON
    return Divergence.objects.bulk_update(rows, ["resolved_at", "ending"])


# --- What the hub does not know -------------------------------------------------------------------------------------


def _keep_unknown_variations(
    batch: Batch, known: dict[tuple[str, str, str], Divergence], now: datetime
) -> set[tuple[str, str, str]]:
    """Write down the variations of these items that the hub has no listing for. Returns their keys."""
    here = set(
        Listing.objects.filter(connector=batch.run.connector_id, item_id__in=batch.item_ids).values_list(
            "item_id", "variation_id"
        )
    )
    keys = set()
    for rows in batch.shown.values():
        for row in rows or ():
            is_whole_item = not row.variation_id  # its variations are gone: those say so themselves
            if (row.item_id, row.variation_id) in here or is_whole_item or row.has_moved or row.status == "closed":
                continue
            key = (row.item_id, row.variation_id, str(Kind.UNKNOWN_LISTING))
            keys.add(key)
            keep_unknown(batch.run, row, known.get(key), now)
            batch.report.count(batch.report.found, Kind.UNKNOWN_LISTING)
    return keys


def resolve_unmapped(run: ReconcileRun, now: datetime) -> int:
    """Settle the divergences of listings that sell no product any more, or were replaced. Returns how many."""
    rows = Divergence.objects.select_for_update(of=["self"]).filter(
        connector=run.connector_id, resolved_at__isnull=True, listing__isnull=False
    )
    ended = Q(listing__product__isnull=True) | Q(listing__capability=Listing.Capability.MOVED)
    return resolve(list(rows.filter(ended)), now)


def keep_unknown(run: ReconcileRun, shown: ListingSnapshot, row: Divergence | None, now: datetime) -> None:
    """Write down that the channel sells something that the hub has no listing for; `row` when that was known."""
    row = row or Divergence(
        tenant_id=run.tenant_id,
        connector_id=run.connector_id,
        item_id=shown.item_id,
        variation_id=shown.variation_id,
        kind=Kind.UNKNOWN_LISTING,
        sightings=0,
    )
    row.channel_quantity, row.detail = shown.quantity, f"{shown.seller_sku} {shown.title}".strip()[:300]
    row.last_seen_at, row.sightings = now, row.sightings + 1
    row.save()


# --- What a person decides ------------------------------------------------------------------------------------------

SENT_BY_HAND = drift.NUMBER - {
    Kind.SALE_UNHEARD,
    Kind.SALE_WAITING,
    Kind.CANCELLATION_UNHEARD,
    Kind.UNCOUNTED,
    Kind.SHADOWED,
    Kind.HELD,
}
"""Kinds on which a person may have the hub's number sent: those that no sale explains, and that have a number."""


def send_ours(row: Divergence, *, actor: str) -> bool:
    """Tell the channel the hub's number, because a person said so. Returns False when the listing has none to tell."""
    with transaction.atomic():
        same = Listing.objects.filter(pk=row.listing_id or 0)
        is_due = row.kind in SENT_BY_HAND and bool(queue.mark_now(same))
        if is_due:
            same.update(**in_flight.FORGOTTEN)
        if is_due:
            Divergence.objects.filter(pk=row.pk).update(repaired_at=timezone.now())
            audit.record(row.tenant, actor, "divergence.sent", f"divergence:{row.pk}", **_numbers(row))
    return is_due


def ignore(row: Divergence, *, actor: str) -> None:
    """Leave a divergence alone: it is off the list, and not repaired, for as long as it stays what it is."""
    with transaction.atomic():
        open_one = Divergence.objects.filter(pk=row.pk, resolved_at__isnull=True, ignored_at__isnull=True)
        if open_one.update(ignored_at=timezone.now(), ignored_by=actor[:100]):
            audit.record(row.tenant, actor, "divergence.ignored", f"divergence:{row.pk}", **_numbers(row))


def heed(row: Divergence, *, actor: str) -> None:
    """Put a divergence that was ignored back on the list."""
    with transaction.atomic():
        if Divergence.objects.filter(pk=row.pk, ignored_at__isnull=False).update(ignored_at=None, ignored_by=""):
            audit.record(row.tenant, actor, "divergence.heeded", f"divergence:{row.pk}", **_numbers(row))


def _numbers(row: Divergence) -> dict[str, Any]:
    return {"kind": row.kind, "listing": str(row), "here": row.hub_quantity, "there": row.channel_quantity}
