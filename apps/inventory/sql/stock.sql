-- What is there now, for pairs of a product and a place (named as in lines.sql), a row each, in the order asked.
--
-- `reserved` and `available` are as of this moment: an expired hold counts no longer and an expired batch is not for
-- sale, whether the sweeper has come by or not. A pair that never had stock has zeros; one whose product or place the
-- tenant does not have has NULL there.
CREATE OR REPLACE FUNCTION inventory_stock(tenant bigint, pairs jsonb) RETURNS TABLE (
    product_id bigint, location_id bigint, sku text, store text, product uuid, location uuid,
    on_hand integer, reserved integer, available integer, version bigint, updated_at timestamptz
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    moment timestamptz := clock_timestamp();  -- a value, so that the index finds what is due: many holds may be open
BEGIN
    RETURN QUERY
    SELECT p.id, l.id, p.sku::text, l.code::text, p.public_id, l.public_id,
           coalesce(b.quantity_on_hand, 0), coalesce(b.quantity_reserved - due.held, 0),
           coalesce(b.quantity_on_hand - b.quantity_reserved + due.held - off_sale.units, 0), coalesce(b.version, 0),
           b.last_updated
      FROM jsonb_array_elements(pairs) WITH ORDINALITY AS e (pair, n)
      LEFT JOIN LATERAL (
        SELECT x.* FROM inventory_products AS x WHERE x.id = coalesce(
            (SELECT y.id FROM inventory_products AS y WHERE y.tenant_id = tenant AND y.sku = pair ->> 'sku'),
            (SELECT y.id FROM inventory_products AS y
              WHERE y.public_id = (pair ->> 'product')::uuid AND y.tenant_id = tenant)) OFFSET 0) AS p ON true
      LEFT JOIN LATERAL (
        SELECT x.* FROM inventory_locations AS x WHERE x.id = coalesce(
            (SELECT y.id FROM inventory_locations AS y WHERE y.tenant_id = tenant AND y.code = pair ->> 'store'),
            (SELECT y.id FROM inventory_locations AS y
              WHERE y.public_id = (pair ->> 'location')::uuid AND y.tenant_id = tenant)) OFFSET 0) AS l ON true
      LEFT JOIN LATERAL (
        SELECT x.* FROM inventory_balances AS x
         WHERE x.tenant_id = tenant AND x.product_id = p.id AND x.location_id = l.id OFFSET 0) AS b ON true
      LEFT JOIN LATERAL (
        SELECT coalesce(sum(r.quantity), 0)::integer AS held FROM inventory_reservations AS r
         WHERE r.tenant_id = tenant AND r.product_id = p.id AND r.location_id = l.id
           AND r.status = 'PENDING' AND r.expires_at <= moment) AS due ON true
      LEFT JOIN LATERAL (
        SELECT coalesce(sum(greatest(i.quantity - i.reserved + (
                   SELECT coalesce(sum(h.quantity), 0)
                     FROM inventory_reservations AS r
                     JOIN inventory_batch_holds AS h ON h.reservation_id = r.id AND h.batch_id = i.id
                    WHERE due.held > 0 AND r.tenant_id = tenant AND r.product_id = p.id AND r.location_id = l.id
                      AND r.status = 'PENDING' AND r.expires_at <= moment), 0)), 0)::integer AS units
          FROM inventory_batches AS i
         WHERE b.has_batches AND i.tenant_id = tenant AND i.product_id = p.id AND i.location_id = l.id
           AND (i.status <> 'ACTIVE' OR i.expiry_date <= moment)) AS off_sale ON true
     ORDER BY n;
END $$;
