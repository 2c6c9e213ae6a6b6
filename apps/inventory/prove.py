"""Proof that the ledger's invariants hold on live data (architecture §4.5). Reads only, one query a rule.

Each query returns the rows that break its rule, with what was expected and what was found. The whole check runs on one
snapshot, so movements that happen meanwhile cannot look like errors.
"""

from django.db import connection, transaction

from apps.common.findings import Finding, check

RULES = {
    "a balance is the sum of its movements": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.quantity_on_hand, b.quantity_reserved,
               coalesce(sum(m.on_hand_delta), 0) AS movements_on_hand,
               coalesce(sum(m.reserved_delta), 0) AS movements_reserved
          FROM inventory_balances b LEFT JOIN inventory_ledger m
            ON (m.tenant_id, m.product_id, m.location_id) = (b.tenant_id, b.product_id, b.location_id)
         GROUP BY b.id
        HAVING b.quantity_on_hand <> coalesce(sum(m.on_hand_delta), 0)
            OR b.quantity_reserved <> coalesce(sum(m.reserved_delta), 0)""",
    "a balance's version counts its movements, without a gap": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.version,
               count(m.id) AS movements, min(m.version) AS first_version, max(m.version) AS last_version
          FROM inventory_balances b LEFT JOIN inventory_ledger m
            ON (m.tenant_id, m.product_id, m.location_id) = (b.tenant_id, b.product_id, b.location_id)
         GROUP BY b.id
        HAVING b.version <> count(m.id) OR b.version <> count(DISTINCT m.version)
            OR (count(m.id) > 0 AND (min(m.version) <> 1 OR max(m.version) <> b.version))""",
    "each movement's totals follow from the movement before it": """
        SELECT * FROM (
            SELECT id, tenant_id, product_id, location_id, version, on_hand_after, reserved_after,
                   sum(on_hand_delta) OVER before_and_this AS expected_on_hand,
                   sum(reserved_delta) OVER before_and_this AS expected_reserved
              FROM inventory_ledger
            WINDOW before_and_this AS (PARTITION BY tenant_id, product_id, location_id ORDER BY version)
        ) AS running WHERE on_hand_after <> expected_on_hand OR reserved_after <> expected_reserved""",
    "what is reserved is the sum of the open reservations": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.quantity_reserved,
               coalesce(sum(r.quantity), 0) AS open_reservations
          FROM inventory_balances b LEFT JOIN inventory_reservations r
            ON (r.tenant_id, r.product_id, r.location_id) = (b.tenant_id, b.product_id, b.location_id)
           AND r.status = 'PENDING'
         GROUP BY b.id HAVING b.quantity_reserved <> coalesce(sum(r.quantity), 0)""",
    "a reservation begins once and ends at most once, as its status says": """
        SELECT r.id, r.tenant_id, r.product_id, r.location_id, r.status, r.quantity,
               count(*) FILTER (WHERE m.kind = 'RESERVE') AS begun,
               count(*) FILTER (WHERE m.kind = 'CONFIRM') AS confirmed,
               count(*) FILTER (WHERE m.kind = 'RELEASE') AS released,
               coalesce(sum(m.reserved_delta), 0) AS still_reserved
          FROM inventory_reservations r LEFT JOIN inventory_ledger m
            ON m.tenant_id = r.tenant_id AND m.product_id = r.product_id AND m.location_id = r.location_id
           AND m.reservation_id = r.id
         GROUP BY r.id
        HAVING count(*) FILTER (WHERE m.kind = 'RESERVE') <> 1
            OR count(*) FILTER (WHERE m.kind = 'CONFIRM') <> (r.status = 'CONFIRMED')::int
            OR count(*) FILTER (WHERE m.kind = 'RELEASE') <> (r.status = 'RELEASED')::int
            OR coalesce(sum(m.reserved_delta), 0) <> CASE r.status WHEN 'PENDING' THEN r.quantity ELSE 0 END""",
    "a movement that names a reservation names one that exists": """
        SELECT m.id, m.tenant_id, m.kind, m.reservation_id FROM inventory_ledger m
         WHERE (m.reservation_id IS NULL) <> (m.kind NOT IN ('RESERVE', 'CONFIRM', 'RELEASE'))
            OR (m.reservation_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM inventory_reservations r WHERE r.id = m.reservation_id AND r.tenant_id = m.tenant_id))""",
    "fewer on hand than reserved is a recorded oversell, and nothing else is": """
        SELECT tenant_id, product_id, location_id, quantity_on_hand, quantity_reserved, oversold_since
          FROM inventory_balances WHERE (quantity_on_hand < quantity_reserved) <> (oversold_since IS NOT NULL)""",
}


def prove() -> list[Finding]:
    """Return every broken rule of the ledger with the rows that show it; an empty list is the proof."""
    is_nested = connection.in_atomic_block  # then the caller's transaction decides what is seen
    with transaction.atomic():
        if not is_nested:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return check(RULES)
