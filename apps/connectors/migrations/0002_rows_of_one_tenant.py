"""Composite foreign keys: a listing cannot join one tenant's account to another tenant's product (law 4, law 8)."""

from django.db import migrations

ADD = """
ALTER TABLE integracao_anuncio
    ADD CONSTRAINT listing_connector_of_same_tenant FOREIGN KEY (tenant_id, connector_id)
        REFERENCES integracao_conector (tenant_id, id),
    ADD CONSTRAINT listing_product_of_same_tenant FOREIGN KEY (tenant_id, product_id)
        REFERENCES inventory_products (tenant_id, id);
"""

DROP = """
ALTER TABLE integracao_anuncio DROP CONSTRAINT listing_connector_of_same_tenant,
    DROP CONSTRAINT listing_product_of_same_tenant;
"""


class Migration(migrations.Migration):
    dependencies = [("connectors", "0001_connectors_and_listings")]

    operations = [migrations.RunSQL(ADD, DROP)]
