"""Orders that are ready, by the moment they became so: the one reader is following.queue_ready, every second.

It is this room's index on another room's table: orders do not know that they are looked for.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_counters_and_notifications"), ("orders", "0003_orders_become_ready")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX ix_pedido_pronto ON pedido (ready_at) WHERE status = 'PRONTO'",
            "DROP INDEX ix_pedido_pronto",
        )
    ]
