from typing import Any

from django.core.management.base import CommandParser

from apps.common.commands import SaldoCommand
from apps.tenants.lookup import tenant_named
from apps.tenants.models import ApiKey

COLUMNS = ("prefix", "name", "scopes", "is_usable", "last_used_at", "expires_at", "revoked_at")


class Command(SaldoCommand):
    help = "List a tenant's API keys, the newest first. The keys themselves cannot be shown."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)

    def run(self, **options: Any) -> dict[str, Any]:
        keys = ApiKey.objects.filter(tenant=tenant_named(options["tenant"])).order_by("-created_at")
        return {"keys": [{column: getattr(key, column) for column in COLUMNS} for key in keys]}

    def say(self, result: dict[str, Any]) -> None:
        """Print a line a key."""
        for key in result["keys"]:
            state = "good" if key["is_usable"] else "ended"
            used = key["last_used_at"] or "never"
            ends = key["revoked_at"] or key["expires_at"] or "never"
            scopes = ",".join(key["scopes"])
            self.stdout.write(f"{key['prefix']}  {state}  used {used}  ends {ends}  {scopes}  {key['name']}")
        if not result["keys"]:
            self.stdout.write("This tenant has no API key. Make one with create_api_key.")
