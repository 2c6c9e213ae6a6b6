"""The tries, partitioned by month as the ledger is; what was written down so far moves into its months.

PostgreSQL wants the partition key in every unique key, so the primary key is (id, timestamp); Django knows `id`. The
foreign keys go: a try costs four look-ups less, and dropping a month would otherwise wait for everybody who reads or
writes a product. What a try names is never deleted (PROTECT).

Old rows are copied under one lock: 1,000,000 took 5 s on two shared cores. Nobody pushes meanwhile.
"""

import django.db.models.deletion
from django.db import migrations, models

INDEXES = """
CREATE INDEX sync_log_newest ON marketplace_sync_logs (tenant_id, "timestamp" DESC, id DESC);
CREATE INDEX sync_log_of_product ON marketplace_sync_logs (tenant_id, product_id, "timestamp" DESC);
CREATE INDEX sync_log_of_listing ON marketplace_sync_logs (listing_id, "timestamp" DESC);
CREATE INDEX sync_log_unfinished ON marketplace_sync_logs (listing_id) WHERE status = 'PENDING';
SELECT setval(pg_get_serial_sequence('marketplace_sync_logs', 'id'), coalesce(max(id), 0) + 1, false)
  FROM marketplace_sync_logs;
"""

SPLIT = (
    """
ALTER TABLE marketplace_sync_logs RENAME TO marketplace_sync_logs_whole;
CREATE TABLE marketplace_sync_logs (
    LIKE marketplace_sync_logs_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY,
    PRIMARY KEY (id, "timestamp")
) PARTITION BY RANGE ("timestamp");
CREATE TABLE marketplace_sync_logs_default PARTITION OF marketplace_sync_logs DEFAULT;

DO $$ DECLARE
    month date := (SELECT date_trunc('month', coalesce(min("timestamp"), now()) AT TIME ZONE 'UTC')
                     FROM marketplace_sync_logs_whole);
BEGIN
    WHILE month <= now() AT TIME ZONE 'UTC' + interval '3 months' LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF marketplace_sync_logs FOR VALUES FROM (%L) TO (%L)',
                       'marketplace_sync_logs_' || to_char(month, 'YYYY_MM'), month::text || ' 00:00:00+00',
                       (month + interval '1 month')::date::text || ' 00:00:00+00');
        month := month + interval '1 month';
    END LOOP;
END $$;
INSERT INTO marketplace_sync_logs SELECT * FROM marketplace_sync_logs_whole;
DROP TABLE marketplace_sync_logs_whole;
"""
    + INDEXES
)

JOIN = (
    """
ALTER TABLE marketplace_sync_logs RENAME TO marketplace_sync_logs_by_month;
CREATE TABLE marketplace_sync_logs (
    LIKE marketplace_sync_logs_by_month INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY, PRIMARY KEY (id),
    FOREIGN KEY (tenant_id) REFERENCES tenant DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (product_id) REFERENCES inventory_products DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (connector_id) REFERENCES integracao_conector DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (listing_id) REFERENCES integracao_anuncio DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO marketplace_sync_logs SELECT * FROM marketplace_sync_logs_by_month;
DROP TABLE marketplace_sync_logs_by_month;
SET CONSTRAINTS ALL IMMEDIATE;
"""
    + INDEXES
)


def to(model: str, name: str) -> migrations.AlterField:
    """Return the state of a reference without a key in the database."""
    reference = models.ForeignKey(
        db_constraint=False,
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name="+",
        to=model,
        verbose_name=name,
    )
    return migrations.AlterField(model_name="synclog", name=name, field=reference)


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0012_what_made_it_due"),
        ("inventory", "0017_movements_of_a_tenant"),
        ("sync", "0002_sales_rates"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        migrations.RunSQL(
            SPLIT,
            JOIN,
            state_operations=[
                to("tenants.tenant", "tenant"),
                to("inventory.product", "product"),
                to("connectors.connector", "connector"),
                to("connectors.listing", "listing"),
            ],
        )
    ]
