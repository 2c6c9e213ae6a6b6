import django.db.models.deletion
from django.db import migrations, models

SAME_TENANT = """
ALTER TABLE integracao_tarefa
    ADD CONSTRAINT errand_connector_of_same_tenant FOREIGN KEY (tenant_id, connector_id)
        REFERENCES integracao_conector (tenant_id, id);
"""


class Migration(migrations.Migration):
    dependencies = [("connectors", "0005_authorizations"), ("tenants", "0004_feature_flags")]

    operations = [
        migrations.CreateModel(
            name="Errand",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("TESTE", "Test"), ("IMPORTACAO", "Import of listings")],
                        db_column="tipo",
                        max_length=16,
                        verbose_name="errand",
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("PENDENTE", "Waiting for a worker"),
                            ("EM_ANDAMENTO", "Under way"),
                            ("CONCLUIDO", "Done"),
                            ("ERRO", "Failed"),
                            ("CANCELADO", "Cancelled"),
                        ],
                        default="PENDENTE",
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                ("makes_products", models.BooleanField(default=False, verbose_name="make missing products")),
                ("report", models.JSONField(default=dict, verbose_name="report")),
                ("error_code", models.CharField(blank=True, max_length=64, verbose_name="error code")),
                ("error_msg", models.CharField(blank=True, max_length=500, verbose_name="error")),
                ("tries", models.PositiveSmallIntegerField(default=0, verbose_name="tries")),
                ("asked_by", models.CharField(max_length=100, verbose_name="asked by")),
                ("cancel_asked_at", models.DateTimeField(null=True, verbose_name="cancellation asked for at")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("started_at", models.DateTimeField(null=True, verbose_name="started at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
                (
                    "connector",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="errands",
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
            ],
            options={
                "verbose_name": "errand",
                "verbose_name_plural": "errands",
                "db_table": "integracao_tarefa",
                "indexes": [models.Index(fields=["connector", "kind", "-id"], name="errand_newest")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("finished_at__isnull", True)),
                        fields=("connector", "kind"),
                        name="errand_one_at_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at__isnull", True), ("status__in", ["PENDENTE", "EM_ANDAMENTO"])),
                            models.Q(
                                ("finished_at__isnull", False), ("status__in", ["CONCLUIDO", "ERRO", "CANCELADO"])
                            ),
                            _connector="OR",
                        ),
                        name="errand_ended_with_its_end",
                    ),
                ],
            },
        ),
        migrations.RunSQL(SAME_TENANT, migrations.RunSQL.noop),
    ]
