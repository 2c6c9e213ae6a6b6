"""Composite foreign keys: no balance, movement or reservation can join two tenants (law 4, law 8).

One key to the balance instead of three to tenant, product and location: one lookup a movement, and the same promise.
"""

from django.db import migrations

ADD = """
ALTER TABLE inventory_balances
    ADD CONSTRAINT balance_product_of_same_tenant FOREIGN KEY (tenant_id, product_id)
        REFERENCES inventory_products (tenant_id, id),
    ADD CONSTRAINT balance_location_of_same_tenant FOREIGN KEY (tenant_id, location_id)
        REFERENCES inventory_locations (tenant_id, id);
ALTER TABLE inventory_ledger
    ADD CONSTRAINT movement_of_a_balance FOREIGN KEY (tenant_id, product_id, location_id)
        REFERENCES inventory_balances (tenant_id, product_id, location_id);
ALTER TABLE inventory_reservations
    ADD CONSTRAINT reservation_of_a_balance FOREIGN KEY (tenant_id, product_id, location_id)
        REFERENCES inventory_balances (tenant_id, product_id, location_id);
"""

DROP = """
ALTER TABLE inventory_balances DROP CONSTRAINT balance_product_of_same_tenant,
    DROP CONSTRAINT balance_location_of_same_tenant;
ALTER TABLE inventory_ledger DROP CONSTRAINT movement_of_a_balance;
ALTER TABLE inventory_reservations DROP CONSTRAINT reservation_of_a_balance;
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0002_movements_by_month")]

    operations = [migrations.RunSQL(ADD, DROP)]
