import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from apps.common.commands import SaldoCommand
from apps.connectors.models import Connector
from apps.events.backlog import Backlog, measure

LIMITS = {
    "waiting": ("--max-backlog", 1000, "events that wait"),
    "oldest_seconds": ("--max-age-seconds", 600, "age of the oldest that waits"),
    "error_count": ("--max-errors", 0, "events that a person must look at"),
    "reprocesses_pending": ("--max-reprocesses", 100, "events sent through again that wait"),
}
"""What is watched -> option, default limit, what it is."""


class Command(SaldoCommand):
    help = (
        "Show how a channel's queue of events is doing: backlog, the oldest, errors, reprocesses pending."
        " Exit code 1 past a limit."
    )

    is_past_limit = False

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--canal", default="ML", choices=Connector.Kind.values)
        for name, (option, limit, what) in LIMITS.items():
            parser.add_argument(option, dest=name, type=int, default=limit, help=f"{what} (default {limit})")

    def run(self, **options: Any) -> dict[str, Any]:
        found = measure(options["canal"])
        passed = [_sentence(found, name, options[name]) for name in LIMITS if getattr(found, name) > options[name]]
        self.is_past_limit = bool(passed)
        return {**asdict(found), "error_count": found.error_count, "past_limits": passed}

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if self.is_past_limit:
            sys.exit(1)


def _sentence(found: Backlog, name: str, limit: int) -> str:
    option, _default, what = LIMITS[name]
    return f"{what}: {getattr(found, name)}, more than {limit} ({option})"
