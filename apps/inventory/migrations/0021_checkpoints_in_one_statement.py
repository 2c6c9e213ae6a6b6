"""Checkpoints are kept for many balances at once: balance by balance it took two seconds for a thousand."""

from pathlib import Path
from typing import Any

from django.db import migrations


def _load(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute((Path(__file__).parent.parent / "sql" / "history.sql").read_text())


class Migration(migrations.Migration):
    dependencies = [("inventory", "0020_what_the_console_looks_for")]

    operations = [migrations.RunPython(_load, migrations.RunPython.noop)]
