from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.connectors.channel import ChannelError
from apps.connectors.importing import ImportReport, import_listings
from apps.connectors.models import Connector


class Command(SaldoCommand):
    help = "Read the listings of a connected account and match them to products by the seller's SKU. Safe to repeat."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--connector", required=True, type=int, help="its id, as create_connector printed it")
        parser.add_argument("--create-products", action="store_true", help="make the product of an unknown SKU")

    def run(self, **options: Any) -> dict[str, Any]:
        connector = Connector.objects.filter(pk=options["connector"]).first()
        if connector is None:
            raise CommandError(
                f"There is no connector {options['connector']}. create_connector and the admin show ids."
            )

        def show(report: ImportReport) -> None:
            self.stderr.write(f"{report.read} listings read, {report.mapped} mapped")

        try:
            report = import_listings(connector, create_products=options["create_products"], on_progress=show)
        except ChannelError as failure:
            raise CommandError(f"The import stopped: {failure}. What was read is kept; run it again.") from None
        return asdict(report)
