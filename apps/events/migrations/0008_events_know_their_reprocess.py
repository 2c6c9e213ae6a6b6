"""An event names the last time it was sent through the road again. A column without a default: no row is rewritten."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0007_reprocessings")]

    operations = [
        migrations.AddField(
            model_name="integrationevent",
            name="reprocess",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="events.reprocess",
                verbose_name="reprocessing",
            ),
        ),
    ]
