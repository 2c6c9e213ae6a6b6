from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from apps.common.commands import SaldoCommand
from apps.connectors import credentials
from apps.connectors.channel import ChannelError
from apps.connectors.models import Connector
from apps.events.unheard import find_sales
from apps.sync import reconcile
from apps.sync.models import Divergence, ReconcileRun
from apps.tenants.lookup import tenant_named

KINDS = dict(Divergence.Kind.choices)


class Command(SaldoCommand):
    has_failed = False  # whether a connector could not be compared
    help = (
        "Read the channel back, compare it with the hub's numbers, repair what is safe and print what differs. What was"
        " cut short goes on where it stood. The exit code is 1 when an account could not be compared."
    )

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--conector", type=int, help="only this connector, by its id")
        parser.add_argument("--tenant", help="only this tenant's connectors")
        parser.add_argument("--somente-ler", action="store_true", help="repair nothing; only say what differs")

    def run(self, **options: Any) -> dict[str, Any]:
        connectors = _chosen(options)
        reports = [self._compare(one, is_read_only=options["somente_ler"]) for one in connectors]
        self.has_failed = any(report["error_code"] for report in reports)
        return {"reports": reports}

    def _compare(self, connector: Connector, *, is_read_only: bool) -> dict[str, Any]:
        run = reconcile.begin(connector, ReconcileRun.Trigger.COMMAND, is_read_only=is_read_only)
        try:
            reconcile.run_whole(run, find_sales, self._progress)
        except ChannelError as refusal:
            if refusal.account:
                credentials.stop(connector.pk, refusal)
        return {
            "connector": connector.pk,
            "name": connector.name,
            "run": run.pk,
            "read_only": run.is_read_only,
            "error_code": run.error_code,
            "error": run.error_msg,
            **run.report,
            "open": _open(connector),
        }

    def _progress(self, run: ReconcileRun) -> None:
        self.stderr.write(f"{run.connector}: {run.report['items']} items compared")

    def say(self, result: dict[str, Any]) -> None:
        """Print a paragraph for each connector: counts, then each open divergence with both numbers."""
        for report in result["reports"]:
            open_ones = report.pop("open")
            found, repaired = report.pop("found"), report.pop("repaired")
            for name, value in report.items():
                if value not in ("", False):
                    self.stdout.write(f"{name}: {value}")
            for kind, count in sorted(found.items()):
                self.stdout.write(f"{kind} ({KINDS[kind]}): {count} found, {repaired.get(kind, 0)} repaired")
            for row in open_ones:
                self.stdout.write(
                    f"  {row['listing']} {row['kind']}: here {row['here']}, at the channel {row['at_channel']},"
                    f" since {row['since']:%Y-%m-%d %H:%M} UTC {row['detail']}".rstrip()
                )
            self.stdout.write("")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run and print; a connector that could not be compared makes the exit code 1."""
        super().handle(*args, **options)
        if self.has_failed:
            raise SystemExit(1)


OPEN_SHOWN_MAX = 1000


def _open(connector: Connector) -> list[dict[str, Any]]:
    rows = Divergence.objects.filter(connector=connector, resolved_at__isnull=True, ignored_at__isnull=True)
    return [
        {
            "listing": str(row),
            "kind": row.kind,
            "here": row.hub_quantity,
            "at_channel": row.channel_quantity,
            "since": row.first_seen_at,
            "detail": row.detail,
        }
        for row in rows.order_by("item_id", "variation_id", "kind")[:OPEN_SHOWN_MAX]
    ]


def _chosen(options: dict[str, Any]) -> QuerySet[Connector]:
    """Return the connectors that work and are asked for. Raises CommandError when there is none."""
    connectors = Connector.objects.select_related("tenant").order_by("pk")
    if options["tenant"]:
        connectors = connectors.filter(tenant=tenant_named(options["tenant"]))
    if options["conector"]:
        connectors = connectors.filter(pk=options["conector"])
    if not connectors.exists():
        raise CommandError("There is no such connector; nothing was compared.")
    working = connectors.filter(status=Connector.Status.ACTIVE)
    if not working.exists():
        raise CommandError(
            "The connector is paused or needs authorisation, so nothing may be read. Nothing was compared."
        )
    return working
