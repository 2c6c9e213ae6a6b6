"""Which listings must be told a number: marked when the ledger moves, found again by comparison every minute.

The duty is `Listing.due_at`, in PostgreSQL: a listing has it once, however often its stock moves. The order, riskiest
first, and the accounts' budgets are in Redis (`turns`), lined up from here and lined up again whenever Redis forgets.
A worker whose turn it is *claims* the listing with a lease; while the lease runs nobody else tells that listing
anything, so an old number never overtakes a newer one. A movement during the call sets `due_at` again and the listing
is told again afterwards. A lease that ran out (the worker died) is due again by itself.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import Case, F, QuerySet, When
from django.utils import timezone
from redis import RedisError

from apps.common.slots import slot
from apps.connectors import budget
from apps.connectors.models import WRITABLE, Connector, Listing, lock
from apps.inventory import feed
from apps.inventory.models import Movement
from apps.sync import risk, turns, waves
from apps.sync.allocation import Rule, publishable
from apps.tenants.flags import IS_OFF

log = structlog.get_logger(__name__)

FEED_CONSUMER = "sync"

LEASE_SECONDS = 45
"""Longer than the longest push (re-read and write, each repeated once after a token refresh, 5 s a call), so only the
dead lose a lease."""

RATE_MEMORY_HOURS = 24
"""How long a sale counts towards its product's rate (`SalesRate`)."""

RECENT_SECONDS = 10
"""How far `line_up_recent` looks back; it is called every second, and what it misses the sweep lines up."""

IS_WRITABLE = "l.logistic_type <> 'fulfillment' AND l.capacidade NOT IN ('FULL', 'KIT', 'MIGRADO')"
"""`connectors.models.WRITABLE` in SQL."""

IS_RUNNING = f"c.status = 'ATIVO' AND NOT {IS_OFF}"

IS_DUE = "((l.due_at <= now() AND l.lease_expires_at IS NULL) OR l.lease_expires_at <= now())"


# --- Following the ledger ------------------------------------------------------------------------------------------


def follow() -> int:
    """Mark the listings of every product whose available number moved since the last look. Returns movements read.

    Listings that wait for a retry keep their date: a new movement must not turn a failing listing into a hot loop.
    """
    with feed.batch(FEED_CONSUMER) as movements:
        causes = {m.product_id: m for m in movements if _changes_what_is_for_sale(m)}
        if causes:
            _mark_due(causes)
        sales = [m for m in movements if _units_sold(m)]
        if sales:
            _note_rates(sales)
            _note_sold_there(sales)
    if causes:
        _line_up("l.product_id = ANY(%s)", [list(causes)])
    return len(movements)


def _changes_what_is_for_sale(movement: Movement) -> bool:
    """Tell whether a channel may have to show another number; a first count of zero makes an unknown stock known."""
    is_other_number = movement.on_hand_delta != movement.reserved_delta + movement.blocked_delta
    return is_other_number or movement.kind == Movement.Kind.COUNT


def _mark_due(causes: dict[int, Movement]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH moved AS (
                    SELECT l.id, cause.movement_id, cause.trace_id
                      FROM unnest(%s::bigint[], %s::bigint[], %s::uuid[]) AS cause (product_id, movement_id, trace_id)
                      JOIN integracao_anuncio l ON l.product_id = cause.product_id
                     WHERE l.due_at IS NULL AND {IS_WRITABLE}
                     ORDER BY l.id FOR NO KEY UPDATE OF l)
                UPDATE integracao_anuncio l
                   SET due_at = now(), due_trigger = 'auto',
                       cause_movement_id = moved.movement_id, cause_trace_id = moved.trace_id
                  FROM moved WHERE l.id = moved.id""",  # noqa: S608  our own text
            [list(causes), [m.pk for m in causes.values()], [m.trace_id for m in causes.values()]],
        )


def _units_sold(movement: Movement) -> int:
    """Return how many units were asked for: sold over a counter, or promised to an order; 0 for all else."""
    if movement.kind == Movement.Kind.SALE:
        return -movement.on_hand_delta
    return movement.reserved_delta if movement.kind == Movement.Kind.RESERVE else 0


def _note_rates(sales: Sequence[Movement]) -> None:
    """Count sales into their products' rates. One reader follows the ledger at a time, so no two do this at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO sync_sales_rates AS rate (product_id, tenant_id, units_per_hour, as_of)
               SELECT product_id, tenant_id, sum(units)::float8 / %(memory)s, max(at)
                 FROM unnest(%(products)s::bigint[], %(tenants)s::bigint[], %(units)s::int[], %(at)s::timestamptz[])
                      AS sold (product_id, tenant_id, units, at)
                GROUP BY product_id, tenant_id ORDER BY product_id
               ON CONFLICT (product_id) DO UPDATE SET
                   units_per_hour = excluded.units_per_hour + rate.units_per_hour * exp(
                       -greatest(extract(epoch FROM excluded.as_of - rate.as_of), 0)::float8 / 3600 / %(memory)s),
                   as_of = greatest(excluded.as_of, rate.as_of)""",
            {
                "memory": RATE_MEMORY_HOURS,
                "products": [m.product_id for m in sales],
                "tenants": [m.tenant_id for m in sales],
                "units": [_units_sold(m) for m in sales],
                "at": [m.recorded_at for m in sales],
            },
        )


def _note_sold_there(sales: Sequence[Movement]) -> None:
    """Count what a channel sold itself off what it shows: telling it so is no hurry.

    Only where it is plain which listing sold: the product has one on channels of that kind. A sale from before the
    last accepted number may have been overwritten by it, so it is not counted. This decides an order, never a number.
    """
    orders = [m for m in sales if m.kind == Movement.Kind.RESERVE and m.source in Connector.Kind.values]
    if not orders:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH sold AS (
                   SELECT l.id, sum(sale.units) AS units
                     FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::timestamptz[])
                          AS sale (product_id, canal, units, at)
                     JOIN integracao_anuncio l ON l.product_id = sale.product_id
                     JOIN integracao_conector c ON c.id = l.connector_id AND c.canal = sale.canal
                    WHERE sale.at > l.accepted_at AND 1 = (
                          SELECT count(*) FROM integracao_anuncio o
                            JOIN integracao_conector oc ON oc.id = o.connector_id AND oc.canal = sale.canal
                           WHERE o.product_id = sale.product_id)
                    GROUP BY l.id)
               UPDATE integracao_anuncio l SET sold_there = l.sold_there + sold.units FROM sold WHERE l.id = sold.id""",
            [
                [m.product_id for m in orders],
                [m.source for m in orders],
                [m.reserved_delta for m in orders],
                [m.occurred_at for m in orders],
            ],
        )


# --- What each listing should show, and its place in the line ------------------------------------------------------


TARGETS = f"""
SELECT l.id, l.connector_id, c.calls_per_minute, l.due_at IS NOT NULL OR l.lease_expires_at IS NOT NULL,
       greatest(extract(epoch FROM now() - coalesce(l.due_at, l.lease_expires_at)), 0)::float8,
       CASE WHEN c.shadow_since IS NULL OR l.live_since IS NOT NULL THEN l.accepted_quantity - l.sold_there
            ELSE l.shadow_quantity END,
       l.held_at IS NOT NULL, l.due_at IS NOT NULL AND l.due_trigger = 'manual',
       rate.units_per_hour
         * exp(-greatest(extract(epoch FROM now() - rate.as_of), 0)::float8 / 3600 / {RATE_MEMORY_HOURS}),
       CASE WHEN stock.is_known THEN stock.pool END,
       coalesce(l.margin_percent, c.margin_percent), coalesce(l.buffer_units, c.buffer_units),
       coalesce(l.end_when_units, c.end_when_units), coalesce(l.cap_units, c.cap_units)
  FROM integracao_anuncio l
  JOIN integracao_conector c ON c.id = l.connector_id
  LEFT JOIN sync_sales_rates rate ON rate.product_id = l.product_id
  CROSS JOIN LATERAL (
      SELECT sum(greatest(b.quantity_available, 0)) AS pool, bool_or(b.counted_at IS NOT NULL) AS is_known
        FROM inventory_balances b
       WHERE b.tenant_id = l.tenant_id AND b.product_id = l.product_id
         AND (NOT EXISTS (SELECT FROM integracao_conector_locations chosen WHERE chosen.connector_id = c.id)
              OR b.location_id IN (SELECT chosen.location_id FROM integracao_conector_locations chosen
                                    WHERE chosen.connector_id = c.id))
  ) stock
 WHERE {IS_WRITABLE} AND {{condition}}
"""  # noqa: S608  our own text
# Nothing received or corrected yet, no number: the hub says nothing about a product whose stock it was never told. A
# sale alone does not tell it: after an import the first order would otherwise zero the listing.


@dataclass(frozen=True, slots=True)
class Target:
    """What one listing shows, as far as the hub knows, and what it should show (None: the hub knows no stock)."""

    listing_id: int
    connector_id: int
    calls_per_minute: int | None
    is_due: bool
    waited_seconds: float
    shown: int | None
    is_held: bool
    is_by_hand: bool
    units_per_hour: float
    number: int | None


def _target(row: Sequence[Any]) -> Target:
    (
        listing_id,
        connector_id,
        calls_per_minute,
        is_due,
        waited_seconds,
        shown,
        is_held,
        is_by_hand,
        rate,
        pool,
        *rule,
    ) = row
    return Target(
        listing_id=listing_id,
        connector_id=connector_id,
        calls_per_minute=calls_per_minute,
        is_due=is_due,
        waited_seconds=waited_seconds,
        shown=shown,
        is_held=is_held,
        is_by_hand=is_by_hand,
        units_per_hour=rate or 0.0,
        number=None if pool is None else publishable(int(pool), Rule(*rule)),
    )


def target_of(listing_id: int) -> int | None:
    """Return the number this listing should show now; None when the hub knows nothing of the product's stock."""
    return targets_of([listing_id]).get(listing_id)


def targets_of(listing_ids: Collection[int]) -> dict[int, int]:
    """Return {listing id: the number it should show now}, without those of which the hub has nothing to say."""
    with connection.cursor() as cursor:
        cursor.execute(TARGETS.format(condition="l.id = ANY(%s)"), [list(listing_ids)])
        targets = [_target(row) for row in cursor]
    return {target.listing_id: target.number for target in targets if target.number is not None}


def _line_up(condition: str, parameters: Sequence[Any] = ()) -> int:
    """Line up what is due of the listings that the condition names. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(TARGETS.format(condition=f"{IS_RUNNING} AND {IS_DUE} AND {condition}"), parameters)
        targets = [_target(row) for row in cursor]
    return _take_places(targets)


def _take_places(targets: Sequence[Target], *, is_everything: bool = False) -> int:
    """Give each listing its place, except for those that a wave of zeros holds back. Returns how many have one.

    Away from Redis nothing is lost: the next sweep lines them up.
    """
    zeros = [t for t in targets if t.number == 0 and t.shown != 0]
    held = {t.listing_id for t in zeros if t.is_held}
    held |= waves.held_back([(t.connector_id, t.listing_id) for t in zeros if not t.is_held])
    waves.let_go(t.listing_id for t in targets if t.is_held and t.listing_id not in held)
    entries = [
        turns.Waiting(
            t.connector_id,
            t.listing_id,
            risk.score(t.shown, t.number, t.units_per_hour) + (risk.BY_HAND if t.is_by_hand else 0),
            t.waited_seconds,
        )
        for t in targets
        if t.listing_id not in held
    ]
    ceilings = {t.connector_id: budget.ceiling_a_second(t.calls_per_minute) for t in targets}
    try:
        turns.line_up(entries, ceilings, is_everything=is_everything)
        for connector_id in {t.connector_id for t in targets if t.listing_id in held}:
            turns.leave(connector_id, held)
    except RedisError as error:
        log.warning("not_lined_up", listings=len(entries), reason=type(error).__name__)
    return len(entries)


def line_up_due() -> int:
    """Line up everything that is due: after Redis forgot. Returns how many listings that are."""
    with connection.cursor() as cursor:
        cursor.execute(TARGETS.format(condition=f"{IS_RUNNING} AND {IS_DUE}"))
        targets = [_target(row) for row in cursor]
    return _take_places(targets, is_everything=True)


BECAME_DUE = """
((l.due_at <= now() AND l.due_at > now() - make_interval(secs => %s))
 OR (l.lease_expires_at <= now() AND l.lease_expires_at > now() - make_interval(secs => %s)))
"""
# said so that the two indexes of what is due answer it: it is asked every second, whatever the number of listings


def line_up_recent() -> int:
    """Line up what became due by the clock a moment ago: retries, and leases of the dead. Returns how many."""
    return _line_up(BECAME_DUE, [RECENT_SECONDS, RECENT_SECONDS])


def mark_now(listings: QuerySet[Listing], trigger: Listing.Trigger = Listing.Trigger.MANUAL) -> int:
    """Make the given listings due at once, retries included, before all others: somebody asked. Returns how many.

    Those that sell no product, or whose stock the channel keeps itself, have no number to tell.
    """
    with transaction.atomic():
        ids = lock(listings.filter(WRITABLE, product__isnull=False))
        Listing.objects.filter(pk__in=ids).update(due_at=timezone.now(), due_trigger=trigger, **_cause_if_it_waited())
        transaction.on_commit(lambda: _line_up("l.id = ANY(%s)", [ids]))
    return len(ids)


def _cause_if_it_waited() -> dict[str, Case]:
    """Return the update that forgets the movement which caused an earlier try; one that still waits stays the cause."""
    names = ("cause_movement_id", "cause_trace_id")
    return {name: Case(When(due_at__isnull=False, then=F(name)), default=None) for name in names}


def let_zeros_through(connector: Connector) -> int:
    """Let the zeros through that a wave holds back: a person has looked. Returns how many listings that are."""
    ids = waves.release(connector)
    transaction.on_commit(lambda: _line_up("l.id = ANY(%s)", [ids]))
    return len(ids)


MARK = """
UPDATE integracao_anuncio l
   SET due_at = now(), due_trigger = 'sweep', cause_movement_id = NULL, cause_trace_id = NULL
  FROM (SELECT id FROM integracao_anuncio WHERE id = ANY(%s) AND due_at IS NULL AND lease_expires_at IS NULL
         ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) idle
 WHERE l.id = idle.id
"""
# Whoever holds a row right now is telling or marking that listing. Rows of several listings are always locked in the
# order of their ids, here as elsewhere, so that no two wait for each other.


def sweep() -> int:
    """Compare what every active listing should show with what its channel last accepted; mark those that differ.

    This heals whatever was lost anywhere, in PostgreSQL and in Redis: all that is due is lined up anew, with the risk
    as it is now. Returns how many were marked. Listings being told or waiting for a retry are left alone.
    """
    is_ours = f"({IS_DUE} OR l.due_at IS NULL AND l.lease_expires_at IS NULL)"
    condition = f"{IS_RUNNING} AND l.product_id IS NOT NULL AND {is_ours}"
    wrong: list[Target] = []
    due: list[Target] = []
    with transaction.atomic(), connection.chunked_cursor() as cursor:  # the rows stay in PostgreSQL
        cursor.execute(TARGETS.format(condition=condition))
        for row in cursor:
            target = _target(row)
            if target.is_due:
                due.append(target)
            elif target.number is not None and target.shown != target.number:
                wrong.append(target)
    marked = 0
    if wrong:
        with connection.cursor() as cursor:
            cursor.execute(MARK, [[t.listing_id for t in wrong]])
            marked = cursor.rowcount
    _take_places([*due, *wrong], is_everything=True)
    return marked


# --- Turns and claims ----------------------------------------------------------------------------------------------


def next_turns(at_most: int, calls_max: int) -> list[turns.Turn] | turns.Pause:
    """Return whose turn it is, up to so many; lines everything up first when Redis forgot. Raises RedisError."""
    found = turns.take(at_most, calls_max)
    if isinstance(found, turns.Pause) and found.is_lost:
        with slot("sync.line_up") as is_mine:
            if not is_mine:
                return turns.Pause(1.0)  # another worker is at it
            line_up_due()
        return turns.take(at_most, calls_max)
    return found


def line_up_again(listing_id: int) -> None:
    """Line a listing up that became due during its call."""
    _line_up("l.id = %s", [listing_id])


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to tell one listing its number until the lease ends. `lease_id` tells a late worker from a live one.

    listing: as it stands now, with its connector. was_interrupted: an earlier lease ran out: somebody died in mid-call.
    due_at: since when it was due; None after an interrupted call.
    """

    listing: Listing
    was_interrupted: bool
    due_at: datetime | None

    @property
    def lease_id(self) -> UUID | None:
        """Return what this claim is known by."""
        return self.listing.lease_id


COLUMNS = ", ".join(
    [f"l.{field.column}" for field in Listing._meta.concrete_fields]
    + [f"c.{field.column}" for field in Connector._meta.concrete_fields]
)
LISTING, CONNECTOR = ([field.attname for field in model._meta.concrete_fields] for model in (Listing, Connector))

CLAIM = f"""
WITH due AS (
    SELECT l.id, l.due_at, l.lease_expires_at IS NOT NULL AS was_interrupted
      FROM integracao_anuncio l JOIN integracao_conector c ON c.id = l.connector_id
     WHERE l.id = ANY(%s) AND {IS_RUNNING} AND {IS_DUE} AND l.held_at IS NULL
     ORDER BY l.id FOR UPDATE OF l SKIP LOCKED
)
UPDATE integracao_anuncio l
   SET lease_id = gen_random_uuid(), lease_expires_at = now() + make_interval(secs => %s),
       due_at = NULL, attempts = l.attempts + 1
  FROM due, integracao_conector c WHERE l.id = due.id AND c.id = l.connector_id
RETURNING set_config('synchronous_commit', 'off', true), due.was_interrupted, due.due_at,
          {COLUMNS}
"""  # noqa: S608  every part is a constant of ours
# Nobody waits for the disk here: the log's row is written before the channel hears anything, and is on the disk only
# together with the claim. A claim that a crash of the database takes back leaves the listing due.


def claim(listing_ids: Sequence[int]) -> list[Claim]:
    """Claim listings; without those that need not, or must not, be told now."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [list(listing_ids), LEASE_SECONDS])
        return [_claim(*row) for row in cursor]


def _claim(_commit: str, was_interrupted: bool, due_at: datetime | None, *values: Any) -> Claim:
    listing = Listing.from_db(DEFAULT_DB_ALIAS, LISTING, values[: len(LISTING)])
    listing.connector = Connector.from_db(DEFAULT_DB_ALIAS, CONNECTOR, values[len(LISTING) :])
    return Claim(listing, was_interrupted, due_at)
