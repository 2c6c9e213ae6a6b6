-- End what is due, up to `most` balances at a time: holds whose deadline and batches whose date has passed.
-- Returns how many movements that made; the sweeper calls again until it is 0.
CREATE OR REPLACE FUNCTION inventory_expire(most integer) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    lines inventory_line[];
    balance inventory_balances;
    balances inventory_balances[] := '{}';
    moment timestamptz;
    move inventory_ledger;
    moves inventory_ledger[] := '{}';
BEGIN
    SELECT coalesce(array_agg(
               ROW(1, tenant_id, product_id, location_id, 0, slot)::inventory_line ORDER BY slot), '{}') INTO lines
      FROM (
        SELECT DISTINCT tenant_id, product_id, location_id,
               dense_rank() OVER (ORDER BY tenant_id, product_id, location_id) AS slot
          FROM (
            (SELECT tenant_id, product_id, location_id FROM inventory_reservations
              WHERE status = 'PENDING' AND expires_at <= clock_timestamp() ORDER BY expires_at LIMIT most)
            UNION ALL
            (SELECT tenant_id, product_id, location_id FROM inventory_batches
              WHERE status = 'ACTIVE' AND expiry_date <= clock_timestamp() ORDER BY expiry_date LIMIT most)) AS due
      ) AS named;
    FOR balance IN SELECT * FROM inventory_lock(lines) LOOP
        moment := greatest(clock_timestamp(), balance.last_updated + interval '1 microsecond');
        FOR move IN
            SELECT * FROM inventory_retire_batches(balance, moment)
            UNION ALL
            SELECT * FROM inventory_expire_holds(balance, moment)
        LOOP
            move := inventory_written(move, inventory_time_as_cause(move), balance, moment);
            moves := moves || move;
            moment := moment + interval '1 microsecond';
            balance := inventory_after(balance, move);
        END LOOP;
        balances := balances || balance;
    END LOOP;
    PERFORM inventory_apply(moves, balances);
    RETURN cardinality(moves);
END $$;
