"""Depots of accounts; each joins one tenant's account to a place of the same tenant (law 8)."""

import django.db.models.deletion
from django.db import migrations, models

ADD = """
ALTER TABLE integracao_deposito
    ADD CONSTRAINT depot_connector_of_same_tenant FOREIGN KEY (tenant_id, connector_id)
        REFERENCES integracao_conector (tenant_id, id),
    ADD CONSTRAINT depot_location_of_same_tenant FOREIGN KEY (tenant_id, location_id)
        REFERENCES inventory_locations (tenant_id, id);
"""

DROP = """
ALTER TABLE integracao_deposito DROP CONSTRAINT depot_connector_of_same_tenant,
    DROP CONSTRAINT depot_location_of_same_tenant;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0012_what_made_it_due"),
        ("inventory", "0017_movements_of_a_tenant"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        migrations.CreateModel(
            name="Depot",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("store_id", models.CharField(max_length=64, verbose_name="depot")),
                ("network_node_id", models.CharField(blank=True, max_length=64, verbose_name="network node")),
                ("name", models.CharField(blank=True, max_length=100, verbose_name="name")),
                (
                    "connector",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="depots",
                        to="connectors.connector",
                        verbose_name="connector",
                    ),
                ),
                (
                    "location",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.location",
                        verbose_name="location",
                    ),
                ),
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
            ],
            options={
                "verbose_name": "depot",
                "verbose_name_plural": "depots",
                "db_table": "integracao_deposito",
                "constraints": [
                    models.UniqueConstraint(fields=("connector", "store_id"), name="depot_once_per_connector"),
                    models.UniqueConstraint(
                        condition=models.Q(("location__isnull", False)),
                        fields=("connector", "location"),
                        name="depot_place_once",
                    ),
                ],
            },
        ),
        migrations.RunSQL(ADD, DROP),
    ]
