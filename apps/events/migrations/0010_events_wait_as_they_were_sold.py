"""Events that wait for a mapping remember when their order was sold, so that they come in as they were sold."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0009_errors_are_counted")]

    operations = [
        migrations.AddField(
            model_name="integrationevent",
            name="sold_at",
            field=models.DateTimeField(null=True, verbose_name="sold at"),
        ),
    ]
