"""The movements of some minutes, of everybody: what an hour added up to (console/hours.py).

Rows are appended in the order of time, so a few bytes per sixteen blocks say where a moment stands.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("inventory", "0018_partitions_made_in_one_place")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX movement_of_a_moment ON inventory_ledger"
            " USING brin (recorded_at) WITH (pages_per_range = 16, autosummarize = on)",
            "DROP INDEX movement_of_a_moment",
        ),
    ]
