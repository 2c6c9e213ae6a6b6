-- End what is due at the balances of these lines, which it locks: holds whose deadline and batches whose date has
-- passed, of a balance `most_holds` (NULL: all). Returns at how many balances that went well, and how many movements it
-- made.
--
-- A balance whose numbers no integer holds any more is left as it is, with a warning: it must not stop the others.
CREATE OR REPLACE FUNCTION inventory_expire_at(
    lines inventory_line[], most_holds integer, OUT done integer, OUT movements integer
) LANGUAGE plpgsql AS $$
DECLARE
    before inventory_balances;
    balance inventory_balances;
    balances inventory_balances[] := '{}';
    moment timestamptz;
    move inventory_ledger;
    of_this inventory_ledger[];
    moves inventory_ledger[] := '{}';
BEGIN
    FOR before IN SELECT * FROM inventory_lock(lines) LOOP
        moment := clock_timestamp();
        balance := before;
        of_this := '{}';
        BEGIN
            FOR move IN
                SELECT * FROM inventory_retire_batches(balance, moment)
                UNION ALL
                SELECT * FROM inventory_expire_holds(balance, moment, most_holds)
            LOOP
                move := inventory_written(move, inventory_time_as_cause(move), balance, moment);
                of_this := of_this || move;
                balance := inventory_after(balance, move);
            END LOOP;
            moves := moves || of_this;
            balances := balances || balance;
        EXCEPTION WHEN numeric_value_out_of_range THEN
            RAISE WARNING 'balance % cannot be swept: %', before.id, SQLERRM;
        END;
    END LOOP;
    PERFORM inventory_apply(moves, balances);
    done := cardinality(balances);
    movements := cardinality(moves);
END $$;

-- End what is due, up to `most` balances of each sort and 1,000 holds of each balance at a time, for they stay locked
-- while that lasts (60 µs a hold). The sweeper calls again until no balance was due; a
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
    SELECT e.done, e.movements INTO balances, movements FROM inventory_expire_at(lines, 1000) AS e;
END $$;

-- For a reservation (see reserve.sql) some of whose lines may be taken anywhere: take its key, lock every balance that
-- may have to do with it, end what is due there, and answer what is available where.
--
-- That is the balances of its lines that say where, all of its products', and (for a fact, which is never refused) one at
-- the tenant's oldest place for a product that has none: those that are missing are made. All in one pass, for to lock or
-- make one later would break the order of locks; a balance that is made meanwhile is not in the answer.
CREATE OR REPLACE FUNCTION inventory_lock_places(asked jsonb)
RETURNS TABLE (product bigint, location bigint, available integer) LANGUAGE plpgsql AS $$
DECLARE
    tenant bigint := asked ->> 'tenant_id';
    among jsonb := asked -> 'among';  -- the only places for lines without one; NULL: any
    first_place bigint := (SELECT min(id) FROM inventory_locations AS l
                            WHERE l.tenant_id = tenant AND (among IS NULL OR among @> to_jsonb(l.id)));
    named inventory_line[] := inventory_lines(jsonb_build_array(asked));
    lines inventory_line[];
BEGIN
    PERFORM inventory_take_keys(jsonb_build_array(asked), NULL);
    SELECT coalesce(array_agg(
               ROW(1, tenant, product_id, location_id, 0, slot)::inventory_line ORDER BY slot), '{}') INTO lines
      FROM (
        SELECT product_id, location_id, row_number() OVER (ORDER BY product_id, location_id) AS slot
          FROM (
            SELECT product_id, location_id FROM unnest(named) AS l WHERE l.slot IS NOT NULL
            UNION
            SELECT b.product_id, b.location_id FROM inventory_balances AS b
             WHERE b.tenant_id = tenant AND b.product_id IN (SELECT product_id FROM unnest(named))
            UNION
            SELECT l.product_id, first_place FROM unnest(named) AS l
             WHERE (asked ->> 'is_fact')::boolean AND first_place IS NOT NULL
               AND l.product_id IS NOT NULL AND l.slot IS NULL
               AND NOT EXISTS (SELECT FROM inventory_balances AS b
                                WHERE b.tenant_id = tenant AND b.product_id = l.product_id
                                  AND (among IS NULL OR among @> to_jsonb(b.location_id)))) AS wanted
      ) AS numbered;
    PERFORM inventory_expire_at(lines, NULL);
    RETURN QUERY
        SELECT b.product_id, b.location_id, b.quantity_available FROM unnest(lines) AS l
         CROSS JOIN LATERAL (
            SELECT * FROM inventory_balances AS x WHERE x.tenant_id = l.tenant_id AND x.product_id = l.product_id
               AND x.location_id = l.location_id OFFSET 0) AS b;
END $$;
