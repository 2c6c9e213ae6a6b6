"""The figures of this moment on the start page, of one tenant. Each reads an index's end, or stops counting."""

import contextlib
from dataclasses import dataclass
from datetime import datetime

from django.core.cache import cache
from django.db import connection
from redis import RedisError

from apps.sync import freshness

COUNTED_MAX = 1000
"""Beyond it a page says "more than": nobody needs to know how many more."""

TRIES_MAX = 20_000
"""Of a busy hour, the newest tries."""

REMEMBERED_SECONDS = 5
"""Many people look at the start page; the dear figures are measured once for all of a tenant's."""


@dataclass(frozen=True, slots=True)
class Told:
    """How telling the channels went in the last hour; of several accounts, the freshness of the slowest.

    p50_seconds, p95_seconds: from a movement to the number that its channel accepted; None when none was told.
    """

    p50_seconds: float | None
    p95_seconds: float | None
    tries: int
    errors: int
    throttled: int

    @property
    def error_percent(self) -> float | None:
        """Return the share of tries that failed; None without any."""
        return 100 * self.errors / self.tries if self.tries else None

    @property
    def throttled_percent(self) -> float | None:
        """Return the share of tries that the channel answered with 429; None without any."""
        return 100 * self.throttled / self.tries if self.tries else None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits now. Counts end at COUNTED_MAX + 1; `…_since` is when the oldest began to wait."""

    events: int
    events_since: datetime | None
    numbers: int
    numbers_since: datetime | None
    oversells: int
    units_short: int
    divergences: int
    troubles: int


TRIES = """
SELECT count(*), count(*) FILTER (WHERE status = 'ERROR'), count(*) FILTER (WHERE http_status = 429) FROM (
    SELECT status, http_status FROM marketplace_sync_logs
     WHERE tenant_id = %s AND "timestamp" > now() - interval '1 hour' AND status <> 'SHADOW'
     ORDER BY "timestamp" DESC LIMIT %s) AS newest
"""

WAITING = """
SELECT events.*, numbers.*, oversells.*, divergences.*, troubles.* FROM
    (SELECT count(*), min(since) FROM (
        SELECT greatest(e.received_at, r.created_at) AS since
          FROM integracao_evento e LEFT JOIN reprocessamento r ON r.reprocess_id = e.reprocess_id
         WHERE e.next_attempt_at IS NOT NULL AND e.status <> 'ERRO' AND e.tenant_id = %(tenant)s
         ORDER BY e.next_attempt_at LIMIT %(most)s) AS found) AS events,
    (SELECT count(*), min(due_at) FROM (
        SELECT due_at FROM integracao_anuncio WHERE due_at <= now() AND tenant_id = %(tenant)s
         ORDER BY due_at LIMIT %(most)s) AS found) AS numbers,
    (SELECT count(*), coalesce(sum(units), 0) FROM (
        SELECT greatest(-b.quantity_available, 0) AS units FROM inventory_oversells o
          JOIN inventory_balances b USING (tenant_id, product_id, location_id)
         WHERE o.tenant_id = %(tenant)s AND o.closed_at IS NULL LIMIT %(most)s) AS found) AS oversells,
    (SELECT count(*) FROM (
        SELECT FROM divergencia WHERE tenant_id = %(tenant)s AND resolved_at IS NULL AND ignored_at IS NULL
         LIMIT %(most)s) AS found) AS divergences,
    (SELECT count(*) FROM (
        SELECT FROM pendencia WHERE tenant_id = %(tenant)s AND closed_at IS NULL
         LIMIT %(most)s) AS found) AS troubles
"""


def told(tenant_id: int) -> Told:
    """Return how telling the channels went, measured at most some seconds ago."""
    key = f"console:told:{tenant_id}"
    with contextlib.suppress(RedisError):
        if (remembered := cache.get(key)) is not None:
            return Told(*remembered)
    spans = [row.spans["total"] for row in freshness.measure(tenant_id=tenant_id) if "total" in row.spans]
    slowest = max(spans, key=lambda span: span.p95, default=None)
    with connection.cursor() as cursor:
        cursor.execute(TRIES, [tenant_id, TRIES_MAX])
        tries, errors, throttled = cursor.fetchone()
    measured = (slowest.p50 if slowest else None, slowest.p95 if slowest else None, tries, errors, throttled)
    with contextlib.suppress(RedisError):
        cache.set(key, measured, REMEMBERED_SECONDS)
    return Told(*measured)


def waiting(tenant_id: int) -> Waiting:
    """Return what waits now."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING, {"tenant": tenant_id, "most": COUNTED_MAX + 1})
        return Waiting(*cursor.fetchone())
