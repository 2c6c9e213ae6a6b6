"""A plan that nobody applied expires when its rows are forgotten."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0011_open_errors_are_found")]

    operations = [
        migrations.AlterField(
            model_name="reprocess",
            name="status",
            field=models.CharField(
                choices=[
                    ("ENFILEIRADO", "In the queue"),
                    ("PLANEJADO", "Planned"),
                    ("APLICADO", "Applied"),
                    ("VENCIDO", "Expired: nobody applied it"),
                    ("RECUSADO", "Refused: something changed meanwhile"),
                ],
                max_length=16,
                verbose_name="status",
            ),
        ),
    ]
