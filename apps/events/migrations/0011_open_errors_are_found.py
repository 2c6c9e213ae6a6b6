"""A tenant asks which errors are open: the events that are not done, along an index of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0010_events_wait_as_they_were_sold")]

    operations = [
        migrations.AddIndex(
            model_name="integrationevent",
            index=models.Index(
                condition=models.Q(
                    ("status__in", ["ERRO", "MAPEAMENTO", "NOVA_TENTATIVA", "QUARENTENA"]),
                    models.Q(("error_code", ""), _negated=True),
                ),
                fields=["tenant", "error_code", "received_at"],
                name="ix_evento_open_error",
            ),
        ),
    ]
