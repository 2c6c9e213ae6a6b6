"""Counts that a clock may have put on the wrong side of a movement: a list for people (channels contract §3.2).

A count and a movement of one product and place that happened within two minutes of each other are **in doubt**. Which
of the two came first decides whether the counted number holds the movement already, and the clocks of two devices may
differ by as much. A count that names the last number of its source that it holds (`as_of_sequence`) leaves no doubt
about those events of that source whose numbers say the same as the clocks. A newer count ends every doubt, so the
answer to one is to count again.

Nothing is written down: the question is asked of the ledger as it stands, so what comes later is seen as well, and the
order in which things came makes no difference.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from apps.sources import timing
from apps.sources.models import MovementType, SourceEvent

SHOWN_FOR = timedelta(days=30)
"""Nobody finds out any more what happened first at an older count."""

IN_DOUBT = """
       (m.tenant_id, m.product_id, m.location_id)
         = (source_event.tenant_id, source_event.product_id, source_event.location_id)
   AND m.occurred_at BETWEEN source_event.occurred_at - %s AND source_event.occurred_at + %s
   AND m.recorded_at >= source_event.occurred_at - %s  -- implied: leaves out the older months' partitions
   AND m.on_hand_delta <> 0 AND m.kind NOT IN ('COUNT', 'COUNT_ABSORB')
   AND NOT EXISTS (
        SELECT FROM inventory_balances b
         WHERE (b.tenant_id, b.product_id, b.location_id) = (m.tenant_id, m.product_id, m.location_id)
           AND b.count_as_of > source_event.occurred_at)
   AND NOT EXISTS (
        SELECT FROM source_event e
         WHERE (e.tenant_id, e.event_id, e.source_id, e.epoch)
                 = (m.tenant_id, m.source_key, source_event.source_id, source_event.epoch)
           AND m.id = ANY(e.movement_ids)
           AND (e.sequence <= (source_event.payload #>> '{data,count,as_of_sequence}')::bigint)
                 = (m.occurred_at <= source_event.occurred_at))
"""
"""Whether the movement m and the count in `source_event` are in doubt. Takes timing.NEAR_A_COUNT three times."""

HAS_DOUBTS = "EXISTS (SELECT FROM inventory_ledger m WHERE" + IN_DOUBT + ")"
DOUBTS = (
    """
SELECT m.id, m.kind, m.on_hand_delta, m.occurred_at, m.source, m.occurred_at <= source_event.occurred_at
  FROM source_event, inventory_ledger m WHERE source_event.id = %s AND"""
    + IN_DOUBT
    + "ORDER BY m.occurred_at, m.id"
)
MARGIN: list[Any] = [timing.NEAR_A_COUNT] * 3


@dataclass(frozen=True, slots=True)
class Doubt:
    """A movement near a count. `is_counted`: the ledger takes it for a part of the counted number."""

    movement_id: int
    kind: str
    on_hand_delta: int
    occurred_at: datetime
    source: str
    is_counted: bool


def counts_in_doubt(rows: "QuerySet[SourceEvent]") -> "QuerySet[SourceEvent]":
    """Return those of the rows that are counts in doubt, of the last SHOWN_FOR."""
    counts = rows.filter(
        status=SourceEvent.Status.APPLIED,
        movement_type=MovementType.COUNT,
        occurred_at__gt=timezone.now() - SHOWN_FOR,
    )
    return counts.filter(RawSQL(HAS_DOUBTS, MARGIN, output_field=BooleanField()))  # noqa: S611  # all of it stands above


def doubts_of(count: SourceEvent) -> list[Doubt]:
    """Return the movements that are in doubt with a count, by when they happened; none of what is no applied count."""
    if count.status != SourceEvent.Status.APPLIED or count.movement_type != MovementType.COUNT:
        return []
    with connection.cursor() as cursor:
        cursor.execute(DOUBTS, [count.pk, *MARGIN])
        return [Doubt(*row) for row in cursor.fetchall()]
