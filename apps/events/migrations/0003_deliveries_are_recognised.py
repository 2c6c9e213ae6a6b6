"""Was this delivery stored before? Made concurrently: notifications go on arriving meanwhile."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("events", "0002_events_wait_for_their_integration")]

    operations = [
        AddIndexConcurrently(
            model_name="integrationevent", index=models.Index(fields=["delivery_key"], name="ix_evento_delivery")
        )
    ]
