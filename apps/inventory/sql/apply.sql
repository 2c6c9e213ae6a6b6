-- The one statement that changes balances: each move becomes a movement, and its balance changes with it (law 2).
--
-- `moves` are rows of the ledger with what changes filled in (id, deltas, cause, both times); the totals and versions
-- after each follow here. The caller holds the locks of all their balances.
CREATE OR REPLACE FUNCTION inventory_apply(moves inventory_ledger[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(moves) = 0 THEN
        RETURN;
    END IF;
    WITH asked AS (
        SELECT * FROM unnest(moves) WITH ORDINALITY
    ), totals AS (
        SELECT tenant_id, product_id, location_id, count(*) AS movements, max(recorded_at) AS recorded_at,
               sum(on_hand_delta)::integer AS on_hand, sum(reserved_delta)::integer AS reserved,
               sum(blocked_delta)::integer AS blocked,
               bool_or(kind IN ('RECEIPT', 'ADJUSTMENT', 'COUNT', 'TRANSFER_IN')) AS is_counting
          FROM asked GROUP BY tenant_id, product_id, location_id
    ), moved AS (
        UPDATE inventory_balances AS b
           SET quantity_on_hand = b.quantity_on_hand + t.on_hand,
               quantity_reserved = b.quantity_reserved + t.reserved,
               quantity_blocked = b.quantity_blocked + t.blocked,
               version = b.version + t.movements,
               oversold_since = CASE WHEN b.quantity_on_hand + t.on_hand < b.quantity_reserved + t.reserved
                                     THEN coalesce(b.oversold_since, t.recorded_at) END,
               counted_at = coalesce(b.counted_at, CASE WHEN t.is_counting THEN t.recorded_at END),
               last_updated = t.recorded_at
          FROM totals AS t
         WHERE b.tenant_id = t.tenant_id AND b.product_id = t.product_id AND b.location_id = t.location_id
        RETURNING b.tenant_id, b.product_id, b.location_id, b.quantity_on_hand, b.quantity_reserved,
                  b.quantity_blocked, b.version
    )
    INSERT INTO inventory_ledger (
        id, tenant_id, product_id, location_id, batch_id, kind, transaction_type,
        on_hand_delta, reserved_delta, blocked_delta, on_hand_after, reserved_after, blocked_after, version,
        reservation_id, reverses_id, unit_cost, reason, reference_type, reference_id, reference_line, actor,
        source, source_key, trace_id, occurred_at, recorded_at)
    SELECT a.id, a.tenant_id, a.product_id, a.location_id, a.batch_id, a.kind,
           CASE WHEN a.kind IN ('RECEIPT', 'RETURN', 'RELEASE', 'EXPIRE', 'UNBLOCK') THEN 'IN'
                WHEN a.kind IN ('TRANSFER_OUT', 'TRANSFER_IN') THEN 'TRANSFER'
                WHEN a.kind IN ('ADJUSTMENT', 'COUNT', 'COUNT_ABSORB') THEN 'ADJUSTMENT' ELSE 'OUT' END,
           a.on_hand_delta, a.reserved_delta, a.blocked_delta,
           m.quantity_on_hand - coalesce(sum(a.on_hand_delta) OVER later, 0),
           m.quantity_reserved - coalesce(sum(a.reserved_delta) OVER later, 0),
           m.quantity_blocked - coalesce(sum(a.blocked_delta) OVER later, 0),
           m.version - count(*) OVER later,
           a.reservation_id, a.reverses_id, a.unit_cost, coalesce(a.reason, ''), coalesce(a.reference_type, ''),
           coalesce(a.reference_id, ''), coalesce(a.reference_line, ''), a.actor, coalesce(a.source, ''),
           coalesce(a.source_key, ''), a.trace_id, a.occurred_at, a.recorded_at
      FROM asked AS a JOIN moved AS m
        ON m.tenant_id = a.tenant_id AND m.product_id = a.product_id AND m.location_id = a.location_id
    WINDOW later AS (PARTITION BY a.tenant_id, a.product_id, a.location_id ORDER BY a.ordinality
                     ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING);
END $$;
