"""When did which topic speak? Made concurrently: notifications go on arriving meanwhile."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("events", "0003_deliveries_are_recognised")]

    operations = [
        AddIndexConcurrently(
            model_name="integrationevent",
            index=models.Index(fields=["connector", "topic", "received_at"], name="ix_evento_rhythm"),
        )
    ]
