"""The list of listings in its order, what failed, and texts that hold what is looked for."""

import django.contrib.postgres.indexes
import django.db.models.functions.text
import django.db.models.lookups
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are made beside the traffic

    dependencies = [
        ("connectors", "0017_errands_compare"),
        ("inventory", "0020_what_the_console_looks_for"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="listing",
            index=models.Index(
                models.F("tenant"),
                models.OrderBy(django.db.models.lookups.IsNull(models.F("product"), True), descending=True),
                models.OrderBy(models.F("id"), descending=True),
                name="listing_unmapped_first",
            ),
        ),
        AddIndexConcurrently(
            model_name="listing",
            index=models.Index(
                condition=models.Q(("product__isnull", False), ("sync_state__in", ["ERROR", "RETRY"])),
                fields=["tenant", "-id"],
                name="listing_failing",
            ),
        ),
        AddIndexConcurrently(
            model_name="listing",
            index=models.Index(fields=["tenant", "item_id"], name="listing_by_item"),
        ),
        AddIndexConcurrently(
            model_name="listing",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("item_id"), "gin_trgm_ops"
                ),
                django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper("title"), "gin_trgm_ops"),
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("seller_sku"), "gin_trgm_ops"
                ),
                name="listing_text",
            ),
        ),
    ]
