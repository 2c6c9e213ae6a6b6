"""Proof that the ledger's invariants hold on live data (architecture §4.5). Reads only, one query a rule.

Each query returns the rows that break its rule, with what was expected and what was found. The whole check runs on one
snapshot, so movements that happen meanwhile cannot look like errors.
"""

from django.db import connection, transaction

from apps.common.findings import Finding, check

RULES = {
    "a balance is the sum of its movements": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.quantity_on_hand, b.quantity_reserved, b.quantity_blocked,
               coalesce(m.on_hand, 0) AS movements_on_hand, coalesce(m.reserved, 0) AS movements_reserved,
               coalesce(m.blocked, 0) AS movements_blocked
          FROM inventory_balances b LEFT JOIN (
               SELECT tenant_id, product_id, location_id, sum(on_hand_delta) AS on_hand,
                      sum(reserved_delta) AS reserved, sum(blocked_delta) AS blocked
                 FROM inventory_ledger GROUP BY tenant_id, product_id, location_id) m
            ON (m.tenant_id, m.product_id, m.location_id) = (b.tenant_id, b.product_id, b.location_id)
         WHERE (b.quantity_on_hand, b.quantity_reserved, b.quantity_blocked)
            <> (coalesce(m.on_hand, 0), coalesce(m.reserved, 0), coalesce(m.blocked, 0))""",
    "a balance's version counts its movements, without a gap": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.version, coalesce(m.movements, 0) AS movements,
               m.first_version, m.last_version, m.misplaced
          FROM inventory_balances b LEFT JOIN (
               SELECT tenant_id, product_id, location_id, count(*) AS movements, min(version) AS first_version,
                      max(version) AS last_version, min(version) FILTER (WHERE version <> place) AS misplaced
                 FROM (SELECT tenant_id, product_id, location_id, version, row_number() OVER (
                              PARTITION BY tenant_id, product_id, location_id ORDER BY version) AS place
                         FROM inventory_ledger) AS numbered
                GROUP BY tenant_id, product_id, location_id) m
            ON (m.tenant_id, m.product_id, m.location_id) = (b.tenant_id, b.product_id, b.location_id)
         WHERE b.version <> coalesce(m.movements, 0) OR m.misplaced IS NOT NULL""",
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
    "movements of a balance were recorded in the order of their versions, after they happened": """
        SELECT * FROM (
            SELECT id, tenant_id, product_id, location_id, version, occurred_at, recorded_at,
                   lag(recorded_at) OVER (PARTITION BY tenant_id, product_id, location_id ORDER BY version)
                   AS recorded_before
              FROM inventory_ledger) AS dated
         WHERE recorded_at < recorded_before OR occurred_at > recorded_at""",
    "a movement changes what its kind says": """
        SELECT id, tenant_id, product_id, location_id, version, kind, transaction_type, on_hand_delta, reserved_delta,
               blocked_delta
          FROM inventory_ledger
         WHERE NOT CASE
               WHEN kind IN ('RECEIPT', 'RETURN', 'TRANSFER_IN') THEN on_hand_delta > 0 AND reserved_delta = 0
               WHEN kind IN ('SALE', 'LOSS', 'TRANSFER_OUT') THEN on_hand_delta < 0 AND reserved_delta = 0
               WHEN kind IN ('ADJUSTMENT', 'COUNT_ABSORB') THEN on_hand_delta <> 0 AND reserved_delta = 0
               WHEN kind = 'COUNT' THEN reserved_delta = 0
               WHEN kind = 'RESERVE' THEN on_hand_delta = 0 AND reserved_delta > 0
               WHEN kind = 'CONFIRM' THEN on_hand_delta = reserved_delta AND reserved_delta < 0 AND blocked_delta = 0
               WHEN kind IN ('RELEASE', 'EXPIRE') THEN on_hand_delta = 0 AND reserved_delta < 0
               WHEN kind = 'BLOCK' THEN on_hand_delta = 0 AND reserved_delta = 0 AND blocked_delta > 0
               WHEN kind = 'UNBLOCK' THEN on_hand_delta = 0 AND reserved_delta = 0 AND blocked_delta < 0
               ELSE false END
            OR transaction_type <> CASE
               WHEN kind IN ('RECEIPT', 'RETURN', 'RELEASE', 'EXPIRE', 'UNBLOCK') THEN 'IN'
               WHEN kind IN ('TRANSFER_OUT', 'TRANSFER_IN') THEN 'TRANSFER'
               WHEN kind IN ('ADJUSTMENT', 'COUNT', 'COUNT_ABSORB') THEN 'ADJUSTMENT' ELSE 'OUT' END
            OR (blocked_delta <> 0 AND batch_id IS NULL)""",
    "everything of a balance has its balance": """
        SELECT * FROM (
            SELECT DISTINCT 'movement' AS what, tenant_id, product_id, location_id FROM inventory_ledger
            UNION ALL SELECT DISTINCT 'reservation', tenant_id, product_id, location_id FROM inventory_reservations
            UNION ALL SELECT DISTINCT 'batch', tenant_id, product_id, location_id FROM inventory_batches
            UNION ALL SELECT DISTINCT 'count', tenant_id, product_id, location_id FROM inventory_counts) AS owned
         WHERE NOT EXISTS (
            SELECT FROM inventory_balances b
              JOIN inventory_products p ON (p.tenant_id, p.id) = (b.tenant_id, b.product_id)
              JOIN inventory_locations l ON (l.tenant_id, l.id) = (b.tenant_id, b.location_id)
             WHERE (b.tenant_id, b.product_id, b.location_id)
                 = (owned.tenant_id, owned.product_id, owned.location_id))""",
    "what is reserved is the sum of the open reservations": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.quantity_reserved, coalesce(r.held, 0) AS open_reservations
          FROM inventory_balances b LEFT JOIN (
               SELECT tenant_id, product_id, location_id, sum(quantity) AS held FROM inventory_reservations
                WHERE status = 'PENDING' GROUP BY tenant_id, product_id, location_id) r
            ON (r.tenant_id, r.product_id, r.location_id) = (b.tenant_id, b.product_id, b.location_id)
         WHERE b.quantity_reserved <> coalesce(r.held, 0)""",
    "a reservation holds and gives back what it says, as its status says": """
        SELECT r.id, r.tenant_id, r.product_id, r.location_id, r.status, r.quantity, r.confirmed_quantity,
               m.begun, m.confirmed, m.returned
          FROM inventory_reservations r LEFT JOIN (
               SELECT tenant_id, product_id, location_id, reservation_id,
                      coalesce(sum(reserved_delta) FILTER (WHERE kind = 'RESERVE'), 0) AS begun,
                      -coalesce(sum(reserved_delta) FILTER (WHERE kind = 'CONFIRM'), 0) AS confirmed,
                      -coalesce(sum(reserved_delta) FILTER (WHERE kind IN ('RELEASE', 'EXPIRE')), 0) AS returned,
                      count(*) FILTER (WHERE kind = 'RELEASE') AS releases,
                      count(*) FILTER (WHERE kind = 'EXPIRE') AS expiries
                 FROM inventory_ledger WHERE reservation_id IS NOT NULL
                GROUP BY tenant_id, product_id, location_id, reservation_id) AS m
            ON m.reservation_id = r.id
           AND (m.tenant_id, m.product_id, m.location_id) = (r.tenant_id, r.product_id, r.location_id)
         WHERE coalesce(m.begun, 0) <> r.quantity OR m.confirmed <> r.confirmed_quantity
            OR m.confirmed + m.returned <> CASE r.status WHEN 'PENDING' THEN 0 ELSE r.quantity END
            OR (r.status = 'CONFIRMED') <> (r.confirmed_quantity > 0)
            OR (m.expiries > 0) <> (r.status = 'EXPIRED') OR (m.releases > 0 AND r.status = 'EXPIRED')""",
    "a movement that names a reservation names one that exists": """
        SELECT m.id, m.tenant_id, m.product_id, m.location_id, m.kind, m.reservation_id
          FROM inventory_ledger m LEFT JOIN inventory_reservations r
            ON (r.id, r.tenant_id, r.product_id, r.location_id)
             = (m.reservation_id, m.tenant_id, m.product_id, m.location_id)
         WHERE (m.reservation_id IS NULL) <> (m.kind NOT IN ('RESERVE', 'CONFIRM', 'RELEASE', 'EXPIRE'))
            OR (m.reservation_id IS NOT NULL AND r.id IS NULL)""",
    "a movement is reversed at most once, by one of the same balance": """
        SELECT m.id, m.tenant_id, m.product_id, m.location_id, m.reverses_id
          FROM inventory_ledger m
          JOIN (SELECT reverses_id, count(DISTINCT (trace_id, kind)) AS times FROM inventory_ledger
                 WHERE reverses_id IS NOT NULL GROUP BY reverses_id) AS r  -- one reversal is a row for each batch
            ON r.reverses_id = m.reverses_id
          LEFT JOIN inventory_ledger o ON (o.id, o.tenant_id, o.product_id, o.location_id)
                                        = (m.reverses_id, m.tenant_id, m.product_id, m.location_id)
         WHERE r.times > 1 OR o.id IS NULL""",
    "fewer on hand than reserved is a recorded oversell, and nothing else is": """
        SELECT tenant_id, product_id, location_id, quantity_on_hand, quantity_reserved, oversold_since
          FROM inventory_balances WHERE (quantity_on_hand < quantity_reserved) <> (oversold_since IS NOT NULL)""",
    "an oversell is open exactly while its balance is oversold": """
        SELECT coalesce(b.tenant_id, o.tenant_id) AS tenant_id, coalesce(b.product_id, o.product_id) AS product_id,
               coalesce(b.location_id, o.location_id) AS location_id, b.oversold_since, o.opened_at, o.units_short
          FROM inventory_balances b FULL JOIN (SELECT * FROM inventory_oversells WHERE closed_at IS NULL) o
            ON (o.tenant_id, o.product_id, o.location_id) = (b.tenant_id, b.product_id, b.location_id)
         WHERE (b.oversold_since IS NOT NULL) <> (o.id IS NOT NULL) OR o.opened_at <> b.oversold_since
            OR o.units_short < b.quantity_reserved - b.quantity_on_hand""",
    "an oversell begins and ends with the movements it names": """
        SELECT o.id, o.tenant_id, o.product_id, o.location_id, o.opened_version, o.closed_version
          FROM inventory_oversells o
          LEFT JOIN inventory_ledger f ON (f.tenant_id, f.product_id, f.location_id, f.version)
                                        = (o.tenant_id, o.product_id, o.location_id, o.opened_version)
          LEFT JOIN inventory_ledger l ON (l.tenant_id, l.product_id, l.location_id, l.version)
                                        = (o.tenant_id, o.product_id, o.location_id, o.closed_version)
         WHERE f.on_hand_after >= f.reserved_after OR f.id IS NULL OR l.on_hand_after < l.reserved_after
            OR (o.closed_at IS NULL) <> (l.id IS NULL)""",
    "where there are batches they add up to the balance": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.quantity_on_hand, b.quantity_reserved, b.quantity_blocked,
               l.in_batches, l.held_in_batches, l.free_off_sale
          FROM inventory_balances b LEFT JOIN (
               SELECT tenant_id, product_id, location_id, sum(quantity) AS in_batches,
                      sum(reserved) AS held_in_batches,
                      sum(greatest(quantity - reserved, 0)) FILTER (WHERE status <> 'ACTIVE') AS free_off_sale
                 FROM inventory_batches GROUP BY tenant_id, product_id, location_id) l
            ON (l.tenant_id, l.product_id, l.location_id) = (b.tenant_id, b.product_id, b.location_id)
         WHERE b.has_batches <> (l.in_batches IS NOT NULL) OR b.quantity_on_hand <> l.in_batches
            OR b.quantity_reserved <> l.held_in_batches OR b.quantity_blocked <> coalesce(l.free_off_sale, 0)""",
    "a batch's quantity is the sum of its movements, where all of them name it": """
        SELECT l.id, l.tenant_id, l.product_id, l.location_id, l.batch_number, l.quantity, m.moved
          FROM inventory_batches l LEFT JOIN (
               SELECT tenant_id, product_id, location_id, batch_id, sum(on_hand_delta) AS moved FROM inventory_ledger
                WHERE batch_id IS NOT NULL GROUP BY tenant_id, product_id, location_id, batch_id) AS m
            ON m.batch_id = l.id
           AND (m.tenant_id, m.product_id, m.location_id) = (l.tenant_id, l.product_id, l.location_id)
         WHERE l.batch_number <> '' AND l.quantity <> coalesce(m.moved, 0)""",
    "a movement that names a batch names one of its balance": """
        SELECT m.id, m.tenant_id, m.product_id, m.location_id, m.kind, m.batch_id
          FROM inventory_ledger m LEFT JOIN inventory_batches l
            ON (l.id, l.tenant_id, l.product_id, l.location_id) = (m.batch_id, m.tenant_id, m.product_id, m.location_id)
         WHERE m.batch_id IS NOT NULL AND l.id IS NULL""",
    "what is reserved of a batch is the sum of its open holds": """
        SELECT l.id, l.tenant_id, l.product_id, l.location_id, l.batch_number, l.reserved, coalesce(h.held, 0) AS held
          FROM inventory_batches l LEFT JOIN (
               SELECT batch_id, sum(h.quantity) AS held
                 FROM inventory_batch_holds h JOIN inventory_reservations r ON r.id = h.reservation_id
                WHERE r.status = 'PENDING' GROUP BY batch_id) h ON h.batch_id = l.id
         WHERE l.reserved <> coalesce(h.held, 0)""",
    "a reservation's holds add up to it, where there are batches": """
        SELECT r.id, r.tenant_id, r.product_id, r.location_id, r.quantity, h.held
          FROM inventory_reservations r JOIN (
               SELECT h.reservation_id, sum(h.quantity) AS held,
                      bool_or((l.tenant_id, l.product_id, l.location_id) IS DISTINCT FROM
                              (r.tenant_id, r.product_id, r.location_id)) AS is_elsewhere
                 FROM inventory_batch_holds h JOIN inventory_reservations r ON r.id = h.reservation_id
                 LEFT JOIN inventory_batches l ON l.id = h.batch_id
                GROUP BY h.reservation_id) h ON h.reservation_id = r.id
         WHERE h.held <> r.quantity OR h.is_elsewhere""",
    "the newest count and what happened after it are what is on hand": """
        SELECT b.tenant_id, b.product_id, b.location_id, b.quantity_on_hand, c.counted, b.count_as_of, c.as_of,
               coalesce(m.units, 0) AS units_since
          FROM inventory_balances b
          FULL JOIN (SELECT DISTINCT ON (tenant_id, product_id, location_id) * FROM inventory_counts
                      ORDER BY tenant_id, product_id, location_id, as_of DESC, count_order DESC, counted) AS c
            ON (c.tenant_id, c.product_id, c.location_id) = (b.tenant_id, b.product_id, b.location_id)
          LEFT JOIN (
               SELECT b.id, sum(m.on_hand_delta) AS units FROM inventory_balances b JOIN inventory_ledger m
                   ON (m.tenant_id, m.product_id, m.location_id) = (b.tenant_id, b.product_id, b.location_id)
                  AND m.occurred_at > b.count_as_of
                GROUP BY b.id) AS m ON m.id = b.id
         WHERE (b.count_as_of, b.count_order) IS DISTINCT FROM (c.as_of, coalesce(c.count_order, ''))
            OR b.quantity_on_hand <> c.counted + coalesce(m.units, 0)""",
    "what is on its way is what was sent and received": """
        SELECT t.id, t.tenant_id, t.product_id, t.code, t.sent, t.received, m.sent AS sent_by_movements,
               m.received AS received_by_movements
          FROM inventory_transfers t LEFT JOIN (
               SELECT tenant_id, product_id, reference_id,
                      -coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'TRANSFER_OUT'), 0) AS sent,
                      coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'TRANSFER_IN'), 0) AS received
                 FROM inventory_ledger
                WHERE reference_type = 'transfer' AND kind IN ('TRANSFER_OUT', 'TRANSFER_IN')
                GROUP BY tenant_id, product_id, reference_id) AS m
            ON (m.tenant_id, m.product_id, m.reference_id) = (t.tenant_id, t.product_id, t.code)
         WHERE t.sent <> coalesce(m.sent, 0) OR t.received <> coalesce(m.received, 0)""",
    "a key that was used has its answer": """
        SELECT tenant_id, key, created_at FROM inventory_keys WHERE answer IS NULL OR answer ? 'code'""",
    "nothing is open long after it was due": """
        SELECT 'reservation' AS what, id, tenant_id, product_id, location_id, expires_at FROM inventory_reservations
         WHERE status = 'PENDING' AND expires_at < now() - interval '10 minutes'
        UNION ALL
        SELECT 'batch', id, tenant_id, product_id, location_id, expiry_date FROM inventory_batches
         WHERE status = 'ACTIVE' AND expiry_date < now() - interval '10 minutes'""",
    "a checkpoint is the sum of what had occurred by its day": """
        SELECT tenant_id, product_id, location_id, day, c.on_hand, c.reserved, c.blocked,
               m.on_hand AS movements_on_hand, m.reserved AS movements_reserved, m.blocked AS movements_blocked
          FROM inventory_checkpoints c FULL JOIN (
            SELECT tenant_id, product_id, location_id, day, sum(on_hand) OVER by_then AS on_hand,
                   sum(reserved) OVER by_then AS reserved, sum(blocked) OVER by_then AS blocked
              FROM (
                SELECT m.tenant_id, m.product_id, m.location_id, (m.occurred_at AT TIME ZONE 'UTC')::date AS day,
                       sum(m.on_hand_delta) AS on_hand, sum(m.reserved_delta) AS reserved,
                       sum(m.blocked_delta) AS blocked
                  FROM inventory_ledger m JOIN inventory_checkpoint_heads h
                    ON (h.tenant_id, h.product_id, h.location_id) = (m.tenant_id, m.product_id, m.location_id)
                   AND m.version <= h.version
                 GROUP BY 1, 2, 3, 4) AS days
            WINDOW by_then AS (PARTITION BY tenant_id, product_id, location_id ORDER BY day)
          ) AS m USING (tenant_id, product_id, location_id, day)
         WHERE (c.on_hand, c.reserved, c.blocked) IS DISTINCT FROM (m.on_hand, m.reserved, m.blocked)""",
}


def prove() -> list[Finding]:
    """Return every broken rule of the ledger with the rows that show it; an empty list is the proof."""
    is_nested = connection.in_atomic_block  # then the caller's transaction decides what is seen
    with transaction.atomic():
        if not is_nested:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return check(RULES)
