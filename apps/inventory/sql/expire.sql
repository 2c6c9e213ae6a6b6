-- End what is due at the balances of these lines, which it locks: holds whose deadline and batches whose date has
-- passed. Returns how many movements that made.
CREATE OR REPLACE FUNCTION inventory_expire_at(lines inventory_line[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    balance inventory_balances;
    balances inventory_balances[] := '{}';
    moment timestamptz;
    move inventory_ledger;
    moves inventory_ledger[] := '{}';
BEGIN
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

-- End what is due, up to `most` balances of each sort at a time. The sweeper calls again until no balance was due; a
-- batch of which nothing is free makes no movement.
CREATE OR REPLACE FUNCTION inventory_expire(most integer, OUT balances integer, OUT movements integer)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    lines inventory_line[];
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
    balances := cardinality(lines);
    movements := inventory_expire_at(lines);
END $$;

-- End what is due of some products of a tenant, wherever they are: before somebody looks where units are available.
CREATE OR REPLACE FUNCTION inventory_expire_products(tenant bigint, products bigint[]) RETURNS integer
LANGUAGE sql AS $$
    SELECT inventory_expire_at(coalesce(array_agg(
               ROW(1, tenant_id, product_id, location_id, 0, slot)::inventory_line ORDER BY slot), '{}'))
      FROM (SELECT tenant_id, product_id, location_id, row_number() OVER (ORDER BY product_id, location_id) AS slot
              FROM inventory_balances WHERE tenant_id = tenant AND product_id = ANY (products)) AS named;
$$;
