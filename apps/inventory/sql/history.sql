-- What a balance was at a moment, in both times: as everything known now says (occurred_at), and as the hub said then
-- (recorded_at). Checkpoints are the sums at the end of each day on which something occurred, up to the movement that
-- the balance's head names; a balance's versions commit in order, so that is a clean cut however many write.

-- The sum of all that had occurred by `moment`: the last checkpoint of a day before it, what occurred on its own day,
-- and what the checkpoints have not seen yet. Right whether or not they are up to date.
CREATE OR REPLACE FUNCTION inventory_balance_at(tenant bigint, product bigint, location bigint, moment timestamptz)
RETURNS TABLE (on_hand bigint, reserved bigint, blocked bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
DECLARE
    day_begins timestamptz := date_trunc('day', moment, 'UTC');
    head inventory_checkpoint_heads;
BEGIN
    SELECT * INTO head FROM inventory_checkpoint_heads AS h
     WHERE h.tenant_id = tenant AND h.product_id = product AND h.location_id = location;
    head.version := coalesce(head.version, 0);
    head.recorded_at := coalesce(head.recorded_at, '-infinity');
    RETURN QUERY
    SELECT sum(part.on_hand)::bigint, sum(part.reserved)::bigint, sum(part.blocked)::bigint FROM (
        (SELECT c.on_hand, c.reserved, c.blocked FROM inventory_checkpoints AS c
          WHERE c.tenant_id = tenant AND c.product_id = product AND c.location_id = location
            AND c.day < (day_begins AT TIME ZONE 'UTC')::date
          ORDER BY c.day DESC LIMIT 1)
        UNION ALL
        SELECT coalesce(sum(m.on_hand_delta), 0), coalesce(sum(m.reserved_delta), 0), coalesce(sum(m.blocked_delta), 0)
          FROM inventory_ledger AS m
         WHERE m.tenant_id = tenant AND m.product_id = product AND m.location_id = location
           AND m.occurred_at >= day_begins AND m.occurred_at <= moment AND m.recorded_at >= day_begins
           AND m.version <= head.version
        UNION ALL
        SELECT coalesce(sum(m.on_hand_delta), 0), coalesce(sum(m.reserved_delta), 0), coalesce(sum(m.blocked_delta), 0)
          FROM inventory_ledger AS m
         WHERE m.tenant_id = tenant AND m.product_id = product AND m.location_id = location
           AND m.recorded_at >= head.recorded_at AND m.version > head.version AND m.occurred_at <= moment) AS part;
END $$;

-- What the hub said at `moment`: the numbers after the last movement recorded by then. No row: nothing was recorded.
CREATE OR REPLACE FUNCTION inventory_known_at(tenant bigint, product bigint, location bigint, moment timestamptz)
RETURNS TABLE (on_hand bigint, reserved bigint, blocked bigint, version bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT m.on_hand_after::bigint, m.reserved_after::bigint, m.blocked_after::bigint, m.version
      FROM inventory_ledger AS m
     WHERE m.tenant_id = tenant AND m.product_id = product AND m.location_id = location AND m.recorded_at <= moment
     ORDER BY m.recorded_at DESC, m.version DESC LIMIT 1;
END $$;

-- Bring the checkpoints of some balances up to date: [[tenant, product, location], …]. Returns how many movements it
-- added. A movement that occurred on an earlier day corrects every later checkpoint of its balance.
CREATE OR REPLACE FUNCTION inventory_keep_checkpoints(balances jsonb) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
DECLARE
    head inventory_checkpoint_heads;
    newest inventory_ledger;
    part record;
    added bigint := 0;
BEGIN
    INSERT INTO inventory_checkpoint_heads (tenant_id, product_id, location_id, version, recorded_at)
    SELECT DISTINCT (b ->> 0)::bigint, (b ->> 1)::bigint, (b ->> 2)::bigint, 0, timestamptz 'epoch'
      FROM jsonb_array_elements(balances) AS b ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
    FOR head IN
        SELECT h.* FROM inventory_checkpoint_heads AS h
          JOIN (SELECT DISTINCT (b ->> 0)::bigint AS tenant_id, (b ->> 1)::bigint AS product_id,
                       (b ->> 2)::bigint AS location_id FROM jsonb_array_elements(balances) AS b) AS wanted
         USING (tenant_id, product_id, location_id)
         ORDER BY h.tenant_id, h.product_id, h.location_id FOR UPDATE OF h
    LOOP
        SELECT * INTO newest FROM inventory_ledger AS m
         WHERE m.tenant_id = head.tenant_id AND m.product_id = head.product_id AND m.location_id = head.location_id
           AND m.recorded_at >= head.recorded_at
         ORDER BY m.recorded_at DESC, m.version DESC LIMIT 1;
        CONTINUE WHEN newest.version IS NULL OR newest.version <= head.version;
        FOR part IN
            SELECT (m.occurred_at AT TIME ZONE 'UTC')::date AS day, count(*) AS movements,
                   sum(m.on_hand_delta) AS on_hand, sum(m.reserved_delta) AS reserved, sum(m.blocked_delta) AS blocked
              FROM inventory_ledger AS m
             WHERE m.tenant_id = head.tenant_id AND m.product_id = head.product_id AND m.location_id = head.location_id
               AND m.recorded_at BETWEEN head.recorded_at AND newest.recorded_at
               AND m.version > head.version AND m.version <= newest.version
             GROUP BY 1 ORDER BY 1
        LOOP
            INSERT INTO inventory_checkpoints (tenant_id, product_id, location_id, day, on_hand, reserved, blocked)
            SELECT head.tenant_id, head.product_id, head.location_id, part.day,
                   coalesce(before.on_hand, 0), coalesce(before.reserved, 0), coalesce(before.blocked, 0)
              FROM (VALUES (1)) AS one LEFT JOIN LATERAL (
                SELECT c.on_hand, c.reserved, c.blocked FROM inventory_checkpoints AS c
                 WHERE c.tenant_id = head.tenant_id AND c.product_id = head.product_id
                   AND c.location_id = head.location_id AND c.day < part.day
                 ORDER BY c.day DESC LIMIT 1) AS before ON true
                ON CONFLICT DO NOTHING;
            UPDATE inventory_checkpoints AS c
               SET on_hand = c.on_hand + part.on_hand, reserved = c.reserved + part.reserved,
                   blocked = c.blocked + part.blocked
             WHERE c.tenant_id = head.tenant_id AND c.product_id = head.product_id
               AND c.location_id = head.location_id AND c.day >= part.day;
            added := added + part.movements;
        END LOOP;
        UPDATE inventory_checkpoint_heads AS h SET version = newest.version, recorded_at = newest.recorded_at
         WHERE h.tenant_id = head.tenant_id AND h.product_id = head.product_id AND h.location_id = head.location_id;
    END LOOP;
    RETURN added;
END $$;
