from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from apps.common.commands import SaldoCommand
from apps.events.models import IntegrationEvent
from apps.events.reprocess import reprocess
from apps.tenants.lookup import tenant_named


class Command(SaldoCommand):
    help = "Send events through the inbox again: by id, by status, by period. No effect happens twice."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, help="event ids")
        parser.add_argument("--tenant", help="only this tenant's events")
        parser.add_argument("--status", action="append", choices=IntegrationEvent.Status.values)
        parser.add_argument("--since", help="received at or after this moment, such as 2026-11-22T08:00:00-03:00")
        parser.add_argument("--until", help="received before this moment")

    def run(self, **options: Any) -> dict[str, Any]:
        events = IntegrationEvent.objects.all()
        if not any(options[name] for name in ("ids", "tenant", "status", "since", "until")):
            raise CommandError("Say which events: ids, --tenant, --status, --since or --until. Nothing was done.")
        if options["ids"]:
            events = events.filter(pk__in=options["ids"])
        if options["tenant"]:
            events = events.filter(tenant=tenant_named(options["tenant"]))
        if options["status"]:
            events = events.filter(status__in=options["status"])
        for name, lookup in (("since", "received_at__gte"), ("until", "received_at__lt")):
            if options[name]:
                events = events.filter(**{lookup: _moment(name, options[name])})
        if not events.exists():
            raise CommandError("No event is like that; nothing was reprocessed.")
        return {"reprocessed": reprocess(events, actor="command:reprocess")}


def _moment(name: str, text: str) -> object:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"--{name} {text!r} is not a moment with a zone, such as 2026-11-22T08:00:00-03:00.")
    return moment
