"""What was counted, as of when."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0009_batches")]

    operations = [
        migrations.CreateModel(
            name="Count",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.product",
                        verbose_name="product",
                    ),
                ),
                (
                    "location",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.location",
                        verbose_name="location",
                    ),
                ),
                ("as_of", models.DateTimeField(verbose_name="counted as of")),
                ("count_order", models.CharField(max_length=64)),
                ("counted", models.IntegerField(verbose_name="counted")),
                ("variance", models.IntegerField(null=True, verbose_name="variance")),
                ("actor", models.CharField(max_length=128, verbose_name="actor")),
                ("source", models.CharField(max_length=64, verbose_name="source")),
                ("source_key", models.CharField(max_length=200, verbose_name="source key")),
                (
                    "recorded_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="recorded at"
                    ),
                ),
            ],
            options={
                "verbose_name": "count",
                "verbose_name_plural": "counts",
                "db_table": "inventory_counts",
            },
        ),
        migrations.AddIndex(
            model_name="count",
            index=models.Index(fields=["tenant", "product", "location", "-as_of"], name="count_of_balance"),
        ),
    ]
