-- Change what is on hand: receipts, sales, returns, losses, adjustments, transfers, counts. A verdict each.
--
-- A request: tenant_id, key, fingerprint, kind, lines (one, see lines.sql; `quantity` is signed for ADJUSTMENT and the
-- counted units for COUNT), is_fact, expected_version, unit_cost, batch_number, batch_expires_at, count_order,
-- transfer_code, other_location_id, and its cause in the words of the ledger's columns.
-- Accepted: {"movement_ids", "kind", "product_id", "location_id", "on_hand", "reserved", "available", "version",
-- "recorded_at"}; a count older than the newest one has no movement. Refused: {"code", …}.
--
-- A count says what was there as of its moment (contract §3.2): on hand = counted + all that happened after. It posts
-- the difference to the balance of that moment; a change that arrives later but happened before it is posted with its
-- counter-movement; an older count is kept and changes nothing. Of two counts of one moment and order the lower rules:
-- that is safe, and does not depend on which came first. So any order of arrival ends in the same number.
CREATE OR REPLACE FUNCTION inventory_post(requests jsonb, wait_ms integer DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET lock_timeout = 0 AS $$
DECLARE
    verdicts jsonb[] := inventory_take_keys(requests, wait_ms);
    lines inventory_line[] := inventory_lines(requests);
    balances inventory_balances[];
    balance inventory_balances;
    moment timestamptz;
    moves inventory_ledger[] := '{}';
    ids bigint[];  -- of the movements that the request makes
    request jsonb;
    line inventory_line;
    cause inventory_ledger;
    absorbing inventory_ledger;
    move inventory_ledger;
    due inventory_ledger[];
    parts inventory_ledger[];  -- the request's moves, one for each batch it touches
    delta integer;
    recorded timestamptz;
    as_of timestamptz;
    is_newest boolean;
    changed_since bigint[];  -- for each count of the call
    refusal jsonb;
BEGIN
    -- before any balance, in one order: of two calls that tell of several transfers neither waits for the other's row
    PERFORM pg_advisory_xact_lock(lock_id) FROM (
        SELECT DISTINCT hashtextextended('transfer/' || (r ->> 'tenant_id') || '/' || (r ->> 'transfer_code'), 0)
            AS lock_id
          FROM jsonb_array_elements(requests) AS r WHERE r ->> 'transfer_code' IS NOT NULL ORDER BY 1) AS locks;
    SELECT array_agg(b) INTO balances FROM inventory_lock(lines) AS b;
    moment := clock_timestamp();
    IF requests @> '[{"kind": "COUNT"}]' THEN
        changed_since := inventory_changed_since(requests, lines);
    END IF;

    FOREACH line IN ARRAY lines LOOP
        CONTINUE WHEN verdicts[line.request] IS NOT NULL;
        request := requests -> (line.request - 1);
        IF line.slot IS NULL THEN
            verdicts[line.request] := jsonb_build_object(
                'code', CASE WHEN line.product_id IS NULL THEN 'unknown_sku' ELSE 'unknown_store' END);
            CONTINUE;
        END IF;
        balance := balances[line.slot];
        cause := jsonb_populate_record(NULL::inventory_ledger, request);
        IF request ->> 'transfer_code' IS NOT NULL THEN
            cause.reference_type := 'transfer';
            cause.reference_id := request ->> 'transfer_code';
        END IF;
        ids := '{}';
        delta := CASE WHEN cause.kind IN ('SALE', 'LOSS', 'TRANSFER_OUT') THEN -line.quantity ELSE line.quantity END;

        -- what time alone has changed comes first: batches and holds that are due
        due := '{}';
        IF balance.has_batches THEN
            due := ARRAY(SELECT d FROM inventory_retire_batches(balance, moment) AS d);
        END IF;
        IF delta < 0 AND NOT (request ->> 'is_fact')::boolean
           AND (balance.quantity_available + delta < (SELECT coalesce(sum(d.blocked_delta), 0) FROM unnest(due) AS d)
                OR request ->> 'batch_number' IS NOT NULL) THEN
            due := due || ARRAY(SELECT d FROM inventory_expire_holds(balance, moment, NULL) AS d);
        END IF;
        FOREACH move IN ARRAY due LOOP
            move := inventory_written(move, inventory_time_as_cause(move), balance, moment);
            moves := moves || move;
            balance := inventory_after(balance, move);
        END LOOP;
        balances[line.slot] := balance;

        -- not even asked of a plain fact: to hand all moves over costs as much as to make one
        refusal := CASE WHEN (request ->> 'is_fact')::boolean AND request ->> 'expected_version' IS NULL
                             AND request ->> 'reverses_id' IS NULL
                             AND request ->> 'other_location_id' IS NULL THEN NULL
                        ELSE inventory_refusal(balance, request, delta, moves) END;
        IF refusal IS NOT NULL THEN
            verdicts[line.request] := refusal;
            CONTINUE;
        END IF;

        recorded := greatest(moment, balance.last_updated + interval '1 microsecond');
        as_of := least(coalesce(cause.occurred_at, recorded), recorded);
        IF cause.kind = 'COUNT' THEN
            delta := delta - balance.quantity_on_hand + changed_since[line.request] + coalesce((
                SELECT sum(m.on_hand_delta) FROM unnest(moves) AS m
                 WHERE m.tenant_id = line.tenant_id AND m.product_id = line.product_id
                   AND m.location_id = line.location_id AND m.occurred_at > as_of), 0);
            is_newest := balance.count_as_of IS NULL
                      OR (as_of, coalesce(request ->> 'count_order', '')) > (balance.count_as_of, balance.count_order)
                      OR (as_of, coalesce(request ->> 'count_order', '')) = (balance.count_as_of, balance.count_order)
                         AND delta < 0;
            INSERT INTO inventory_counts (tenant_id, product_id, location_id, as_of, count_order, counted, variance,
                                          actor, source, source_key, recorded_at)
            VALUES (line.tenant_id, line.product_id, line.location_id, as_of, coalesce(request ->> 'count_order', ''),
                    line.quantity, CASE WHEN is_newest THEN delta END, cause.actor, coalesce(cause.source, ''),
                    coalesce(cause.source_key, ''), recorded);
            cause.occurred_at := as_of;
            IF is_newest THEN
                balance.count_as_of := as_of;
                balance.count_order := coalesce(request ->> 'count_order', '');
            END IF;
        END IF;
        IF request ->> 'batch_number' IS NOT NULL AND NOT balance.has_batches THEN
            PERFORM inventory_start_batches(balance);
            balance.has_batches := true;
        END IF;
        IF cause.unit_cost IS NULL AND cause.kind IN ('SALE', 'LOSS', 'TRANSFER_OUT') THEN
            cause.unit_cost := balance.unit_cost;
        ELSIF cause.kind = 'TRANSFER_IN' THEN
            cause.unit_cost := coalesce(cause.unit_cost, (
                SELECT unit_cost FROM inventory_transfers WHERE tenant_id = line.tenant_id
                   AND code = request ->> 'transfer_code' AND product_id = line.product_id));
        ELSIF cause.reverses_id IS NOT NULL THEN
            cause.unit_cost := coalesce(cause.unit_cost, (
                SELECT unit_cost FROM inventory_ledger
                 WHERE id = cause.reverses_id AND kind IN ('RECEIPT', 'TRANSFER_IN')));
        END IF;

        IF cause.kind = 'COUNT' AND NOT is_newest THEN
            parts := '{}';
        ELSIF balance.has_batches THEN
            parts := ARRAY(
                SELECT inventory_move_of(line.tenant_id, line.product_id, line.location_id, cause.kind,
                                         s.on_hand, 0, s.blocked, s.batch_id, NULL)
                  FROM inventory_share_out(balance, delta, request ->> 'batch_number',
                                           (request ->> 'batch_expires_at')::timestamptz, moment) AS s);
        ELSE
            parts := ARRAY[inventory_move_of(line.tenant_id, line.product_id, line.location_id, cause.kind,
                                             delta, 0, 0, NULL, NULL)];
        END IF;
        FOREACH move IN ARRAY parts LOOP
            move := inventory_written(move, cause, balance, moment);
            moves := moves || move;
            ids := ids || move.id;
            balance := inventory_after(balance, move);
            IF cause.kind <> 'COUNT' AND move.occurred_at <= balance.count_as_of THEN
                absorbing := cause;
                absorbing.occurred_at := balance.count_as_of;
                absorbing.reverses_id := NULL;
                move := inventory_written(inventory_absorb(move), absorbing, balance, moment);
                moves := moves || move;
                ids := ids || move.id;
                balance := inventory_after(balance, move);
            END IF;
        END LOOP;
        IF request ->> 'transfer_code' IS NOT NULL THEN
            PERFORM inventory_note_transfer(line, request, cause);
        END IF;
        balances[line.slot] := balance;
        verdicts[line.request] := jsonb_build_object(
            'movement_ids', to_jsonb(ids),
            'kind', cause.kind, 'product_id', line.product_id, 'location_id', line.location_id,
            'on_hand', balance.quantity_on_hand, 'reserved', balance.quantity_reserved,
            'available', balance.quantity_available, 'version', balance.version, 'recorded_at', balance.last_updated);
    END LOOP;

    PERFORM inventory_apply(moves, balances);
    PERFORM inventory_keep_answers(requests, verdicts);
    RETURN to_jsonb(verdicts);
END $$;

-- Why a change may not be made; NULL when it may. Facts are refused only for what cannot be true.
CREATE OR REPLACE FUNCTION inventory_refusal(
    balance inventory_balances, request jsonb, delta integer, moves inventory_ledger[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    reversed bigint := (request ->> 'reverses_id')::bigint;
    free integer := balance.quantity_available;
BEGIN
    IF (request ->> 'expected_version')::bigint <> balance.version THEN
        RETURN jsonb_build_object('code', 'version_mismatch', 'version', balance.version);
    END IF;
    IF NOT EXISTS (SELECT FROM inventory_locations WHERE tenant_id = balance.tenant_id
                      AND id = coalesce((request ->> 'other_location_id')::bigint, balance.location_id)) THEN
        RETURN '{"code": "unknown_store"}';
    END IF;
    IF reversed IS NOT NULL AND NOT EXISTS (
        SELECT FROM inventory_ledger WHERE id = reversed AND tenant_id = balance.tenant_id
           AND product_id = balance.product_id AND location_id = balance.location_id) THEN
        RETURN '{"code": "unknown_movement"}';
    END IF;
    IF reversed IS NOT NULL AND (
        EXISTS (SELECT FROM inventory_ledger WHERE reverses_id = reversed)
        OR EXISTS (SELECT FROM unnest(moves) AS m WHERE m.reverses_id = reversed)
    ) THEN
        RETURN jsonb_build_object('code', 'already_reversed', 'reverses_id', reversed);
    END IF;
    IF (request ->> 'is_fact')::boolean OR request ->> 'kind' = 'COUNT' THEN
        RETURN NULL;
    END IF;
    IF delta < 0 AND request ->> 'batch_number' IS NOT NULL THEN
        SELECT least(b.quantity - b.reserved, CASE WHEN b.status = 'ACTIVE' THEN free
                     ELSE balance.quantity_on_hand - balance.quantity_reserved END) INTO free
          FROM inventory_batches AS b
         WHERE b.tenant_id = balance.tenant_id AND b.product_id = balance.product_id
           AND b.location_id = balance.location_id AND b.batch_number = request ->> 'batch_number';
        IF NOT FOUND THEN
            RETURN '{"code": "unknown_batch"}';
        END IF;
    END IF;
    IF free + delta < 0 AND delta < 0 THEN
        RETURN jsonb_build_object('code', 'insufficient_stock', 'product_id', balance.product_id,
                                  'location_id', balance.location_id, 'requested', -delta, 'available', free);
    END IF;
    IF request ->> 'kind' = 'TRANSFER_IN' THEN
        SELECT sent - received INTO free FROM inventory_transfers
         WHERE tenant_id = balance.tenant_id AND code = request ->> 'transfer_code'
           AND product_id = balance.product_id AND destination_id = balance.location_id;
        IF NOT FOUND THEN
            RETURN '{"code": "unknown_transfer"}';
        ELSIF free < delta THEN
            RETURN jsonb_build_object('code', 'transfer_exceeds_sent', 'in_transit', free);
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- By how much each count's balance changed after the count's moment, by the number of the request: each balance's
-- movements are read once, however many counts there are. Moves of this call are not written yet, so not in it.
CREATE OR REPLACE FUNCTION inventory_changed_since(requests jsonb, lines inventory_line[]) RETURNS bigint[]
LANGUAGE sql AS $$
    WITH counts AS (
        SELECT l.*, (requests -> (l.request - 1) ->> 'occurred_at')::timestamptz + interval '1 microsecond' AS after
          FROM unnest(lines) AS l
         WHERE l.slot IS NOT NULL AND requests -> (l.request - 1) ->> 'kind' = 'COUNT'
    ), balances AS (
        SELECT slot, tenant_id, product_id, location_id, array_agg(DISTINCT after ORDER BY after) AS moments
          FROM counts WHERE after IS NOT NULL GROUP BY slot, tenant_id, product_id, location_id
    ), changes AS (
        SELECT b.slot, m.bucket, m.units
          FROM balances AS b CROSS JOIN LATERAL (
            SELECT width_bucket(occurred_at, b.moments) AS bucket, sum(on_hand_delta) AS units
              FROM inventory_ledger
             WHERE tenant_id = b.tenant_id AND product_id = b.product_id AND location_id = b.location_id
               AND occurred_at >= b.moments[1] AND recorded_at >= b.moments[1] GROUP BY 1 OFFSET 0) AS m
    ), since AS (
        SELECT slot, after, sum(units) OVER (PARTITION BY slot ORDER BY bucket DESC) AS units
          FROM balances CROSS JOIN LATERAL unnest(moments) WITH ORDINALITY AS u (after, bucket)
          LEFT JOIN changes USING (slot, bucket)
    )
    SELECT array_agg(coalesce(units, 0)::bigint ORDER BY n)
      FROM generate_series(1, jsonb_array_length(requests)) AS n
      LEFT JOIN counts ON request = n LEFT JOIN since USING (slot, after);
$$;

-- Keep what is on its way: sent at the origin, received at the destination, whichever is told first.
CREATE OR REPLACE FUNCTION inventory_note_transfer(
    line inventory_line, request jsonb, cause inventory_ledger
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    is_out boolean := cause.kind = 'TRANSFER_OUT';
    other bigint := (request ->> 'other_location_id')::bigint;
BEGIN
    INSERT INTO inventory_transfers AS t
           (id, tenant_id, code, product_id, origin_id, destination_id, sent, received, unit_cost)
    VALUES (uuidv7(), line.tenant_id, request ->> 'transfer_code', line.product_id,
            CASE WHEN is_out THEN line.location_id ELSE other END,
            CASE WHEN is_out THEN other ELSE line.location_id END,
            CASE WHEN is_out THEN line.quantity ELSE 0 END, CASE WHEN is_out THEN 0 ELSE line.quantity END,
            cause.unit_cost)
        ON CONFLICT (tenant_id, code, product_id) DO UPDATE
        SET sent = t.sent + excluded.sent, received = t.received + excluded.received,
            origin_id = coalesce(t.origin_id, excluded.origin_id),
            destination_id = coalesce(t.destination_id, excluded.destination_id),
            unit_cost = coalesce(t.unit_cost, excluded.unit_cost), updated_at = now();
END $$;
