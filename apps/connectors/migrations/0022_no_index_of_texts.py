"""No index of texts on listings: the sync writes these rows three times a push, and each time anew into every index.

`IF EXISTS`: databases made between two versions of 0018 never had it.
"""

from django.db import migrations


class Migration(migrations.Migration):
    atomic = False  # dropped beside the traffic

    dependencies = [("connectors", "0021_listings_go_live")]

    operations = [
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS listing_text",
            migrations.RunSQL.noop,
            state_operations=[migrations.RemoveIndex("listing", "listing_text")],
        ),
    ]
