"""Jobs over many: what was chosen, who confirmed, how far it is; and the members, frozen when it is planned."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0017_errands_compare"),
        ("events", "0012_plans_expire"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReprocessItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("AGUARDA", "Waiting for its turn"),
                            ("EM_CURSO", "Under way"),
                            ("FEITO", "Done"),
                            ("FALHOU", "Failed"),
                            ("PULADO", "Skipped"),
                        ],
                        default="AGUARDA",
                        max_length=16,
                        verbose_name="state",
                    ),
                ),
                ("code", models.CharField(blank=True, default="", max_length=64, verbose_name="reason")),
                ("claimed_at", models.DateTimeField(null=True, verbose_name="taken at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
            ],
            options={
                "verbose_name": "member of a reprocessing",
                "verbose_name_plural": "members of a reprocessing",
                "db_table": "reprocessamento_item",
            },
        ),
        migrations.AddField(
            model_name="reprocess",
            name="approved_by",
            field=models.CharField(blank=True, default="", max_length=100, verbose_name="approved by"),
        ),
        migrations.AddField(
            model_name="reprocess",
            name="confirmed_by",
            field=models.CharField(blank=True, default="", max_length=100, verbose_name="confirmed by"),
        ),
        migrations.AddField(
            model_name="reprocess",
            name="filters",
            field=models.TextField(blank=True, default="", verbose_name="filters"),
        ),
        migrations.AddField(
            model_name="reprocess",
            name="finished_at",
            field=models.DateTimeField(null=True, verbose_name="finished at"),
        ),
        migrations.AddField(
            model_name="reprocess",
            name="includes_done",
            field=models.BooleanField(default=False, verbose_name="also what was processed"),
        ),
        migrations.AddField(
            model_name="reprocess",
            name="parent",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="events.reprocess",
            ),
        ),
        migrations.AddField(
            model_name="reprocess",
            name="started_at",
            field=models.DateTimeField(null=True, verbose_name="started at"),
        ),
        migrations.AddField(
            model_name="reprocess",
            name="summary",
            field=models.JSONField(blank=True, default=dict, verbose_name="summary"),
        ),
        migrations.AddField(
            model_name="reprocess",
            name="verb",
            field=models.CharField(
                blank=True,
                choices=[("EVENTOS", "Reprocess events"), ("ANUNCIOS", "Send numbers again")],
                db_column="tipo",
                default="",
                max_length=16,
                verbose_name="what is done",
            ),
        ),
        migrations.AddField(
            model_name="reprocess",
            name="worked_at",
            field=models.DateTimeField(null=True, verbose_name="worked on at"),
        ),
        migrations.AlterField(
            model_name="reprocess",
            name="status",
            field=models.CharField(
                choices=[
                    ("ENFILEIRADO", "In the queue"),
                    ("PLANEJADO", "Planned"),
                    ("APLICADO", "Applied"),
                    ("VENCIDO", "Expired: nobody applied it"),
                    ("RECUSADO", "Refused: something changed meanwhile"),
                    ("PROPOSTO", "Waits to be confirmed"),
                    ("APROVACAO", "Waits for a second person"),
                    ("EM_ANDAMENTO", "Under way"),
                    ("PAUSADO", "Paused"),
                    ("CONCLUIDO", "Done"),
                    ("CANCELADO", "Cancelled"),
                ],
                max_length=16,
                verbose_name="status",
            ),
        ),
        migrations.AddIndex(
            model_name="reprocess",
            index=models.Index(
                condition=models.Q(
                    ("finished_at__isnull", True), ("status__in", ["EM_ANDAMENTO", "PAUSADO", "CANCELADO"])
                ),
                fields=["worked_at"],
                name="ix_reprocesso_under_way",
            ),
        ),
        migrations.AddField(
            model_name="reprocessitem",
            name="event",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="events.integrationevent",
            ),
        ),
        migrations.AddField(
            model_name="reprocessitem",
            name="listing",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="connectors.listing",
            ),
        ),
        migrations.AddField(
            model_name="reprocessitem",
            name="reprocess",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="items", to="events.reprocess"
            ),
        ),
        migrations.AddIndex(
            model_name="reprocessitem",
            index=models.Index(fields=["reprocess", "state", "id"], name="ix_reprocesso_item_state"),
        ),
        migrations.AddConstraint(
            model_name="reprocessitem",
            constraint=models.UniqueConstraint(fields=("reprocess", "event"), name="reprocess_item_event_once"),
        ),
        migrations.AddConstraint(
            model_name="reprocessitem",
            constraint=models.UniqueConstraint(fields=("reprocess", "listing"), name="reprocess_item_listing_once"),
        ),
        migrations.AddConstraint(
            model_name="reprocessitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("event__isnull", False), ("listing__isnull", True)),
                    models.Q(("event__isnull", True), ("listing__isnull", False)),
                    _connector="OR",
                ),
                name="reprocess_item_is_one_thing",
            ),
        ),
        migrations.AddConstraint(
            model_name="reprocessitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at__isnull", True), ("state__in", ["AGUARDA", "EM_CURSO"])),
                    models.Q(("finished_at__isnull", False), ("state__in", ["FEITO", "FALHOU", "PULADO"])),
                    _connector="OR",
                ),
                name="reprocess_item_ended_with_its_end",
            ),
        ),
    ]
