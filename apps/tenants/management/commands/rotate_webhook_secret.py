from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.tenants import signatures
from apps.tenants.lookup import webhook_secret_named

OVERLAP_HOURS_MAX = 7 * 24


class Command(SaldoCommand):
    help = "Replace a webhook secret: a new one is printed once, the old one is believed for a while longer."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the old secret's id, as list_webhook_secrets shows it")
        parser.add_argument(
            "--overlap-hours", type=float, default=24, help="how long the old one stays good (default: %(default)s)"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        hours = options["overlap_hours"]
        if not 0 <= hours <= OVERLAP_HOURS_MAX:
            raise CommandError(f"--overlap-hours must be from 0 to {OVERLAP_HOURS_MAX}. Nothing was changed.")
        old = webhook_secret_named(options["id"])
        try:
            new, text = signatures.rotate(old, overlap=timedelta(hours=hours))
        except ValidationError as error:
            raise CommandError(f"The secret was not replaced: {'; '.join(error.messages)}") from None
        old.refresh_from_db()
        return {"secret": text, "id": new.pk, "old_id": old.pk, "old_good_until": old.expires_at}
