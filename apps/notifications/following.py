"""Find the orders that became ready and whose recipients were not told yet.

Orders do not know of notifications: this room looks for itself, every second. What a lost tick leaves out the next one
finds; the unique key keeps two ticks, or a tick and a restart, from queueing anything twice.
"""

from django.db import connection

READY_DAYS_MAX = 2
"""An order that became ready longer ago is not told of by itself: a connector that is given its counter late must not
write to everybody who has long been there. A person may still send it."""

ORDERS_MAX = 500
"""Orders of one statement; the next tick goes on."""

QUEUE = """
WITH ready AS (
    SELECT o.id, o.tenant_id, c.media FROM pedido o JOIN balcao_retirada c ON c.connector_id = o.connector_id
     WHERE o.status = 'PRONTO' AND o.ready_at > now() - make_interval(days => %s) AND c.media <> '{}'
       AND NOT EXISTS (SELECT FROM notificacao n WHERE n.pedido_id = o.id)
     ORDER BY o.ready_at, o.id LIMIT %s
)
INSERT INTO notificacao (tenant_id, pedido_id, meio, reenvio, requested_by, status, attempts, due_at, error_code)
SELECT ready.tenant_id, ready.id, medium, 0, '', 'PENDENTE', 0, now(), ''
  FROM ready CROSS JOIN unnest(ready.media) AS medium
ON CONFLICT DO NOTHING
"""


def queue_ready() -> int:
    """Queue a notification, per medium of its counter, for every order that is ready and has none. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(QUEUE, [READY_DAYS_MAX, ORDERS_MAX])
        return int(cursor.rowcount)
