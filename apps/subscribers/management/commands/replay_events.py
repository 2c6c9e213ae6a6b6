import uuid
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from apps.common.commands import SaldoCommand
from apps.subscribers import subscribing
from apps.subscribers.models import Subscriber


class Command(SaldoCommand):
    help = "Tell a subscriber again everything recorded since a moment, under the same ids; the worker does it."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--subscriber", required=True, help="its id")
        parser.add_argument("--since", required=True, help="a moment such as 2026-11-22T08:00:00-03:00")

    def run(self, **options: Any) -> dict[str, Any]:
        try:
            replay = subscribing.start_replay(_subscriber(options["subscriber"]), _moment(options["since"]))
        except subscribing.LifeError as refusal:
            raise CommandError(str(refusal)) from None
        return {"replay": str(replay.pk), "status": replay.status}


def _subscriber(text: str) -> Subscriber:
    try:
        row = Subscriber.objects.filter(pk=uuid.UUID(text), deleted_at=None).first()
    except ValueError:
        row = None
    if row is None:
        raise CommandError(f"There is no subscriber {text!r}. Nothing was changed.")
    return row


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"--since {text!r} is not a moment with a zone, such as 2026-11-22T08:00:00-03:00.")
    return moment
