from typing import Any

from django.core.management.base import CommandParser

from apps.common.commands import SaldoCommand
from apps.tenants import flags
from apps.tenants.lookup import tenant_named
from apps.tenants.models import FeatureFlag


class Command(SaldoCommand):
    help = (
        "Show a tenant's feature flags, or switch one. With integracao.ml.enabled off, what Mercado Livre tells is "
        "stored and waits, and Mercado Livre is told nothing; on again, everything that waited flows."
    )

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)
        parser.add_argument("--flag", default=FeatureFlag.Name.MERCADO_LIVRE, choices=FeatureFlag.Name.values)
        position = parser.add_mutually_exclusive_group()
        position.add_argument("--on", action="store_const", const=True, dest="is_enabled")
        position.add_argument("--off", action="store_const", const=False, dest="is_enabled")

    def run(self, **options: Any) -> dict[str, Any]:
        tenant = tenant_named(options["tenant"])
        if options["is_enabled"] is not None:
            flags.switch(tenant, options["flag"], is_enabled=options["is_enabled"], actor="command:feature_flag")
        off = flags.switched_off(tenant)
        return {name: "off" if name in off else "on" for name in FeatureFlag.Name.values}
