"""What the lists of the API are read along. The ledger itself gets nothing: its lists use what it has.

The reservations' is the one on a hot table: without it a small tenant's list would read everybody's rows. A hold's two
indexes become one: by reservation it is found by its primary key.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0014_balances_updated_in_place")]

    operations = [
        migrations.AddIndex(
            model_name="reservation", index=models.Index(fields=["tenant", "id"], name="reservation_by_age")
        ),
        migrations.AddIndex(model_name="transfer", index=models.Index(fields=["tenant", "id"], name="transfer_by_age")),
        migrations.AddIndex(
            model_name="transfer",
            index=models.Index(
                condition=models.Q(("sent__gt", models.F("received"))),
                fields=["tenant", "id"],
                name="transfer_in_transit",
            ),
        ),
        migrations.AddIndex(model_name="oversell", index=models.Index(fields=["tenant", "id"], name="oversell_by_age")),
        migrations.RunSQL(
            """CREATE INDEX batch_by_expiry ON inventory_batches
                   (tenant_id, coalesce(expiry_date, '9999-12-31 00:00:00+00'::timestamptz), id)""",
            "DROP INDEX batch_by_expiry",
        ),
        migrations.AlterField(
            model_name="batchhold",
            name="reservation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="batch_holds",
                to="inventory.reservation",
            ),
        ),
        migrations.AlterField(
            model_name="batchhold",
            name="batch",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="holds",
                to="inventory.batch",
            ),
        ),
        migrations.AddIndex(
            model_name="batchhold", index=models.Index(fields=["batch", "reservation"], name="hold_by_batch")
        ),
    ]
