-- The lines of all requests, with the products and locations they name and the balance ("slot") each touches.
--
-- A line names its product by `product_id` (ours), `sku` or `product` (public id), and its location by `location_id`,
-- `store` (code) or `location` (public id). What the tenant does not have is NULL, and the line has no slot. Lines of
-- one request for one balance are summed here, so that they are checked against the number together.
CREATE OR REPLACE FUNCTION inventory_lines(requests jsonb) RETURNS inventory_line[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce((
        SELECT array_agg(ROW(n, tenant_id, product_id, location_id, quantity, slot)::inventory_line ORDER BY n, line)
          FROM (
            SELECT n, tenant_id, product_id, location_id, sum(quantity) AS quantity, min(line) AS line,
                   CASE WHEN product_id IS NOT NULL AND location_id IS NOT NULL THEN
                       dense_rank() OVER (ORDER BY product_id IS NULL OR location_id IS NULL,
                                                   tenant_id, product_id, location_id) END AS slot
              FROM (
                SELECT n, line, (r ->> 'tenant_id')::bigint AS tenant_id, (l ->> 'quantity')::bigint AS quantity,
                       coalesce(
                           (SELECT id FROM inventory_products
                             WHERE id = (l ->> 'product_id')::bigint AND tenant_id = (r ->> 'tenant_id')::bigint),
                           (SELECT id FROM inventory_products
                             WHERE tenant_id = (r ->> 'tenant_id')::bigint AND sku = l ->> 'sku'),
                           (SELECT id FROM inventory_products
                             WHERE public_id = (l ->> 'product')::uuid AND tenant_id = (r ->> 'tenant_id')::bigint)
                       ) AS product_id,
                       coalesce(
                           (SELECT id FROM inventory_locations
                             WHERE id = (l ->> 'location_id')::bigint AND tenant_id = (r ->> 'tenant_id')::bigint),
                           (SELECT id FROM inventory_locations
                             WHERE tenant_id = (r ->> 'tenant_id')::bigint AND code = l ->> 'store'),
                           (SELECT id FROM inventory_locations
                             WHERE public_id = (l ->> 'location')::uuid AND tenant_id = (r ->> 'tenant_id')::bigint)
                       ) AS location_id
                  FROM jsonb_array_elements(requests) WITH ORDINALITY AS e (r, n),
                       jsonb_array_elements(r -> 'lines') WITH ORDINALITY AS f (l, line)
              ) AS named
             GROUP BY n, tenant_id, product_id, location_id
          ) AS summed), '{}');
END $$;

-- Lock every balance that the lines touch and return them in the order of their slots; those that are missing are made.
--
-- The order (tenant, product, location) is the same in every transaction, so two of them wait for each other but never
-- in a circle. NO KEY UPDATE lets the foreign keys of other writers pass. With `only_free` a balance that somebody holds
-- is not waited for: its row is NULL.
CREATE OR REPLACE FUNCTION inventory_lock(lines inventory_line[], only_free boolean DEFAULT false)
RETURNS SETOF inventory_balances
LANGUAGE plpgsql AS $$
DECLARE
    balances inventory_balances[];
BEGIN
    -- made before any is locked: who waits here for another's new row holds none that the other could wait for
    INSERT INTO inventory_balances
           (tenant_id, product_id, location_id, quantity_on_hand, quantity_reserved, quantity_blocked, version)
    SELECT DISTINCT l.tenant_id, l.product_id, l.location_id, 0, 0, 0, 0 FROM unnest(lines) AS l
     WHERE slot IS NOT NULL AND (  -- a probe by key for each, whatever the planner believes of the table
           SELECT b.id FROM inventory_balances AS b WHERE b.tenant_id = l.tenant_id AND b.product_id = l.product_id
              AND b.location_id = l.location_id) IS NULL
     ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
    IF only_free THEN
        SELECT array_agg(locked) INTO balances
          FROM (SELECT DISTINCT slot, tenant_id, product_id, location_id FROM unnest(lines)
                 WHERE slot IS NOT NULL ORDER BY slot) AS wanted
          LEFT JOIN LATERAL (
            SELECT * FROM inventory_balances AS b
             WHERE b.tenant_id = wanted.tenant_id AND b.product_id = wanted.product_id
               AND b.location_id = wanted.location_id FOR NO KEY UPDATE SKIP LOCKED) AS locked ON true;
    ELSE
        SELECT array_agg(locked) INTO balances
          FROM (SELECT DISTINCT slot, tenant_id, product_id, location_id FROM unnest(lines)
                 WHERE slot IS NOT NULL ORDER BY slot) AS wanted
         CROSS JOIN LATERAL (
            SELECT * FROM inventory_balances AS b
             WHERE b.tenant_id = wanted.tenant_id AND b.product_id = wanted.product_id
               AND b.location_id = wanted.location_id FOR NO KEY UPDATE) AS locked;
    END IF;
    RETURN QUERY SELECT * FROM unnest(balances);
END $$;
