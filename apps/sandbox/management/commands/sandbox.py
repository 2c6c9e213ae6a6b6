"""``manage.py sandbox`` in Django's list of commands. Typed in a shell it needs no settings: manage.py hands over."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.sandbox.__main__ import HELP, CannotStart, add_arguments, serve


class Command(BaseCommand):
    """Listens until SIGTERM or Ctrl-C."""

    help = HELP
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Address, data folder, ready file, journal."""
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop.

        Raises: CommandError when the address is taken or a file cannot be written.
        """
        try:
            serve(**{name: options[name] for name in ("host", "port", "data", "journal", "ready_file")})
        except CannotStart as refusal:
            raise CommandError(str(refusal)) from refusal
