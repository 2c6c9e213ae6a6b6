"""Events whose integration is switched off wait in a state of their own, found along an index of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0001_events_and_keys"), ("connectors", "0002_rows_of_one_tenant")]

    operations = [
        migrations.AlterField(
            model_name="integrationevent",
            name="status",
            field=models.CharField(
                choices=[
                    ("RECEBIDO", "Received"),
                    ("NOVA_TENTATIVA", "Will try again"),
                    ("PROCESSADO", "Processed"),
                    ("DUPLICADO", "Duplicate"),
                    ("IGNORADO", "Not used"),
                    ("MAPEAMENTO", "Mapping needed"),
                    ("QUARENTENA", "Quarantined"),
                    ("ERRO", "Error"),
                    ("AGUARDANDO", "Waiting: integration off"),
                ],
                default="RECEBIDO",
                max_length=16,
                verbose_name="status",
            ),
        ),
        migrations.AddIndex(
            model_name="integrationevent",
            index=models.Index(
                condition=models.Q(("status", "AGUARDANDO")), fields=["connector"], name="ix_evento_held"
            ),
        ),
    ]
