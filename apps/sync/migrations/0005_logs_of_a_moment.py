"""The tries of the last minutes, of all tenants: freshness. A BRIN index costs a try next to nothing."""

import django.contrib.postgres.indexes
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("sync", "0004_what_a_try_was_made_of")]

    operations = [
        migrations.AddIndex(
            model_name="synclog",
            index=django.contrib.postgres.indexes.BrinIndex(
                fields=["timestamp"], name="sync_log_of_a_moment", pages_per_range=16, autosummarize=True
            ),
        ),
    ]
