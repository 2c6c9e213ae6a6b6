"""A part of a SKU or a name, a GTIN, what is oversold: found without reading every row. None is written at a movement.

pg_trgm is a trusted extension: whoever owns the database may create it.
"""

import django.contrib.postgres.indexes
import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently, TrigramExtension
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are made beside the traffic

    dependencies = [
        ("inventory", "0019_movements_of_a_moment"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        TrigramExtension(),
        AddIndexConcurrently(
            model_name="balance",
            index=models.Index(
                condition=models.Q(("oversold_since__isnull", False)),
                fields=["tenant", "product"],
                name="balance_oversold",
            ),
        ),
        AddIndexConcurrently(
            model_name="product",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper("sku"), "gin_trgm_ops"),
                django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper("name"), "gin_trgm_ops"),
                name="product_text",
            ),
        ),
        AddIndexConcurrently(
            model_name="product",
            index=models.Index(
                condition=models.Q(("gtin", ""), _negated=True), fields=["tenant", "gtin"], name="product_by_gtin"
            ),
        ),
    ]
