from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0011_waves_are_held")]

    operations = [
        migrations.AddField(
            model_name="listing",
            name="due_trigger",
            field=models.CharField(
                blank=True,
                choices=[
                    ("auto", "Stock moved"),
                    ("manual", "Asked for"),
                    ("sweep", "Comparison"),
                    ("reconcile", "Channel read back"),
                ],
                default="",
                max_length=16,
                verbose_name="made due by",
            ),
        ),
    ]
