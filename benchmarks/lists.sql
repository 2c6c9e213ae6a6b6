-- A shop with a long history, for benchmarks/lists.py: written straight into the tables, so `prove` would not hold here.
-- Variables: tenant, connector, rows (of events, tries and movements each), half (of products: rows / 100).
-- Four times half is orders, listings, balances, reservations, divergences, deeds, reprocessed members; batches and
-- oversells are as many as products.
-- The last minute is the newest row's; rows go back sixty days evenly. Product 1 has some 3 % of everything.
\set ON_ERROR_STOP on
SET session_replication_role = replica;  -- no foreign key is looked up five million times
SET synchronous_commit = off;
SET work_mem = '256MB';
SET maintenance_work_mem = '1GB';
ALTER SYSTEM SET fsync = off;  -- only while the rows are written: what is asked later is asked of a server as it runs
ALTER SYSTEM SET full_page_writes = off;
ALTER SYSTEM SET autovacuum = off;
SELECT pg_reload_conf();
SELECT setseed(0.5);

CREATE TEMP TABLE kept_indexes AS
SELECT c.oid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid IN ('integracao_evento'::regclass, 'marketplace_sync_logs'::regclass, 'inventory_ledger'::regclass)
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid);
SELECT format('DROP INDEX %s', name) FROM kept_indexes \gexec

SELECT format('CREATE TABLE IF NOT EXISTS %s_%s PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', parent, to_char(month, 'YYYY_MM'),
              parent, month, month + interval '1 month')
  FROM (VALUES ('marketplace_sync_logs'), ('inventory_ledger')) AS tables(parent),
       LATERAL (SELECT date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => n) AS month
                  FROM generate_series(1, 3) AS n) AS months \gexec

INSERT INTO inventory_locations (tenant_id, code, name, created_at)
SELECT :tenant, 'LOJA' || n, 'Loja ' || n, now() FROM generate_series(1, 4) AS n;

INSERT INTO inventory_products (tenant_id, sku, gtin, name, picking, created_at)
SELECT :tenant, 'SKU-' || lpad(n::text, 6, '0'), '789' || lpad(n::text, 10, '0'),
       (ARRAY['Caneca','Panela','Frigideira','Luminária','Edredom','Garrafa','Tábua','Vaso'])[1 + n % 8] || ' '
       || (ARRAY['de ágata','de ferro','esmaltada','dupla face','térmica','de bambu','de barro'])[1 + n / 8 % 7] || ' '
       || (ARRAY['azul','verde','branca','preta','rosa'])[1 + n / 56 % 5] || ' modelo ' || n, 'FEFO', now()
  FROM generate_series(1, :half) AS n;

CREATE TEMP TABLE p AS SELECT row_number() OVER (ORDER BY id)::int AS n, id FROM inventory_products WHERE tenant_id = :tenant;
CREATE TEMP TABLE l AS SELECT row_number() OVER (ORDER BY id)::int AS n, id FROM inventory_locations WHERE tenant_id = :tenant;
CREATE UNIQUE INDEX ON p (n);
CREATE TEMP TABLE ids AS SELECT (SELECT min(id) FROM p) - 1 AS product0, (SELECT min(id) FROM l) - 1 AS location0;

INSERT INTO inventory_balances (tenant_id, product_id, location_id, quantity_on_hand, quantity_reserved, version,
                                counted_at, oversold_since)
SELECT :tenant, p.id, l.id, CASE WHEN p.n % 5000 = 7 THEN 1 ELSE p.n % 50 END,
       CASE WHEN p.n % 5000 = 7 THEN 3 ELSE 0 END, 100, now(), CASE WHEN p.n % 5000 = 7 THEN now() END
  FROM p CROSS JOIN l;

INSERT INTO integracao_anuncio (tenant_id, connector_id, product_id, item_id, variation_id, user_product_id, seller_sku,
                                title, channel_status, logistic_type, capacidade, accepted_quantity, accepted_at,
                                sync_state, attempts, last_error_code, last_error, due_trigger, sold_there,
                                in_flight_units, created_at, updated_at)
SELECT :tenant, :connector, CASE WHEN n % 50 = 0 THEN NULL ELSE (SELECT product0 FROM ids) + 1 + (n - 1) % :half END,
       'MLB' || (4000000000 + n), '', '', 'SKU-' || lpad((1 + (n - 1) % :half)::text, 6, '0'),
       (ARRAY['Caneca','Panela','Frigideira','Luminária'])[1 + n % 4] || ' anunciada ' || n, 'active', '', 'PLAIN',
       n % 50, now(), CASE WHEN n % 1000 = 3 THEN 'ERROR' ELSE 'SUCCESS' END, 0,
       CASE WHEN n % 1000 = 3 THEN 'item_closed' ELSE '' END, '', '', 0, 0, now(), now()
  FROM generate_series(1, 4 * :half) AS n;
CREATE TEMP TABLE a AS SELECT min(id) - 1 AS listing0 FROM integracao_anuncio WHERE tenant_id = :tenant;

INSERT INTO pedido (tenant_id, connector_id, canal, external_id, pack_id, shipment_id, status, channel_status, flags,
                    total_amount, currency, ordered_at, content_hash, created_at, updated_at)
SELECT :tenant, :connector, 'ML', (2000000000000000 + n)::text,
       CASE WHEN n % 10 = 0 THEN (3000000000000000 + n)::text ELSE '' END, '',
       CASE WHEN n % 100 = 0 THEN 'CANCELADO' WHEN n % 7 = 0 THEN 'RETIRADO' ELSE 'RECEBIDO' END, 'paid', '{}',
       n % 300 + 0.9, 'BRL', moment, '', moment, moment
  FROM (SELECT n, now() - interval '60 days' * (1 - n / (4.0 * :half)) AS moment
          FROM generate_series(1, 4 * :half) AS n) AS sold;
CREATE TEMP TABLE o AS SELECT min(id) - 1 AS order0 FROM pedido WHERE tenant_id = :tenant;
INSERT INTO pedido_item (order_id, listing_id, product_id, seller_sku, title, quantity, unit_price, is_own_stock)
SELECT (SELECT order0 FROM o) + n, (SELECT listing0 FROM a) + 1 + n % 1000,
       (SELECT product0 FROM ids) + 1 + floor((:half - 1) * power(random(), 3)), '', 'Item ' || n, 1, 10, true
  FROM generate_series(1, 4 * :half) AS n;

INSERT INTO divergencia (tenant_id, connector_id, listing_id, item_id, variation_id, tipo, hub_quantity, channel_quantity,
                         detail, sightings, repairs, first_seen_at, last_seen_at, ignored_by, resolved_at, ending)
SELECT :tenant, :connector, (SELECT listing0 FROM a) + n, 'MLB' || (4000000000 + n), '',
       CASE WHEN n % 40 = 1 THEN 'ENCERRADO' ELSE 'AUMENTADO_NO_CANAL' END, 10, 12, '', 1, 0,
       moment, moment, '', CASE WHEN n % 40 > 1 THEN moment END, CASE WHEN n % 40 > 1 THEN 'CORRIGIDA' ELSE '' END
  FROM (SELECT n, now() - interval '60 days' * (1 - n / (4.0 * :half)) AS moment
          FROM generate_series(1, 4 * :half) AS n) AS seen;

INSERT INTO inventory_reservations (id, tenant_id, product_id, location_id, quantity, status, idempotency_key,
                                    reference_type, reference_id, created_at, updated_at, expires_at)
SELECT uuidv7(moment - clock_timestamp()), :tenant, (SELECT product0 FROM ids) + 1 + floor((:half - 1) * power(random(), 3)),
       (SELECT location0 FROM ids) + 1 + n % 4, 1,
       CASE WHEN n % 200 = 0 THEN 'PENDING' WHEN n % 10 = 1 THEN 'RELEASED' ELSE 'CONFIRMED' END, 'bench:' || n,
       'order', ((SELECT order0 FROM o) + n)::text, moment, moment, NULL
  FROM (SELECT n, now() - interval '60 days' * (1 - n / (4.0 * :half)) AS moment
          FROM generate_series(1, 4 * :half) AS n) AS held;

INSERT INTO inventory_batches (id, tenant_id, product_id, location_id, batch_number, quantity, reserved, expiry_date,
                               status, created_at, updated_at)
SELECT uuidv7(), :tenant, product, (SELECT location0 FROM ids) + 1 + n % 4, 'L' || lpad(n::text, 6, '0'),
       CASE WHEN n % 3 = 0 THEN 0 ELSE n % 50 END, CASE WHEN n % 6 = 1 THEN 1 ELSE 0 END,
       CASE WHEN n % 4 > 0 THEN now() + interval '1 day' * (n % 400 - 30) END,
       CASE WHEN n % 500 = 3 THEN 'BLOCKED' ELSE 'ACTIVE' END, now() - interval '90 days', now()
  FROM (SELECT n, (SELECT product0 FROM ids) + 1 + floor((:half - 1) * power(random(), 3))::int AS product
          FROM generate_series(1, :half) AS n) AS made;
INSERT INTO inventory_batch_holds (tenant_id, reservation_id, batch_id, quantity)
SELECT :tenant, r.id, (SELECT min(id::text)::uuid FROM inventory_batches WHERE tenant_id = :tenant), 1
  FROM inventory_reservations r WHERE tenant_id = :tenant AND status = 'PENDING';

-- the newest are open; all others have ended
INSERT INTO inventory_oversells (tenant_id, product_id, location_id, opened_at, opened_version, units_short, closed_at,
                                 closed_version)
SELECT :tenant, (SELECT product0 FROM ids) + n, (SELECT location0 FROM ids) + 1 + n % 4, moment, 100, 1 + n % 5,
       CASE WHEN n < :half - 200 THEN moment END, CASE WHEN n < :half - 200 THEN 110 END
  FROM (SELECT n, now() - interval '60 days' * (1 - n / (1.0 * :half)) AS moment FROM generate_series(1, :half) AS n) AS o;

CREATE TEMP TABLE who AS SELECT min(user_id) AS person FROM tenant_membership WHERE tenant_id = :tenant;
INSERT INTO auditoria (tenant_id, actor, action, subject, details, recorded_at)
SELECT :tenant, CASE WHEN n % 5 = 0 THEN 'key:saldo_1a2b3c4d' WHEN n % 7 = 0 THEN 'address:10.0.0.' || n % 250
                     ELSE 'user:' || (SELECT person FROM who) END,
       CASE WHEN n < 40 THEN 'flag.switched' WHEN n % 500 = 0 THEN 'listing.mapped' WHEN n % 5 = 0 THEN 'label_shown'
            WHEN n % 7 = 0 THEN 'login.failed' ELSE 'recipient_shown' END,
       'order:' || (SELECT order0 FROM o) + n, '{"changes": {"name": ["a", "b"]}}', moment
  FROM (SELECT n, now() - interval '60 days' * (1 - n / (4.0 * :half)) AS moment
          FROM generate_series(1, 4 * :half) AS n) AS done;

-- three hundred causes over the years, one of them of a long history
INSERT INTO pendencia (tenant_id, connector_id, tipo, causa, quantidade, opened_at, since_at, closed_at, resolved_at)
SELECT :tenant, :connector, CASE WHEN n % 2 = 0 THEN 'EVENTOS' ELSE 'ANUNCIOS' END,
       CASE n WHEN 1 THEN 'item_closed' WHEN 2 THEN 'order_not_found' ELSE 'cause_' || n END, 100, moment, moment,
       CASE WHEN n > 20 THEN moment END, CASE WHEN n > 20 THEN moment END
  FROM (SELECT n, now() - interval '1 hour' * n AS moment FROM generate_series(1, 300) AS n) AS wrong;
INSERT INTO pendencia_historico (pendencia_id, what, quantidade, happened_at)
SELECT (SELECT min(id) FROM pendencia WHERE tenant_id = :tenant), CASE WHEN n % 2 = 0 THEN 'RESOLVIDA' ELSE 'ABERTA' END,
       n % 100, now() - interval '1 hour' * n FROM generate_series(1, :half / 5) AS n;

-- a job of half of the members, and a thousand of the other half; some failed
INSERT INTO reprocessamento (reprocess_id, tenant_id, actor, reason, status, count, event_ids, plan_hash, created_at,
                             approved_by, confirmed_by, filters, finished_at, includes_done, started_at, summary, tipo)
SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, :tenant, 'user:' || (SELECT person FROM who), '',
       'CONCLUIDO', CASE n WHEN 0 THEN 2 * :half ELSE :half / 500 END, '{}', '', moment, '', '', '', moment, false,
       moment, '{}', 'EVENTOS'
  FROM (SELECT n, now() - interval '1 hour' * n AS moment FROM generate_series(0, 1000) AS n) AS asked;
INSERT INTO reprocessamento_item (reprocess_id, event_id, state, code, finished_at)
SELECT ('00000000-0000-4000-8000-' || lpad(CASE WHEN n <= 2 * :half THEN '0' ELSE (n % 1000 + 1)::text END, 12, '0'))::uuid,
       event0 + n, CASE WHEN n % 100 = 0 THEN 'FALHOU' ELSE 'FEITO' END,
       CASE WHEN n % 100 = 0 THEN 'order_not_found' ELSE '' END, now()
  FROM generate_series(1, 4 * :half) AS n, (SELECT coalesce(max(id), 0) AS event0 FROM integracao_evento) AS first;

INSERT INTO mapeamento_lote (id, tenant_id, source, status, file_name, file_hash, made_by, made_at, confirmed_by,
                             started_at, finished_at)
SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, :tenant, 'ARQUIVO',
       CASE n WHEN 1 THEN 'PROPOSTO' ELSE 'CONCLUIDO' END, 'a.csv', '', 'user:' || (SELECT person FROM who), now(), '',
       now(), CASE WHEN n > 1 THEN now() END FROM generate_series(1, 200) AS n;
INSERT INTO mapeamento_lote_item (job_id, line, named, sku, listing_id, product_id, reason, state, code, finished_at)
SELECT ('00000000-0000-4000-8000-' || lpad(job::text, 12, '0'))::uuid, n, 'MLB' || (4000000000 + n), '',
       (SELECT listing0 FROM a) + n, (SELECT product0 FROM ids) + 1 + n % :half, 'ARQUIVO',
       CASE WHEN job = 1 THEN 'AGUARDA' WHEN n % 100 = 0 THEN 'FALHOU' ELSE 'FEITO' END,
       CASE WHEN job > 1 AND n % 100 = 0 THEN 'moved' ELSE '' END, CASE WHEN job > 1 THEN now() END
  FROM generate_series(1, 2) AS job, generate_series(1, :half / 5) AS n;

INSERT INTO exportacao (tenant_id, asked_by_id, page, query, profile, language, status, rows_estimated, rows_done,
                        bytes_done, is_cut, tries, error_code, created_at, started_at, finished_at, expires_at)
SELECT :tenant, (SELECT person FROM who), 'events', '', 'PLANILHA', 'pt-br', 'CONCLUIDO', 100, 100, 100, false, 0, '',
       now(), now(), now(), now() + interval '1 day' FROM generate_series(1, :half / 50) AS n;

INSERT INTO visao_salva (tenant_id, owner_id, page, name, query, is_shared, created_at)
SELECT :tenant, (SELECT person FROM who), 'events', 'View ' || n, 'status=ERRO', false, now() FROM generate_series(1, 50) AS n;

INSERT INTO mapeamento_sku (tenant_id, canal, sku_externo, product_id, version, made_by, made_at)
SELECT :tenant, 'ML', 'EXT-' || n, id, 1, 'command:bench', now() FROM p;

-- errors and duplicates all along, quarantine only long ago, "mapping needed" not at all: the dear cases of a filter
INSERT INTO integracao_evento (tenant_id, connector_id, canal, tipo, resource_kind, external_id, delivery_key, body,
                               payload_json, status, error_code, error_msg, waiting_for, attempts, interruptions,
                               reprocess_count, trace_id, received_at, processed_at)
SELECT :tenant, :connector, 'ML',
       CASE WHEN n % 10 = 0 THEN 'items' WHEN n % 100003 = 5 THEN 'messages' ELSE 'orders_v2' END,
       CASE WHEN n % 10 = 0 THEN 'items' ELSE 'orders' END,
       (2000000000000001 + n * 4 * :half / :rows)::text, 'd' || n, '\x7b7d',
       jsonb_build_object('resource', '/orders/' || n, 'topic', 'orders_v2', 'attempts', 1),
       status, CASE status WHEN 'ERRO' THEN 'order_not_found' WHEN 'QUARENTENA' THEN 'foreign_order' ELSE '' END, '', '{}',
       1, 0, 0, gen_random_uuid(), moment, moment
  FROM (SELECT n, now() - interval '60 days' * (1 - n / (1.0 * :rows)) AS moment,
               CASE WHEN n < 400 THEN 'QUARENTENA' WHEN n % 400 = 1 THEN 'ERRO' WHEN n % 50 = 2 THEN 'DUPLICADO'
                    WHEN n % 10 = 0 THEN 'IGNORADO' ELSE 'PROCESSADO' END AS status
          FROM generate_series(1, :rows::bigint) AS n) AS told;

INSERT INTO marketplace_sync_logs (tenant_id, connector_id, product_id, listing_id, marketplace, sync_type, old_value,
                                   new_value, status, error_code, error_message, attempt, http_status, duration_ms,
                                   trigger, movement_id, trace_id, "timestamp", finished_at)
SELECT :tenant, :connector, (SELECT product0 FROM ids) + product, (SELECT listing0 FROM a) + product, 'ML', 'STOCK',
       10, 9, status, CASE WHEN status = 'ERROR' THEN 'item_closed' ELSE '' END, '', 1, 200, 180, '', n,
       gen_random_uuid(), moment, moment
  FROM (SELECT n, 1 + floor((:half - 1) * power(random(), 3))::int AS product,
               now() - interval '60 days' * (1 - n / (1.0 * :rows)) AS moment,
               CASE WHEN n < 400 THEN 'UNKNOWN' WHEN n % 200 = 1 THEN 'ERROR' ELSE 'SUCCESS' END AS status
          FROM generate_series(1, :rows::bigint) AS n) AS told;

-- every twenty-fifth is an order's reservation and another one its sale; every hundredth filled a batch; people did one
-- in a thousand, and the tills of a shop that closed long ago the very first; the rest are sales at tills
CREATE TEMP TABLE r AS SELECT row_number() OVER (ORDER BY id) AS n, id, product_id, location_id
  FROM inventory_reservations WHERE tenant_id = :tenant;
CREATE TEMP TABLE b AS SELECT row_number() OVER (ORDER BY id) AS n, id, product_id, location_id
  FROM inventory_batches WHERE tenant_id = :tenant;
ANALYZE r, b;
INSERT INTO inventory_ledger (id, tenant_id, product_id, location_id, kind, transaction_type, on_hand_delta, reserved_delta,
                              on_hand_after, reserved_after, version, reason, reference_type, reference_id, actor, source,
                              source_key, trace_id, occurred_at, recorded_at, transaction_id, reservation_id, batch_id)
SELECT nextval(pg_get_serial_sequence('inventory_ledger', 'id')), :tenant,
       coalesce(r.product_id, b.product_id, (SELECT product0 FROM ids) + product),
       coalesce(r.location_id, b.location_id, (SELECT location0 FROM ids) + 1 + moved.n % 4), kind,
       CASE kind WHEN 'RECEIPT' THEN 'IN' WHEN 'ADJUSTMENT' THEN 'ADJUSTMENT' ELSE 'OUT' END,
       CASE kind WHEN 'RESERVE' THEN 0 WHEN 'RECEIPT' THEN 1 ELSE -1 END,
       CASE kind WHEN 'RESERVE' THEN 1 WHEN 'CONFIRM' THEN -1 ELSE 0 END, 10, 0, moved.n, 'sale',
       CASE WHEN r.id IS NOT NULL THEN 'order' WHEN who = 'till' THEN 'receipt' ELSE 'note' END,
       CASE WHEN r.id IS NOT NULL THEN ((SELECT order0 FROM o) + r.n)::text ELSE 'NF-' || moved.n END,
       CASE WHEN r.id IS NOT NULL THEN 'worker:orders' WHEN who = 'user' THEN 'user:' || (SELECT person FROM who)
            WHEN who = 'key' THEN 'key:1' ELSE 'worker:tills' END,
       CASE WHEN r.id IS NOT NULL THEN 'ML' WHEN who = 'user' THEN 'console' WHEN who = 'key' THEN 'pdv' ELSE 'LOJA1' END,
       '', gen_random_uuid(), moment, moment, moved.n, r.id, b.id
  FROM (SELECT n, 1 + floor((:half - 1) * power(random(), 3))::int AS product,
               now() - interval '60 days' * (1 - n / (1.0 * :rows)) AS moment,
               CASE WHEN n < 400 THEN 'key' WHEN n % 1000 = 7 THEN 'user' ELSE 'till' END AS who,
               CASE WHEN n % 25 = 0 THEN 'RESERVE' WHEN n % 25 = 12 THEN 'CONFIRM' WHEN n < 400 THEN 'LOSS'
                    WHEN n % 100 = 1 THEN 'RECEIPT' WHEN n % 1000 = 7 THEN 'ADJUSTMENT' ELSE 'SALE' END AS kind
          FROM generate_series(1, :rows::bigint) AS n) AS moved
  LEFT JOIN r ON moved.n % 25 IN (0, 12) AND r.n = moved.n / 25
  LEFT JOIN b ON moved.n % 100 = 1 AND b.n = 1 + moved.n / 100
 ORDER BY moved.n;
UPDATE inventory_balances AS b SET version = m.movements
  FROM (SELECT product_id, location_id, count(*) AS movements FROM inventory_ledger WHERE tenant_id = :tenant
         GROUP BY 1, 2) AS m
 WHERE b.tenant_id = :tenant AND b.product_id = m.product_id AND b.location_id = m.location_id;

SELECT replace(definition, ' ON ONLY ', ' ON ') FROM kept_indexes \gexec
SET session_replication_role = origin;
VACUUM (ANALYZE) integracao_evento, marketplace_sync_logs, inventory_ledger;
VACUUM (ANALYZE);
-- the products that sell most have their checkpoints, as the follower keeps them
SELECT inventory_keep_checkpoints(jsonb_agg(jsonb_build_array(:tenant, p.id, l.id))) FROM p, l WHERE p.n <= 20;
ALTER SYSTEM RESET fsync;
ALTER SYSTEM RESET full_page_writes;
ALTER SYSTEM RESET autovacuum;
SELECT pg_reload_conf();
CHECKPOINT;
