"""The list of tries by status.

PostgreSQL makes no index on a partitioned table concurrently: each month gets its own first.
"""

from django.db import connection, migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

NAME, TABLE = "sync_log_status", "marketplace_sync_logs"
COLUMNS = '(tenant_id, status, "timestamp" DESC, id DESC)'


def make(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make each month's index beside the traffic, then the table's own, which takes those over at once.

    A month that comes into being meanwhile gets its index from the last statement. Run again after it broke off, it
    goes on: what is whole is kept, what is not is made anew.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [TABLE])
        for (month,) in cursor.fetchall():
            cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [f"{month}_by_status"])
            found = cursor.fetchone()
            if found and not found[0]:
                cursor.execute(f"DROP INDEX {month}_by_status")
            if not found or not found[0]:
                cursor.execute(f"CREATE INDEX CONCURRENTLY {month}_by_status ON {month} {COLUMNS}")
        cursor.execute(f"CREATE INDEX {NAME} ON {TABLE} {COLUMNS}")


def drop(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Drop the index, of every month."""
    schema_editor.execute(f"DROP INDEX {NAME}")


class Migration(migrations.Migration):
    atomic = False  # indexes are made beside the traffic

    dependencies = [
        ("connectors", "0018_what_the_console_looks_for"),
        ("inventory", "0020_what_the_console_looks_for"),
        ("sync", "0008_comparisons_and_divergences"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make, drop)],
            state_operations=[
                migrations.AddIndex(
                    model_name="synclog",
                    index=models.Index(fields=["tenant", "status", "-timestamp", "-id"], name="sync_log_status"),
                ),
            ],
        ),
    ]
