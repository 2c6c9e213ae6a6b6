"""The channel is away for two hours while stock keeps moving: what waits, what is told first afterwards, what is wrong.

`.venv/bin/python -m benchmarks.outage [--listings 5000] [--hours 2] [--rate 29]`: so many movements a second for so
many simulated hours are posted while the sandbox answers nothing but 503; then it answers again. Ledger, queue, breaker
and pushes are the real ones; only the clock is simulated. Exits 1 when a listing waited twice, a number is wrong after
the recovery, a zero was told after another number that was already waiting, or an invariant is broken.
"""

import argparse
import random
import sys
from typing import Any

from benchmarks.hub import open_account, play
from benchmarks.report import Report

BATCH = 500


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listings", type=int, default=5000)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=29.0, help="movements a second")
    options = parser.parse_args()
    movements = round(options.hours * 3600 * options.rate)
    report = Report("outage", "The channel is away", __doc__ or "")
    found = play("benchmarks.outage", "outage", listings=options.listings, movements=movements, rate=options.rate)
    report.table(["what", "figure"], [[name, value] for name, value in found.items()])
    report.goal("one waiting entry per listing at most", found["entries in line"] <= found["listings moved"])
    report.goal("every number right afterwards", found["wrong numbers"] == 0)
    report.goal("zeros first", found["zeros told after another number"] == 0)
    report.goal("prove clean", found["prove"] == "clean")
    return report.write()


def outage(sandbox_url: str, listings: int, movements: int, rate: float) -> dict[str, Any]:
    """Play the outage and return what was seen."""
    import time

    from apps.connectors import budget
    from apps.connectors.breaker import Breaker
    from apps.connectors.models import Connector, Listing
    from apps.console.proof import prove_all
    from apps.inventory import ledger
    from apps.inventory.models import Balance, Movement
    from apps.sync import push, queue, turns
    from apps.sync.models import SyncLog
    from apps.sync.turns import Turn

    dice = random.Random(2026)
    account = open_account(sandbox_url, [dice.randint(1, 60) for _ in range(listings)])
    Connector.objects.update(calls_per_minute=0, zero_limit_percent=100)
    clock = Clock(time.time())
    begun_at = clock.now
    budget.clock = clock
    _tell_everything(clock)
    account.control.faults({"path": "^/", "action": "status", "status": 503})
    moved: set[int] = set()
    tries = 0
    cause = ledger.Cause(actor="benchmark", source="pos")
    for first in range(0, movements, BATCH):
        moves = []
        for _ in range(min(BATCH, movements - first)):
            number = dice.randrange(listings)
            moved.add(number)
            kind = dice.choice([Movement.Kind.SALE, Movement.Kind.SALE, Movement.Kind.RECEIPT])
            moves.append(
                ledger.Move(
                    kind=kind,
                    product_id=account.products[number],
                    location_id=account.place.pk,
                    quantity=dice.randint(1, 3),
                    cause=cause,
                )
            )
        ledger.post(account.tenant, moves)
        clock.now = begun_at + first / rate
        while queue.follow():
            pass
        queue.line_up_recent()
        while isinstance(push.push_next(), Turn):
            tries += 1
    waiting = Listing.objects.filter(due_at__isnull=False).count()
    in_line = turns.waiting_counts([account.connector.pk])[account.connector.pk]
    account.control.clear_faults()
    last_log = SyncLog.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    Breaker(account.connector.pk).close()  # half a minute passed
    clock.now += 120
    queue.sweep()
    _tell_everything(clock)
    told = list(
        SyncLog.objects.filter(pk__gt=last_log, status="SUCCESS").order_by("pk").values_list("old_value", "new_value")
    )
    others = [index for index, (_old, new) in enumerate(told) if new]
    first_other = min(others, default=len(told))
    late_zeros = sum(1 for index, (old, new) in enumerate(told) if not new and old and index > first_other)
    pools = dict(Balance.objects.values_list("product_id", "available"))
    wrong = 0
    for number in moved:
        shown = int(account.control.item(account.item_ids[number])["available_quantity"])
        wrong += shown != max(0, pools[account.products[number]])
    return {
        "movements": movements,
        "listings moved": len(moved),
        "tries while away": tries,
        "waiting at the end": waiting,
        "entries in line": in_line,
        "numbers told afterwards": len(told),
        "of them zero": sum(1 for _old, new in told if not new),
        "zeros told after another number": late_zeros,
        "wrong numbers": wrong,
        "prove": "clean" if not prove_all() else "BROKEN",
    }


class Clock:
    """Simulated time, in seconds: what budgets and turns go by."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def _tell_everything(clock: Clock) -> None:
    """Tell every number that is due; where the account's calls are used up for now, time passes."""
    from apps.sync import push, queue
    from apps.sync.turns import Pause

    while queue.follow():
        pass
    queue.line_up_due()
    while not isinstance(turn := push.push_next(), Pause) or turn.seconds is not None:
        if isinstance(turn, Pause):
            clock.now += max(turn.seconds or 0.0, 0.01)  # less is lost beside so large a number


if __name__ == "__main__":
    sys.exit(main())
