import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0002_rows_of_one_tenant"),
        ("inventory", "0017_movements_of_a_tenant"),
        ("tenants", "0002_audit"),
    ]

    operations = [
        migrations.CreateModel(
            name="SkuMapping",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("channel", models.CharField(db_column="canal", max_length=32, verbose_name="channel")),
                (
                    "external_sku",
                    models.CharField(db_column="sku_externo", max_length=100, verbose_name="SKU at the channel"),
                ),
                ("version", models.PositiveIntegerField(default=1, verbose_name="version")),
                ("made_by", models.CharField(max_length=100, verbose_name="who")),
                ("made_at", models.DateTimeField(auto_now_add=True, verbose_name="when")),
                ("replaced_at", models.DateTimeField(null=True, verbose_name="replaced at")),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.product",
                        verbose_name="product",
                    ),
                ),
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
                "verbose_name": "SKU mapping",
                "verbose_name_plural": "SKU mappings",
                "db_table": "mapeamento_sku",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "channel", "external_sku", "version"), name="sku_mapping_version"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("replaced_at__isnull", True)),
                        fields=("tenant", "channel", "external_sku"),
                        name="sku_mapping_that_counts",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="StatusMapping",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("channel", models.CharField(db_column="canal", max_length=32, verbose_name="channel")),
                (
                    "external_status",
                    models.CharField(db_column="status_externo", max_length=64, verbose_name="status on the channel"),
                ),
                (
                    "meaning",
                    models.CharField(
                        choices=[
                            ("AGUARDANDO", "Not paid yet: nothing is held"),
                            ("RECEBIDO", "Sold: its units are held"),
                            ("CANCELADO", "Ended: its units are free"),
                        ],
                        db_column="status_interno",
                        max_length=16,
                        verbose_name="meaning",
                    ),
                ),
                (
                    "is_terminal",
                    models.BooleanField(db_column="terminal", default=False, verbose_name="nothing comes after it"),
                ),
                ("version", models.PositiveIntegerField(default=1, verbose_name="version")),
                ("made_by", models.CharField(max_length=100, verbose_name="who")),
                ("made_at", models.DateTimeField(auto_now_add=True, verbose_name="when")),
                ("replaced_at", models.DateTimeField(null=True, verbose_name="replaced at")),
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
                "verbose_name": "status mapping",
                "verbose_name_plural": "status mappings",
                "db_table": "mapeamento_status",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "channel", "external_status", "version"), name="status_mapping_version"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("replaced_at__isnull", True)),
                        fields=("tenant", "channel", "external_status"),
                        name="status_mapping_that_counts",
                    ),
                ],
            },
        ),
    ]
