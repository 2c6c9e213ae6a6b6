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
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
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
    refusal jsonb;
BEGIN
    SELECT array_agg(b) INTO balances FROM inventory_lock(lines) AS b;
    moment := clock_timestamp();

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
            due := due || ARRAY(SELECT d FROM inventory_expire_holds(balance, moment) AS d);
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
            delta := delta - inventory_on_hand_at(balance, as_of, moves);
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

-- What was on hand at a moment, as everything known by now says, moves of this call included.
CREATE OR REPLACE FUNCTION inventory_on_hand_at(
    balance inventory_balances, moment timestamptz, moves inventory_ledger[]
) RETURNS integer LANGUAGE sql AS $$
    SELECT balance.quantity_on_hand
         - coalesce((SELECT sum(on_hand_delta) FROM inventory_ledger
                      WHERE tenant_id = balance.tenant_id AND product_id = balance.product_id
                        AND location_id = balance.location_id AND occurred_at > moment AND recorded_at > moment), 0)
         - coalesce((SELECT sum(on_hand_delta) FROM unnest(moves)
                      WHERE tenant_id = balance.tenant_id AND product_id = balance.product_id
                        AND location_id = balance.location_id AND occurred_at > moment), 0);
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
