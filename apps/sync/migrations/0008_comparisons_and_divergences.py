import django.db.models.deletion
from django.db import migrations, models

ADD = """
ALTER TABLE conferencia ADD CONSTRAINT reconcile_connector_of_same_tenant
    FOREIGN KEY (tenant_id, connector_id) REFERENCES integracao_conector (tenant_id, id);
ALTER TABLE divergencia ADD CONSTRAINT divergence_connector_of_same_tenant
    FOREIGN KEY (tenant_id, connector_id) REFERENCES integracao_conector (tenant_id, id);
"""

DROP = """
ALTER TABLE conferencia DROP CONSTRAINT reconcile_connector_of_same_tenant;
ALTER TABLE divergencia DROP CONSTRAINT divergence_connector_of_same_tenant;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0017_errands_compare"),
        ("sync", "0007_logs_of_shadow_mode"),
        ("tenants", "0001_tenants_memberships_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="Divergence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("item_id", models.CharField(max_length=64, verbose_name="item")),
                ("variation_id", models.CharField(blank=True, max_length=64, verbose_name="variation")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("ENVIO_PERDIDO", "The number sent never arrived"),
                            ("NAO_GUARDADO", "The channel said yes and kept the old number"),
                            ("IGNORADO_PELO_CANAL", "The channel keeps showing another number"),
                            ("RECUSADO", "The channel refuses the number"),
                            ("FILA_PARADA", "Waits in the queue for too long"),
                            ("FORA_DA_FILA", "The number changed here and was not sent"),
                            ("AUMENTADO_NO_CANAL", "Raised at the channel by hand"),
                            ("REDUZIDO_NO_CANAL", "Lowered at the channel, and no sale explains it"),
                            ("VENDA_NAO_AVISADA", "A sale that no notification told of"),
                            ("VENDA_PARADA", "A sale that waits for somebody"),
                            ("CANCELAMENTO_NAO_AVISADO", "A cancellation Saldo has not taken in"),
                            ("SEM_CONTAGEM", "For sale, but its stock was never counted here"),
                            ("EM_SOMBRA", "Would be sent, were it not for shadow mode"),
                            ("ZERO_RETIDO", "Zero held back: too many at once"),
                            ("SKU_DE_OUTRO_PRODUTO", "The SKU at the channel is another product's"),
                            ("GTIN_DE_OUTRO_PRODUTO", "The GTIN at the channel is another product's"),
                            ("ESTOQUE_COMPARTILHADO", "One stock at the channel, two products here"),
                            ("DE_OUTRA_CONTA", "The listing belongs to another account"),
                            ("INEXISTENTE", "No longer exists at the channel"),
                            ("VARIACAO_REMOVIDA", "The variation no longer exists"),
                            ("ENCERRADO", "Closed at the channel"),
                            ("PAUSADO_PELO_VENDEDOR", "Paused at the channel by hand"),
                            ("BLOQUEADO", "Held back by the channel"),
                            ("REATIVADO", "For sale again at the channel"),
                            ("VIROU_FULL", "Went to the channel's own warehouse (Full)"),
                            ("SAIU_DO_FULL", "Left the channel's own warehouse (Full)"),
                            ("VIROU_KIT", "Became a kit"),
                            ("MIGRADO", "Replaced by listings of user products"),
                            ("TIPO_MUDOU", "Became another kind of listing"),
                            ("DESCONHECIDO", "For sale at the channel, unknown here"),
                        ],
                        db_column="tipo",
                        max_length=32,
                        verbose_name="kind",
                    ),
                ),
                ("hub_quantity", models.IntegerField(null=True, verbose_name="here")),
                ("channel_quantity", models.IntegerField(null=True, verbose_name="at the channel")),
                ("detail", models.CharField(blank=True, max_length=300, verbose_name="detail")),
                ("sightings", models.PositiveIntegerField(default=1, verbose_name="times seen")),
                ("repairs", models.PositiveSmallIntegerField(default=0, verbose_name="repairs")),
                ("repaired_at", models.DateTimeField(null=True, verbose_name="repaired at")),
                ("first_seen_at", models.DateTimeField(auto_now_add=True, verbose_name="first seen at")),
                ("last_seen_at", models.DateTimeField(verbose_name="last seen at")),
                ("ignored_at", models.DateTimeField(null=True, verbose_name="ignored at")),
                ("ignored_by", models.CharField(blank=True, max_length=100, verbose_name="ignored by")),
                ("resolved_at", models.DateTimeField(null=True, verbose_name="resolved at")),
                (
                    "ending",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("CORRIGIDA", "Repaired by Saldo"),
                            ("SUMIU", "Gone by itself"),
                            ("POR_PESSOA", "Settled by a person"),
                        ],
                        max_length=16,
                        verbose_name="how",
                    ),
                ),
                (
                    "connector",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="connectors.connector",
                        verbose_name="connector",
                    ),
                ),
                (
                    "listing",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="connectors.listing",
                        verbose_name="listing",
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
                "verbose_name": "divergence",
                "verbose_name_plural": "divergences",
                "db_table": "divergencia",
                "indexes": [
                    models.Index(fields=["tenant", "-first_seen_at", "-id"], name="divergence_newest"),
                    models.Index(
                        condition=models.Q(("resolved_at__isnull", True)),
                        fields=["tenant", "-first_seen_at", "-id"],
                        name="divergence_open",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("resolved_at__isnull", True)),
                        fields=("connector", "item_id", "variation_id", "kind"),
                        name="divergence_open_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ending", ""), ("resolved_at__isnull", True)),
                            models.Q(("resolved_at__isnull", False), models.Q(("ending", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="divergence_resolved_somehow",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReconcileRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "trigger",
                    models.CharField(
                        choices=[("HORARIA", "By itself"), ("MANUAL", "By hand"), ("COMANDO", "From the shell")],
                        max_length=16,
                        verbose_name="trigger",
                    ),
                ),
                ("is_read_only", models.BooleanField(default=False, verbose_name="repairs nothing")),
                ("cursor", models.CharField(blank=True, max_length=64)),
                ("has_compared", models.BooleanField(default=False)),
                ("report", models.JSONField(default=dict, verbose_name="report")),
                ("error_code", models.CharField(blank=True, max_length=64, verbose_name="error code")),
                ("error_msg", models.CharField(blank=True, max_length=500, verbose_name="error")),
                ("started_at", models.DateTimeField(auto_now_add=True, verbose_name="started at")),
                ("worked_at", models.DateTimeField(auto_now=True, verbose_name="last worked at")),
                ("scanned_at", models.DateTimeField(null=True, verbose_name="looked for unknown listings at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
                (
                    "connector",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reconcile_runs",
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
                "verbose_name": "comparison",
                "verbose_name_plural": "comparisons",
                "db_table": "conferencia",
                "indexes": [
                    models.Index(fields=["connector", "-started_at"], name="reconcile_newest"),
                    models.Index(fields=["tenant", "-started_at", "-id"], name="reconcile_of_tenant"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("finished_at__isnull", True)),
                        fields=("connector", "trigger", "is_read_only"),
                        name="reconcile_one_at_a_time",
                    )
                ],
            },
        ),
        migrations.RunSQL(ADD, DROP),
    ]
