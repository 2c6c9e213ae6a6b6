"""A shop whose account may make a quarter of the calls it needs: how much oversells, by risk and by first come.

`.venv/bin/python -m benchmarks.quota [--seeds 5] [--share 0.25] [--limit 0.33]`: one simulated hour, played once for
each order of the queue and seed. Demand is Zipf's over the listings; of what happens half is sold on the channel, which
counts it off itself and tells the hub at once, a third is sold over the counter, the rest are deliveries and returns.
Ledger, queue, budget and pushes are the real ones, the channel is the sandbox over HTTP; only the clock is simulated.
What is needed is measured by the same hour without a limit. The quota is what is left for telling numbers: reads of
orders are not played. First come first served is the same queue, each listing once, in the order in which it came.

Prints units oversold (sold on the channel beyond what was there) and exposure (units shown too many, times the hours
they were), and exits 1 when the order by risk has more than the limit of either.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report import Report
from scripts.launcher import ROOT, commands, install
from scripts.launcher.throwaway import ThrowawayServers

if TYPE_CHECKING:
    from apps.inventory.models import Movement

LISTINGS = 300
SECONDS = 3600
EVENTS_A_SECOND = 1.0
CHANNEL, COUNTER = 0.5, 0.33  # shares of what happens; the rest brings units


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.25, help="of the calls that are needed")
    parser.add_argument("--limit", type=float, default=1 / 3, help="of what first come first served has")
    parser.add_argument("--play", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        return play(**json.loads(options.play))
    report = Report("quota", "Overselling under a short quota", __doc__ or "")
    rows: list[list[Any]] = []
    is_good = True
    for seed in range(1, options.seeds + 1):
        needed = run(seed, "risk", 0.0)["calls"]
        per_minute = needed * options.share / SECONDS * 60
        risk, fifo = run(seed, "risk", per_minute), run(seed, "fifo", per_minute)
        for name, played in (("first come", fifo), ("risk", risk)):
            rows.append([seed, name, needed, played["calls"], played["oversold"], f"{played['exposure']:.1f}"])
        is_good &= all(risk[part] <= fifo[part] * options.limit for part in ("oversold", "exposure"))
        is_good &= risk["is_proven"] and fifo["is_proven"] and fifo["oversold"] > 0
        print(*rows[-2], *rows[-1], sep="  ", flush=True)
    report.table(["seed", "order", "calls needed", "calls made", "units oversold", "exposure (unit hours)"], rows)
    report.write()
    return 0 if is_good else 1


def run(seed: int, order: str, per_minute: float) -> dict[str, Any]:
    """Play one hour with servers and a sandbox of its own; returns its figures."""
    from apps.sandbox.server import Sandbox

    with ThrowawayServers() as servers, tempfile.TemporaryDirectory() as folder, Sandbox(data=Path(folder)) as box:
        environment = servers.environment() | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "MERCADOLIVRE_API_URL": box.url,
            "MERCADOLIVRE_AUTH_URL": box.url,
        }
        _python(environment, *commands.MIGRATE)
        asked = json.dumps({"seed": seed, "order": order, "per_minute": per_minute, "sandbox_url": box.url})
        figures: dict[str, Any] = json.loads(
            _python(environment, "-m", "benchmarks.quota", "--play", asked).splitlines()[-1]
        )
        return figures


def _python(environment: dict[str, str], *arguments: str) -> str:
    """Run Python and return what it printed; what it logs shows only when it fails."""
    command = [str(install.PYTHON), *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-4000:])
    return done.stdout


# --- Inside the hub ------------------------------------------------------------------------------------------------


def play(seed: int, order: str, per_minute: float, sandbox_url: str) -> int:
    """Play the hour in this process, which is the hub, and print the figures as JSON."""
    import django

    django.setup()
    from apps.connectors import budget
    from apps.console.proof import prove_all
    from apps.sync import push, queue
    from apps.sync.turns import Turn

    shop = Shop(seed, sandbox_url, per_minute)
    clock = shop.clock
    budget.clock = clock
    if order == "fifo":
        first_come_first_served(clock)
    for second in range(SECONDS):
        clock.now = clock.start + second
        shop.let_happen()
        while queue.follow():
            pass
        while isinstance(turn := push.push_next(), Turn):
            shop.told(turn.listing_id)
        shop.note_exposure()
    figures = {"calls": shop.calls, "oversold": shop.oversold, "exposure": shop.exposure_unit_seconds / 3600}
    print(json.dumps(figures | {"is_proven": not prove_all()}))
    return 0


def first_come_first_served(clock: "Clock") -> None:
    """Let each listing keep the place at which it came."""
    from dataclasses import replace

    from apps.connectors import budget
    from apps.sync import turns

    line_up, number = turns.line_up, [0]

    def in_order(waiting: Any, ceilings: Any, **how: Any) -> None:
        fresh = []
        for entry in waiting:
            place = budget.client().zscore(f"saldo:sync:{entry.connector_id}:risk", str(entry.listing_id))
            number[0] += 1
            fresh.append(replace(entry, score=float(number[0]) if place is None else float(place)))
        line_up(fresh, ceilings, **how)

    turns.line_up = in_order


class Clock:
    """Simulated time, in seconds."""

    def __init__(self) -> None:
        self.start = self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Shop:
    """One account with its listings, what it really has and what it shows, and chance."""

    def __init__(self, seed: int, sandbox_url: str, per_minute: float) -> None:
        from apps.connectors.connecting import connect
        from apps.connectors.importing import import_listings
        from apps.connectors.models import Connector, Listing
        from apps.inventory.models import Location
        from apps.sandbox.client import Control
        from apps.tenants.models import Tenant

        self.chance = random.Random(seed)
        self.clock = Clock()
        self.control = Control(sandbox_url)
        self.control.notifications(enabled=False)
        application = self.control.application()
        account = self.control.account(client_id=application["client_id"])
        self.weights = [1 / (rank + 1) for rank in range(LISTINGS)]
        self.chance.shuffle(self.weights)
        # from a third of what will be asked for to three times as much, and one unit of what hardly sells
        total = EVENTS_A_SECOND * SECONDS * (CHANNEL + COUNTER) / sum(self.weights)
        stock = [max(1, round(total * weight * self.chance.uniform(0.3, 3))) for weight in self.weights]
        items = [
            {"seller_sku": f"P{number:03d}", "title": f"P{number:03d}", "available_quantity": units}
            for number, units in enumerate(stock)
        ]
        self.item_ids = self.control.create_items(account["user_id"], items)
        self.tenant = Tenant.objects.create(slug=f"quota-{seed}", name="Quota")
        connector = connect(
            self.tenant,
            kind="ML",
            client_id=application["client_id"],
            client_secret=application["client_secret"],
            refresh_token=account["refresh_token"],
        )
        import_listings(connector, create_products=True)
        # the last units of everything are sold: no wave of zeros to be held here
        Connector.objects.update(
            calls_per_minute=max(1, round(per_minute)) if per_minute else 0, zero_limit_percent=100
        )
        self.place = Location.objects.create(tenant=self.tenant, code="CD", name="Centro")
        listings = Listing.objects.filter(connector=connector).order_by("seller_sku")
        self.products = [listing.product_id or 0 for listing in listings]
        self.numbers = {listing.pk: number for number, listing in enumerate(listings)}
        self.left, self.shown = list(stock), list(stock)
        self.calls = self.oversold = 0
        self.exposure_unit_seconds = 0.0
        self._open(stock, [total * weight * 24 for weight in self.weights])

    def _open(self, stock: list[int], sold_a_day: list[float]) -> None:
        """Receive the stock, and yesterday's sales with it, so that the hub knows how fast each product sells."""
        from apps.inventory.models import Movement
        from apps.sync import push, queue
        from apps.sync.turns import Turn

        yesterday = [max(1, round(units)) for units in sold_a_day]
        for number, product_id in enumerate(self.products):
            self._post(Movement.Kind.RECEIPT, product_id, stock[number] + yesterday[number])
            self._post(Movement.Kind.SALE, product_id, yesterday[number])
        while queue.follow():
            pass
        self.clock.now -= 86_400
        queue.line_up_due()
        while isinstance(push.push_next(), Turn):
            self.clock.now += 60
        self.clock.now = self.clock.start

    def _post(self, kind: "Movement.Kind", product_id: int, quantity: int) -> None:
        from apps.inventory import ledger

        cause = ledger.Cause(actor="benchmark", source="pos")
        move = ledger.Move(kind=kind, product_id=product_id, location_id=self.place.pk, quantity=quantity, cause=cause)
        ledger.post_one(self.tenant, move)

    def let_happen(self) -> None:
        """Let a second's events happen."""
        from apps.inventory.models import Movement

        events = 0
        left = self.chance.expovariate(EVENTS_A_SECOND)
        while left < 1:
            events += 1
            left += self.chance.expovariate(EVENTS_A_SECOND)
        for _ in range(events):
            number = self.chance.choices(range(LISTINGS), self.weights)[0]
            kind = self.chance.random()
            if kind < CHANNEL:
                self._sell_there(number)
            elif kind < CHANNEL + COUNTER:
                if self.left[number] > 0:
                    self._post(Movement.Kind.SALE, self.products[number], 1)
                    self.left[number] -= 1
            else:
                units = self.chance.randint(1, 3)
                self._post(Movement.Kind.RECEIPT, self.products[number], units)
                self.left[number] += units

    def _sell_there(self, number: int) -> None:
        """Sell one unit on the channel, if it shows any; the hub hears of it at once."""
        from django.utils import timezone

        from apps.inventory import ledger

        if self.shown[number] < 1:
            return
        sale = self.control.sell(self.item_ids[number], 1, notify=False)
        self.shown[number] -= 1
        if self.left[number] < 1:
            self.oversold += 1
        self.left[number] -= 1
        cause = ledger.Cause(
            actor="benchmark", source="ML", source_key=str(sale["order_id"]), occurred_at=timezone.now()
        )
        line = ledger.Line(product_id=self.products[number], quantity=1)
        ledger.reserve(self.tenant, [line], key=f"order:{sale['order_id']}", cause=cause, is_fact=True)

    def told(self, listing_id: int) -> None:
        """Note that the channel was told the number as it is now."""
        number = self.numbers[listing_id]
        self.calls += 1
        self.shown[number] = max(0, self.left[number])

    def note_exposure(self) -> None:
        """Count a second of every unit that is shown and not there."""
        self.exposure_unit_seconds += sum(
            max(0, shown - max(0, left)) for shown, left in zip(self.shown, self.left, strict=True)
        )


if __name__ == "__main__":
    sys.exit(main())
