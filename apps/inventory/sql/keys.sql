-- Once per key. The verdict of each request so far: NULL means go on; a known key answers its first answer or, for
-- another request, a refusal.
--
-- A key is locked until the transaction ends, so that two callers with one key never both go on. A caller who waits at
-- most `wait_ms` for a balance does not wait for a key at all: it is told that its twin is in flight. NULL is for
-- callers who are alone in their transaction: they wait as long as it takes. The functions that call this end the
-- timeout with themselves (SET lock_timeout); with 0 they take only what is free (lines.sql), and 50 ms are for the rest.
CREATE OR REPLACE FUNCTION inventory_take_keys(requests jsonb, wait_ms integer) RETURNS jsonb[] LANGUAGE plpgsql AS $$
DECLARE
    verdicts jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(requests)]);
    asked record;
BEGIN
    IF wait_ms IS NULL THEN
        PERFORM pg_advisory_xact_lock(lock_id) FROM (
            SELECT hashtextextended((r ->> 'tenant_id') || '/' || (r ->> 'key'), 0) AS lock_id
              FROM jsonb_array_elements(requests) AS r WHERE r ->> 'key' IS NOT NULL ORDER BY 1) AS locks;
    ELSE
        PERFORM set_config('lock_timeout', coalesce(nullif(wait_ms, 0), 50)::text, true);
    END IF;
    FOR asked IN
        SELECT n FROM (
            SELECT n, row_number() OVER (PARTITION BY r ->> 'tenant_id', r ->> 'key' ORDER BY n) > 1 AS is_twin,
                   hashtextextended((r ->> 'tenant_id') || '/' || (r ->> 'key'), 0) AS lock_id
              FROM jsonb_array_elements(requests) WITH ORDINALITY AS e (r, n) WHERE r ->> 'key' IS NOT NULL) AS keyed
         WHERE is_twin OR NOT pg_try_advisory_xact_lock(lock_id)
    LOOP
        verdicts[asked.n] := '{"code": "idempotency_key_in_flight"}';
    END LOOP;
    FOR asked IN
        SELECT e.n, k.answer, k.fingerprint = r ->> 'fingerprint' AS is_same
          FROM jsonb_array_elements(requests) WITH ORDINALITY AS e (r, n)
         CROSS JOIN LATERAL (SELECT answer, fingerprint FROM inventory_keys
                              WHERE tenant_id = (r ->> 'tenant_id')::bigint AND key = r ->> 'key' OFFSET 0) AS k
    LOOP
        verdicts[asked.n] := CASE WHEN asked.is_same THEN asked.answer || '{"replayed": true}'
                                  ELSE '{"code": "idempotency_key_reused"}' END;
    END LOOP;
    RETURN verdicts;
END $$;

-- Keep the answers of the requests that were accepted now, each under its key.
CREATE OR REPLACE FUNCTION inventory_keep_answers(requests jsonb, verdicts jsonb[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO inventory_keys (tenant_id, key, fingerprint, answer)
    SELECT (r ->> 'tenant_id')::bigint, r ->> 'key', r ->> 'fingerprint', verdicts[n]
      FROM jsonb_array_elements(requests) WITH ORDINALITY AS e (r, n)
     WHERE r ->> 'key' IS NOT NULL AND NOT verdicts[n] ?| ARRAY['code', 'replayed'];
$$;
