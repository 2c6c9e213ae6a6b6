"""What every `manage.py` command of Saldo shares: `--json`, one clear sentence for an error, an exit code."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DataError
from django.utils import translation

from apps.common.crypto import SealBroken


class SaldoCommand(BaseCommand):
    """A command whose `run` returns a plain dict, shown as lines for people or as one JSON object for programs.

    A CommandError ends it with exit code 1; with `--json` the error is an object on standard output too.
    """

    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Add `--json`, then the command's own arguments."""
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
        self.add_own_arguments(parser)

    def add_own_arguments(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""

    def run(self, **options: Any) -> dict[str, Any]:
        """Do the work and return what to print. Raises CommandError with a sentence for what cannot be done."""
        raise NotImplementedError

    def _run(self, options: dict[str, Any]) -> dict[str, Any]:
        try:
            return self.run(**options)
        except (DataError, OverflowError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CommandError(f"A value does not fit: {reason}. Nothing was changed.") from None
        except SealBroken as error:
            raise CommandError(f"{error}. Nothing was changed; is FIELD_ENCRYPTION_KEYS complete?") from None

    def say(self, result: dict[str, Any]) -> None:
        """Print the result for people: a line per entry. A command with a better form overrides this."""
        for name, value in result.items():
            self.stdout.write(f"{name}: {value}")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, print, and turn an error into a sentence and exit code 1."""
        as_json = options.pop("json")
        try:
            with translation.override("en"):  # one language at the shell, whatever the pages speak
                result = self._run(options)
        except CommandError as error:
            if as_json:
                self.stdout.write(json.dumps({"error": str(error)}, ensure_ascii=False))
                sys.exit(1)
            raise
        if as_json:
            self.stdout.write(json.dumps(result, ensure_ascii=False, default=str))
        else:
            self.say(result)
