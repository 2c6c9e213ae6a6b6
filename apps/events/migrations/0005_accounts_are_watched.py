import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0002_rows_of_one_tenant"),
        ("events", "0004_topics_have_a_rhythm"),
    ]

    operations = [
        migrations.CreateModel(
            name="Watch",
            fields=[
                (
                    "connector",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="watch",
                        serialize=False,
                        to="connectors.connector",
                        verbose_name="connector",
                    ),
                ),
                ("searched_until", models.DateTimeField(verbose_name="orders searched up to")),
                ("search_at", models.DateTimeField(verbose_name="next search")),
                ("reads_missed_feeds", models.BooleanField(null=True, verbose_name="may read missed notifications")),
                ("error_code", models.CharField(blank=True, max_length=64, verbose_name="error code")),
                ("error_msg", models.CharField(blank=True, max_length=500, verbose_name="error")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
            ],
            options={"verbose_name": "watch", "verbose_name_plural": "watches", "db_table": "integracao_vigia"},
        ),
    ]
