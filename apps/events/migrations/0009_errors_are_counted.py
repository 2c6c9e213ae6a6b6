"""Errors are counted for monitoring, every minute and over all tenants: along an index of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0008_events_know_their_reprocess")]

    operations = [
        migrations.AddIndex(
            model_name="integrationevent",
            index=models.Index(
                condition=models.Q(("status", "ERRO")), fields=["channel", "error_code"], name="ix_evento_error"
            ),
        ),
    ]
