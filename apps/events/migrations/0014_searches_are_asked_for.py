"""A person asks for an account to be searched again from a moment on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0013_bulk_jobs_and_their_members"),
    ]

    operations = [
        migrations.AddField(
            model_name="watch",
            name="asked_from",
            field=models.DateTimeField(null=True, verbose_name="asked to search again from"),
        ),
    ]
