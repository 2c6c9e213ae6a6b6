"""Composite foreign keys: no event, claim or rule of one tenant can name a source or place of another (law 8)."""

from django.db import migrations

ADD = """
ALTER TABLE source_event
    ADD CONSTRAINT event_source_of_same_tenant FOREIGN KEY (tenant_id, source_id) REFERENCES source (tenant_id, id);
ALTER TABLE source_claim
    ADD CONSTRAINT claim_source_of_same_tenant FOREIGN KEY (tenant_id, source_id) REFERENCES source (tenant_id, id);
ALTER TABLE source_authority
    ADD CONSTRAINT authority_location_of_same_tenant FOREIGN KEY (tenant_id, location_id)
        REFERENCES inventory_locations (tenant_id, id);
"""

DROP = """
ALTER TABLE source_event DROP CONSTRAINT event_source_of_same_tenant;
ALTER TABLE source_claim DROP CONSTRAINT claim_source_of_same_tenant;
ALTER TABLE source_authority DROP CONSTRAINT authority_location_of_same_tenant;
"""


class Migration(migrations.Migration):
    dependencies = [("sources", "0001_sources_and_events")]

    operations = [migrations.RunSQL(ADD, DROP)]
