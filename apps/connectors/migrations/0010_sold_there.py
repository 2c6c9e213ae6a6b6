from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0009_call_budgets")]

    operations = [
        migrations.AddField(
            model_name="listing",
            name="sold_there",
            field=models.PositiveIntegerField(default=0, verbose_name="sold there since"),
        ),
    ]
