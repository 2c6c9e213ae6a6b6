from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.sources import ingest
from apps.sources.models import Source, SourceEpoch
from apps.tenants.lookup import tenant_named


class Command(SaldoCommand):
    help = "Close a gap in a source's numbers whose events will never come. It stays on record, with the reason."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)
        parser.add_argument("--source", required=True, help="the source's name")
        parser.add_argument("--epoch", type=int, help="default: the newest")
        parser.add_argument("--first", type=int, required=True)
        parser.add_argument("--last", type=int, required=True)
        parser.add_argument("--reason", required=True)

    def run(self, **options: Any) -> dict[str, Any]:
        source = Source.objects.filter(tenant=tenant_named(options["tenant"]), name=options["source"]).first()
        if source is None:
            raise CommandError(f"There is no source {options['source']!r} in this tenant. Nothing was changed.")
        epoch = source.epoch if options["epoch"] is None else options["epoch"]
        try:
            row = ingest.give_up_gap(
                source,
                epoch,
                options["first"],
                options["last"],
                actor="command:give_up_gap",
                reason=options["reason"][:200],
            )
        except SourceEpoch.DoesNotExist:
            raise CommandError(f"The source has no counter of epoch {epoch}. Nothing was changed.") from None
        return {"source": source.name, "epoch": epoch, "ack_seq": row.ack_seq, "gaps": [gap[:2] for gap in row.gaps]}
