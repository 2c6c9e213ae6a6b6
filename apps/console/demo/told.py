"""The log of what the channel was told in the two weeks: a row wherever the ledger changed a listing's number.

Written here and not by `sync.push`: the sandbox cannot be called two weeks ago. The numbers are the sync's own
(`inputs.Inputs`), computed from the balances as the ledger says they were.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from apps.connectors.models import Connector, Listing
from apps.inventory.models import Location, Movement
from apps.sync.inputs import Inputs, Place
from apps.sync.models import SyncLog

Status = SyncLog.Status

FAILURES = (
    ("rate_limited", 429, "Too Many Requests"),
    ("rate_limited", 429, "client.id over quota"),
    ("server_error", 503, "Service not available"),
    ("timeout", None, "no answer within 5 seconds"),
    ("conflict", 409, "Version mismatch"),
)
FAILS_PERCENT = 1.1

PUT_IN_PLACE = """
UPDATE marketplace_sync_logs SET "timestamp" = told.at FROM unnest(%s::bigint[], %s::timestamptz[]) AS told (id, at)
 WHERE marketplace_sync_logs.id = told.id AND "timestamp" >= %s
"""


@transaction.atomic
def write(connector: Connector, since: datetime, until: datetime) -> int:
    """Write the connector's log of the time between two moments, unless it has one. Returns how many rows."""
    if SyncLog.objects.filter(connector=connector, timestamp__gte=since, timestamp__lt=until).exists():
        return 0
    begun = timezone.now() - timedelta(minutes=1)
    rows = list(_rows(connector, since, until))
    made = SyncLog.objects.bulk_create((row for _at, row in rows), batch_size=500)
    with connection.cursor() as cursor:
        cursor.execute(PUT_IN_PLACE, [[row.pk for row in made], [at for at, _row in rows], begun])
    return len(rows)


def _rows(connector: Connector, since: datetime, until: datetime) -> Iterator[tuple[datetime, SyncLog]]:
    dice = random.Random(connector.tenant.slug)  # noqa: S311  no secret
    codes = dict(Location.objects.filter(tenant=connector.tenant).values_list("pk", "code"))
    listings: dict[int, list[Listing]] = {}
    for listing in Listing.objects.filter(connector=connector, product__isnull=False):
        listings.setdefault(listing.product_id or 0, []).append(listing)
    places: dict[int, dict[int, Place]] = {}
    shown: dict[int, int] = {}
    moved = Movement.objects.filter(tenant=connector.tenant, product_id__in=listings, recorded_at__lt=until)
    for one in moved.order_by("recorded_at", "id").iterator():
        there = places.setdefault(one.product_id, {})
        code = codes[one.location_id]
        there[one.location_id] = Place(one.location_id, code, one.on_hand_after, one.reserved_after, one.blocked_after)
        for listing in listings[one.product_id]:
            inputs = _inputs(connector, there)
            before = shown.get(listing.pk)
            shown[listing.pk] = inputs.number
            if before is not None and before != inputs.number and one.recorded_at >= since:
                yield from _tries(dice, connector, listing, one, before, inputs)


def _inputs(connector: Connector, there: dict[int, Place]) -> Inputs:
    rule = connector.margin_percent, connector.buffer_units, connector.end_when_units, connector.cap_units
    return Inputs(tuple(sorted(there.values(), key=lambda place: place.code)), *rule)


def _tries(
    dice: random.Random, connector: Connector, listing: Listing, moved: Movement, before: int, inputs: Inputs
) -> Iterator[tuple[datetime, SyncLog]]:
    """A try that the channel accepted, now and then after one that it did not."""
    at = moved.recorded_at + timedelta(seconds=dice.lognormvariate(1.3, 0.55))
    attempt = 1
    if dice.uniform(0, 100) < FAILS_PERCENT:
        code, http_status, text = dice.choice(FAILURES)
        takes_ms = 5000 if http_status is None else dice.randint(40, 220)
        failed = _row(connector, listing, moved, before, inputs, at, takes_ms, attempt)
        failed.status, failed.http_status = Status.ERROR, http_status
        failed.error_code, failed.error_message = code, text
        yield at, failed
        at, attempt = at + timedelta(milliseconds=takes_ms, seconds=dice.uniform(5, 20)), 2
    accepted = _row(connector, listing, moved, before, inputs, at, int(dice.lognormvariate(4.9, 0.4)), attempt)
    accepted.status, accepted.http_status, accepted.shown_value = Status.SUCCESS, 200, inputs.number
    yield at, accepted


def _row(
    connector: Connector,
    listing: Listing,
    moved: Movement,
    before: int,
    inputs: Inputs,
    at: datetime,
    takes_ms: int,
    attempt: int,
) -> SyncLog:
    return SyncLog(
        tenant_id=connector.tenant_id,
        product_id=moved.product_id,
        connector=connector,
        listing=listing,
        marketplace=connector.kind,
        old_value=before,
        new_value=inputs.number,
        inputs=inputs.stored(),
        attempt=attempt,
        duration_ms=takes_ms,
        trigger=Listing.Trigger.AUTO,
        movement_id=moved.pk,
        trace_id=moved.trace_id,
        due_at=moved.recorded_at,
        finished_at=at + timedelta(milliseconds=takes_ms),
    )
