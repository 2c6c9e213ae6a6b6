"""More kinds of trouble; whether somebody saw it, when it is solved, and what happened to it."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0017_errands_compare"),
        ("notifications", "0004_listings_in_error_are_found"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        migrations.CreateModel(
            name="TroubleNote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "what",
                    models.CharField(
                        choices=[
                            ("ABERTA", "Opened"),
                            ("VISTA", "Seen"),
                            ("NAO_VISTA", "Marked as not seen"),
                            ("RESOLVIDA", "Solved: it stayed away"),
                        ],
                        max_length=16,
                        verbose_name="what happened",
                    ),
                ),
                ("actor", models.CharField(blank=True, db_default="", default="", max_length=100, verbose_name="who")),
                ("note", models.CharField(blank=True, db_default="", default="", max_length=300, verbose_name="note")),
                ("count", models.PositiveIntegerField(db_column="quantidade", verbose_name="how many")),
                (
                    "happened_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="when"),
                ),
            ],
            options={
                "verbose_name": "history of a pending matter",
                "verbose_name_plural": "history of pending matters",
                "db_table": "pendencia_historico",
            },
        ),
        migrations.RemoveConstraint(
            model_name="trouble",
            name="ux_pendencia_once",
        ),
        migrations.AddField(
            model_name="trouble",
            name="acknowledged_at",
            field=models.DateTimeField(null=True, verbose_name="seen at"),
        ),
        migrations.AddField(
            model_name="trouble",
            name="acknowledged_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=100, verbose_name="seen by"),
        ),
        migrations.AddField(
            model_name="trouble",
            name="note",
            field=models.CharField(blank=True, db_default="", default="", max_length=300, verbose_name="note"),
        ),
        migrations.AddField(
            model_name="trouble",
            name="resolved_at",
            field=models.DateTimeField(null=True, verbose_name="solved at"),
        ),
        migrations.AddField(
            model_name="trouble",
            name="since_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="since"),
        ),
        migrations.AlterField(
            model_name="trouble",
            name="closed_at",
            field=models.DateTimeField(null=True, verbose_name="gone since"),
        ),
        migrations.AlterField(
            model_name="trouble",
            name="connector",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="troubles",
                to="connectors.connector",
                verbose_name="connector",
            ),
        ),
        migrations.AlterField(
            model_name="trouble",
            name="count",
            field=models.PositiveIntegerField(db_column="quantidade", verbose_name="how many"),
        ),
        migrations.AlterField(
            model_name="trouble",
            name="kind",
            field=models.CharField(
                choices=[
                    ("ANUNCIOS", "Listings in error"),
                    ("CONECTOR", "Connector stopped"),
                    ("EVENTOS", "Events in error"),
                    ("MAPEAMENTO", "Mapping needed"),
                    ("QUARENTENA", "Quarantine"),
                    ("DIVERGENCIA", "Divergences"),
                    ("FILA", "Queue standing still"),
                    ("OVERSELL", "Oversold"),
                ],
                db_column="tipo",
                max_length=16,
                verbose_name="kind",
            ),
        ),
        migrations.AlterField(
            model_name="trouble",
            name="opened_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="last found"),
        ),
        migrations.AddIndex(
            model_name="trouble",
            index=models.Index(fields=["tenant", "-since_at", "-id"], name="ix_pendencia_newest"),
        ),
        migrations.AddConstraint(
            model_name="trouble",
            constraint=models.UniqueConstraint(
                fields=("tenant", "connector", "kind", "cause"), name="ux_pendencia_one_a_cause", nulls_distinct=False
            ),
        ),
        migrations.AddField(
            model_name="troublenote",
            name="trouble",
            field=models.ForeignKey(
                db_column="pendencia_id",
                on_delete=django.db.models.deletion.CASCADE,
                related_name="notes",
                to="notifications.trouble",
            ),
        ),
    ]
