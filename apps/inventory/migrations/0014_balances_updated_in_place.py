"""A balance is written at every movement: one index to find it by, and room on its page for the next version."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0013_ledger_functions")]

    operations = [
        migrations.AlterField(
            model_name="balance",
            name="location",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="balances",
                to="inventory.location",
                verbose_name="location",
            ),
        ),
        migrations.AlterField(
            model_name="balance",
            name="product",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="balances",
                to="inventory.product",
                verbose_name="product",
            ),
        ),
        migrations.AlterField(
            model_name="balance",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
                verbose_name="tenant",
            ),
        ),
        migrations.RunSQL(
            "ALTER TABLE inventory_balances SET (fillfactor = 70)", "ALTER TABLE inventory_balances RESET (fillfactor)"
        ),
    ]
