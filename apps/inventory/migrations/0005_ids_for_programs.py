"""Products and locations get the id that API clients see (requirement 003's product_id and warehouse_id)."""

from django.db import migrations, models

import apps.inventory.models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0004_movements_append_only")]

    operations = [
        migrations.AddField(
            model_name="location",
            name="public_id",
            field=models.UUIDField(
                db_default=apps.inventory.models.NewId(), editable=False, unique=True, verbose_name="id for programs"
            ),
        ),
        migrations.AddField(
            model_name="product",
            name="public_id",
            field=models.UUIDField(
                db_default=apps.inventory.models.NewId(), editable=False, unique=True, verbose_name="id for programs"
            ),
        ),
    ]
