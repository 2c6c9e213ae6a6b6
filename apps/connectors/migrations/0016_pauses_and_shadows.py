from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0015_listing_prices")]

    operations = [
        migrations.AddField(
            model_name="connector",
            name="paused_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="paused at"),
        ),
        migrations.AddField(
            model_name="connector",
            name="paused_by",
            field=models.CharField(blank=True, editable=False, max_length=100, verbose_name="paused by"),
        ),
        migrations.AddField(
            model_name="connector",
            name="shadow_by",
            field=models.CharField(blank=True, editable=False, max_length=100, verbose_name="shadow mode by"),
        ),
        migrations.AddField(
            model_name="connector",
            name="shadow_since",
            field=models.DateTimeField(editable=False, null=True, verbose_name="in shadow mode since"),
        ),
        migrations.AddField(
            model_name="listing",
            name="shadow_quantity",
            field=models.IntegerField(null=True, verbose_name="would be told"),
        ),
    ]
