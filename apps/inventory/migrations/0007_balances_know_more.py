"""Balances know their blocked units, newest count and average cost; Django cannot change a generated column itself."""

import django.db.models.expressions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0006_movements_of_every_kind")]

    operations = [
        migrations.AddField(
            model_name="balance",
            name="blocked",
            field=models.IntegerField(db_column="quantity_blocked", db_default=0, default=0, verbose_name="blocked"),
        ),
        migrations.AddField(
            model_name="balance",
            name="count_as_of",
            field=models.DateTimeField(null=True, verbose_name="counted as of"),
        ),
        migrations.AddField(
            model_name="balance",
            name="count_order",
            field=models.CharField(db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="balance",
            name="has_batches",
            field=models.BooleanField(db_default=False, default=False, verbose_name="has batches"),
        ),
        migrations.AddField(
            model_name="balance",
            name="unit_cost",
            field=models.DecimalField(decimal_places=4, max_digits=15, null=True, verbose_name="average unit cost"),
        ),
        migrations.RunSQL(
            "ALTER TABLE inventory_balances ALTER COLUMN quantity_available "
            "SET EXPRESSION AS (quantity_on_hand - quantity_reserved - quantity_blocked)",
            "ALTER TABLE inventory_balances ALTER COLUMN quantity_available "
            "SET EXPRESSION AS (quantity_on_hand - quantity_reserved)",
            state_operations=[
                migrations.AlterField(
                    model_name="balance",
                    name="available",
                    field=models.GeneratedField(
                        db_column="quantity_available",
                        db_persist=True,
                        expression=django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("on_hand"), "-", models.F("reserved")
                            ),
                            "-",
                            models.F("blocked"),
                        ),
                        output_field=models.IntegerField(),
                        verbose_name="available",
                    ),
                ),
            ],
        ),
    ]
