"""A hub in one process, for benchmarks that simulate time: servers and a sandbox of its own, no worker and no Beat.

The caller is an ordinary process; what is to be measured is a function that runs in a process that has Django:
`play("benchmarks.quota", "hour", seed=1)` starts everything, calls `benchmarks.quota.hour(sandbox_url, seed=1)` there
and returns its answer, which must fit into JSON.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.launcher import ROOT, commands, install
from scripts.launcher.throwaway import ThrowawayServers

if TYPE_CHECKING:
    from apps.connectors.models import Connector
    from apps.inventory.models import Location
    from apps.sandbox.client import Control
    from apps.tenants.models import Tenant

BATCH = 500


def play(module: str, function: str, **arguments: Any) -> Any:
    """Run a function in a fresh hub and return its answer. What it logs shows only when it fails."""
    from apps.sandbox.server import Sandbox

    with (
        ThrowawayServers(durable=True) as servers,
        tempfile.TemporaryDirectory() as data,
        Sandbox(data=Path(data)) as box,
    ):
        environment = servers.environment() | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "MERCADOLIVRE_API_URL": box.url,
            "MERCADOLIVRE_AUTH_URL": box.url,
        }
        _python(environment, *commands.MIGRATE)
        words = json.dumps({"sandbox_url": box.url} | arguments)
        return json.loads(_python(environment, "-m", "benchmarks.hub", module, function, words).splitlines()[-1])


def _python(environment: dict[str, str], *arguments: str) -> str:
    command = [str(install.PYTHON), *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-4000:])
    return done.stdout


# --- In the process that has Django --------------------------------------------------------------------------------


@dataclass
class Account:
    """A shop with one account at the sandbox; `item_ids`, `products` and `listings` stand in the order of the SKUs."""

    control: "Control"
    tenant: "Tenant"
    connector: "Connector"
    place: "Location"
    item_ids: list[str]
    products: list[int]
    listings: list[int]


def open_account(sandbox_url: str, quantities: list[int]) -> Account:
    """Open an account with a listing for each quantity, connect it, and receive what the listings show.

    The stock comes first and the listings after it, so that nothing is due when workers are about.
    """
    from apps.connectors.connecting import connect
    from apps.connectors.models import Connector, Listing
    from apps.inventory import ledger
    from apps.inventory.models import Location, Movement, Product
    from apps.sandbox.client import Control
    from apps.tenants.models import Tenant

    control = Control(sandbox_url)
    control.notifications(enabled=False)
    application = control.application()
    seller = control.account(client_id=application["client_id"])
    skus = [f"P{number:05d}" for number in range(len(quantities))]
    item_ids: list[str] = []
    for first in range(0, len(skus), 5000):
        several = list(zip(skus, quantities, strict=True))[first : first + 5000]
        items = [{"seller_sku": sku, "title": sku, "available_quantity": units} for sku, units in several]
        item_ids += control.create_items(seller["user_id"], items)
    tenant = Tenant.objects.create(slug="bench", name="Bench")
    connector = connect(
        tenant,
        kind=Connector.Kind.MERCADO_LIVRE,
        client_id=application["client_id"],
        client_secret=application["client_secret"],
        refresh_token=seller["refresh_token"],
    )
    place = Location.objects.create(tenant=tenant, code="CD", name="Centro")
    products = Product.objects.bulk_create([Product(tenant=tenant, sku=sku, name=sku) for sku in skus], batch_size=5000)
    cause = ledger.Cause(actor="benchmark", reason="opening stock")
    moves = [
        ledger.Move(
            kind=Movement.Kind.RECEIPT, product_id=product.pk, location_id=place.pk, quantity=units, cause=cause
        )
        for product, units in zip(products, quantities, strict=True)
        if units
    ]
    for first in range(0, len(moves), BATCH):
        ledger.post(tenant, moves[first : first + BATCH])
    listings = Listing.objects.bulk_create(
        [
            Listing(
                tenant=tenant,
                connector=connector,
                product=product,
                item_id=item_id,
                seller_sku=product.sku,
                title=product.sku,
                channel_status="active",
                capability=Listing.Capability.PLAIN,
                accepted_quantity=units,
            )
            for product, item_id, units in zip(products, item_ids, quantities, strict=True)
        ],
        batch_size=5000,
    )
    return Account(control, tenant, connector, place, item_ids, [p.pk for p in products], [one.pk for one in listings])


def main() -> None:
    """Call a function and print its answer: `python -m benchmarks.hub <module> <function> <arguments as JSON>`."""
    import django

    django.setup()
    module, function, words = sys.argv[1:]
    print(json.dumps(getattr(import_module(module), function)(**json.loads(words))))


if __name__ == "__main__":
    main()
