from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sync", "0006_prices_in_the_log")]

    operations = [
        migrations.AlterField(
            model_name="synclog",
            name="status",
            field=models.CharField(
                choices=[
                    ("PENDING", "Sending"),
                    ("SUCCESS", "Synchronised"),
                    ("ERROR", "Error"),
                    ("UNKNOWN", "Result unknown"),
                    ("SHADOW", "Shadow: computed, not sent"),
                ],
                default="PENDING",
                max_length=16,
                verbose_name="status",
            ),
        ),
    ]
