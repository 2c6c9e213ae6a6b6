from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.console import demo


class Command(SaldoCommand):
    help = "Load the demo tenant and its account at the sandbox, once. For development only."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sandbox", required=True, help="address of the running sandbox")
        parser.add_argument("--key-file", type=Path, help="make an API key with every scope and keep it in this file")

    def run(self, **options: Any) -> dict[str, Any]:
        if not settings.SALDO_DEMO:
            raise CommandError("SALDO_DEMO is off, so no demo is loaded. scripts/up turns it on.")
        loaded = demo.load(options["sandbox"], options["key_file"])
        return {
            "tenant": loaded.tenant.name,
            "connector": loaded.connector.pk,
            "products": loaded.products,
            "login": demo.LOGIN,
            "password": demo.PASSWORD,
            "sandbox": f"{options['sandbox'].rstrip('/')}/sandbox",
        }

    def say(self, result: dict[str, Any]) -> None:
        self.stdout.write(f"{result['tenant']}: {result['products']} products")
        self.stdout.write(f"login: {result['login']}   password: {result['password']}")
        self.stdout.write(f"the marketplace to sell at: {result['sandbox']}")
