"""Proof that no event is stuck, and that every order holds what its state says (invariants I1, I2 and I13)."""

from apps.common.findings import Finding, check

RULES = {
    "no event waits long past its time": """
        SELECT e.id, e.status, e.next_attempt_at FROM integracao_evento e
          JOIN integracao_conector c ON c.id = e.connector_id AND c.status = 'ATIVO'
         WHERE e.next_attempt_at < now() - interval '10 minutes'""",
    "an event that is not finished has a next try, and a finished one has none": """
        SELECT id, status, next_attempt_at FROM integracao_evento
         WHERE (status IN ('RECEBIDO', 'NOVA_TENTATIVA')) <> (next_attempt_at IS NOT NULL) AND status <> 'ERRO'""",
    "a received order holds its units, a cancelled one promises none": """
        SELECT o.id, o.tenant_id, o.external_id, o.status, sold.units, coalesce(held.units, 0) AS held_units
          FROM pedido o
          JOIN LATERAL (SELECT coalesce(sum(i.quantity) FILTER (WHERE i.is_own_stock), 0) AS units
                          FROM pedido_item i WHERE i.order_id = o.id) sold ON true
          LEFT JOIN LATERAL (SELECT sum(r.quantity) AS units FROM inventory_reservations r
                              WHERE r.tenant_id = o.tenant_id AND r.reference_type = 'order'
                                AND r.reference_id = o.id::text
                                AND (r.status = 'PENDING' OR (r.status = 'CONFIRMED' AND o.status <> 'CANCELADO'))
                            ) held ON true
         WHERE coalesce(held.units, 0) <> CASE o.status WHEN 'CANCELADO' THEN 0 ELSE sold.units END""",
}


def prove() -> list[Finding]:
    """Return every broken rule of the inbox and of the orders with the rows that show it."""
    return check(RULES)
