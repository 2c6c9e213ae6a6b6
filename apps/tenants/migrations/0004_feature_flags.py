"""What is switched for one tenant. No row means on, so the tenants there are need none."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0003_webhook_secrets")]

    operations = [
        migrations.CreateModel(
            name="FeatureFlag",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        choices=[("integracao.ml.enabled", "Mercado Livre: take events in and tell numbers")],
                        max_length=64,
                        verbose_name="flag",
                    ),
                ),
                ("is_enabled", models.BooleanField(default=True, verbose_name="on")),
                ("changed_by", models.CharField(blank=True, editable=False, max_length=100, verbose_name="changed by")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="feature_flags",
                        to="tenants.tenant",
                        verbose_name="tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "feature flag",
                "verbose_name_plural": "feature flags",
                "db_table": "feature_flag",
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_enabled", False)), fields=["name", "tenant"], name="feature_flag_off"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "name"), name="feature_flag_once_per_tenant"),
                ],
            },
        ),
    ]
