"""Proof that no duty to tell a channel is stuck (invariants I8 and I13), and that shadow mode tells nothing."""

from apps.common.findings import Finding, check
from apps.tenants.flags import IS_OFF

RULES = {
    "no listing is held long past its lease": f"""
        SELECT l.id, l.item_id, l.lease_expires_at FROM integracao_anuncio l
          JOIN integracao_conector c ON c.id = l.connector_id AND c.status = 'ATIVO'
         WHERE NOT {IS_OFF} AND l.lease_expires_at < now() - interval '2 minutes'""",  # noqa: S608  a constant of ours
    "no listing waits long past its time": f"""
        SELECT l.id, l.item_id, l.due_at FROM integracao_anuncio l
          JOIN integracao_conector c ON c.id = l.connector_id AND c.status = 'ATIVO'
         WHERE NOT {IS_OFF} AND l.due_at < now() - interval '10 minutes' AND l.lease_expires_at IS NULL""",  # noqa: S608
    "no call is unfinished without a lease that covers it": """
        SELECT s.id, s.listing_id, s.timestamp FROM marketplace_sync_logs s
          JOIN integracao_anuncio l ON l.id = s.listing_id
         WHERE s.status = 'PENDING' AND s.sync_type = 'STOCK' AND l.lease_id IS NULL
           AND s.timestamp < now() - interval '2 minutes'""",
    "nothing is told in shadow mode": """
        SELECT s.id, s.listing_id, s.timestamp, c.shadow_since FROM integracao_conector c
          JOIN marketplace_sync_logs s ON s.tenant_id = c.tenant_id AND s.connector_id = c.id
           AND s.timestamp > c.shadow_since + interval '1 minute' AND s.status = 'SUCCESS'
          JOIN integracao_anuncio l ON l.id = s.listing_id AND l.live_since IS NULL""",
    "no comparison with a channel stands still": f"""
        SELECT r.id, r.connector_id, r.worked_at FROM conferencia r
          JOIN integracao_conector c ON c.id = r.connector_id AND c.status = 'ATIVO'
         WHERE r.finished_at IS NULL AND r.trigger = 'HORARIA' AND NOT {IS_OFF}
           AND r.worked_at < now() - interval '30 minutes' AND c.updated_at < now() - interval '30 minutes'""",  # noqa: S608
}


def prove() -> list[Finding]:
    """Return every broken rule of the sync with the rows that show it."""
    return check(RULES)
