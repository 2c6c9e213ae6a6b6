"""How the queue of events is doing, over all tenants: for `monitorar_fila` and `/metrics`. Names no tenant."""

import json
from dataclasses import dataclass

from django.db import connection

RECENT = 1000
"""Finished events, the newest ones, whose latency and outcome are looked at."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The queue of one channel.

    waiting: events that a worker is to take, now or after a pause.
    oldest_seconds: since when the oldest of them waits: received, or sent through the road again.
    errors: events that a person must look at, by code. mapping: those that wait for somebody to map something.
    reprocesses_pending: waiting events that were sent through again. plans_pending: plans that nobody applied.
    error_percent, latency_p50_seconds, latency_p95_seconds: of the newest finished events, from arrival to end; the
        latency leaves out what was sent through again.
    """

    channel: str
    waiting: int = 0
    oldest_seconds: float = 0.0
    errors: dict[str, int] | None = None
    mapping: int = 0
    reprocesses_pending: int = 0
    plans_pending: int = 0
    error_percent: float = 0.0
    latency_p50_seconds: float = 0.0
    latency_p95_seconds: float = 0.0

    @property
    def error_count(self) -> int:
        """Return how many events a person must look at."""
        return sum((self.errors or {}).values())


MEASURE = """
WITH waiting AS (
    SELECT count(*) AS waiting, count(e.reprocess_id) AS reprocesses,
           extract(epoch FROM now() - min(greatest(e.received_at, r.created_at))) AS oldest
      FROM integracao_evento e LEFT JOIN reprocessamento r ON r.reprocess_id = e.reprocess_id
     WHERE e.next_attempt_at IS NOT NULL AND e.status <> 'ERRO' AND e.canal = %(channel)s
), errors AS (
    SELECT jsonb_object_agg(code, events) AS by_code
      FROM (SELECT error_code AS code, count(*) AS events FROM integracao_evento
             WHERE status = 'ERRO' AND canal = %(channel)s GROUP BY error_code) AS codes
), newest AS (
    SELECT status, reprocess_count, extract(epoch FROM processed_at - received_at) AS took
      FROM integracao_evento
     WHERE processed_at IS NOT NULL AND canal = %(channel)s AND status IN ('PROCESSADO', 'DUPLICADO', 'ERRO')
     ORDER BY id DESC LIMIT %(recent)s
), recent AS (
    SELECT coalesce(100.0 * avg((status = 'ERRO')::int), 0) AS error_percent,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY took)
               FILTER (WHERE status <> 'ERRO' AND reprocess_count = 0) AS took
      FROM newest
)
SELECT w.waiting, coalesce(w.oldest, 0), coalesce(errors.by_code, '{}'),
       (SELECT count(*) FROM integracao_evento WHERE status = 'MAPEAMENTO' AND canal = %(channel)s),
       w.reprocesses, (SELECT count(*) FROM reprocessamento WHERE status = 'PLANEJADO'),
       recent.error_percent, coalesce(recent.took[1], 0), coalesce(recent.took[2], 0)
  FROM waiting w, errors, recent
"""


def measure(channel: str) -> Backlog:
    """Return how the queue of a channel ("ML") is doing at this moment. Reads only, along indexes."""
    with connection.cursor() as cursor:
        cursor.execute(MEASURE, {"channel": channel, "recent": RECENT})
        waiting, oldest, errors, mapping, reprocesses, plans, percent, p50, p95 = cursor.fetchone()
    return Backlog(
        channel=channel,
        waiting=waiting,
        oldest_seconds=round(float(oldest), 1),
        errors=json.loads(errors) if isinstance(errors, str) else errors,
        mapping=mapping,
        reprocesses_pending=reprocesses,
        plans_pending=plans,
        error_percent=round(float(percent), 2),
        latency_p50_seconds=round(float(p50), 3),
        latency_p95_seconds=round(float(p95), 3),
    )
