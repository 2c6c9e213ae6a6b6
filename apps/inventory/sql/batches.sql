-- Batches of a balance that has any: the sum of their quantities is what is on hand, of their holds what is reserved.
--
-- A batch may be sold while it is ACTIVE and its date has not come. What is free in the others is `blocked` in the
-- balance; where more is promised of a batch than is left of it, nothing is free, so nothing is blocked. Units without a
-- batch of their own (returns, sales beyond what the batches hold) stand in the batch without a number, the only one
-- that may fall below zero by itself. The balance's lock guards its batches.

CREATE OR REPLACE FUNCTION inventory_unnumbered_batch(tenant bigint, product bigint, location bigint) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    found_id uuid;
BEGIN
    INSERT INTO inventory_batches (id, tenant_id, product_id, location_id, batch_number, quantity, reserved, status)
    VALUES (uuidv7(), tenant, product, location, '', 0, 0, 'ACTIVE') ON CONFLICT DO NOTHING RETURNING id INTO found_id;
    RETURN coalesce(found_id, (
        SELECT id FROM inventory_batches
         WHERE tenant_id = tenant AND product_id = product AND location_id = location AND batch_number = ''));
END $$;

-- The first numbered batch of a balance: what is there already becomes its batch without a number, holds included.
CREATE OR REPLACE FUNCTION inventory_start_batches(balance inventory_balances) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    unnumbered uuid := inventory_unnumbered_batch(balance.tenant_id, balance.product_id, balance.location_id);
BEGIN
    UPDATE inventory_batches SET quantity = balance.quantity_on_hand, reserved = balance.quantity_reserved
     WHERE id = unnumbered;
    INSERT INTO inventory_batch_holds (tenant_id, reservation_id, batch_id, quantity)
    SELECT tenant_id, id, unnumbered, quantity FROM inventory_reservations
     WHERE tenant_id = balance.tenant_id AND product_id = balance.product_id
       AND location_id = balance.location_id AND status = 'PENDING';
    UPDATE inventory_balances SET has_batches = true WHERE id = balance.id;
END $$;

-- The batch of this number, made when it is new. Of two dates told for one batch the earlier counts: that is safe.
CREATE OR REPLACE FUNCTION inventory_numbered_batch(
    tenant bigint, product bigint, location bigint, number text, expires timestamptz
) RETURNS inventory_batches LANGUAGE plpgsql AS $$
DECLARE
    batch inventory_batches;
BEGIN
    INSERT INTO inventory_batches
           (id, tenant_id, product_id, location_id, batch_number, quantity, reserved, status, expiry_date)
    VALUES (uuidv7(), tenant, product, location, number, 0, 0, 'ACTIVE', expires)
        ON CONFLICT (tenant_id, product_id, location_id, batch_number)
        DO UPDATE SET expiry_date = least(inventory_batches.expiry_date, excluded.expiry_date), updated_at = now()
    RETURNING * INTO batch;
    RETURN batch;
END $$;

-- Change a batch by `units` there and `held` promised; answer by how much that changes what is blocked in the balance.
CREATE OR REPLACE FUNCTION inventory_change_batch(batch uuid, units integer, held integer) RETURNS integer
LANGUAGE sql AS $$
    UPDATE inventory_batches SET quantity = quantity + units, reserved = reserved + held, updated_at = now()
     WHERE id = batch
    RETURNING CASE WHEN status = 'ACTIVE' THEN 0
                   ELSE greatest(quantity - reserved, 0) - greatest(quantity - units - reserved + held, 0) END;
$$;

-- Take `units` from the batches of a balance, to hold them or (is_hold false) to let them go: one row a batch touched.
--
-- The product's rule says which batch goes first: FEFO (first expired) or FIFO (first received). What is held comes
-- from free units of batches that may be sold. What has left cannot be there any more: when those are too few, it came
-- from the batches that are off sale. The rest comes from the batch without a number, below zero if need be.
CREATE OR REPLACE FUNCTION inventory_pick(
    balance inventory_balances, units integer, is_hold boolean, moment timestamptz
) RETURNS TABLE (batch_id uuid, taken integer, blocked integer) LANGUAGE plpgsql AS $$
DECLARE
    missing integer := units;
    is_fifo boolean := (SELECT picking = 'FIFO' FROM inventory_products WHERE id = balance.product_id);
BEGIN
    FOR batch_id, taken IN
        SELECT b.id, b.quantity - b.reserved
          FROM inventory_batches AS b,
               LATERAL (SELECT b.status = 'ACTIVE'
                           AND (b.expiry_date IS NULL OR b.expiry_date > moment)) AS s (sellable)
         WHERE b.tenant_id = balance.tenant_id AND b.product_id = balance.product_id
           AND b.location_id = balance.location_id AND b.quantity > b.reserved AND (sellable OR NOT is_hold)
         ORDER BY NOT sellable, CASE WHEN NOT is_fifo THEN b.expiry_date END, b.created_at, b.id
    LOOP
        EXIT WHEN missing = 0;
        taken := least(taken, missing);
        missing := missing - taken;
        blocked := inventory_take_from_batch(batch_id, taken, is_hold);
        RETURN NEXT;
    END LOOP;
    IF missing > 0 THEN
        batch_id := inventory_unnumbered_batch(balance.tenant_id, balance.product_id, balance.location_id);
        taken := missing;
        blocked := inventory_take_from_batch(batch_id, taken, is_hold);
        RETURN NEXT;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION inventory_take_from_batch(batch uuid, units integer, is_hold boolean) RETURNS integer
LANGUAGE sql AS $$
    SELECT inventory_change_batch(
        batch, CASE WHEN is_hold THEN 0 ELSE -units END, CASE WHEN is_hold THEN units ELSE 0 END);
$$;

-- Batches whose date has come leave what is available: the moves that block what is free in them.
CREATE OR REPLACE FUNCTION inventory_retire_batches(balance inventory_balances, moment timestamptz)
RETURNS SETOF inventory_ledger LANGUAGE plpgsql AS $$
DECLARE
    batch inventory_batches;
BEGIN
    FOR batch IN
        UPDATE inventory_batches SET status = 'EXPIRED', updated_at = now()
         WHERE tenant_id = balance.tenant_id AND product_id = balance.product_id AND location_id = balance.location_id
           AND status = 'ACTIVE' AND expiry_date <= moment RETURNING *
    LOOP
        IF batch.quantity > batch.reserved THEN
            RETURN NEXT inventory_move_of(batch.tenant_id, batch.product_id, batch.location_id, 'BLOCK', 0, 0,
                                          batch.quantity - batch.reserved, batch.id, NULL);
        END IF;
    END LOOP;
END $$;

-- Share a change of what is on hand out over batches, and change those: one row a batch, or one without any.
--
-- A named batch takes all of it. Otherwise what comes in goes to the batch without a number, what goes out is picked.
CREATE OR REPLACE FUNCTION inventory_share_out(
    balance inventory_balances, delta integer, number text, expires timestamptz, moment timestamptz
) RETURNS TABLE (batch_id uuid, on_hand integer, blocked integer) LANGUAGE plpgsql AS $$
DECLARE
    batch inventory_batches;
BEGIN
    IF number IS NULL AND delta < 0 AND balance.has_batches THEN
        RETURN QUERY SELECT p.batch_id, -p.taken, p.blocked FROM inventory_pick(balance, -delta, false, moment) AS p;
        RETURN;
    END IF;
    on_hand := delta;
    IF number IS NOT NULL THEN
        batch := inventory_numbered_batch(balance.tenant_id, balance.product_id, balance.location_id, number, expires);
        batch_id := batch.id;
    ELSIF balance.has_batches AND delta <> 0 THEN
        batch_id := inventory_unnumbered_batch(balance.tenant_id, balance.product_id, balance.location_id);
    END IF;
    blocked := coalesce(inventory_change_batch(batch_id, delta, 0), 0);
    RETURN NEXT;
END $$;

-- Take a batch off sale or put it back: what is free in it leaves what is available, or returns to it.
-- Answers {"status", "units", "movement_id"}, or {"code"} when there is no such batch or its date has passed.
CREATE OR REPLACE FUNCTION inventory_set_batch_status(
    tenant bigint, batch_id uuid, wanted text, cause inventory_ledger, wait_ms integer DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql SET lock_timeout = 0 AS $$
DECLARE
    batch inventory_batches;
    balance inventory_balances;
    moment timestamptz;
    move inventory_ledger;
    free integer;
BEGIN
    PERFORM set_config('lock_timeout', coalesce(wait_ms, 0)::text, true);
    SELECT * INTO batch FROM inventory_batches AS b WHERE b.tenant_id = tenant AND b.id = batch_id;
    IF NOT FOUND THEN
        RETURN '{"code": "unknown_batch"}';
    END IF;
    SELECT * INTO balance FROM inventory_balances AS b
     WHERE b.tenant_id = tenant AND b.product_id = batch.product_id AND b.location_id = batch.location_id
       FOR NO KEY UPDATE;
    SELECT * INTO batch FROM inventory_batches AS b WHERE b.id = batch_id;  -- again, under the balance's lock
    moment := clock_timestamp();
    free := greatest(batch.quantity - batch.reserved, 0);
    IF batch.status = 'EXPIRED' OR (wanted = 'ACTIVE' AND batch.expiry_date <= moment) THEN
        RETURN '{"code": "batch_expired"}';
    END IF;
    IF batch.status <> wanted THEN
        UPDATE inventory_batches AS b SET status = wanted, updated_at = moment WHERE b.id = batch_id;
        IF free <> 0 THEN
            move := inventory_written(
                inventory_move_of(tenant, batch.product_id, batch.location_id,
                                  CASE wanted WHEN 'BLOCKED' THEN 'BLOCK' ELSE 'UNBLOCK' END, 0, 0,
                                  CASE wanted WHEN 'BLOCKED' THEN free ELSE -free END, batch_id, NULL),
                cause, balance, moment);
            PERFORM inventory_apply(ARRAY[move], ARRAY[inventory_after(balance, move)]);
        END IF;
    END IF;
    RETURN jsonb_build_object('status', wanted, 'units', free, 'movement_id', move.id);
END $$;
