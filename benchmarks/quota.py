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
import random
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks.hub import open_account, play
from benchmarks.report import Report

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
    options = parser.parse_args()
    report = Report("quota", "Overselling under a short quota", __doc__ or "")
    rows: list[list[Any]] = []
    is_good = True
    for seed in range(1, options.seeds + 1):
        needed = _hour(seed, "risk", 0.0)["calls"]
        per_minute = needed * options.share / SECONDS * 60
        risk, fifo = _hour(seed, "risk", per_minute), _hour(seed, "fifo", per_minute)
        for name, played in (("first come", fifo), ("risk", risk)):
            rows.append([seed, name, needed, played["calls"], played["oversold"], f"{played['exposure']:.1f}"])
        is_good &= all(risk[part] <= fifo[part] * options.limit for part in ("oversold", "exposure"))
        is_good &= risk["is_proven"] and fifo["is_proven"] and fifo["oversold"] > 0
        print(*rows[-2], *rows[-1], sep="  ", flush=True)
    report.table(["seed", "order", "calls needed", "calls made", "units oversold", "exposure (unit hours)"], rows)
    report.write()
    return 0 if is_good else 1


def _hour(seed: int, order: str, per_minute: float) -> Any:
    return play("benchmarks.quota", "hour", seed=seed, order=order, per_minute=per_minute)


# --- Inside the hub ------------------------------------------------------------------------------------------------


def hour(sandbox_url: str, seed: int, order: str, per_minute: float) -> dict[str, Any]:
    """Play the hour and return its figures. order: risk or fifo; per_minute: calls, 0 for no limit."""
    from apps.connectors import budget
    from apps.console.proof import prove_all
    from apps.sync import in_flight, push, queue
    from apps.sync.turns import Turn

    shop = Shop(seed, sandbox_url, per_minute)
    in_flight.register(shop)
    # "sold within the last minute" means a minute of the played hour
    vars(in_flight)["timezone"] = SimpleNamespace(now=shop.clock.now_as_moment)
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
    return {
        "calls": shop.calls,
        "oversold": shop.oversold,
        "exposure": shop.exposure_unit_seconds / 3600,
        "is_proven": not prove_all(),
    }


def first_come_first_served(clock: "Clock") -> None:
    """Let each listing keep the place at which it came."""
    from dataclasses import replace

    from apps.common import valkey
    from apps.sync import turns

    line_up, number = turns.line_up, [0]

    def in_order(waiting: Any, ceilings: Any, **how: Any) -> None:
        fresh = []
        for entry in waiting:
            place = valkey.client().zscore(f"saldo:sync:{entry.connector_id}:risk", str(entry.listing_id))
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

    def now_as_moment(self) -> datetime:
        """Return the simulated time as a moment."""
        return datetime.fromtimestamp(self.now, UTC)


class Shop:
    """One account with its listings, what it really has and what it shows, and chance."""

    def __init__(self, seed: int, sandbox_url: str, per_minute: float) -> None:
        from apps.connectors.models import Connector

        self.chance = random.Random(seed)
        self.clock = Clock()
        self.weights = [1 / (rank + 1) for rank in range(LISTINGS)]
        self.chance.shuffle(self.weights)
        # from a third of what will be asked for to three times as much, and one unit of what hardly sells
        total = EVENTS_A_SECOND * SECONDS * (CHANNEL + COUNTER) / sum(self.weights)
        stock = [max(1, round(total * weight * self.chance.uniform(0.3, 3))) for weight in self.weights]
        self.account = open_account(sandbox_url, stock)
        # last units are sold all the time: no wave to be held
        Connector.objects.update(
            calls_per_minute=max(1, round(per_minute)) if per_minute else 0, zero_limit_percent=100
        )
        self.products = self.account.products
        self.numbers = {listing_id: number for number, listing_id in enumerate(self.account.listings)}
        self.left, self.shown = list(stock), list(stock)
        self.sold_at: dict[int, list[datetime]] = {listing_id: [] for listing_id in self.account.listings}
        self.calls = self.oversold = 0
        self.exposure_unit_seconds = 0.0
        self._open([total * weight * 24 for weight in self.weights])

    def _open(self, sold_a_day: list[float]) -> None:
        """Receive and sell what yesterday sold, so that the hub knows how fast each product sells."""
        from apps.inventory.models import Movement
        from apps.sync import push, queue
        from apps.sync.turns import Turn

        yesterday = [max(1, round(units)) for units in sold_a_day]
        for number, product_id in enumerate(self.products):
            self._post(Movement.Kind.RECEIPT, product_id, yesterday[number])
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
        move = ledger.Move(
            kind=kind, product_id=product_id, location_id=self.account.place.pk, quantity=quantity, cause=cause
        )
        ledger.post_one(self.account.tenant, move)

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
        sale = self.account.control.sell(self.account.item_ids[number], 1, notify=False)
        self.shown[number] -= 1
        if self.left[number] < 1:
            self.oversold += 1
        self.left[number] -= 1
        self.sold_at[self.account.listings[number]].append(self.clock.now_as_moment())
        cause = ledger.Cause(
            actor="benchmark", source="ML", source_key=str(sale["order_id"]), occurred_at=timezone.now()
        )
        line = ledger.Line(product_id=self.products[number], quantity=1)
        ledger.reserve(self.account.tenant, [line], key=f"order:{sale['order_id']}", cause=cause, is_fact=True)

    # What the sync asks of orders (`in_flight.Orders`): here each is taken in at the moment it is made.

    def take_in(self, connector_id: int, *, at_most: int, seconds: float) -> bool:
        """Nothing lies unread."""
        return True

    def units_sold(self, listing_ids: Collection[int], since: datetime) -> dict[int, int]:
        """Return the units of each that were sold there since then."""
        return {one: sum(at >= since for at in self.sold_at[one]) for one in listing_ids}

    def search_soon(self, connector_id: int) -> None:
        """Every sale is known."""

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
