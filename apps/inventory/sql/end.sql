-- End reservations, each once: let their units go (CONFIRM, whole or part) or take the promise back (RELEASE).
--
-- A request: tenant_id, key, fingerprint, reservation_id, ending, quantity (NULL: all), and its cause.
-- Accepted: {"reservation_id", "status", "product_id", "location_id", "confirmed", "returned", "on_hand", "reserved",
-- "available", "version", "movement_id", "ended_at"}. Refused: {"code", …}; a hold whose deadline has passed expires
-- there and then.
--
-- Balances are locked before reservations are read for good: an expiry holds the balance too, so one of two rivals
-- waits and then sees what the other did.
CREATE OR REPLACE FUNCTION inventory_end(requests jsonb, wait_ms integer DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET lock_timeout = 0 AS $$
DECLARE
    verdicts jsonb[] := inventory_take_keys(requests, wait_ms);
    lines inventory_line[];
    balances inventory_balances[];
    balance inventory_balances;
    moment timestamptz;
    moves inventory_ledger[] := '{}';
    ended inventory_reservations[] := '{}';
    asked record;
    held inventory_reservations;
    cause inventory_ledger;
    move inventory_ledger;
    taken integer;
    wanted text;
BEGIN
    SELECT coalesce(array_agg(ROW(n, tenant_id, product_id, location_id, 0, slot)::inventory_line ORDER BY n), '{}')
      INTO lines FROM (
        SELECT e.n, r.tenant_id, r.product_id, r.location_id,
               dense_rank() OVER (ORDER BY r.tenant_id, r.product_id, r.location_id) AS slot
          FROM jsonb_array_elements(requests) WITH ORDINALITY AS e (j, n)
         CROSS JOIN LATERAL (
            SELECT tenant_id, product_id, location_id FROM inventory_reservations
             WHERE id = (j ->> 'reservation_id')::uuid AND tenant_id = (j ->> 'tenant_id')::bigint OFFSET 0) AS r
      ) AS named;
    SELECT array_agg(b) INTO balances FROM inventory_lock(lines, wait_ms = 0) AS b;
    moment := clock_timestamp();

    FOR asked IN
        SELECT e.n, e.j AS request, found.held, l.slot
          FROM jsonb_array_elements(requests) WITH ORDINALITY AS e (j, n)
          LEFT JOIN unnest(lines) AS l ON l.request = e.n
          LEFT JOIN LATERAL (
               SELECT r AS held FROM inventory_reservations AS r
                WHERE l.slot IS NOT NULL AND r.id = (e.j ->> 'reservation_id')::uuid OFFSET 0) AS found ON true
         ORDER BY e.n
    LOOP
        CONTINUE WHEN verdicts[asked.n] IS NOT NULL;
        held := asked.held;
        IF asked.slot IS NULL THEN
            verdicts[asked.n] := '{"code": "unknown_reservation"}';
            CONTINUE;
        END IF;
        IF balances[asked.slot].id IS NULL THEN
            verdicts[asked.n] := '{"code": "stock_busy"}';
            CONTINUE;
        END IF;
        -- an earlier request of this call may have ended it
        held.status := coalesce((SELECT e.status FROM unnest(ended) AS e WHERE e.id = held.id), held.status);
        wanted := asked.request ->> 'ending';
        IF held.status <> 'PENDING' THEN
            verdicts[asked.n] := jsonb_build_object('reservation_status', held.status, 'code', CASE held.status
                WHEN 'EXPIRED' THEN 'reservation_expired'
                WHEN 'CONFIRMED' THEN 'reservation_already_confirmed' ELSE 'reservation_already_released' END);
            CONTINUE;
        END IF;
        IF held.expires_at <= moment THEN
            wanted := 'EXPIRE';
            verdicts[asked.n] := '{"reservation_status": "EXPIRED", "code": "reservation_expired"}';
        END IF;
        taken := CASE WHEN wanted = 'CONFIRM'
                      THEN coalesce((asked.request ->> 'quantity')::integer, held.quantity) ELSE 0 END;
        IF taken > held.quantity THEN
            verdicts[asked.n] := jsonb_build_object('code', 'quantity_exceeds_reservation', 'reserved', held.quantity);
            CONTINUE;
        END IF;

        balance := balances[asked.slot];
        cause := jsonb_populate_record(NULL::inventory_ledger, asked.request);
        FOR move IN
            SELECT * FROM inventory_ending(held, taken, CASE wanted WHEN 'EXPIRE' THEN 'EXPIRE' ELSE 'RELEASE' END,
                                           balance.has_batches)
        LOOP
            move := inventory_written(
                move, CASE wanted WHEN 'EXPIRE' THEN inventory_time_as_cause(move) ELSE cause END, balance, moment);
            moves := moves || move;
            balance := inventory_after(balance, move);
            IF move.on_hand_delta <> 0 AND move.occurred_at <= balance.count_as_of THEN
                cause.occurred_at := balance.count_as_of;
                move := inventory_written(inventory_absorb(move), cause, balance, moment);
                moves := moves || move;
                balance := inventory_after(balance, move);
                cause.occurred_at := asked.request ->> 'occurred_at';
            END IF;
        END LOOP;
        balances[asked.slot] := balance;
        held.status := CASE wanted WHEN 'CONFIRM' THEN 'CONFIRMED' WHEN 'RELEASE' THEN 'RELEASED' ELSE 'EXPIRED' END;
        held.confirmed_quantity := taken;
        ended := ended || held;
        verdicts[asked.n] := coalesce(verdicts[asked.n], jsonb_build_object(
            'reservation_id', held.id, 'status', held.status, 'product_id', held.product_id,
            'location_id', held.location_id, 'confirmed', taken, 'returned', held.quantity - taken,
            'on_hand', balance.quantity_on_hand, 'reserved', balance.quantity_reserved,
            'available', balance.quantity_available, 'version', balance.version, 'movement_id', move.id,
            'ended_at', moment));
    END LOOP;

    FOREACH held IN ARRAY ended LOOP
        UPDATE inventory_reservations
           SET status = held.status, confirmed_quantity = held.confirmed_quantity, updated_at = moment
         WHERE id = held.id;
    END LOOP;
    PERFORM inventory_apply(moves, balances);
    PERFORM inventory_keep_answers(requests, verdicts);
    RETURN to_jsonb(verdicts);
END $$;
