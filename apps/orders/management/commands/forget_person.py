from typing import Any

from django.core.management.base import CommandParser

from apps.common.commands import SaldoCommand
from apps.orders import recipients
from apps.orders.management.commands.export_person import read_document
from apps.tenants.lookup import tenant_named


class Command(SaldoCommand):
    help = (
        "Erase a person, by CPF or CNPJ, from all orders and labels; sales and stock stay. It is written down who did."
    )

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="short name of the tenant")
        parser.add_argument("--document", required=True, help="CPF or CNPJ; - reads it from standard input")
        parser.add_argument("--by", required=True, help="who asks for it, for the audit")

    def run(self, **options: Any) -> dict[str, Any]:
        document = read_document(options["document"])
        tenant = tenant_named(options["tenant"])
        return {"orders_changed": recipients.forget(tenant, document, actor=f"command:forget_person {options['by']}")}
