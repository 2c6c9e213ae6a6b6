"""What is on its way between two places."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.inventory.models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0010_counts")]

    operations = [
        migrations.CreateModel(
            name="Transfer",
            fields=[
                ("id", models.UUIDField(db_default=apps.inventory.models.NewId(), primary_key=True, serialize=False)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                        verbose_name="tenant",
                    ),
                ),
                ("code", models.CharField(max_length=128, verbose_name="code")),
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
                    "origin",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.location",
                        verbose_name="from",
                    ),
                ),
                (
                    "destination",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.location",
                        verbose_name="to",
                    ),
                ),
                ("sent", models.IntegerField(verbose_name="sent")),
                ("received", models.IntegerField(verbose_name="received")),
                (
                    "unit_cost",
                    models.DecimalField(decimal_places=4, max_digits=15, null=True, verbose_name="unit cost"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created at"
                    ),
                ),
                (
                    "updated_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="updated at"
                    ),
                ),
            ],
            options={
                "verbose_name": "transfer",
                "verbose_name_plural": "transfers",
                "db_table": "inventory_transfers",
            },
        ),
        migrations.AddConstraint(
            model_name="transfer",
            constraint=models.UniqueConstraint(
                fields=("tenant", "code", "product"), name="transfer_once_per_code_and_product"
            ),
        ),
        migrations.AddConstraint(
            model_name="transfer",
            constraint=models.CheckConstraint(
                condition=models.Q(("received__gte", 0), ("sent__gte", 0)),
                name="transfer_counts_not_negative",
            ),
        ),
    ]
