from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sync", "0003_logs_by_month")]

    operations = [
        migrations.AddField(
            model_name="synclog",
            name="trigger",
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
                verbose_name="trigger",
            ),
        ),
        migrations.AddField(
            model_name="synclog",
            name="inputs",
            field=models.JSONField(null=True, verbose_name="made of"),
        ),
        migrations.AddField(
            model_name="synclog",
            name="shown_value",
            field=models.IntegerField(null=True, verbose_name="shown by the channel"),
        ),
        migrations.AddField(
            model_name="synclog",
            name="due_at",
            field=models.DateTimeField(null=True, verbose_name="due since"),
        ),
    ]
