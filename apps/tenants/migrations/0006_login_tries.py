"""Tries to prove who one is that have not succeeded, so that they can be limited."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0005_second_factors")]

    operations = [
        migrations.CreateModel(
            name="LoginTry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name_hash", models.CharField(max_length=64)),
                ("address", models.GenericIPAddressField()),
                ("tried_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "login_try",
                "indexes": [
                    models.Index(fields=["name_hash", "tried_at"], name="login_try_name"),
                    models.Index(fields=["address", "tried_at"], name="login_try_address"),
                    models.Index(fields=["tried_at"], name="login_try_age"),
                ],
            },
        ),
    ]
