from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from apps.common.commands import SaldoCommand
from apps.inventory import history
from apps.inventory.models import Location, Product
from apps.tenants.lookup import tenant_named


class Command(SaldoCommand):
    help = "What a balance was at a moment: as everything known now says, and as the hub said then."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)
        parser.add_argument("--sku", required=True)
        parser.add_argument("--location", required=True, help="its code")
        parser.add_argument("--at", help="a time such as 2026-11-22T18:00:00-03:00; without a zone UTC; default now")

    def run(self, **options: Any) -> dict[str, Any]:
        tenant = tenant_named(options["tenant"])
        product = Product.objects.filter(tenant=tenant, sku=options["sku"]).first()
        location = Location.objects.filter(tenant=tenant, code=options["location"]).first()
        if product is None or location is None:
            missing = f"product {options['sku']!r}" if product is None else f"location {options['location']!r}"
            raise CommandError(f"{tenant.slug} has no {missing}. Check its spelling: it is case-sensitive.")
        moment = _moment(options["at"])
        now = history.balance_at(tenant.pk, product.pk, location.pk, moment)
        then = history.known_at(tenant.pk, product.pk, location.pk, moment)
        return {
            "sku": product.sku,
            "location": location.code,
            "moment": moment.isoformat(),
            **{f"{name}_as_known_now": getattr(now, name) for name in ("on_hand", "reserved", "blocked", "available")},
            **{f"{name}_as_said_then": getattr(then, name) for name in ("on_hand", "reserved", "blocked", "available")},
            "version_then": then.version,
        }


def _moment(text: str | None) -> datetime:
    if text is None:
        return timezone.now()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is not a time such as 2026-11-22T18:00:00-03:00.") from None
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
