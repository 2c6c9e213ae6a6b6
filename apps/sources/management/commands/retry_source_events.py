from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.sources import retry
from apps.sources.models import SourceEvent
from apps.tenants.lookup import tenant_named

RETRIED_AT_ONCE_MAX = 100_000


class Command(SaldoCommand):
    help = "Try movements of other systems again that wait for something to be mended, or approve old ones."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, help="rows of movements told; none means all that wait")
        parser.add_argument("--tenant", help="only this tenant's")
        parser.add_argument("--source", help="only this source's, by its name")
        parser.add_argument("--code", help="only those with this code, such as unknown_sku")
        parser.add_argument("--approve", metavar="WHO", help="apply what is too old as well, in this person's name")

    def run(self, **options: Any) -> dict[str, Any]:
        states = [*retry.RETRIED, *([SourceEvent.Status.QUARANTINED] if options["approve"] else [])]
        rows = SourceEvent.objects.filter(status__in=states, payload__isnull=False)
        if options["ids"]:
            rows = rows.filter(pk__in=options["ids"])
        if options["tenant"]:
            rows = rows.filter(tenant=tenant_named(options["tenant"]))
        if options["source"]:
            rows = rows.filter(source__name=options["source"])
        if options["code"]:
            rows = rows.filter(code=options["code"])
        if options["approve"] and not options["ids"] and not options["tenant"]:
            raise CommandError("Say what is approved: ids, or --tenant. Nothing was done.")
        row_ids = list(rows.order_by("pk").values_list("pk", flat=True)[:RETRIED_AT_ONCE_MAX])
        after = retry.again(row_ids, approved_by=f"command:{options['approve']}" if options["approve"] else "")
        states_after: dict[str, int] = {}
        for row in after:
            states_after[row.status] = states_after.get(row.status, 0) + 1
        return {"tried": len(row_ids), **dict(sorted(states_after.items()))}
