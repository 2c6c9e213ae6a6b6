import getpass
import os
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.connectors.connecting import CannotConnect, connect
from apps.connectors.models import Connector
from apps.tenants.lookup import tenant_named


class Command(SaldoCommand):
    help = (
        "Connect a tenant's Mercado Livre account, or put one to work again with new credentials. "
        "Prints the connector's id and the notification address."
    )

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)
        parser.add_argument("--client-id", required=True, help="the application's id at Mercado Livre")
        parser.add_argument(
            "--client-secret", help="or MERCADOLIVRE_CLIENT_SECRET in the environment, or - to read it from stdin"
        )
        parser.add_argument(
            "--refresh-token", help="or MERCADOLIVRE_REFRESH_TOKEN in the environment, or - to read it from stdin"
        )
        parser.add_argument("--name", default="", help="what to call it; the account's nickname by default")
        parser.add_argument("--user-id", default="", help="the account you mean; a token of another one is refused")
        parser.add_argument("--channel", default=Connector.Kind.MERCADO_LIVRE, choices=Connector.Kind.values)

    def run(self, **options: Any) -> dict[str, Any]:
        tenant = tenant_named(options["tenant"])
        try:
            connector = connect(
                tenant,
                kind=options["channel"],
                client_id=options["client_id"],
                client_secret=_secret(options["client_secret"], "MERCADOLIVRE_CLIENT_SECRET", "--client-secret"),
                refresh_token=_secret(options["refresh_token"], "MERCADOLIVRE_REFRESH_TOKEN", "--refresh-token"),
                name=options["name"],
                user_id=options["user_id"],
            )
        except CannotConnect as problem:
            raise CommandError(f"The account was not connected: {problem}.") from None
        return {
            "id": connector.pk,
            "name": connector.name,
            "account": connector.user_id,
            "notification_url": connector.notification_url,
        }


def _secret(option: str | None, variable: str, name: str) -> str:
    if option == "-":
        value = getpass.getpass(f"{name[2:]}: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
    else:
        value = option or os.environ.get(variable, "")
    if not value:
        raise CommandError(f"Give {name}, or set {variable}; the account was not connected.")
    return value
