import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from apps.common.commands import SaldoCommand
from apps.connectors.models import Connector, Listing
from apps.console.demo import shop as demo
from apps.orders.models import Order
from apps.sandbox.client import Control
from apps.sync import queue

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Journey:
    """How long one sale took, counted from the moment the buyer bought."""

    order: str
    item: str
    order_seconds: float
    synced_seconds: float
    shown: int


class Command(SaldoCommand):
    help = "Sell at the sandbox and wait until the hub has the order and the marketplace shows the hub's number."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sandbox", required=True, help="address of the running sandbox")
        parser.add_argument("--sales", type=int, default=1, help="how many sales, one after the other")
        parser.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for each sale")
        parser.add_argument("--p95", type=float, help="fail when the 95th percentile takes longer, in seconds")

    def run(self, **options: Any) -> dict[str, Any]:
        market = Control(options["sandbox"])
        connector = Connector.objects.filter(client_id=demo.CLIENT_ID, tenant__slug=demo.SLUG).first()
        if connector is None:
            raise CommandError("The demo tenant is not loaded; run load_demo first.")
        journeys = [self._sell(market, connector, options["timeout"]) for _ in range(options["sales"])]
        times = sorted(journey.synced_seconds for journey in journeys)
        p95 = times[max(0, round(0.95 * len(times)) - 1)]
        if options["p95"] and p95 > options["p95"]:
            raise CommandError(f"The 95th percentile of {len(times)} sales is {p95:.2f} s, over {options['p95']} s.")
        return {
            "sales": len(journeys),
            "order_p50_seconds": round(_middle(journey.order_seconds for journey in journeys), 3),
            "synced_p50_seconds": round(_middle(times), 3),
            "synced_p95_seconds": round(p95, 3),
            "synced_max_seconds": round(times[-1], 3),
        }

    def _sell(self, market: Control, connector: Connector, timeout_seconds: float) -> Journey:
        time.sleep(random.random())  # noqa: S311  not in step with the ticks
        listing = random.choice(list(_sellable(connector)))  # noqa: S311
        variation = {"variation_id": int(listing.variation_id)} if listing.variation_id else {}
        sale = market.sell(listing.item_id, 1, **variation)
        order_id = str(sale["order_id"])
        started = time.monotonic()
        ends_at = started + timeout_seconds

        def seconds_until(is_so: Callable[[], bool], what: str) -> float:
            while not is_so():
                if time.monotonic() > ends_at:
                    raise CommandError(
                        f"{what} did not happen within {timeout_seconds:g} s after order {order_id} was sold. "
                        "The logs of worker and web say why."
                    )
                time.sleep(POLL_SECONDS)
            return time.monotonic() - started

        order_seconds = seconds_until(
            Order.objects.filter(tenant_id=connector.tenant_id, external_id=order_id).exists, "The order's arrival"
        )
        synced_seconds = seconds_until(lambda: _is_told(listing.pk, market), "The synchronisation")
        shown = _shown(market, listing)
        self.stderr.write(
            f"order {order_id}: in the hub after {order_seconds:.2f} s; "
            f"{listing} shows the hub's {shown} after {synced_seconds:.2f} s"
        )
        return Journey(order_id, str(listing), order_seconds, synced_seconds, shown)


def _sellable(connector: Connector) -> QuerySet[Listing]:
    return Listing.objects.filter(connector=connector, product__isnull=False, accepted_quantity__gt=1)


def _is_told(listing_id: int, market: Control) -> bool:
    """Tell whether the hub has pushed since the sale and the marketplace shows exactly the hub's number."""
    listing = Listing.objects.get(pk=listing_id)
    target = queue.target_of(listing_id)
    is_idle = listing.due_at is None and listing.lease_expires_at is None
    return is_idle and listing.accepted_quantity == target == _shown(market, listing)


def _shown(market: Control, listing: Listing) -> int:
    item = market.item(listing.item_id)
    if not listing.variation_id:
        return int(item["available_quantity"])
    return next(int(row["available_quantity"]) for row in item["variations"] if str(row["id"]) == listing.variation_id)


def _middle(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return float(ordered[len(ordered) // 2])
