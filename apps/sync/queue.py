"""Which listings must be told a number: marked when the ledger moves, found again by comparison every minute.

The queue is `Listing.due_at`, in PostgreSQL: a listing is in it once, however often its stock moves. A worker *claims*
a due listing with a lease; while the lease runs nobody else tells that listing anything, so an old number never
overtakes a newer one. A movement during the call sets `due_at` again and the listing is told again afterwards. A lease
that ran out (the worker died) is due again by itself.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.connectors.models import WRITABLE, Listing
from apps.inventory import feed
from apps.inventory.models import Movement
from apps.sync.allocation import Rule, publishable
from apps.tenants.flags import IS_OFF

FEED_CONSUMER = "sync"

LEASE_SECONDS = 45
"""Longer than the longest push (re-read and write, each repeated once after a token refresh, 5 s a call), so only the
dead lose a lease."""


def follow() -> int:
    """Mark the listings of every product whose available number moved since the last look. Returns movements read.

    Listings that wait for a retry keep their date: a new movement must not turn a failing listing into a hot loop.
    """
    with feed.batch(FEED_CONSUMER) as movements:
        causes = {m.product_id: m for m in movements if _changes_what_is_for_sale(m)}
        if causes:
            _mark_due(causes)
    return len(movements)


IS_WRITABLE = "l.logistic_type <> 'fulfillment' AND l.capacidade NOT IN ('FULL', 'KIT', 'MIGRADO')"
"""`connectors.models.WRITABLE` in SQL."""


def _changes_what_is_for_sale(movement: Movement) -> bool:
    """Tell whether a channel may have to show another number; a first count of zero makes an unknown stock known."""
    is_other_number = movement.on_hand_delta != movement.reserved_delta + movement.blocked_delta
    return is_other_number or movement.kind == Movement.Kind.COUNT


def _mark_due(causes: dict[int, Movement]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE integracao_anuncio l SET due_at = now(),
                      cause_movement_id = cause.movement_id, cause_trace_id = cause.trace_id
                 FROM unnest(%s::bigint[], %s::bigint[], %s::uuid[]) AS cause (product_id, movement_id, trace_id)
                WHERE l.product_id = cause.product_id AND due_at IS NULL AND {IS_WRITABLE}""",  # noqa: S608  our own text
            [list(causes), [m.pk for m in causes.values()], [m.trace_id for m in causes.values()]],
        )


def mark_now(listings: QuerySet[Listing]) -> int:
    """Make the given listings due at once, retries included: a person asked. Returns how many.

    Those that sell no product, or whose stock the channel keeps itself, have no number to tell.
    """
    return listings.filter(WRITABLE, product__isnull=False).update(due_at=timezone.now())


TARGETS = f"""
SELECT l.id, l.accepted_quantity, stock.pool,
       coalesce(l.margin_percent, c.margin_percent), coalesce(l.buffer_units, c.buffer_units),
       coalesce(l.end_when_units, c.end_when_units), coalesce(l.cap_units, c.cap_units)
  FROM integracao_anuncio l
  JOIN integracao_conector c ON c.id = l.connector_id
  JOIN LATERAL (
      SELECT sum(greatest(b.quantity_available, 0)) AS pool, bool_or(b.counted_at IS NOT NULL) AS is_known
        FROM inventory_balances b
       WHERE b.tenant_id = l.tenant_id AND b.product_id = l.product_id
         AND (NOT EXISTS (SELECT FROM integracao_conector_locations chosen WHERE chosen.connector_id = c.id)
              OR b.location_id IN (SELECT chosen.location_id FROM integracao_conector_locations chosen
                                    WHERE chosen.connector_id = c.id))
  ) stock ON stock.is_known
 WHERE {IS_WRITABLE} AND {{condition}}
"""  # noqa: S608  our own text
# Nothing received or corrected yet, no row: the hub says nothing about a product whose stock it was never told. A sale
# alone does not tell it: after an import the first order would otherwise zero the listing.


def target_of(listing_id: int) -> int | None:
    """Return the number this listing should show now; None when the hub knows nothing of the product's stock."""
    with connection.cursor() as cursor:
        cursor.execute(TARGETS.format(condition="l.id = %s"), [listing_id])
        row = cursor.fetchone()
    return None if row is None else publishable(int(row[2]), Rule(*row[3:]))


def sweep() -> int:
    """Compare what every active listing should show with what its channel last accepted; mark those that differ.

    This heals whatever was lost anywhere. Returns how many were marked. Listings already due, being told, or waiting
    for a retry are left alone.
    """
    is_idle = "l.product_id IS NOT NULL AND l.due_at IS NULL AND l.lease_expires_at IS NULL"
    condition = f"c.status = 'ATIVO' AND NOT {IS_OFF} AND {is_idle}"
    wrong: list[int] = []
    with transaction.atomic(), connection.chunked_cursor() as cursor:  # the rows stay in PostgreSQL
        cursor.execute(TARGETS.format(condition=condition))
        for listing_id, accepted, pool, *rule in cursor:
            if accepted != publishable(int(pool), Rule(*rule)):
                wrong.append(listing_id)
    still_idle = Listing.objects.filter(pk__in=wrong, due_at__isnull=True, lease_expires_at__isnull=True)
    return still_idle.update(due_at=timezone.now())


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to tell one listing its number until the lease ends. `lease_id` tells a late worker from a live one."""

    listing_id: int
    lease_id: UUID
    attempt: int
    movement_id: int | None
    trace_id: UUID | None
    tenant_id: int
    was_interrupted: bool  # an earlier lease ran out: somebody died in mid-call


CLAIM = f"""
WITH due AS (
    SELECT l.id, l.lease_expires_at IS NOT NULL AS was_interrupted
      FROM integracao_anuncio l JOIN integracao_conector c ON c.id = l.connector_id
     WHERE c.status = 'ATIVO' AND NOT {IS_OFF}
       AND ((l.due_at <= now() AND l.lease_expires_at IS NULL) OR l.lease_expires_at <= now())
     ORDER BY coalesce(l.due_at, l.lease_expires_at), l.id
     LIMIT 1
       FOR UPDATE OF l SKIP LOCKED
)
UPDATE integracao_anuncio l
   SET lease_id = gen_random_uuid(), lease_expires_at = now() + make_interval(secs => %s),
       due_at = NULL, attempts = l.attempts + 1
  FROM due WHERE l.id = due.id
RETURNING l.id, l.lease_id, l.attempts, l.cause_movement_id, l.cause_trace_id, l.tenant_id,
          due.was_interrupted
"""  # noqa: S608  every part is a constant of ours


def claim_due() -> Claim | None:
    """Claim the listing that waited longest, or return None when there is nothing to tell."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [LEASE_SECONDS])
        row = cursor.fetchone()
    return Claim(*row) if row else None
