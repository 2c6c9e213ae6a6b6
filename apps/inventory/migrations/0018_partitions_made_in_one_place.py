"""The months to come are made by apps/common/partitions.py, for every table that has months; not by a function here."""

from importlib import import_module

from django.db import migrations

DROP = "DROP FUNCTION inventory_make_partitions(integer);"
GUARD: str = import_module("apps.inventory.migrations.0004_movements_append_only").GUARD
MAKE = "CREATE FUNCTION inventory_make_partitions" + GUARD.partition("CREATE FUNCTION inventory_make_partitions")[2]


class Migration(migrations.Migration):
    dependencies = [("inventory", "0017_movements_of_a_tenant")]

    operations = [migrations.RunSQL(DROP, MAKE)]
