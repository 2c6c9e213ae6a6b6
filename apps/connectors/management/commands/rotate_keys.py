from typing import Any

from apps.common.commands import SaldoCommand
from apps.connectors.credentials import reseal_all
from apps.connectors.models import Connector


class Command(SaldoCommand):
    help = (
        "Seal every stored credential with the newest of FIELD_ENCRYPTION_KEYS. "
        "Put the new key first, restart, run this, then drop the old key."
    )

    def run(self, **options: Any) -> dict[str, Any]:
        connectors = Connector.objects.order_by("pk")
        for connector in connectors:
            reseal_all(connector)
        return {"connectors": len(connectors)}
