"""The list of events by state, what needs somebody, and an event by its trace id: with 5,000,000 events 2 s before."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are made beside the traffic

    dependencies = [
        ("connectors", "0018_what_the_console_looks_for"),
        ("events", "0014_searches_are_asked_for"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="integrationevent",
            index=models.Index(fields=["tenant", "status", "-received_at", "-id"], name="ix_evento_status"),
        ),
        AddIndexConcurrently(
            model_name="integrationevent",
            index=models.Index(
                condition=models.Q(("status__in", ["NOVA_TENTATIVA", "MAPEAMENTO", "QUARENTENA", "ERRO"])),
                fields=["tenant", "-received_at", "-id"],
                name="ix_evento_attention",
            ),
        ),
        AddIndexConcurrently(
            model_name="integrationevent",
            index=models.Index(fields=["trace_id"], name="ix_evento_trace"),
        ),
    ]
