"""Find what keeps stock or numbers from being right, group it by cause, and notice when it is gone.

The other rooms do not know of this one: what is wrong stands in their rows (a listing in error or held back, an event
that failed or waits for a mapping, a connector that stopped, a queue that stands still), and this looks at them every
few seconds. So nothing is told twice, nothing is lost, and 5,000 listings that the channel answers 429 are one trouble
with a count.

A trouble that comes and goes is one **episode**: it is solved only once it stayed away for `QUIET_SECONDS`, by itself;
until then what somebody said of it holds. Its history (`TroubleNote`) has a line an episode, not one a flicker.
"""

from django.db import connection, transaction
from django.utils import timezone

from apps.notifications.models import Trouble, TroubleNote
from apps.tenants import audit
from apps.tenants.flags import IS_OFF

EMAIL_AFTER_SECONDS = 60
"""A trouble that lasts for so long is written about; until then it grows, and what passes by itself troubles nobody."""

EMAIL_EVERY_SECONDS = 3600
"""No two e-mails about one cause of one connector within this time, however often it comes and goes."""

QUIET_SECONDS = 1800
"""What stayed away for so long is solved; coming back sooner, it is the same matter."""

STILL_MINUTES = 10
"""A queue whose oldest is due for so long stands still."""

RUNS = f"c.status = 'ATIVO' AND NOT {IS_OFF}"

FOUND = f"""
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
    UNION ALL
    SELECT e.tenant_id, e.connector_id,
           CASE e.status WHEN 'ERRO' THEN 'EVENTOS' ELSE e.status END, e.error_code, count(*)
      FROM integracao_evento e
     WHERE e.status IN ('ERRO', 'MAPEAMENTO', 'QUARENTENA') AND e.error_code <> ''
     GROUP BY e.tenant_id, e.connector_id, e.status, e.error_code
    UNION ALL
    SELECT d.tenant_id, d.connector_id, 'DIVERGENCIA', 'divergence', count(*)
      FROM divergencia d WHERE d.resolved_at IS NULL AND d.ignored_at IS NULL
     GROUP BY d.tenant_id, d.connector_id
    UNION ALL
    SELECT e.tenant_id, e.connector_id, 'FILA', 'backlog_events', count(*)
      FROM integracao_evento e JOIN integracao_conector c ON c.id = e.connector_id
     WHERE e.next_attempt_at < now() - interval '{STILL_MINUTES} minutes' AND {RUNS}
     GROUP BY e.tenant_id, e.connector_id
    UNION ALL
    SELECT l.tenant_id, l.connector_id, 'FILA', 'backlog_numbers', count(*)
      FROM integracao_anuncio l JOIN integracao_conector c ON c.id = l.connector_id
     WHERE l.due_at < now() - interval '{STILL_MINUTES} minutes' AND l.held_at IS NULL AND {RUNS}
     GROUP BY l.tenant_id, l.connector_id
    UNION ALL
    SELECT o.tenant_id, NULL, 'OVERSELL', 'oversold', count(*)
      FROM inventory_oversells o WHERE o.closed_at IS NULL GROUP BY o.tenant_id
)
"""  # noqa: S608  our own text

# A row is written only when something about it changed: most looks find what the last one found.
OPEN = f"""
WITH {FOUND}, opened AS (
    INSERT INTO pendencia AS p (tenant_id, connector_id, tipo, causa, quantidade, email_due_at)
    SELECT found.*, now() + make_interval(secs => %(after)s) FROM found ORDER BY connector_id, tipo, causa
    ON CONFLICT (tenant_id, connector_id, tipo, causa) DO UPDATE SET
        quantidade = excluded.quantidade,
        opened_at = CASE WHEN p.closed_at IS NULL THEN p.opened_at ELSE now() END,
        email_due_at = CASE WHEN p.closed_at IS NULL THEN p.email_due_at
                            ELSE greatest(excluded.email_due_at, p.emailed_at + make_interval(secs => %(every)s)) END,
        email_attempts = CASE WHEN p.closed_at IS NULL THEN p.email_attempts ELSE 0 END,
        emailed_to = CASE WHEN p.closed_at IS NULL THEN p.emailed_to ELSE '{{}}' END,
        closed_at = NULL,
        since_at = CASE WHEN p.resolved_at IS NULL THEN p.since_at ELSE clock_timestamp() END,
        acknowledged_at = CASE WHEN p.resolved_at IS NULL THEN p.acknowledged_at END,
        acknowledged_by = CASE WHEN p.resolved_at IS NULL THEN p.acknowledged_by ELSE '' END,
        note = CASE WHEN p.resolved_at IS NULL THEN p.note ELSE '' END,
        resolved_at = NULL
     WHERE p.closed_at IS NOT NULL OR p.quantidade <> excluded.quantidade
    RETURNING id, quantidade, since_at
)
INSERT INTO pendencia_historico (pendencia_id, what, quantidade, happened_at)
SELECT id, 'ABERTA', quantidade, since_at FROM opened WHERE since_at >= now()
"""  # noqa: S608  our own text

CLOSE = f"""
WITH {FOUND}
UPDATE pendencia p SET closed_at = now(), email_due_at = NULL
 WHERE p.closed_at IS NULL
   AND NOT EXISTS (SELECT FROM found
                    WHERE (found.tenant_id, found.tipo, found.causa) = (p.tenant_id, p.tipo, p.causa)
                      AND found.connector_id IS NOT DISTINCT FROM p.connector_id)
"""  # noqa: S608  our own text

RESOLVE = """
WITH solved AS (
    UPDATE pendencia SET resolved_at = now()
     WHERE resolved_at IS NULL AND closed_at < now() - make_interval(secs => %s)
    RETURNING id, quantidade
)
INSERT INTO pendencia_historico (pendencia_id, what, quantidade) SELECT id, 'RESOLVIDA', quantidade FROM solved
"""


def look() -> None:
    """Open what is wrong, count it, and close what is not any more, with the e-mail that was still owed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(OPEN, {"after": EMAIL_AFTER_SECONDS, "every": EMAIL_EVERY_SECONDS})
        cursor.execute(CLOSE)
        cursor.execute(RESOLVE, [QUIET_SECONDS])


@transaction.atomic
def acknowledge(trouble: Trouble, *, actor: str, note: str = "") -> None:
    """Write down that somebody has seen a trouble that is not solved, and what they say of it. It stays one."""
    row = Trouble.objects.select_for_update(of=("self",)).select_related("tenant").get(pk=trouble.pk)
    before = {"seen_by": row.acknowledged_by, "note": row.note}
    row.acknowledged_at, row.acknowledged_by, row.note = timezone.now(), actor[:100], note.strip()[:300]
    row.save(update_fields=["acknowledged_at", "acknowledged_by", "note"])
    TroubleNote.objects.create(
        trouble=row, what=TroubleNote.What.SEEN, actor=actor[:100], note=row.note, count=row.count
    )
    _audit(row, actor, "trouble.seen", before)


@transaction.atomic
def forget_acknowledgement(trouble: Trouble, *, actor: str) -> None:
    """Mark a trouble as not seen again."""
    row = Trouble.objects.select_for_update(of=("self",)).select_related("tenant").get(pk=trouble.pk)
    before = {"seen_by": row.acknowledged_by, "note": row.note}
    row.acknowledged_at, row.acknowledged_by, row.note = None, "", ""
    row.save(update_fields=["acknowledged_at", "acknowledged_by", "note"])
    TroubleNote.objects.create(trouble=row, what=TroubleNote.What.UNSEEN, actor=actor[:100], count=row.count)
    _audit(row, actor, "trouble.unseen", before)


def _audit(row: Trouble, actor: str, action: str, before: dict[str, str]) -> None:
    after = {"seen_by": row.acknowledged_by, "note": row.note}
    changes = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    audit.record(row.tenant, actor, action, f"trouble:{row.pk}", changes=changes)
