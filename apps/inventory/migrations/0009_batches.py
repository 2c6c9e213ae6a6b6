"""Batches, and which reservation holds how much of which."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.inventory.models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0008_reservations_expire")]

    operations = [
        migrations.AddField(
            model_name="product",
            name="picking",
            field=models.CharField(
                choices=[("FEFO", "First expired, first out"), ("FIFO", "First in, first out")],
                default="FEFO",
                max_length=4,
                verbose_name="picking of batches",
            ),
        ),
        migrations.CreateModel(
            name="Batch",
            fields=[
                ("id", models.UUIDField(db_default=apps.inventory.models.NewId(), primary_key=True, serialize=False)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
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
                        db_constraint=False,
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
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.location",
                        verbose_name="location",
                    ),
                ),
                ("batch_number", models.CharField(blank=True, max_length=100, verbose_name="batch number")),
                ("quantity", models.IntegerField(verbose_name="quantity")),
                ("reserved", models.IntegerField(verbose_name="reserved")),
                ("expires_at", models.DateTimeField(db_column="expiry_date", null=True, verbose_name="expires at")),
                (
                    "status",
                    models.CharField(
                        choices=[("ACTIVE", "Active"), ("BLOCKED", "Blocked"), ("EXPIRED", "Expired")],
                        default="ACTIVE",
                        max_length=20,
                        verbose_name="status",
                    ),
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
                "verbose_name": "batch",
                "verbose_name_plural": "batches",
                "db_table": "inventory_batches",
            },
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(
                condition=models.Q(("expires_at__isnull", False), ("status", "ACTIVE")),
                fields=["expires_at"],
                name="batch_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="batch",
            constraint=models.UniqueConstraint(
                fields=("tenant", "product", "location", "batch_number"), name="batch_once_per_place"
            ),
        ),
        migrations.AddConstraint(
            model_name="batch",
            constraint=models.CheckConstraint(
                condition=models.Q(("reserved__gte", 0)), name="batch_reserved_not_negative"
            ),
        ),
        migrations.CreateModel(
            name="BatchHold",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "reservation_id", "batch_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
                (
                    "reservation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="batch_holds",
                        to="inventory.reservation",
                    ),
                ),
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="holds", to="inventory.batch"
                    ),
                ),
                ("quantity", models.PositiveIntegerField(verbose_name="quantity")),
            ],
            options={
                "verbose_name": "batch hold",
                "verbose_name_plural": "batch holds",
                "db_table": "inventory_batch_holds",
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE inventory_batches ADD CONSTRAINT batch_of_a_balance FOREIGN KEY "
            "(tenant_id, product_id, location_id) REFERENCES inventory_balances (tenant_id, product_id, location_id)",
            "ALTER TABLE inventory_batches DROP CONSTRAINT batch_of_a_balance",
        ),
    ]
