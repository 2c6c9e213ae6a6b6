from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.console.demo import shop as demo
from apps.console.demo import whole
from apps.console.demo.history import OPENED


class Command(SaldoCommand):
    help = "Load the demo tenant and its account at the sandbox, once. For development only."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sandbox", required=True, help="address of the running sandbox")
        part = parser.add_mutually_exclusive_group()
        part.add_argument("--room-for-history", action="store_true", help="a new shop's first stock is two weeks old")
        part.add_argument(
            "--whole", action="store_true", help="the rest: 200 products, two weeks of history, a shop that sells"
        )
        parser.add_argument("--key-file", type=Path, help="make an API key with every scope and keep it in this file")

    def run(self, **options: Any) -> dict[str, Any]:
        if not settings.SALDO_DEMO:
            raise CommandError("SALDO_DEMO is off, so no demo is loaded. scripts/up turns it on.")
        opened_ago = OPENED if options["room_for_history"] else timedelta()
        loaded = demo.load(options["sandbox"], options["key_file"], opened_ago=opened_ago)
        if options["whole"]:
            whole.load(options["sandbox"], lambda text: self.stderr.write(text))
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
