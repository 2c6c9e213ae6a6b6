"""The errors of one tenant that are open now, by code: events that failed or wait, and listings whose number failed."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from apps.tenants.models import Tenant


@dataclass(frozen=True, slots=True)
class Open:
    """What is open with one code.

    events: those that a person must look at, that wait for a mapping, or that the hub tries again by itself.
    listings: those whose last number did not reach the channel.
    oldest_at: since when the oldest is open: an event's arrival, a listing's last number that was accepted.
    """

    code: str
    events: int
    listings: int
    oldest_at: datetime


OPEN = """
SELECT code, sum(events)::bigint, sum(listings)::bigint, min(oldest_at) FROM (
    SELECT error_code AS code, count(*) AS events, 0 AS listings, min(received_at) AS oldest_at
      FROM integracao_evento
     WHERE tenant_id = %(tenant)s AND status IN ('ERRO', 'MAPEAMENTO', 'NOVA_TENTATIVA', 'QUARENTENA')
       AND error_code <> ''
     GROUP BY error_code
    UNION ALL
    SELECT last_error_code, 0, count(*), min(coalesce(accepted_at, created_at))
      FROM integracao_anuncio
     WHERE tenant_id = %(tenant)s AND sync_state IN ('ERROR', 'RETRY') AND last_error_code <> ''
     GROUP BY last_error_code
) AS found GROUP BY code ORDER BY sum(events + listings) DESC, code
"""


def open_errors(tenant: Tenant) -> list[Open]:
    """Return the codes of which something is open, the most frequent first. Reads along indexes."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN, {"tenant": tenant.pk})
        return [Open(*row) for row in cursor.fetchall()]
