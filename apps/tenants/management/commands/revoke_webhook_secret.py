from typing import Any

from django.core.management.base import CommandParser

from apps.common.commands import SaldoCommand
from apps.tenants import signatures
from apps.tenants.lookup import webhook_secret_named


class Command(SaldoCommand):
    help = "End a webhook secret now: what it signs is refused from the next post on."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="as list_webhook_secrets shows it")

    def run(self, **options: Any) -> dict[str, Any]:
        secret = webhook_secret_named(options["id"])
        signatures.revoke(secret)
        return {"id": secret.pk, "name": secret.name, "revoked_at": secret.revoked_at}
