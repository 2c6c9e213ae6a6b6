from typing import Any

from apps.common.commands import SaldoCommand
from apps.connectors.credentials import reseal_all
from apps.connectors.models import Connector
from apps.subscribers import signing
from apps.subscribers.models import Subscriber
from apps.tenants import second_factor, signatures
from apps.tenants.models import SecondFactor, WebhookSecret


class Command(SaldoCommand):
    help = (
        "Seal every stored secret with the newest of FIELD_ENCRYPTION_KEYS. "
        "Put the new key first, restart, run this, then drop the old key."
    )

    def run(self, **options: Any) -> dict[str, Any]:
        connectors = Connector.objects.order_by("pk")
        for connector in connectors:
            reseal_all(connector)
        subscribers = Subscriber.objects.filter(deleted_at=None).order_by("pk")
        for subscriber in subscribers:
            signing.reseal(subscriber)
        webhook_secrets = WebhookSecret.objects.order_by("pk")
        for secret in webhook_secrets:
            signatures.reseal(secret)
        factors = SecondFactor.objects.order_by("pk")
        for factor in factors:
            second_factor.reseal(factor)
        return {
            "connectors": len(connectors),
            "subscribers": len(subscribers),
            "webhook_secrets": len(webhook_secrets),
            "second_factors": len(factors),
        }
