"""An order by its number or the beginning of it, and by its pack, whatever the channel."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are made beside the traffic

    dependencies = [
        ("connectors", "0018_what_the_console_looks_for"),
        ("orders", "0004_recipients"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(fields=["tenant", "external_id"], name="ix_pedido_number"),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                condition=models.Q(("pack_id", ""), _negated=True), fields=["tenant", "pack_id"], name="ix_pedido_pack"
            ),
        ),
    ]
