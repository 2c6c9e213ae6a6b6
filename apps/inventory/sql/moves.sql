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

-- A move as it will be written: with its cause, its times and the totals after it.
--
-- Recorded at `moment`, now, or right after what the balance recorded last, should the clock have stepped back; happened
-- when the cause says, but never later than that: a clock ahead of ours is cut to it.
CREATE OR REPLACE FUNCTION inventory_written(
    move inventory_ledger, cause inventory_ledger, balance inventory_balances, moment timestamptz
) RETURNS inventory_ledger LANGUAGE plpgsql AS $$
DECLARE
    recorded timestamptz := greatest(moment, balance.last_updated + interval '1 microsecond');
BEGIN
    cause.id := nextval('inventory_ledger_id_seq');
    cause.tenant_id := move.tenant_id;
    cause.product_id := move.product_id;
    cause.location_id := move.location_id;
    cause.kind := move.kind;
    cause.on_hand_delta := move.on_hand_delta;
    cause.reserved_delta := move.reserved_delta;
    cause.blocked_delta := move.blocked_delta;
    cause.on_hand_after := balance.quantity_on_hand + move.on_hand_delta;
    cause.reserved_after := balance.quantity_reserved + move.reserved_delta;
    cause.blocked_after := balance.quantity_blocked + move.blocked_delta;
    cause.version := balance.version + 1;
    cause.batch_id := move.batch_id;
    cause.reservation_id := move.reservation_id;
    cause.recorded_at := recorded;
    cause.occurred_at := least(coalesce(cause.occurred_at, recorded), recorded);
    RETURN cause;
END $$;

-- The cause of what follows from time alone: nobody asked for it.
CREATE OR REPLACE FUNCTION inventory_time_as_cause(move inventory_ledger) RETURNS inventory_ledger
LANGUAGE plpgsql AS $$
DECLARE
    cause inventory_ledger;
BEGIN
    cause.actor := 'ledger';
    cause.reason := CASE move.kind WHEN 'EXPIRE' THEN 'reservation expired' ELSE 'batch expired' END;
    cause.source := 'saldo';
    cause.trace_id := coalesce(move.reservation_id, move.batch_id);
    RETURN cause;
END $$;

-- The counter-move of a change that happened before the newest count: the count had seen it (contract §3.2).
CREATE OR REPLACE FUNCTION inventory_absorb(late inventory_ledger) RETURNS inventory_ledger LANGUAGE plpgsql AS $$
BEGIN
    late.kind := 'COUNT_ABSORB';
    late.on_hand_delta := -late.on_hand_delta;
    late.reserved_delta := 0;
    late.blocked_delta := coalesce(inventory_change_batch(late.batch_id, late.on_hand_delta, 0), 0);
    late.reservation_id := NULL;
    late.reverses_id := NULL;
    RETURN late;
END $$;

-- A balance as it is after one more movement, in memory. A receipt with its cost moves the average cost, and the
-- reversal of one (an adjustment with the receipt's cost) moves it back, unless nothing is left to have a cost.
CREATE OR REPLACE FUNCTION inventory_after(balance inventory_balances, move inventory_ledger) RETURNS inventory_balances
LANGUAGE plpgsql AS $$
BEGIN
    IF move.kind IN ('RECEIPT', 'TRANSFER_IN') AND move.unit_cost IS NOT NULL THEN
        balance.unit_cost := CASE
            WHEN balance.quantity_on_hand > 0 AND balance.unit_cost IS NOT NULL THEN round(
                (balance.quantity_on_hand * balance.unit_cost + move.on_hand_delta * move.unit_cost)
                / (balance.quantity_on_hand + move.on_hand_delta), 4)
            ELSE move.unit_cost END;
    ELSIF move.reverses_id IS NOT NULL AND balance.unit_cost + move.unit_cost IS NOT NULL AND move.on_hand_after > 0 THEN
        balance.unit_cost := round(greatest(
            balance.quantity_on_hand * balance.unit_cost + move.on_hand_delta * move.unit_cost, 0)
            / move.on_hand_after, 4);
    END IF;
    IF balance.counted_at IS NULL AND move.kind IN ('RECEIPT', 'ADJUSTMENT', 'COUNT', 'TRANSFER_IN') THEN
        balance.counted_at := move.recorded_at;
    END IF;
    balance.quantity_on_hand := move.on_hand_after;
    balance.quantity_reserved := move.reserved_after;
    balance.quantity_blocked := move.blocked_after;
    balance.quantity_available := move.on_hand_after - move.reserved_after - move.blocked_after;
    balance.version := move.version;
    balance.last_updated := move.recorded_at;
    RETURN balance;
END $$;
