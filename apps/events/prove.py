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
    "an order promises its units until they have left, and a cancelled one none": """
        SELECT o.id, o.tenant_id, o.external_id, o.status, sold.units, held.promised, held.gone
          FROM pedido o
          JOIN LATERAL (SELECT coalesce(sum(i.quantity) FILTER (WHERE i.is_own_stock), 0) AS units
                          FROM pedido_item i WHERE i.order_id = o.id) sold ON true
          JOIN LATERAL (SELECT coalesce(sum(r.quantity) FILTER (WHERE r.status = 'PENDING'), 0) AS promised,
                               coalesce(sum(r.confirmed_quantity), 0) AS gone
                          FROM inventory_reservations r
                         WHERE r.tenant_id = o.tenant_id AND r.reference_type = 'order'
                           AND r.reference_id = o.id::text) held ON true
         WHERE CASE o.status WHEN 'CANCELADO' THEN held.promised <> 0
                             WHEN 'RETIRADO' THEN held.promised <> 0
                                  OR (held.gone <> sold.units AND NOT 'returned' = ANY (o.flags))
                             ELSE held.promised + held.gone <> sold.units END""",
    "an order is ready with its label only, and was picked up at some moment": """
        SELECT o.id, o.tenant_id, o.external_id, o.status, o.ready_at, o.picked_up_at, v.status AS package
          FROM pedido o LEFT JOIN volume v ON v.id = o.package_id
         WHERE (o.status = 'PRONTO' AND (o.ready_at IS NULL OR v.label_format IS NULL OR v.label_format = ''))
            OR (o.status = 'RETIRADO' AND o.picked_up_at IS NULL)""",
    "a job has every member once, and one that ended has none that did not": """
        SELECT r.reprocess_id, r.status, r.count, items.members, items.open FROM reprocessamento r
          JOIN LATERAL (SELECT count(*) AS members, count(*) FILTER (WHERE i.finished_at IS NULL) AS open
                          FROM reprocessamento_item i WHERE i.reprocess_id = r.reprocess_id) items ON true
         WHERE r.tipo <> '' AND items.members > 0
           AND (items.members <> r.count OR (r.finished_at IS NOT NULL AND items.open > 0))""",
}


def prove() -> list[Finding]:
    """Return every broken rule of the inbox and of the orders with the rows that show it."""
    return check(RULES)
