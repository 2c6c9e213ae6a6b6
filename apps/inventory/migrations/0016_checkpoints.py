"""Checkpoints: what each balance was at the end of each day, and the functions that keep and use them."""

from pathlib import Path
from typing import Any

import django.db.models.deletion
from django.db import migrations, models

DROP = """
DROP FUNCTION inventory_balance_at(bigint, bigint, bigint, timestamptz);
DROP FUNCTION inventory_known_at(bigint, bigint, bigint, timestamptz);
DROP FUNCTION inventory_keep_checkpoints(jsonb);
"""


def _load(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute((Path(__file__).parent.parent / "sql" / "history.sql").read_text())


def _of(model: str) -> models.ForeignKey:
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name="+",
        to=model,
    )


class Migration(migrations.Migration):
    dependencies = [("inventory", "0015_lists_have_an_order")]

    operations = [
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant",
                        "product",
                        "location",
                        "day",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant", _of("tenants.tenant")),
                ("product", _of("inventory.product")),
                ("location", _of("inventory.location")),
                ("day", models.DateField(verbose_name="day")),
                ("on_hand", models.BigIntegerField(verbose_name="on hand")),
                ("reserved", models.BigIntegerField(verbose_name="reserved")),
                ("blocked", models.BigIntegerField(verbose_name="blocked")),
            ],
            options={
                "verbose_name": "checkpoint",
                "verbose_name_plural": "checkpoints",
                "db_table": "inventory_checkpoints",
            },
        ),
        migrations.CreateModel(
            name="CheckpointHead",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant", "product", "location", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant", _of("tenants.tenant")),
                ("product", _of("inventory.product")),
                ("location", _of("inventory.location")),
                ("version", models.BigIntegerField(verbose_name="version")),
                ("recorded_at", models.DateTimeField(verbose_name="recorded at")),
            ],
            options={
                "verbose_name": "checkpoint head",
                "verbose_name_plural": "checkpoint heads",
                "db_table": "inventory_checkpoint_heads",
            },
        ),
        migrations.RunPython(_load, lambda apps, schema_editor: schema_editor.execute(DROP)),
    ]
