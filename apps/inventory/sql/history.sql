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
-- added. A movement that occurred on an earlier day corrects every later checkpoint of its balance. One statement for
-- all of them: who follows the ledger holds up every other reader while it writes.
CREATE OR REPLACE FUNCTION inventory_keep_checkpoints(balances jsonb) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
DECLARE
    added bigint;
BEGIN
    INSERT INTO inventory_checkpoint_heads (tenant_id, product_id, location_id, version, recorded_at)
    SELECT DISTINCT (b ->> 0)::bigint, (b ->> 1)::bigint, (b ->> 2)::bigint, 0, timestamptz 'epoch'
      FROM jsonb_array_elements(balances) AS b ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
    PERFORM FROM inventory_checkpoint_heads AS h
       JOIN (SELECT DISTINCT (b ->> 0)::bigint AS tenant_id, (b ->> 1)::bigint AS product_id,
                    (b ->> 2)::bigint AS location_id FROM jsonb_array_elements(balances) AS b) AS wanted
      USING (tenant_id, product_id, location_id)
      ORDER BY h.tenant_id, h.product_id, h.location_id FOR UPDATE OF h;
    -- a statement of its own: it must see what whoever held a head before has written
    WITH wanted AS MATERIALIZED (
        SELECT h.* FROM inventory_checkpoint_heads AS h
          JOIN (SELECT DISTINCT (b ->> 0)::bigint AS tenant_id, (b ->> 1)::bigint AS product_id,
                       (b ->> 2)::bigint AS location_id FROM jsonb_array_elements(balances) AS b) AS named
         USING (tenant_id, product_id, location_id)
    ), part AS MATERIALIZED (  -- what the checkpoints have not seen, by day
        SELECT w.tenant_id, w.product_id, w.location_id, m.*
          FROM wanted AS w CROSS JOIN LATERAL (
            SELECT (m.occurred_at AT TIME ZONE 'UTC')::date AS day, count(*) AS movements, max(m.version) AS version,
                   max(m.recorded_at) AS recorded_at, sum(m.on_hand_delta) AS on_hand,
                   sum(m.reserved_delta) AS reserved, sum(m.blocked_delta) AS blocked
              FROM inventory_ledger AS m
             WHERE m.tenant_id = w.tenant_id AND m.product_id = w.product_id AND m.location_id = w.location_id
               AND m.recorded_at >= w.recorded_at AND m.version > w.version
             GROUP BY 1) AS m
    ), running AS MATERIALIZED (  -- what it adds to the checkpoint of its day and to those after it, up to the next
        SELECT p.tenant_id, p.product_id, p.location_id, p.day, sum(p.on_hand) OVER days AS on_hand,
               sum(p.reserved) OVER days AS reserved, sum(p.blocked) OVER days AS blocked,
               lead(p.day, 1, date 'infinity') OVER days AS next_day
          FROM part AS p
        WINDOW days AS (PARTITION BY p.tenant_id, p.product_id, p.location_id ORDER BY p.day)
    ), corrected AS (
        UPDATE inventory_checkpoints AS c
           SET on_hand = c.on_hand + r.on_hand, reserved = c.reserved + r.reserved, blocked = c.blocked + r.blocked
          FROM running AS r
         WHERE c.tenant_id = r.tenant_id AND c.product_id = r.product_id AND c.location_id = r.location_id
           AND c.day >= r.day AND c.day < r.next_day
    ), begun AS (
        INSERT INTO inventory_checkpoints (tenant_id, product_id, location_id, day, on_hand, reserved, blocked)
        SELECT r.tenant_id, r.product_id, r.location_id, r.day, coalesce(last.on_hand, 0) + r.on_hand,
               coalesce(last.reserved, 0) + r.reserved, coalesce(last.blocked, 0) + r.blocked
          FROM running AS r LEFT JOIN LATERAL (
            SELECT c.* FROM inventory_checkpoints AS c
             WHERE c.tenant_id = r.tenant_id AND c.product_id = r.product_id AND c.location_id = r.location_id
               AND c.day <= r.day
             ORDER BY c.day DESC LIMIT 1) AS last ON true
         WHERE last.day IS DISTINCT FROM r.day
    ), moved AS (
        UPDATE inventory_checkpoint_heads AS h SET version = n.version, recorded_at = n.recorded_at
          FROM (SELECT p.tenant_id, p.product_id, p.location_id, max(p.version) AS version,
                       max(p.recorded_at) AS recorded_at
                  FROM part AS p GROUP BY 1, 2, 3) AS n
         WHERE h.tenant_id = n.tenant_id AND h.product_id = n.product_id AND h.location_id = n.location_id
    )
    SELECT coalesce(sum(p.movements), 0) INTO added FROM part AS p;
    RETURN added;
END $$;
