from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0008_publication_rules")]

    operations = [
        migrations.AddField(
            model_name="connector",
            name="calls_per_minute",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="How often Saldo may call for this account; empty: CHANNEL_CALLS_PER_MINUTE, 0: no limit.",
                null=True,
                verbose_name="calls a minute",
            ),
        ),
    ]
