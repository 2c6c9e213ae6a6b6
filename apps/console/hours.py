"""What each tenant's hours added up to, so that a chart of two weeks reads some hundred rows and no log.

Every minute the hour under way is added up afresh, and the one before it while that may still change; both are read
along the logs' block ranges, however many rows stand before them. What was never added up (a new installation, a day
without workers) is made up for, a day of it at a time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from apps.console import pulse

KEEP_DAYS = 15
"""Charts go back fourteen days; the tenant's day may begin hours after or before the database's."""

SETTLES_WITHIN = timedelta(minutes=10)
"""An hour is added up again for so long after its end: calls that were under way then have ended."""

AT_ONCE = timedelta(days=1)
"""No call adds up more than this."""

PULSE = "hours"

ADD_UP = """
WITH tries AS (
    SELECT tenant_id, date_trunc('hour', "timestamp", 'UTC') AS hour, count(*) AS tries,
           count(*) FILTER (WHERE status = 'ERROR') AS errors,
           count(*) FILTER (WHERE http_status = 429) AS throttled
      FROM marketplace_sync_logs
     WHERE "timestamp" >= %(since)s AND "timestamp" < %(until)s AND status <> 'SHADOW'
     GROUP BY 1, 2
), told AS (
    SELECT l.tenant_id, date_trunc('hour', l."timestamp", 'UTC') AS hour,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
               ORDER BY greatest(extract(epoch FROM l.finished_at - m.recorded_at), 0)) AS seconds
      FROM marketplace_sync_logs l CROSS JOIN LATERAL (  -- one by one along the key, whatever the ledger holds
           SELECT recorded_at FROM inventory_ledger
            WHERE id = l.movement_id AND recorded_at > l."timestamp" - interval '7 days' LIMIT 1) AS m
     WHERE l."timestamp" >= %(since)s AND l."timestamp" < %(until)s AND l.status = 'SUCCESS'
       AND l.sync_type = 'STOCK' AND l.movement_id IS NOT NULL
     GROUP BY 1, 2
), moved AS (
    SELECT tenant_id, date_trunc('hour', recorded_at, 'UTC') AS hour, count(*) AS movements,
           -- an order promises its units when it comes in; a till's sale, or a checkout's, takes them
           coalesce(sum(CASE WHEN kind = 'SALE' OR (kind = 'CONFIRM' AND reference_type <> 'order')
                             THEN -on_hand_delta
                             WHEN kind = 'RESERVE' AND reference_type = 'order' THEN reserved_delta
                             ELSE 0 END), 0) AS sold_units
      FROM inventory_ledger WHERE recorded_at >= %(since)s AND recorded_at < %(until)s
     GROUP BY 1, 2
)
INSERT INTO painel_hora (tenant_id, hour, tries, errors, throttled, p50_seconds, p95_seconds, movements, sold_units)
SELECT tenant_id, hour, coalesce(tries, 0), coalesce(errors, 0), coalesce(throttled, 0), told.seconds[1],
       told.seconds[2], coalesce(movements, 0), greatest(coalesce(sold_units, 0), 0)
  FROM tries FULL JOIN moved USING (tenant_id, hour) LEFT JOIN told USING (tenant_id, hour)
ON CONFLICT (tenant_id, hour) DO UPDATE SET
    tries = EXCLUDED.tries, errors = EXCLUDED.errors, throttled = EXCLUDED.throttled,
    p50_seconds = EXCLUDED.p50_seconds, p95_seconds = EXCLUDED.p95_seconds,
    movements = EXCLUDED.movements, sold_units = EXCLUDED.sold_units
"""

READ = """
SELECT hour, tries, errors, throttled, p50_seconds, p95_seconds, movements, sold_units FROM painel_hora
 WHERE tenant_id = %s AND hour >= %s ORDER BY hour
"""


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of a tenant; see models.HourFigures."""

    hour: datetime
    tries: int = 0
    errors: int = 0
    throttled: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    movements: int = 0
    sold_units: int = 0


def add_up(since: datetime, until: datetime) -> None:
    """Add up, for every tenant, the hours from `since`'s to `until`; what stood for them is replaced."""
    begins = _hour_of(since)
    with connection.cursor() as cursor:
        cursor.execute(ADD_UP, {"since": begins, "until": until})


def follow() -> bool:
    """Bring the hours up to date. Tells whether there is more to make up for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT clock_timestamp(), (SELECT detail ->> 'until' FROM painel_sinal WHERE name = %s)", [PULSE]
        )
        now, done = cursor.fetchone()
    oldest = now - timedelta(days=KEEP_DAYS)
    since = max(datetime.fromisoformat(done) - SETTLES_WITHIN, oldest) if done else oldest
    until = min(_hour_of(since) + AT_ONCE, now)
    add_up(since, until)
    pulse.note(PULSE, until=until.isoformat())
    return bool(until < now)


def forget_old() -> None:
    """Forget the hours that no chart shows."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM painel_hora WHERE hour < now() - make_interval(days => %s)", [KEEP_DAYS])


def of_tenant(tenant_id: int, since: datetime) -> list[Hour]:
    """Return a tenant's hours that have figures, from `since` on, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [tenant_id, since])
        return [Hour(*row) for row in cursor.fetchall()]


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
