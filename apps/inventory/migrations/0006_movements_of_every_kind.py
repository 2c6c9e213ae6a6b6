"""Movements of every kind: of a batch, of blocked units, of what they reverse, and quick to find by either time."""

from django.db import migrations, models

CHANGE = """
-- a count that finds the number right changes nothing and is worth knowing
ALTER TABLE inventory_ledger DROP CONSTRAINT movement_changes_something;
ALTER TABLE inventory_ledger ADD CONSTRAINT movement_changes_something
    CHECK (on_hand_delta <> 0 OR reserved_delta <> 0 OR blocked_delta <> 0 OR kind = 'COUNT');
ALTER TABLE inventory_ledger ADD CONSTRAINT movement_recorded_after_it_happened CHECK (occurred_at <= recorded_at)
    NOT VALID;

-- one balance's history, newest first, and what was known at a moment: recorded_at rises with the version
DROP INDEX movement_by_balance;
CREATE INDEX movement_by_balance ON inventory_ledger (tenant_id, product_id, location_id, recorded_at DESC);
-- what was there at a moment, as known now
CREATE INDEX movement_by_moment ON inventory_ledger (tenant_id, product_id, location_id, occurred_at);
-- most reservations of a checkout have no document: they do not pay for this index
DROP INDEX movement_by_reference;
CREATE INDEX movement_by_reference ON inventory_ledger (tenant_id, reference_type, reference_id)
    WHERE reference_type <> '';
CREATE INDEX movement_reversal ON inventory_ledger (reverses_id) WHERE reverses_id IS NOT NULL;
"""

BACK = """
DROP INDEX movement_reversal, movement_by_reference, movement_by_moment, movement_by_balance;
CREATE INDEX movement_by_balance ON inventory_ledger (tenant_id, product_id, location_id, version DESC);
CREATE INDEX movement_by_reference ON inventory_ledger (tenant_id, reference_type, reference_id);
ALTER TABLE inventory_ledger DROP CONSTRAINT movement_recorded_after_it_happened,
    DROP CONSTRAINT movement_changes_something;
ALTER TABLE inventory_ledger ADD CONSTRAINT movement_changes_something
    CHECK (on_hand_delta <> 0 OR reserved_delta <> 0) NOT VALID;
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0005_ids_for_programs")]

    operations = [
        migrations.AddField(
            model_name="movement",
            name="batch_id",
            field=models.UUIDField(null=True, verbose_name="batch"),
        ),
        migrations.AddField(
            model_name="movement",
            name="blocked_after",
            field=models.IntegerField(db_default=0, verbose_name="blocked after"),
        ),
        migrations.AddField(
            model_name="movement",
            name="blocked_delta",
            field=models.IntegerField(db_default=0, verbose_name="change blocked"),
        ),
        migrations.AddField(
            model_name="movement",
            name="reference_line",
            field=models.CharField(db_default="", max_length=64, verbose_name="reference line"),
        ),
        migrations.AddField(
            model_name="movement",
            name="reverses_id",
            field=models.BigIntegerField(null=True, verbose_name="movement that this one reverses"),
        ),
        migrations.AlterField(
            model_name="movement",
            name="kind",
            field=models.CharField(
                choices=[
                    ("RECEIPT", "Receipt"),
                    ("SALE", "Sale"),
                    ("RETURN", "Return"),
                    ("LOSS", "Loss"),
                    ("ADJUSTMENT", "Adjustment"),
                    ("COUNT", "Count"),
                    ("COUNT_ABSORB", "Seen by the count"),
                    ("TRANSFER_OUT", "Transfer out"),
                    ("TRANSFER_IN", "Transfer in"),
                    ("RESERVE", "Reservation"),
                    ("CONFIRM", "Confirmation"),
                    ("RELEASE", "Release"),
                    ("EXPIRE", "Expiry"),
                    ("BLOCK", "Batch blocked"),
                    ("UNBLOCK", "Batch released for sale"),
                ],
                max_length=16,
                verbose_name="kind",
            ),
        ),
        migrations.RunSQL(CHANGE, BACK),
    ]
