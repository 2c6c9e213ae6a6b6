import uuid
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.inventory import ledger
from apps.inventory.models import Location, Product
from apps.inventory.refusals import LedgerError
from apps.tenants.lookup import tenant_named


class Command(SaldoCommand):
    help = "Take goods in: units of a SKU arrive at a location."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)
        parser.add_argument("--sku", required=True)
        parser.add_argument("--location", required=True, help="its code; a location that is new to the tenant is made")
        parser.add_argument("--quantity", required=True, type=int)
        parser.add_argument("--reason", default="", help="why, for the movement's history")
        parser.add_argument("--key", help="repeat with the same key and nothing is counted twice")

    def run(self, **options: Any) -> dict[str, Any]:
        tenant = tenant_named(options["tenant"])
        product = Product.objects.filter(tenant=tenant, sku=options["sku"]).first()
        if product is None:
            raise CommandError(
                f"{tenant.slug} has no product {options['sku']!r}; no stock was moved. "
                "Import listings with --create-products, or add the product in the console."
            )
        location, is_new = Location.objects.get_or_create(
            tenant=tenant, code=options["location"], defaults={"name": options["location"]}
        )
        cause = ledger.Cause(actor="command:receive_stock", reason=options["reason"], source="command")
        key = options["key"] or f"receive_stock:{uuid.uuid4()}"
        try:
            posted = ledger.receive(tenant, product.pk, location.pk, options["quantity"], key=key, cause=cause)
        except LedgerError as refusal:
            if is_new:
                location.delete()
            raise CommandError(f"Nothing was received: {refusal}") from None
        return {
            "sku": product.sku,
            "location": location.code,
            "location_is_new": is_new,
            "on_hand": posted.on_hand,
            "reserved": posted.reserved,
            "available": posted.on_hand - posted.reserved,
            "version": posted.version,
            "movement": posted.movement_ids[0],
        }
