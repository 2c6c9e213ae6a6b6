import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0002_rows_of_one_tenant"),
        ("orders", "0001_orders_and_items"),
        ("tenants", "0001_tenants_memberships_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="Package",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("channel", models.CharField(db_column="canal", max_length=32, verbose_name="channel")),
                ("external_id", models.CharField(max_length=64, verbose_name="shipment")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("AGUARDANDO", "Waiting for its label"),
                            ("PRONTO", "Ready for pick-up"),
                            ("RETIRADO", "Picked up"),
                            ("CANCELADO", "Cancelled"),
                        ],
                        default="AGUARDANDO",
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                ("channel_status", models.CharField(blank=True, max_length=64, verbose_name="status on the channel")),
                (
                    "channel_substatus",
                    models.CharField(blank=True, max_length=64, verbose_name="substatus on the channel"),
                ),
                ("logistic_type", models.CharField(blank=True, max_length=32, verbose_name="logistics")),
                ("tracking_number", models.CharField(blank=True, max_length=64, verbose_name="tracking number")),
                ("weight_g", models.PositiveIntegerField(db_column="peso", null=True, verbose_name="weight (g)")),
                (
                    "dimensions",
                    models.CharField(
                        blank=True, db_column="dimensoes", max_length=64, verbose_name="height x width x length (cm)"
                    ),
                ),
                ("label_enc", models.TextField(blank=True, db_column="etiqueta_externa", editable=False)),
                ("label_format", models.CharField(blank=True, max_length=8, verbose_name="label format")),
                (
                    "position_id",
                    models.BigIntegerField(
                        blank=True, db_column="posicao_id", null=True, verbose_name="position in Saldo"
                    ),
                ),
                ("channel_updated_at", models.DateTimeField(null=True, verbose_name="changed on the channel at")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="received at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                (
                    "connector",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="connectors.connector",
                        verbose_name="connector",
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
                "verbose_name": "package",
                "verbose_name_plural": "packages",
                "db_table": "volume",
            },
        ),
        migrations.AddConstraint(
            model_name="package",
            constraint=models.UniqueConstraint(fields=("tenant", "channel", "external_id"), name="ux_volume_external"),
        ),
    ]
