from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0016_pauses_and_shadows")]

    operations = [
        migrations.AlterField(
            model_name="errand",
            name="kind",
            field=models.CharField(
                choices=[
                    ("TESTE", "Test"),
                    ("IMPORTACAO", "Import of listings"),
                    ("CONFERENCIA", "Comparison with the channel"),
                ],
                db_column="tipo",
                max_length=16,
                verbose_name="errand",
            ),
        ),
    ]
