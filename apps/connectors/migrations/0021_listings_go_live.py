"""The first listings that a new account tells, while the others are still in shadow mode."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0020_mappings_of_many")]

    operations = [
        migrations.AddField(
            model_name="listing",
            name="live_since",
            field=models.DateTimeField(null=True, verbose_name="told since"),
        ),
    ]
