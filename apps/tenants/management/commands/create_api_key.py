from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from apps.common.commands import SaldoCommand
from apps.tenants.lookup import tenant_named
from apps.tenants.models import ApiKey
from apps.tenants.scopes import SCOPES

DAYS_MAX = 3650


class Command(SaldoCommand):
    help = "Make an API key for a tenant. The key is printed once and cannot be shown again."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)
        parser.add_argument("--name", default="API", help="what it is for, such as the POS of shop 3")
        parser.add_argument(
            *("--scope", "--scopes"),
            action="append",
            metavar="SCOPE",
            help=f"repeat it or separate by commas (default: stock:read). Known: {', '.join(SCOPES)}",
        )
        parser.add_argument(
            *("--expires-in-days", "--days"), type=int, dest="days", help="days until it expires; never by default"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        tenant = tenant_named(options["tenant"])
        named = ",".join(options["scope"] or ["stock:read"]).split(",")
        scopes = list(dict.fromkeys(scope.strip() for scope in named if scope.strip()))
        if not scopes:
            raise CommandError("A key without a scope opens nothing: give --scope, such as stock:read.")
        if options["days"] is not None and not 0 < options["days"] <= DAYS_MAX:
            raise CommandError(
                f"--expires-in-days must be from 1 to {DAYS_MAX}; leave it out for a key that never expires."
            )
        expires_at = timezone.now() + timedelta(days=options["days"]) if options["days"] else None
        try:
            key, text = ApiKey.issue(tenant, name=options["name"], scopes=scopes, expires_at=expires_at)
        except ValidationError as error:
            raise CommandError(f"The key was not made: {'; '.join(error.messages)}") from None
        return {"key": text, "prefix": key.prefix, "tenant": tenant.slug, "scopes": scopes, "expires_at": expires_at}
