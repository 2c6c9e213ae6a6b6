import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0005_accounts_are_watched")]

    operations = [
        migrations.CreateModel(
            name="SilentTopic",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("topic", models.CharField(db_column="tipo", max_length=64, verbose_name="type")),
                ("last_heard_at", models.DateTimeField(verbose_name="last heard")),
                ("noticed_at", models.DateTimeField(auto_now_add=True, verbose_name="noticed at")),
                (
                    "connector",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="silent_topics",
                        to="connectors.connector",
                        verbose_name="connector",
                    ),
                ),
            ],
            options={
                "verbose_name": "silent topic",
                "verbose_name_plural": "silent topics",
                "db_table": "integracao_topico_mudo",
                "constraints": [
                    models.UniqueConstraint(fields=("connector", "topic"), name="silent_topic_once"),
                ],
            },
        ),
    ]
