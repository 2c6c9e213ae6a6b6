"""One tenant's movements in commit order: the list of all movements, and a subscriber's replay.

Without it both walk along everybody's feed, and a tenant with little traffic waits for all the others' rows: of 60
movements among 625,000 the list took 13 pages and 1.2 s, and takes 2 pages and 7 ms. It costs every movement some
130 bytes of WAL (a tenth of what a sale or a reservation writes) and 35 to 65 bytes of disk; in time, of 500 sales in
one call or of single reservations, no difference was to be seen.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("inventory", "0016_checkpoints")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX movement_of_tenant ON inventory_ledger (tenant_id, transaction_id, id)",
            "DROP INDEX movement_of_tenant",
        ),
    ]
