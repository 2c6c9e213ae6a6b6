import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.orders import recipients
from apps.tenants.lookup import tenant_named


def read_document(given: str) -> str:
    """Return a CPF or CNPJ, from standard input when it is `-`, so that it stays out of the shell's history."""
    document = sys.stdin.readline() if given == "-" else given
    digits = "".join(sign for sign in document if sign.isdigit())
    if len(digits) not in (11, 14):
        raise CommandError("A CPF has 11 digits and a CNPJ 14; nothing was looked for.")
    return digits


class Command(SaldoCommand):
    help = "Print all that is kept about a person, by CPF or CNPJ, for them to have (LGPD). It is written down who did."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="short name of the tenant")
        parser.add_argument("--document", required=True, help="CPF or CNPJ; - reads it from standard input")
        parser.add_argument("--by", required=True, help="who asks for it, for the audit")

    def run(self, **options: Any) -> dict[str, Any]:
        document = read_document(options["document"])
        tenant = tenant_named(options["tenant"])
        return {"orders": recipients.export(tenant, document, actor=f"command:export_person {options['by']}")}
