"""Who was written to of a trouble, so that a retry writes only to those who were not."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0005_troubles_have_states_and_a_history")]

    operations = [
        migrations.AddField(
            model_name="trouble",
            name="emailed_to",
            field=ArrayField(base_field=models.BigIntegerField(), db_default=[], default=list, size=None),
        ),
    ]
