from typing import Any

from django.core.management.base import CommandParser

from apps.common.commands import SaldoCommand
from apps.tenants.lookup import tenant_named
from apps.tenants.models import WebhookSecret

COLUMNS = ("id", "name", "secret_last4", "is_usable", "last_used_at", "expires_at", "revoked_at")


class Command(SaldoCommand):
    help = "List a tenant's webhook secrets, the newest first. The secrets themselves cannot be shown."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)

    def run(self, **options: Any) -> dict[str, Any]:
        rows = WebhookSecret.objects.filter(tenant=tenant_named(options["tenant"])).order_by("-created_at")
        return {"secrets": [{column: getattr(row, column) for column in COLUMNS} for row in rows]}

    def say(self, result: dict[str, Any]) -> None:
        """Print a line a secret."""
        for row in result["secrets"]:
            state = "good" if row["is_usable"] else "ended"
            used = row["last_used_at"] or "never"
            ends = row["revoked_at"] or row["expires_at"] or "never"
            self.stdout.write(f"{row['id']}  …{row['secret_last4']}  {state}  used {used}  ends {ends}  {row['name']}")
        if not result["secrets"]:
            self.stdout.write("This tenant has no webhook secret. Make one with create_webhook_secret.")
