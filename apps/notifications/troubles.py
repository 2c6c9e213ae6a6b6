"""Find what keeps numbers from reaching the channels, group it by cause, and notice when it is gone.

The sync does not know of this room: what is wrong stands in its rows (a listing in error or held back, a connector that
stopped), and this looks at them every few seconds. So nothing is told twice, nothing is lost, and 5,000 listings that
the channel answers 429 are one trouble with a count.
"""

from django.db import connection, transaction

EMAIL_AFTER_SECONDS = 60
"""A trouble that lasts for so long is written about; until then it grows, and what passes by itself troubles nobody."""

EMAIL_EVERY_SECONDS = 3600
"""No two e-mails about one cause of one connector within this time, however often it comes and goes."""

FOUND = """
found AS (
    SELECT l.tenant_id, l.connector_id, 'ANUNCIOS' AS tipo, l.last_error_code AS causa, count(*) AS quantidade
      FROM integracao_anuncio l
     WHERE l.sync_state = 'ERROR' AND l.product_id IS NOT NULL
     GROUP BY l.tenant_id, l.connector_id, l.last_error_code
    UNION ALL
    SELECT l.tenant_id, l.connector_id, 'ANUNCIOS', 'zeros_held', count(*)  -- they wait for a person (sync/waves.py)
      FROM integracao_anuncio l
     WHERE l.held_at IS NOT NULL AND l.product_id IS NOT NULL
     GROUP BY l.tenant_id, l.connector_id
    UNION ALL
    SELECT c.tenant_id, c.id, 'CONECTOR',
           CASE c.status WHEN 'REAUTORIZAR' THEN 'reauthorize' ELSE 'connector_stopped' END, 1
      FROM integracao_conector c WHERE c.status IN ('ERROR', 'REAUTORIZAR') AND c.external_user_id <> ''
)
"""

# A row is written only when something about it changed: most looks find what the last one found.
OPEN = f"""
WITH {FOUND}
INSERT INTO pendencia AS p (tenant_id, connector_id, tipo, causa, quantidade, email_due_at)
SELECT found.*, now() + make_interval(secs => %(after)s) FROM found ORDER BY connector_id, tipo, causa
ON CONFLICT (connector_id, tipo, causa) DO UPDATE SET
    quantidade = excluded.quantidade,
    opened_at = CASE WHEN p.closed_at IS NULL THEN p.opened_at ELSE now() END,
    email_due_at = CASE WHEN p.closed_at IS NULL THEN p.email_due_at
                        ELSE greatest(excluded.email_due_at, p.emailed_at + make_interval(secs => %(every)s)) END,
    email_attempts = CASE WHEN p.closed_at IS NULL THEN p.email_attempts ELSE 0 END,
    closed_at = NULL
 WHERE p.closed_at IS NOT NULL OR p.quantidade <> excluded.quantidade
"""  # noqa: S608  our own text

CLOSE = f"""
WITH {FOUND}
UPDATE pendencia p SET closed_at = now(), email_due_at = NULL
 WHERE p.closed_at IS NULL
   AND NOT EXISTS (SELECT FROM found
                    WHERE (found.connector_id, found.tipo, found.causa) = (p.connector_id, p.tipo, p.causa))
"""  # noqa: S608  our own text


def look() -> None:
    """Open what is wrong, count it, and close what is not any more, with the e-mail that was still owed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(OPEN, {"after": EMAIL_AFTER_SECONDS, "every": EMAIL_EVERY_SECONDS})
        cursor.execute(CLOSE)
