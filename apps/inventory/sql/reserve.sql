-- Promise units: each request all or nothing, a verdict each, in the order asked. A refused request changes nothing.
--
-- A request: tenant_id, key, fingerprint, lines (see lines.sql), ttl_seconds (NULL: never expires), is_fact (a sale
-- that was made already: never refused), requester_id, and its cause in the words of the ledger's columns.
-- Accepted: {"reservations": [{reservation_id, product_id, location_id, quantity, expires_at, available, version}],
-- "created_at"}. Refused: {"code", …}.
CREATE OR REPLACE FUNCTION inventory_reserve(requests jsonb, wait_ms integer DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET lock_timeout = 0 AS $$
DECLARE
    verdicts jsonb[] := inventory_take_keys(requests, wait_ms);
    lines inventory_line[] := inventory_lines(requests);
    balances inventory_balances[];
    moment timestamptz;
    moves inventory_ledger[] := '{}';
    reservations inventory_reservations[] := '{}';
    holds inventory_batch_holds[] := '{}';
    asked record;
    request jsonb;
    line inventory_line;
    cause inventory_ledger;
    move inventory_ledger;
    held inventory_reservations;
    slot integer;
    version bigint;
    verdict jsonb;
BEGIN
    SELECT array_agg(b) INTO balances FROM inventory_lock(lines, wait_ms = 0) AS b;
    moment := clock_timestamp();
    FOR slot IN 1 .. coalesce(cardinality(balances), 0) LOOP
        CONTINUE WHEN balances[slot].has_batches IS NOT TRUE;
        FOR move IN SELECT * FROM inventory_retire_batches(balances[slot], moment) LOOP
            move := inventory_written(move, inventory_time_as_cause(move), balances[slot], moment);
            moves := moves || move;
            balances[slot] := inventory_after(balances[slot], move);
        END LOOP;
    END LOOP;

    FOR asked IN
        SELECT l.request, array_agg(l) AS lines FROM unnest(lines) AS l GROUP BY l.request ORDER BY l.request
    LOOP
        CONTINUE WHEN verdicts[asked.request] IS NOT NULL;
        request := requests -> (asked.request - 1);

        FOREACH line IN ARRAY asked.lines LOOP
            IF line.slot IS NULL THEN
                verdicts[asked.request] := jsonb_build_object(
                    'code', CASE WHEN line.product_id IS NULL THEN 'unknown_sku' ELSE 'unknown_store' END);
                EXIT;
            END IF;
            IF balances[line.slot].id IS NULL THEN
                verdicts[asked.request] := '{"code": "stock_busy"}';
                EXIT;
            END IF;
            CONTINUE WHEN (request ->> 'is_fact')::boolean;
            -- an expired hold counts no longer, swept or not; no more are swept than it takes
            WHILE balances[line.slot].quantity_available < line.quantity LOOP
                version := balances[line.slot].version;
                FOR move IN SELECT * FROM inventory_expire_holds(balances[line.slot], moment, 100) LOOP
                    move := inventory_written(move, inventory_time_as_cause(move), balances[line.slot], moment);
                    moves := moves || move;
                    balances[line.slot] := inventory_after(balances[line.slot], move);
                END LOOP;
                EXIT WHEN balances[line.slot].version = version;
            END LOOP;
            IF balances[line.slot].quantity_available < line.quantity THEN
                verdicts[asked.request] := jsonb_build_object(
                    'code', 'insufficient_stock', 'product_id', line.product_id, 'location_id', line.location_id,
                    'requested', line.quantity, 'available', balances[line.slot].quantity_available);
                EXIT;
            END IF;
        END LOOP;
        CONTINUE WHEN verdicts[asked.request] IS NOT NULL;

        verdict := '[]';
        cause := jsonb_populate_record(NULL::inventory_ledger, request);
        FOREACH line IN ARRAY asked.lines LOOP
            held := ROW(NULL);
            held.id := uuidv7();
            held.tenant_id := line.tenant_id;
            held.product_id := line.product_id;
            held.location_id := line.location_id;
            held.quantity := line.quantity;
            held.idempotency_key := coalesce(request ->> 'key', held.id::text);
            held.requester_id := coalesce(request ->> 'requester_id', '');
            held.reference_type := coalesce(cause.reference_type, '');
            held.reference_id := coalesce(cause.reference_id, '');
            held.ttl_seconds := request ->> 'ttl_seconds';
            held.expires_at := moment + make_interval(secs => held.ttl_seconds);
            held.created_at := moment;
            reservations := reservations || held;
            FOR move IN SELECT * FROM inventory_holding(balances[line.slot], held, moment) LOOP
                move := inventory_written(move, cause, balances[line.slot], moment);
                moves := moves || move;
                balances[line.slot] := inventory_after(balances[line.slot], move);
                IF move.batch_id IS NOT NULL THEN
                    holds := holds
                        || ROW(held.tenant_id, held.id, move.batch_id, move.reserved_delta)::inventory_batch_holds;
                END IF;
            END LOOP;
            verdict := verdict || jsonb_build_object(
                'reservation_id', held.id, 'product_id', held.product_id, 'location_id', held.location_id,
                'quantity', held.quantity, 'expires_at', held.expires_at,
                'available', balances[line.slot].quantity_available, 'version', balances[line.slot].version);
        END LOOP;
        verdicts[asked.request] := jsonb_build_object('reservations', verdict, 'created_at', held.created_at);
    END LOOP;

    IF cardinality(moves) > 0 THEN
        INSERT INTO inventory_reservations (
               id, tenant_id, product_id, location_id, quantity, status, idempotency_key, requester_id,
               reference_type, reference_id, ttl_seconds, expires_at, created_at, updated_at)
        SELECT id, tenant_id, product_id, location_id, quantity, 'PENDING', idempotency_key, requester_id,
               reference_type, reference_id, ttl_seconds, expires_at, created_at, created_at
          FROM unnest(reservations);
        PERFORM inventory_apply(moves, balances);
        IF cardinality(holds) > 0 THEN
            INSERT INTO inventory_batch_holds (tenant_id, reservation_id, batch_id, quantity)
            SELECT tenant_id, reservation_id, batch_id, sum(quantity) FROM unnest(holds)
             GROUP BY tenant_id, reservation_id, batch_id;  -- a fact may take what is free in a batch, then more of it
        END IF;
        PERFORM inventory_keep_answers(requests, verdicts);
    END IF;
    RETURN to_jsonb(verdicts);
END $$;
