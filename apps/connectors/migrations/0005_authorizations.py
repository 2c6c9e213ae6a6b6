import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

SAME_TENANT = """
ALTER TABLE integracao_autorizacao
    ADD CONSTRAINT authorization_connector_of_same_tenant FOREIGN KEY (tenant_id, connector_id)
        REFERENCES integracao_conector (tenant_id, id);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0004_connectors_before_their_account"),
        ("tenants", "0004_feature_flags"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Authorization",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("state_hash", models.CharField(editable=False, max_length=64, unique=True)),
                ("session_hash", models.CharField(editable=False, max_length=64)),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                ("used_at", models.DateTimeField(null=True, verbose_name="used at")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                (
                    "connector",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="connectors.connector",
                        verbose_name="connector",
                    ),
                ),
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
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "authorisation",
                "verbose_name_plural": "authorisations",
                "db_table": "integracao_autorizacao",
            },
        ),
        migrations.RunSQL(SAME_TENANT, migrations.RunSQL.noop),
    ]
