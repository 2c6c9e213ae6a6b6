from django.db import migrations, models

import apps.sync.models


class Migration(migrations.Migration):
    dependencies = [("sync", "0005_logs_of_a_moment")]

    operations = [
        migrations.AlterField(
            model_name="synclog",
            name="sync_type",
            field=models.CharField(
                choices=[("STOCK", "Stock"), ("PRICE", "Price")], default="STOCK", max_length=16, verbose_name="type"
            ),
        ),
        migrations.AlterField(
            model_name="synclog",
            name="old_value",
            field=apps.sync.models.UnitsOrMoney(decimal_places=2, max_digits=14, null=True, verbose_name="from"),
        ),
        migrations.AlterField(
            model_name="synclog",
            name="new_value",
            field=apps.sync.models.UnitsOrMoney(decimal_places=2, max_digits=14, verbose_name="to"),
        ),
    ]
