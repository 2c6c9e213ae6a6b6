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
               coalesce(sum(m.reserved_delta), 0) AS movements_reserved,
               b.quantity_blocked, coalesce(sum(m.blocked_delta), 0) AS movements_blocked
          FROM inventory_balances b LEFT JOIN inventory_ledger m
            ON (m.tenant_id, m.product_id, m.location_id) = (b.tenant_id, b.product_id, b.location_id)
         GROUP BY b.id
        HAVING b.quantity_on_hand <> coalesce(sum(m.on_hand_delta), 0)
            OR b.quantity_reserved <> coalesce(sum(m.reserved_delta), 0)
            OR b.quantity_blocked <> coalesce(sum(m.blocked_delta), 0)""",
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
            SELECT id, tenant_id, product_id, location_id, version, on_hand_after, reserved_after, blocked_after,
                   sum(on_hand_delta) OVER before_and_this AS expected_on_hand,
                   sum(reserved_delta) OVER before_and_this AS expected_reserved,
                   sum(blocked_delta) OVER before_and_this AS expected_blocked
              FROM inventory_ledger
            WINDOW before_and_this AS (PARTITION BY tenant_id, product_id, location_id ORDER BY version)
        ) AS running
         WHERE on_hand_after <> expected_on_hand OR reserved_after <> expected_reserved
            OR blocked_after <> expected_blocked""",
    "what is reserved is the sum of the open reservations": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.quantity_reserved,
               coalesce(sum(r.quantity), 0) AS open_reservations
          FROM inventory_balances b LEFT JOIN inventory_reservations r
            ON (r.tenant_id, r.product_id, r.location_id) = (b.tenant_id, b.product_id, b.location_id)
           AND r.status = 'PENDING'
         GROUP BY b.id HAVING b.quantity_reserved <> coalesce(sum(r.quantity), 0)""",
    "a reservation holds and gives back what it says, as its status says": """
        SELECT r.id, r.tenant_id, r.product_id, r.location_id, r.status, r.quantity, r.confirmed_quantity,
               m.begun, m.confirmed, m.returned
          FROM inventory_reservations r CROSS JOIN LATERAL (
               SELECT coalesce(sum(reserved_delta) FILTER (WHERE kind = 'RESERVE'), 0) AS begun,
                      -coalesce(sum(reserved_delta) FILTER (WHERE kind = 'CONFIRM'), 0) AS confirmed,
                      -coalesce(sum(reserved_delta) FILTER (WHERE kind IN ('RELEASE', 'EXPIRE')), 0) AS returned,
                      count(*) FILTER (WHERE kind = 'RELEASE') AS releases,
                      count(*) FILTER (WHERE kind = 'EXPIRE') AS expiries
                 FROM inventory_ledger
                WHERE tenant_id = r.tenant_id AND product_id = r.product_id AND location_id = r.location_id
                  AND reservation_id = r.id) AS m
         WHERE m.begun <> r.quantity OR m.confirmed <> r.confirmed_quantity
            OR m.confirmed + m.returned <> CASE r.status WHEN 'PENDING' THEN 0 ELSE r.quantity END
            OR (r.status = 'CONFIRMED') <> (r.confirmed_quantity > 0)
            OR (m.expiries > 0) <> (r.status = 'EXPIRED') OR (m.releases > 0 AND r.status = 'EXPIRED')""",
    "a movement that names a reservation names one that exists": """
        SELECT m.id, m.tenant_id, m.kind, m.reservation_id FROM inventory_ledger m
         WHERE (m.reservation_id IS NULL) <> (m.kind NOT IN ('RESERVE', 'CONFIRM', 'RELEASE', 'EXPIRE'))
            OR (m.reservation_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM inventory_reservations r WHERE r.id = m.reservation_id AND r.tenant_id = m.tenant_id))""",
    "fewer on hand than reserved is a recorded oversell, and nothing else is": """
        SELECT tenant_id, product_id, location_id, quantity_on_hand, quantity_reserved, oversold_since
          FROM inventory_balances WHERE (quantity_on_hand < quantity_reserved) <> (oversold_since IS NOT NULL)""",
    "an oversell is open exactly while its balance is oversold": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.oversold_since, o.opened_at, o.units_short
          FROM inventory_balances b FULL JOIN (SELECT * FROM inventory_oversells WHERE closed_at IS NULL) o
            ON (o.tenant_id, o.product_id, o.location_id) = (b.tenant_id, b.product_id, b.location_id)
         WHERE (b.oversold_since IS NOT NULL) <> (o.id IS NOT NULL) OR o.opened_at <> b.oversold_since
            OR o.units_short < b.quantity_reserved - b.quantity_on_hand""",
    "where there are batches they add up to the balance": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.quantity_on_hand, b.quantity_reserved, b.quantity_blocked,
               sum(l.quantity) AS in_batches, sum(l.reserved) AS held_in_batches,
               sum(greatest(l.quantity - l.reserved, 0)) FILTER (WHERE l.status <> 'ACTIVE') AS free_off_sale
          FROM inventory_balances b LEFT JOIN inventory_batches l
            ON (l.tenant_id, l.product_id, l.location_id) = (b.tenant_id, b.product_id, b.location_id)
         GROUP BY b.id
        HAVING b.has_batches <> (count(l.id) > 0)
            OR (b.has_batches AND (b.quantity_on_hand <> sum(l.quantity) OR b.quantity_reserved <> sum(l.reserved)))
            OR b.quantity_blocked
               <> coalesce(sum(greatest(l.quantity - l.reserved, 0)) FILTER (WHERE l.status <> 'ACTIVE'), 0)""",
    "a batch's quantity is the sum of its movements, where all of them name it": """
        SELECT l.id, l.tenant_id, l.batch_number, l.quantity, m.moved FROM inventory_batches l
          CROSS JOIN LATERAL (
            SELECT coalesce(sum(on_hand_delta), 0) AS moved FROM inventory_ledger
             WHERE tenant_id = l.tenant_id AND product_id = l.product_id AND location_id = l.location_id
               AND batch_id = l.id) AS m
         WHERE l.batch_number <> '' AND l.quantity <> m.moved""",
    "what is reserved of a batch is the sum of its open holds": """
        SELECT l.id, l.tenant_id, l.batch_number, l.reserved, coalesce(sum(h.quantity), 0) AS held
          FROM inventory_batches l
          LEFT JOIN (SELECT h.* FROM inventory_batch_holds h JOIN inventory_reservations r ON r.id = h.reservation_id
                      WHERE r.status = 'PENDING') h ON h.batch_id = l.id
         GROUP BY l.id HAVING l.reserved <> coalesce(sum(h.quantity), 0)""",
    "the newest count and what happened after it are what is on hand": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.quantity_on_hand, c.counted, b.count_as_of, later.units
          FROM inventory_balances b
          JOIN LATERAL (SELECT counted FROM inventory_counts
                         WHERE tenant_id = b.tenant_id AND product_id = b.product_id AND location_id = b.location_id
                         ORDER BY as_of DESC, count_order DESC, counted LIMIT 1) AS c ON true
          CROSS JOIN LATERAL (
            SELECT coalesce(sum(on_hand_delta), 0) AS units FROM inventory_ledger
             WHERE tenant_id = b.tenant_id AND product_id = b.product_id AND location_id = b.location_id
               AND occurred_at > b.count_as_of) AS later
         WHERE b.quantity_on_hand <> c.counted + later.units""",
    "what is on its way is what was sent and received": """
        SELECT t.id, t.tenant_id, t.code, t.sent, t.received, m.sent AS sent_by_movements
          FROM inventory_transfers t CROSS JOIN LATERAL (
            SELECT -coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'TRANSFER_OUT'), 0) AS sent,
                   coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'TRANSFER_IN'), 0) AS received
              FROM inventory_ledger
             WHERE tenant_id = t.tenant_id AND reference_type = 'transfer' AND reference_id = t.code
               AND product_id = t.product_id) AS m
         WHERE t.sent <> m.sent OR t.received <> m.received""",
}


def prove() -> list[Finding]:
    """Return every broken rule of the ledger with the rows that show it; an empty list is the proof."""
    is_nested = connection.in_atomic_block  # then the caller's transaction decides what is seen
    with transaction.atomic():
        if not is_nested:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return check(RULES)
