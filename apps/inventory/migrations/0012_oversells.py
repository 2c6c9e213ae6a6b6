"""A balance that becomes oversold opens a case in the same statement, and closes it when it no longer is."""

import django.db.models.deletion
from django.db import migrations, models

NOTE = """
CREATE FUNCTION inventory_note_oversell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.oversold_since IS NULL THEN
        INSERT INTO inventory_oversells (tenant_id, product_id, location_id, opened_at, opened_version, units_short)
        SELECT NEW.tenant_id, NEW.product_id, NEW.location_id, NEW.oversold_since,
               coalesce((SELECT min(version) FROM inventory_ledger
                          WHERE tenant_id = NEW.tenant_id AND product_id = NEW.product_id
                            AND location_id = NEW.location_id AND recorded_at > OLD.last_updated
                            AND version > OLD.version AND on_hand_after < reserved_after), NEW.version),
               NEW.quantity_reserved - NEW.quantity_on_hand;
    ELSE
        UPDATE inventory_oversells
           SET units_short = greatest(units_short, NEW.quantity_reserved - NEW.quantity_on_hand),
               closed_at = CASE WHEN NEW.oversold_since IS NULL THEN NEW.last_updated END,
               closed_version = CASE WHEN NEW.oversold_since IS NULL THEN NEW.version END
         WHERE tenant_id = NEW.tenant_id AND product_id = NEW.product_id AND location_id = NEW.location_id
           AND closed_at IS NULL;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER balance_oversold AFTER UPDATE ON inventory_balances FOR EACH ROW
    WHEN (OLD.oversold_since IS NOT NULL OR NEW.oversold_since IS NOT NULL)
    EXECUTE FUNCTION inventory_note_oversell();

INSERT INTO inventory_oversells (tenant_id, product_id, location_id, opened_at, opened_version, units_short)
SELECT tenant_id, product_id, location_id, oversold_since, version, quantity_reserved - quantity_on_hand
  FROM inventory_balances WHERE oversold_since IS NOT NULL;
"""

FORGET = """
DROP TRIGGER balance_oversold ON inventory_balances;
DROP FUNCTION inventory_note_oversell();
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0011_transfers")]

    operations = [
        migrations.CreateModel(
            name="Oversell",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                        verbose_name="tenant",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.product",
                        verbose_name="product",
                    ),
                ),
                (
                    "location",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.location",
                        verbose_name="location",
                    ),
                ),
                ("opened_at", models.DateTimeField(verbose_name="since")),
                ("opened_version", models.BigIntegerField(verbose_name="version of the balance that began it")),
                ("units_short", models.PositiveIntegerField(verbose_name="units short")),
                ("closed_at", models.DateTimeField(null=True, verbose_name="until")),
                (
                    "closed_version",
                    models.BigIntegerField(null=True, verbose_name="version of the balance that ended it"),
                ),
            ],
            options={
                "verbose_name": "oversell",
                "verbose_name_plural": "oversells",
                "db_table": "inventory_oversells",
            },
        ),
        migrations.AddConstraint(
            model_name="oversell",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closed_at__isnull", True)),
                fields=("tenant", "product", "location"),
                name="oversell_open_once_per_balance",
            ),
        ),
        migrations.RunSQL(NOTE, FORGET),
    ]
