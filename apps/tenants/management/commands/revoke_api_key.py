from typing import Any

from django.core.management.base import CommandParser

from apps.common.commands import SaldoCommand
from apps.tenants.identity import REMEMBERED_SECONDS
from apps.tenants.lookup import api_key_named


class Command(SaldoCommand):
    help = f"End an API key now; running web processes forget it within {REMEMBERED_SECONDS:g} seconds."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("prefix", help="the part of the key that lists show, such as saldo_ab12cd34")

    def run(self, **options: Any) -> dict[str, Any]:
        key = api_key_named(options["prefix"])
        key.revoke()
        return {"prefix": key.prefix, "name": key.name, "revoked_at": key.revoked_at}
