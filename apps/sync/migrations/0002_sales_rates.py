import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0017_movements_of_a_tenant"),
        ("sync", "0001_sync_logs"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        migrations.CreateModel(
            name="SalesRate",
            fields=[
                (
                    "product",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="inventory.product",
                        verbose_name="product",
                    ),
                ),
                ("units_per_hour", models.FloatField(verbose_name="units an hour")),
                ("as_of", models.DateTimeField(verbose_name="as of")),
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
                "verbose_name": "sales rate",
                "verbose_name_plural": "sales rates",
                "db_table": "sync_sales_rates",
            },
        ),
    ]
