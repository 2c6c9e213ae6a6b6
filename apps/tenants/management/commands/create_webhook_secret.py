from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.tenants import signatures
from apps.tenants.lookup import tenant_named


class Command(SaldoCommand):
    help = "Make a secret that signs posts to the signed webhook. It is printed once and cannot be shown again."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)
        parser.add_argument("--name", default="Webhook", help="who signs with it, such as the ERP")

    def run(self, **options: Any) -> dict[str, Any]:
        tenant = tenant_named(options["tenant"])
        try:
            secret, text = signatures.issue(tenant, name=options["name"])
        except ValidationError as error:
            raise CommandError(f"The secret was not made: {'; '.join(error.messages)}") from None
        return {"secret": text, "id": secret.pk, "tenant": tenant.slug, "name": secret.name}
