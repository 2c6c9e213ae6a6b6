"""The functions that move stock: what stands in `sql/` now, made or replaced.

A later change of those files is a migration that runs `load` again; it needs no copy of the text here.
"""

from pathlib import Path
from typing import Any

from django.db import migrations

FILES = ("moves", "apply", "keys", "lines", "batches", "holds", "reserve", "end", "post", "expire", "stock")

LINE = """
CREATE TYPE inventory_line AS (
    request integer, tenant_id bigint, product_id bigint, location_id bigint, quantity bigint, slot integer);
"""

DROP = """
DO $$ DECLARE name regprocedure; BEGIN
    FOR name IN SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'inventory\\_%'
          AND proname NOT IN ('inventory_ledger_is_append_only', 'inventory_guard_partition',
                              'inventory_make_partitions', 'inventory_note_oversell')
    LOOP EXECUTE 'DROP FUNCTION ' || name; END LOOP;
END $$;
DROP TYPE inventory_line;
"""


def load(apps: Any, schema_editor: Any) -> None:
    """Make or replace the ledger's functions."""
    folder = Path(__file__).parent.parent / "sql"
    with schema_editor.connection.cursor() as cursor:
        for name in FILES:
            cursor.execute((folder / f"{name}.sql").read_text())


class Migration(migrations.Migration):
    dependencies = [("inventory", "0012_oversells")]

    operations = [
        migrations.RunSQL(LINE, migrations.RunSQL.noop),
        migrations.RunPython(load, lambda apps, schema_editor: schema_editor.execute(DROP)),
    ]
