"""Many listings mapped at once, by one job."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0019_listings_have_a_gtin"),
        ("inventory", "0019_movements_of_a_moment"),
        ("tenants", "0006_login_tries"),
    ]

    operations = [
        migrations.CreateModel(
            name="MappingJob",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "source",
                    models.CharField(
                        choices=[("SUGESTOES", "Suggestions"), ("ARQUIVO", "CSV file")],
                        max_length=16,
                        verbose_name="source",
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("PROPOSTO", "Planned"),
                            ("EM_ANDAMENTO", "Under way"),
                            ("PAUSADO", "Paused"),
                            ("CONCLUIDO", "Done"),
                            ("CANCELADO", "Cancelled"),
                        ],
                        default="PROPOSTO",
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                ("file_name", models.CharField(blank=True, max_length=200, verbose_name="file")),
                ("file_hash", models.CharField(blank=True, editable=False, max_length=64)),
                ("made_by", models.CharField(max_length=100, verbose_name="who")),
                ("made_at", models.DateTimeField(auto_now_add=True, verbose_name="when")),
                ("confirmed_by", models.CharField(blank=True, max_length=100, verbose_name="confirmed by")),
                ("started_at", models.DateTimeField(null=True, verbose_name="started at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
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
                "verbose_name": "mapping of many",
                "verbose_name_plural": "mappings of many",
                "db_table": "mapeamento_lote",
            },
        ),
        migrations.CreateModel(
            name="MappingItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("line", models.PositiveIntegerField(verbose_name="line")),
                ("named", models.CharField(blank=True, max_length=130, verbose_name="listing")),
                ("sku", models.CharField(blank=True, max_length=100, verbose_name="SKU")),
                ("reason", models.CharField(blank=True, max_length=16, verbose_name="why")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("AGUARDA", "To do"),
                            ("FEITO", "Mapped"),
                            ("FALHOU", "Refused"),
                            ("PULADO", "Left as it is"),
                        ],
                        default="AGUARDA",
                        max_length=16,
                        verbose_name="state",
                    ),
                ),
                ("code", models.CharField(blank=True, max_length=32, verbose_name="reason")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
                (
                    "listing",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="connectors.listing",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.product",
                    ),
                ),
                (
                    "job",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="connectors.mappingjob",
                    ),
                ),
            ],
            options={
                "verbose_name": "line of a mapping of many",
                "verbose_name_plural": "lines of a mapping of many",
                "db_table": "mapeamento_lote_item",
            },
        ),
        migrations.AddIndex(
            model_name="mappingjob",
            index=models.Index(fields=["tenant", "-made_at", "-id"], name="mapping_job_newest"),
        ),
        migrations.AddIndex(
            model_name="mappingjob",
            index=models.Index(
                condition=models.Q(("file_hash", ""), _negated=True),
                fields=["tenant", "file_hash"],
                name="mapping_job_file",
            ),
        ),
        migrations.AddIndex(
            model_name="mappingjob",
            index=models.Index(
                condition=models.Q(("status", "EM_ANDAMENTO")), fields=["made_at"], name="mapping_job_under_way"
            ),
        ),
        migrations.AddConstraint(
            model_name="mappingjob",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at__isnull", False), ("status__in", ["CONCLUIDO", "CANCELADO"])),
                    models.Q(("finished_at__isnull", True), ("status__in", ["PROPOSTO", "EM_ANDAMENTO", "PAUSADO"])),
                    _connector="OR",
                ),
                name="mapping_job_ended_with_its_end",
            ),
        ),
        migrations.AddIndex(
            model_name="mappingitem",
            index=models.Index(fields=["job", "state", "line"], name="mapping_item_state"),
        ),
        migrations.AddConstraint(
            model_name="mappingitem",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["AGUARDA", "FEITO"])),
                fields=("job", "listing"),
                name="mapping_item_listing_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="mappingitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["FALHOU", "PULADO"]),
                    models.Q(("listing__isnull", False), ("product__isnull", False)),
                    _connector="OR",
                ),
                name="mapping_item_of_something",
            ),
        ),
    ]
