import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0001_tenants_memberships_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("actor", models.CharField(max_length=100, verbose_name="who")),
                ("action", models.CharField(max_length=64, verbose_name="what")),
                ("subject", models.CharField(max_length=100, verbose_name="of which")),
                ("details", models.JSONField(default=dict, verbose_name="details")),
                ("recorded_at", models.DateTimeField(auto_now_add=True, verbose_name="when")),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                        verbose_name="tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit entries",
                "db_table": "auditoria",
                "indexes": [models.Index(fields=["tenant", "-id"], name="audit_newest")],
            },
        ),
    ]
