"""How soon the channels show what moved: from the movement to the accepted number, and what the delay exposed.

A movement's road has four moments: **recorded** in the ledger, **followed** (its listing was marked), **sent** (the
first try that told of it began), **accepted** (the first answer that showed a number computed after it). Only movements
that made a listing due are measured: of several that are told in one call, the first. **Exposure** is how many units
too many a channel offered, times how long: unit-seconds, the window in which an oversell happens.

Everything comes from the newest tries of the last hour, so a look costs alike however long the log is.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from apps.sync.allocation import Rule, publishable

WINDOW_MINUTES = 60
"""Movements recorded before that are of no interest here."""

TRIES_MAX = 20_000
"""Of a busy hour, the newest tries."""

LISTINGS_MAX = 5000
"""Listings that wait to be told and are looked at for what they show too many of, the longest waiting first."""

CAUSE_DAYS_MAX = 7
"""A number that is wrong for longer counts as wrong since then."""

QUANTILES = (0.5, 0.95, 0.99)

STEPS = ("followed", "sent", "accepted", "total")


@dataclass(frozen=True, slots=True)
class Span:
    """Quantiles of how long one part of the road took, in seconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Freshness:
    """One connector's figures.

    movements: whose number was sent within the window. waiting: of these, not accepted yet. errors: tries that failed,
    of `tries`. spans: of followed (since recorded), sent (since followed), accepted (since sent) and total; without
    those that did not happen. exposure_unit_seconds: of lowered numbers, until accepted, or until now.
    """

    connector_id: int
    channel: str
    movements: int
    waiting: int
    tries: int
    errors: int
    spans: dict[str, Span]
    exposure_unit_seconds: float


@dataclass(frozen=True, slots=True)
class TooMany:
    """What one connector's channel offers at this moment that is not there."""

    connector_id: int
    channel: str
    listings: int = 0
    units: int = 0
    unit_seconds: float = 0.0  # so far


MEASURE = """
WITH tries AS MATERIALIZED (
    SELECT id, connector_id, marketplace, listing_id, movement_id, new_value, status, due_at, "timestamp" AS at,
           finished_at, old_value - coalesce((inputs ->> 'sold_there')::integer, 0) AS shown_before
      FROM marketplace_sync_logs
     WHERE "timestamp" > now() - make_interval(mins => %(minutes)s) AND sync_type = 'STOCK' AND {mine}
     ORDER BY "timestamp" DESC LIMIT %(tries)s
), ended AS (
    SELECT *, min(finished_at) FILTER (WHERE status = 'SUCCESS') OVER this_and_later AS accepted_at FROM tries
    WINDOW this_and_later AS (
           PARTITION BY listing_id ORDER BY at, id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
), roads AS (
    SELECT connector_id, movement_id, listing_id, min(due_at) AS followed_at, min(at) AS sent_at,
           min(accepted_at) AS accepted_at,
           greatest((array_agg(shown_before - new_value ORDER BY at, id))[1], 0) AS units_too_many
      FROM ended WHERE movement_id IS NOT NULL GROUP BY connector_id, movement_id, listing_id
), timed AS (
    SELECT roads.*, m.recorded_at,
           greatest(extract(epoch FROM followed_at - m.recorded_at), 0) AS followed,
           greatest(extract(epoch FROM sent_at - followed_at), 0) AS sent,
           CASE WHEN accepted_at IS NOT NULL THEN greatest(extract(epoch FROM accepted_at - sent_at), 0) END
               AS accepted,
           CASE WHEN accepted_at IS NOT NULL THEN greatest(extract(epoch FROM accepted_at - m.recorded_at), 0) END
               AS total
      FROM roads CROSS JOIN LATERAL (  -- one by one along the key, whatever the ledger holds
           SELECT recorded_at FROM inventory_ledger
            WHERE id = roads.movement_id AND recorded_at > now() - make_interval(mins => %(minutes)s) LIMIT 1) AS m
), figures AS (
    SELECT connector_id, count(*) AS movements, count(*) FILTER (WHERE accepted_at IS NULL) AS waiting,
           percentile_cont(%(quantiles)s) WITHIN GROUP (ORDER BY followed) AS followed,
           percentile_cont(%(quantiles)s) WITHIN GROUP (ORDER BY sent) AS sent,
           percentile_cont(%(quantiles)s) WITHIN GROUP (ORDER BY accepted) AS accepted,  -- NULLs are left out
           percentile_cont(%(quantiles)s) WITHIN GROUP (ORDER BY total) AS total,
           coalesce(sum(units_too_many
                        * greatest(extract(epoch FROM coalesce(accepted_at, now()) - recorded_at), 0)), 0) AS exposure
      FROM timed GROUP BY connector_id
)
SELECT t.connector_id, t.marketplace, coalesce(f.movements, 0), coalesce(f.waiting, 0), t.tries, t.errors,
       f.followed, f.sent, f.accepted, f.total, coalesce(f.exposure, 0)::float8
  FROM (SELECT connector_id, marketplace, count(*) AS tries, count(*) FILTER (WHERE status = 'ERROR') AS errors
          FROM tries GROUP BY connector_id, marketplace) AS t
  LEFT JOIN figures f ON f.connector_id = t.connector_id
 ORDER BY t.connector_id
"""


def measure(*, tenant_id: int | None = None, connector_id: int | None = None) -> list[Freshness]:
    """Return the figures of each connector that was told something within the last hour; of one, or of all."""
    with connection.cursor() as cursor:
        cursor.execute(
            MEASURE.format(mine=_mine("tenant_id", tenant_id, connector_id)),
            {
                "minutes": WINDOW_MINUTES,
                "tries": TRIES_MAX,
                "quantiles": list(QUANTILES),
                "tenant": tenant_id,
                "connector": connector_id,
            },
        )
        return [_freshness(row) for row in cursor.fetchall()]


def _freshness(row: tuple[Any, ...]) -> Freshness:
    connector_id, channel, movements, waiting, tries, errors, *spans, exposure = row
    measured = {step: span for step, span in zip(STEPS, spans, strict=True) if span and None not in span}
    found = {step: Span(*map(float, span)) for step, span in measured.items()}
    return Freshness(connector_id, channel, movements, waiting, tries, errors, found, float(exposure))


WAITING = """
SELECT l.connector_id, c.canal, l.accepted_quantity - l.sold_there,
       greatest(extract(epoch FROM now() - coalesce(m.recorded_at, l.due_at, now())), 0)::float8, stock.pool,
       coalesce(l.margin_percent, c.margin_percent), coalesce(l.buffer_units, c.buffer_units),
       coalesce(l.end_when_units, c.end_when_units), coalesce(l.cap_units, c.cap_units)
  FROM (SELECT * FROM integracao_anuncio l
         WHERE (l.due_at IS NOT NULL OR l.lease_expires_at IS NOT NULL)
           AND l.accepted_quantity > l.sold_there AND {mine}
         ORDER BY coalesce(l.due_at, l.lease_expires_at) LIMIT %(listings)s) AS l
  JOIN integracao_conector c ON c.id = l.connector_id
 CROSS JOIN LATERAL (
      SELECT sum(greatest(b.quantity_available, 0)) AS pool, bool_or(b.counted_at IS NOT NULL) AS is_known
        FROM inventory_balances b
       WHERE b.tenant_id = l.tenant_id AND b.product_id = l.product_id
         AND (NOT EXISTS (SELECT FROM integracao_conector_locations chosen WHERE chosen.connector_id = c.id)
              OR b.location_id IN (SELECT chosen.location_id FROM integracao_conector_locations chosen
                                    WHERE chosen.connector_id = c.id))) AS stock
  LEFT JOIN LATERAL (
      SELECT recorded_at FROM inventory_ledger
       WHERE id = l.cause_movement_id AND recorded_at > now() - make_interval(days => %(days)s) LIMIT 1) AS m ON true
 WHERE stock.is_known
"""


def too_many(*, tenant_id: int | None = None, connector_id: int | None = None) -> list[TooMany]:
    """Return what the channels offer now that is not there, of listings that wait to be told; connectors with any."""
    with connection.cursor() as cursor:
        cursor.execute(
            WAITING.format(mine=_mine("l.tenant_id", tenant_id, connector_id)),
            {"listings": LISTINGS_MAX, "days": CAUSE_DAYS_MAX, "tenant": tenant_id, "connector": connector_id},
        )
        rows = cursor.fetchall()
    found: dict[int, TooMany] = {}
    for connector, channel, shown, seconds, pool, *rule in rows:
        units = shown - publishable(int(pool), Rule(*rule))
        if units > 0:
            before = found.get(connector, TooMany(connector, channel))
            found[connector] = TooMany(
                connector,
                channel,
                before.listings + 1,
                before.units + units,
                before.unit_seconds + units * seconds,
            )
    return [found[connector] for connector in sorted(found)]


def _mine(tenant_column: str, tenant_id: int | None, connector_id: int | None) -> str:
    """Return the condition for one tenant's connector, or for everybody's; both are values of the statement."""
    conditions = [f"{tenant_column} = %(tenant)s"] if tenant_id is not None else []
    conditions += ["connector_id = %(connector)s"] if connector_id is not None else []
    return " AND ".join(conditions) or "true"
