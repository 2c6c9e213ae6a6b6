from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.tenants.lookup import api_key_named

OVERLAP_HOURS_MAX = 30 * 24


class Command(SaldoCommand):
    help = "Replace an API key: a new one with the same name and scopes is printed once, the old one expires later."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("prefix", help="the part of the old key that lists show, such as saldo_ab12cd34")
        parser.add_argument(
            "--overlap-hours", type=float, default=24, help="how long the old key stays good (default: %(default)s)"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        hours = options["overlap_hours"]
        if not 0 <= hours <= OVERLAP_HOURS_MAX:
            raise CommandError(f"--overlap-hours must be from 0 to {OVERLAP_HOURS_MAX}. Nothing was changed.")
        old = api_key_named(options["prefix"])
        try:
            new, text = old.rotate(overlap=timedelta(hours=hours))
        except ValidationError as error:
            raise CommandError(f"The key was not replaced: {'; '.join(error.messages)}") from None
        old.refresh_from_db()
        ends = {"old_prefix": old.prefix, "old_good_until": old.expires_at}
        return {"key": text, "prefix": new.prefix, "scopes": new.scopes, **ends}
