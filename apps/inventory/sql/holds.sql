-- How a reservation begins and ends: the moves of a promise, a confirmation, a release, an expiry.

-- The moves that promise the units of `held`: one, or one for each batch they are taken from.
CREATE OR REPLACE FUNCTION inventory_holding(
    balance inventory_balances, held inventory_reservations, moment timestamptz
) RETURNS SETOF inventory_ledger LANGUAGE plpgsql AS $$
DECLARE
    pick record;
BEGIN
    IF NOT balance.has_batches THEN
        RETURN NEXT inventory_move_of(held.tenant_id, held.product_id, held.location_id, 'RESERVE',
                                      0, held.quantity, 0, NULL, held.id);
        RETURN;
    END IF;
    FOR pick IN SELECT * FROM inventory_pick(balance, held.quantity, true, moment) LOOP
        RETURN NEXT inventory_move_of(held.tenant_id, held.product_id, held.location_id, 'RESERVE',
                                      0, pick.taken, pick.blocked, pick.batch_id, held.id);
    END LOOP;
END $$;

-- The moves that end a reservation: `taken` units leave (CONFIRM), the rest returns as `rest` (RELEASE or EXPIRE).
--
-- Units that return to a batch that may not be sold do not become available: they are blocked. Units that leave were
-- not free, so their leaving blocks nothing.
CREATE OR REPLACE FUNCTION inventory_ending(held inventory_reservations, taken integer, rest text, has_batches boolean)
RETURNS SETOF inventory_ledger LANGUAGE plpgsql AS $$
DECLARE
    part record;
    missing integer := taken;
    leaving integer;
BEGIN
    FOR part IN
        SELECT NULL::uuid AS batch_id, held.quantity AS quantity, NULL::timestamptz AS expiry_date
         WHERE NOT has_batches
        UNION ALL
        SELECT h.batch_id, h.quantity, b.expiry_date
          FROM inventory_batch_holds AS h JOIN inventory_batches AS b ON b.id = h.batch_id
         WHERE has_batches AND h.reservation_id = held.id
         ORDER BY expiry_date, batch_id
    LOOP
        leaving := least(missing, part.quantity);
        missing := missing - leaving;
        IF leaving > 0 THEN
            PERFORM inventory_change_batch(part.batch_id, -leaving, -leaving);
            RETURN NEXT inventory_move_of(held.tenant_id, held.product_id, held.location_id, 'CONFIRM',
                                          -leaving, -leaving, 0, part.batch_id, held.id);
        END IF;
        IF part.quantity > leaving THEN
            RETURN NEXT inventory_move_of(held.tenant_id, held.product_id, held.location_id, rest,
                                          0, leaving - part.quantity,
                                          coalesce(inventory_change_batch(
                                              part.batch_id, 0, leaving - part.quantity), 0),
                                          part.batch_id, held.id);
        END IF;
    END LOOP;
END $$;

-- End due holds of one balance, whose lock the caller has, `most` of them (NULL: all): the moves that give their units
-- back.
CREATE OR REPLACE FUNCTION inventory_expire_holds(balance inventory_balances, moment timestamptz, most integer)
RETURNS SETOF inventory_ledger LANGUAGE plpgsql AS $$
DECLARE
    held inventory_reservations;
BEGIN
    FOR held IN
        UPDATE inventory_reservations SET status = 'EXPIRED', updated_at = moment
         WHERE id = ANY (ARRAY(
            SELECT id FROM inventory_reservations
             WHERE tenant_id = balance.tenant_id AND product_id = balance.product_id
               AND location_id = balance.location_id AND status = 'PENDING' AND expires_at <= moment
             ORDER BY expires_at LIMIT most)) RETURNING *
    LOOP
        RETURN QUERY SELECT * FROM inventory_ending(held, 0, 'EXPIRE', balance.has_batches);
    END LOOP;
END $$;
