-- Write what was decided: every move as a movement, and every balance as it is after them (law 2).
--
-- The caller holds the locks of all the balances, and the moves carry the totals and versions after each: see
-- inventory_written. Balances are written one by one, by their key: no plan can go wrong, however new the table is.
CREATE OR REPLACE FUNCTION inventory_apply(moves inventory_ledger[], balances inventory_balances[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    balance inventory_balances;
BEGIN
    IF cardinality(moves) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO inventory_ledger (
        id, tenant_id, product_id, location_id, batch_id, kind, transaction_type,
        on_hand_delta, reserved_delta, blocked_delta, on_hand_after, reserved_after, blocked_after, version,
        reservation_id, reverses_id, unit_cost, reason, reference_type, reference_id, reference_line, actor,
        source, source_key, trace_id, occurred_at, recorded_at)
    SELECT id, tenant_id, product_id, location_id, batch_id, kind,
           CASE WHEN kind IN ('RECEIPT', 'RETURN', 'RELEASE', 'EXPIRE', 'UNBLOCK') THEN 'IN'
                WHEN kind IN ('TRANSFER_OUT', 'TRANSFER_IN') THEN 'TRANSFER'
                WHEN kind IN ('ADJUSTMENT', 'COUNT', 'COUNT_ABSORB') THEN 'ADJUSTMENT' ELSE 'OUT' END,
           on_hand_delta, reserved_delta, blocked_delta, on_hand_after, reserved_after, blocked_after, version,
           reservation_id, reverses_id, unit_cost, coalesce(reason, ''), coalesce(reference_type, ''),
           coalesce(reference_id, ''), coalesce(reference_line, ''), actor, coalesce(source, ''),
           coalesce(source_key, ''), trace_id, occurred_at, recorded_at
      FROM unnest(moves);
    FOREACH balance IN ARRAY balances LOOP
        UPDATE inventory_balances AS b
           SET quantity_on_hand = balance.quantity_on_hand, quantity_reserved = balance.quantity_reserved,
               quantity_blocked = balance.quantity_blocked, version = balance.version,
               unit_cost = balance.unit_cost, counted_at = balance.counted_at,
               count_as_of = balance.count_as_of, count_order = balance.count_order,
               oversold_since = CASE WHEN balance.quantity_on_hand < balance.quantity_reserved
                                     THEN coalesce(b.oversold_since, balance.last_updated) END,
               last_updated = balance.last_updated
         WHERE b.id = balance.id AND b.version < balance.version;
    END LOOP;
END $$;
