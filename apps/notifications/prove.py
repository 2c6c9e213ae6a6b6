"""Proof that whoever should be told is told, once, and that nothing is stuck (invariants in models.py). Reads only."""

from apps.common.findings import Finding, check
from apps.notifications.following import READY_DAYS_MAX

# tries are forgotten after ENDED_KEEP_DAYS, 30 at least
RULES = {
    "an order that is ready has its notification": f"""
        SELECT o.id, o.tenant_id, o.ready_at FROM pedido o
          JOIN balcao_retirada c ON c.connector_id = o.connector_id AND c.media <> '{{}}'
         WHERE o.status = 'PRONTO' AND NOT EXISTS (SELECT FROM notificacao n WHERE n.pedido_id = o.id)
           AND o.ready_at > now() - interval '{READY_DAYS_MAX} days'
           AND greatest(o.ready_at, o.updated_at, c.updated_at) < now() - interval '10 minutes'""",  # noqa: S608
    "no notification waits long past its time": """
        SELECT id, tenant_id, pedido_id, due_at FROM notificacao WHERE due_at < now() - interval '10 minutes'""",
    "a notification is of its order's tenant": """
        SELECT n.id, n.tenant_id, o.tenant_id AS order_tenant_id FROM notificacao n
          JOIN pedido o ON o.id = n.pedido_id WHERE o.tenant_id <> n.tenant_id""",
    "the hub tells by itself only once, everything else was asked for by somebody": """
        SELECT id, tenant_id, pedido_id, reenvio FROM notificacao WHERE (reenvio = 0) <> (requested_by = '')""",
    "what was sent has a try that sent it": """
        SELECT n.id, n.tenant_id, n.pedido_id FROM notificacao n
         WHERE n.status = 'ENVIADA' AND n.sent_at > now() - interval '29 days' AND NOT EXISTS (
               SELECT FROM notificacao_tentativa t WHERE t.notificacao_id = n.id AND t.outcome = 'sent')""",
    "a listing in error is one of an open trouble": """
        SELECT l.id, l.tenant_id, l.connector_id, l.last_error_code FROM integracao_anuncio l
         WHERE l.sync_state = 'ERROR' AND l.product_id IS NOT NULL AND l.updated_at < now() - interval '10 minutes'
           AND NOT EXISTS (SELECT FROM pendencia p WHERE p.connector_id = l.connector_id AND p.closed_at IS NULL
                              AND p.tipo = 'ANUNCIOS' AND p.causa = l.last_error_code)""",
    "no e-mail about a trouble waits long past its time": """
        SELECT id, tenant_id, connector_id, email_due_at FROM pendencia
         WHERE email_due_at < now() - interval '10 minutes'""",
    "a trouble is of its connector's tenant": """
        SELECT p.id, p.tenant_id, c.tenant_id AS connector_tenant_id FROM pendencia p
          JOIN integracao_conector c ON c.id = p.connector_id WHERE c.tenant_id <> p.tenant_id""",
}


def prove() -> list[Finding]:
    """Return every broken rule of the room with the rows that show it."""
    return check(RULES)
