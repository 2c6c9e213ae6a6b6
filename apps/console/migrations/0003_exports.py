"""Files that people asked for, and what they hold."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("console", "0002_saved_views"),
        ("tenants", "0004_feature_flags"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Export",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("page", models.CharField(max_length=50, verbose_name="list")),
                ("query", models.CharField(blank=True, max_length=1000, verbose_name="filters")),
                (
                    "profile",
                    models.CharField(
                        choices=[("PLANILHA", "For spreadsheets"), ("SISTEMA", "For systems")],
                        default="PLANILHA",
                        max_length=16,
                        verbose_name="for",
                    ),
                ),
                ("language", models.CharField(max_length=10)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("PENDENTE", "Waiting for a worker"),
                            ("EM_ANDAMENTO", "Under way"),
                            ("CONCLUIDO", "Ready"),
                            ("ERRO", "Failed"),
                            ("CANCELADO", "Cancelled"),
                        ],
                        default="PENDENTE",
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                ("rows_estimated", models.BigIntegerField(default=0, verbose_name="rows, about")),
                ("rows_done", models.BigIntegerField(default=0, verbose_name="rows written")),
                ("bytes_done", models.BigIntegerField(default=0, verbose_name="size (bytes)")),
                ("is_cut", models.BooleanField(default=False, verbose_name="cut at the most rows a file holds")),
                ("cursor", models.JSONField(null=True)),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("error_code", models.CharField(blank=True, max_length=64, verbose_name="error code")),
                ("cancel_asked_at", models.DateTimeField(null=True, verbose_name="cancellation asked for at")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="asked for at")),
                ("started_at", models.DateTimeField(null=True, verbose_name="started at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
                ("expires_at", models.DateTimeField(verbose_name="deleted at")),
                (
                    "asked_by",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="asked by",
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
                "verbose_name": "export",
                "verbose_name_plural": "exports",
                "db_table": "exportacao",
            },
        ),
        migrations.CreateModel(
            name="ExportPart",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField(verbose_name="number")),
                ("content", models.BinaryField()),
                (
                    "export",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="parts",
                        to="console.export",
                        verbose_name="export",
                    ),
                ),
            ],
            options={
                "verbose_name": "part of an export",
                "verbose_name_plural": "parts of exports",
                "db_table": "exportacao_parte",
            },
        ),
        migrations.AddIndex(
            model_name="export",
            index=models.Index(fields=["tenant", "asked_by", "-id"], name="export_newest"),
        ),
        migrations.AddIndex(
            model_name="export",
            index=models.Index(condition=models.Q(("finished_at__isnull", True)), fields=["id"], name="export_open"),
        ),
        migrations.AddIndex(
            model_name="export",
            index=models.Index(fields=["expires_at"], name="export_expiry"),
        ),
        migrations.AddConstraint(
            model_name="export",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at__isnull", True), ("status__in", ["PENDENTE", "EM_ANDAMENTO"])),
                    models.Q(("finished_at__isnull", False), ("status__in", ["CONCLUIDO", "ERRO", "CANCELADO"])),
                    _connector="OR",
                ),
                name="export_ended_with_its_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="exportpart",
            constraint=models.UniqueConstraint(fields=("export", "number"), name="export_part_once"),
        ),
    ]
