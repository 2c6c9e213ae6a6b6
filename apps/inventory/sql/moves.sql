-- Small parts that make a move: a row of the ledger that is not written yet.

-- A move with what changes; the caller adds cause and times.
CREATE OR REPLACE FUNCTION inventory_move_of(
    tenant bigint, product bigint, location bigint, kind text, on_hand integer, reserved integer, blocked integer,
    batch uuid, reservation uuid
) RETURNS inventory_ledger LANGUAGE plpgsql AS $$
DECLARE
    move inventory_ledger;
BEGIN
    move.tenant_id := tenant;
    move.product_id := product;
    move.location_id := location;
    move.kind := kind;
    move.on_hand_delta := on_hand;
    move.reserved_delta := reserved;
    move.blocked_delta := blocked;
    move.batch_id := batch;
    move.reservation_id := reservation;
    RETURN move;
END $$;

-- Complete a move that follows from time alone: nobody asked for it.
CREATE OR REPLACE FUNCTION inventory_due_move(move inventory_ledger, recorded timestamptz) RETURNS inventory_ledger
LANGUAGE plpgsql AS $$
BEGIN
    move.id := nextval('inventory_ledger_id_seq');
    move.actor := 'ledger';
    move.reason := CASE move.kind WHEN 'EXPIRE' THEN 'reservation expired' ELSE 'batch expired' END;
    move.source := 'saldo';
    move.trace_id := coalesce(move.reservation_id, move.batch_id);
    move.occurred_at := recorded;
    move.recorded_at := recorded;
    RETURN move;
END $$;

-- A move with its cause and times: recorded now, and happened when the cause says, but never later than now.
CREATE OR REPLACE FUNCTION inventory_with_cause(move inventory_ledger, cause inventory_ledger, moment timestamptz)
RETURNS inventory_ledger LANGUAGE plpgsql AS $$
BEGIN
    cause.id := nextval('inventory_ledger_id_seq');
    cause.tenant_id := move.tenant_id;
    cause.product_id := move.product_id;
    cause.location_id := move.location_id;
    cause.kind := move.kind;
    cause.on_hand_delta := move.on_hand_delta;
    cause.reserved_delta := move.reserved_delta;
    cause.blocked_delta := move.blocked_delta;
    cause.batch_id := move.batch_id;
    cause.reservation_id := move.reservation_id;
    cause.recorded_at := moment;
    cause.occurred_at := least(coalesce(cause.occurred_at, moment), moment);
    RETURN cause;
END $$;

-- The counter-movement of a change that happened before the newest count: the count had seen it (contract §3.2).
CREATE OR REPLACE FUNCTION inventory_absorb(late inventory_ledger, counted timestamptz, moment timestamptz)
RETURNS inventory_ledger LANGUAGE plpgsql AS $$
BEGIN
    late.id := nextval('inventory_ledger_id_seq');
    late.kind := 'COUNT_ABSORB';
    late.on_hand_delta := -late.on_hand_delta;
    late.reserved_delta := 0;
    late.blocked_delta := 0;
    IF late.batch_id IS NOT NULL THEN
        UPDATE inventory_batches SET quantity = quantity + late.on_hand_delta, updated_at = now()
         WHERE id = late.batch_id
        RETURNING CASE WHEN status = 'ACTIVE' THEN 0 ELSE late.on_hand_delta END INTO late.blocked_delta;
    END IF;
    late.reservation_id := NULL;
    late.reverses_id := NULL;
    late.occurred_at := counted;
    late.recorded_at := moment;
    RETURN late;
END $$;

-- A balance as it is after one more move, in memory. A receipt with its cost moves the average cost.
CREATE OR REPLACE FUNCTION inventory_after(balance inventory_balances, move inventory_ledger) RETURNS inventory_balances
LANGUAGE plpgsql AS $$
BEGIN
    IF move.kind IN ('RECEIPT', 'TRANSFER_IN') AND move.unit_cost IS NOT NULL THEN
        balance.unit_cost := CASE
            WHEN balance.quantity_on_hand > 0 AND balance.unit_cost IS NOT NULL THEN round(
                (balance.quantity_on_hand * balance.unit_cost + move.on_hand_delta * move.unit_cost)
                / (balance.quantity_on_hand + move.on_hand_delta), 4)
            ELSE move.unit_cost END;
    END IF;
    balance.quantity_on_hand := balance.quantity_on_hand + move.on_hand_delta;
    balance.quantity_reserved := balance.quantity_reserved + move.reserved_delta;
    balance.quantity_blocked := balance.quantity_blocked + move.blocked_delta;
    balance.quantity_available :=
        balance.quantity_on_hand - balance.quantity_reserved - balance.quantity_blocked;
    balance.version := balance.version + 1;
    RETURN balance;
END $$;
