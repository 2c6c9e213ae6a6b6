"""Who sent events through the road again, why and when; and plans of it."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0006_topics_fall_silent"), ("tenants", "0004_feature_flags")]

    operations = [
        migrations.CreateModel(
            name="Reprocess",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_column="reprocess_id",
                        default=uuid.uuid4,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("actor", models.CharField(max_length=100, verbose_name="who")),
                ("reason", models.CharField(blank=True, max_length=300, verbose_name="why")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("ENFILEIRADO", "In the queue"),
                            ("PLANEJADO", "Planned"),
                            ("APLICADO", "Applied"),
                            ("RECUSADO", "Refused: something changed meanwhile"),
                        ],
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                ("count", models.PositiveIntegerField(verbose_name="events")),
                (
                    "event_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), blank=True, default=list, size=None
                    ),
                ),
                ("plan", models.JSONField(blank=True, null=True, verbose_name="plan")),
                ("plan_hash", models.CharField(blank=True, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="when")),
                ("applied_at", models.DateTimeField(null=True, verbose_name="applied at")),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                        verbose_name="tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "reprocessing",
                "verbose_name_plural": "reprocessings",
                "db_table": "reprocessamento",
                "indexes": [models.Index(fields=["tenant", "-created_at"], name="ix_reprocesso_newest")],
            },
        ),
    ]
