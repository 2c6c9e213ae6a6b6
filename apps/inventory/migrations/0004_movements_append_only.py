"""A movement is never changed or removed: triggers refuse UPDATE, DELETE and TRUNCATE.

Row triggers of a partitioned table reach its partitions by themselves; TRUNCATE triggers do not, so each partition gets
one of its own, from the function that makes it.
"""

from django.db import migrations

GUARD = """
CREATE FUNCTION inventory_ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'inventory_ledger is append-only: % refused. Post a movement that corrects the wrong one.', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER movement_never_changes BEFORE UPDATE OR DELETE ON inventory_ledger
    FOR EACH ROW EXECUTE FUNCTION inventory_ledger_is_append_only();
CREATE TRIGGER movements_never_truncated BEFORE TRUNCATE ON inventory_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION inventory_ledger_is_append_only();

CREATE FUNCTION inventory_guard_partition(partition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER movements_never_truncated BEFORE TRUNCATE ON %I
             FOR EACH STATEMENT EXECUTE FUNCTION inventory_ledger_is_append_only()', partition);
END $$;
SELECT inventory_guard_partition(inhrelid::regclass::text)
  FROM pg_inherits WHERE inhparent = 'inventory_ledger'::regclass;

CREATE FUNCTION inventory_make_partitions(months_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    month date;
    made integer := 0;
    partition text;
BEGIN
    FOR ahead IN 0..months_ahead LOOP
        month := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead))::date;
        partition := 'inventory_ledger_' || to_char(month, 'YYYY_MM');
        IF to_regclass(partition) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF inventory_ledger FOR VALUES FROM (%L) TO (%L)',
                partition, month::text || ' 00:00:00+00', (month + interval '1 month')::date::text || ' 00:00:00+00');
            PERFORM inventory_guard_partition(partition);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION inventory_make_partitions IS
    'Makes the ledger partitions of this month and the next ones that do not exist yet; returns how many it made.';
SELECT inventory_make_partitions(3);
"""

UNGUARD = """
DROP FUNCTION inventory_make_partitions(integer);
DROP FUNCTION inventory_ledger_is_append_only() CASCADE;
DROP FUNCTION inventory_guard_partition(text);
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0003_rows_of_one_tenant")]

    operations = [migrations.RunSQL(GUARD, UNGUARD)]
