"""Listings in error, by connector and cause: the one reader is troubles.look, every ten seconds.

It is this room's index on another room's table: the sync does not know that it is looked at.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("connectors", "0012_what_made_it_due"), ("notifications", "0003_troubles")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX ix_anuncio_com_erro ON integracao_anuncio (connector_id, last_error_code, tenant_id)"
            " WHERE sync_state = 'ERROR' AND product_id IS NOT NULL",
            "DROP INDEX ix_anuncio_com_erro",
        )
    ]
