"""Workers die, Redis forgets, the channel lies: is a number lost, and does the log agree with the channel call by call?

`.venv/bin/python -m benchmarks.faults [--kills 200] [--flushes 20] [--numbers 3000]`: one account of 200 listings whose
stock keeps moving, the sandbox as the channel. One after the other: workers that kill themselves with SIGKILL after
their PUT and before its log row is finished; Redis emptied at random moments; four workers with two schedulers while
the channel lies (200 and nothing changed), resets connections after applying, and takes the access token back; and the
channel failing one call in twenty. Afterwards every number at the channel is compared with the ledger, and the writes
in the sandbox's journal with the rows of the log, listing by listing in their order. Exits 1 at the first difference,
or when one number in a hundred or more ends as an error while one call in twenty fails.
"""

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from benchmarks.hub import Account, open_account, play
from benchmarks.report import Report

LISTINGS = 200
WORKERS, SCHEDULERS = 4, 2


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--flushes", type=int, default=20)
    parser.add_argument("--numbers", type=int, default=3000, help="numbers told while one call in twenty fails")
    options = parser.parse_args()
    report = Report("faults", "The sync under faults", __doc__ or "")
    found = play("benchmarks.faults", "faults", kills=options.kills, flushes=options.flushes, numbers=options.numbers)
    rows = found["phases"]
    heading = list(rows[0])
    report.table(heading, [[row[name] for name in heading] for row in rows])
    report.goal("no number wrong", not any(row["wrong numbers"] for row in rows))
    report.goal("the log agrees with the journal, call by call", not any(row["differences"] for row in rows))
    share = found["errors"] / found["told"] * 100
    report.goal(
        f"errors under 1 %: {share:.2f} % of {found['told']} numbers, {found['failed']} calls failed", share < 1
    )
    report.goal("prove clean", found["is_proven"])
    return report.write()


# --- In the process of the hub -------------------------------------------------------------------------------------


def faults(sandbox_url: str, kills: int, flushes: int, numbers: int) -> dict[str, Any]:
    """Play every phase and return what was seen."""
    from apps.connectors.models import Connector, Listing
    from apps.console.proof import prove_all
    from apps.sync.models import SyncLog

    shop = Shop(open_account(sandbox_url, [100] * LISTINGS))
    Connector.objects.update(calls_per_minute=0, zero_limit_percent=100)
    shop.settle()
    phases = [
        shop.phase(f"{kills} workers killed between PUT and log", lambda: shop.kill_workers(kills)),
        shop.phase(f"Redis emptied {flushes} times", lambda: shop.flush(flushes)),
        shop.phase("the channel lies", lambda: shop.crowd({"action": "lie", "method": "PUT"})),
        shop.phase("reset after applying", lambda: shop.crowd({"action": "reset_after_applying", "method": "PUT"})),
        shop.phase("access token taken back", shop.take_token_back),
    ]
    last = SyncLog.objects.order_by("-id").values_list("id", flat=True).first() or 0
    errors = shop.fail_at_random(numbers)
    phases.append(shop.phase("one call in twenty fails", lambda: None))
    told = SyncLog.objects.filter(id__gt=last)
    return {
        "phases": phases,
        "told": told.filter(status="SUCCESS").count() + errors,
        "failed": told.filter(status="ERROR").count(),
        "errors": errors,
        "is_proven": not prove_all() and not Listing.objects.filter(due_at__isnull=False).exists(),
    }


class Shop:
    """The account, and chance."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.chance = random.Random(2026)
        self.seen_seq = 0
        self.seen_log = 0

    def move(self, count: int = 1) -> None:
        """Let the stock of random products move."""
        from apps.inventory import ledger
        from apps.inventory.models import Movement

        cause = ledger.Cause(actor="benchmark", source="pos")
        for _ in range(count):
            move = ledger.Move(
                kind=self.chance.choice([Movement.Kind.SALE, Movement.Kind.RECEIPT]),
                product_id=self.chance.choice(self.account.products),
                location_id=self.account.place.pk,
                quantity=self.chance.randint(1, 3),
                cause=cause,
            )
            ledger.post_one(self.account.tenant, move)

    def work(self) -> None:
        """Do what the ticks do until nothing is due."""
        from apps.sync import push, queue
        from apps.sync.turns import Turn

        while queue.follow():
            pass
        queue.line_up_recent()
        while isinstance(push.push_next(WORKERS), Turn):
            pass

    def settle(self) -> None:
        """End every lease and pause, as waiting would, and work until every number is told."""
        from django.db import connection

        from apps.common import valkey
        from apps.connectors import budget
        from apps.connectors.breaker import Breaker
        from apps.connectors.models import Listing
        from apps.sync import queue

        pk = self.account.connector.pk
        for _ in range(20):
            Breaker(pk).close()
            valkey.client().delete(f"{budget.KEY}{pk}", f"saldo:sync:{pk}:calls")
            with connection.cursor() as cursor:
                cursor.execute("UPDATE integracao_anuncio SET due_at = now() WHERE due_at > now()")
                cursor.execute("UPDATE integracao_anuncio SET lease_expires_at = now() WHERE lease_expires_at > now()")
            queue.sweep()
            self.work()
            if not Listing.objects.filter(due_at__isnull=False).exists():
                return

    def phase(self, name: str, run: Any) -> dict[str, Any]:
        """Run a phase, let everything settle, and compare."""
        began = time.monotonic()
        run()
        self.account.control.clear_faults()
        self.settle()
        writes, rows, differences = self.compare()
        return {
            "phase": name,
            "writes": writes,
            "log rows": rows,
            "differences": differences,
            "wrong numbers": self.wrong(),
            "seconds": round(time.monotonic() - began),
        }

    def wrong(self) -> int:
        """Return how many listings show something else than the ledger has."""
        from apps.inventory.models import Balance

        available = dict(Balance.objects.values_list("product_id", "available"))
        pairs = zip(self.account.item_ids, self.account.products, strict=True)
        shown = self.account.control.item
        return sum(int(shown(item)["available_quantity"]) != max(0, available[product]) for item, product in pairs)

    def compare(self) -> tuple[int, int, int]:
        """Return the writes in the journal since the last time, the rows of the log, and what they disagree on.

        Each listing's writes must be its rows, in their order, with the same numbers and answers. A call that was
        refused for its token and made again with another one is one try.
        """
        from apps.sync.models import SyncLog

        written: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
        while entries := self.account.control.journal(after=self.seen_seq):
            for entry in entries:
                is_write = entry["method"] == "PUT" and entry["path"].startswith("/items/")
                if is_write and entry["status"] != 401:
                    answered = entry["status"] if not str(entry["fault"]).startswith("reset") else None
                    number = entry["body"]["available_quantity"]
                    written[entry["path"].removeprefix("/items/")].append((number, answered))
            self.seen_seq = entries[-1]["seq"]
        logged: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
        rows = SyncLog.objects.filter(id__gt=self.seen_log).select_related("listing").order_by("id")
        count = 0
        for row in rows:
            count += 1
            self.seen_log = row.pk
            logged[row.listing.item_id].append((int(row.new_value), row.http_status))
        differences = sum(not _agree(written[item], logged[item]) for item in written.keys() | logged.keys())
        return sum(map(len, written.values())), count, differences

    # --- phases ---

    def kill_workers(self, count: int) -> None:
        """Let a worker die after its PUT, before the log row says so, again and again."""
        from django.db import connection

        from apps.sync import push, queue

        queue.line_up_due()
        for _ in range(count):
            self.move()
            while queue.follow():
                pass
            connection.close()
            if (child := os.fork()) == 0:
                vars(push)["_settle"] = lambda *_arguments, **_outcome: os.kill(os.getpid(), signal.SIGKILL)
                push.push_next(WORKERS)
                os._exit(0)
            os.waitpid(child, 0)
            if self.chance.random() < 0.3:
                self.settle()

    def flush(self, count: int) -> None:
        """Empty Redis at a random moment of the road."""
        from apps.common import valkey
        from apps.sync import push, queue

        for _ in range(count):
            self.move(self.chance.randint(1, 8))
            steps: list[Callable[[], object]] = [queue.follow, push.push_next, valkey.client().flushall, queue.sweep]
            self.chance.shuffle(steps)
            for step in steps:
                step()
            self.work()

    def crowd(self, fault: dict[str, Any]) -> None:
        """Let workers and schedulers run side by side while a third of the calls meet a fault."""
        self.account.control.faults({"path": "^/items/", "percent": 30, **fault})
        self._side_by_side(8)

    def take_token_back(self) -> None:
        """Let the access token end while two and more workers use it."""
        stop = threading.Event()

        def take() -> None:
            while not stop.wait(0.5):
                self.account.control.kill_token(int(self.account.connector.user_id), "access")

        thief = threading.Thread(target=take)
        thief.start()
        self._side_by_side(8)
        stop.set()
        thief.join()

    def _side_by_side(self, seconds: float) -> None:
        from django.db import connections

        from apps.sync import push, queue
        from apps.sync.turns import Turn

        ends_at = time.monotonic() + seconds

        def schedule() -> None:
            while time.monotonic() < ends_at:
                queue.follow()
                queue.sweep()
                queue.line_up_recent()
                time.sleep(0.2)
            connections.close_all()

        def work() -> None:
            while time.monotonic() < ends_at:
                if not isinstance(push.push_next(WORKERS), Turn):
                    time.sleep(0.01)
            connections.close_all()

        threads = [threading.Thread(target=schedule) for _ in range(SCHEDULERS)]
        threads += [threading.Thread(target=work) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        while time.monotonic() < ends_at:
            self.move()
            time.sleep(0.02)
        for thread in threads:
            thread.join()

    def fail_at_random(self, numbers: int) -> int:
        """Tell so many numbers while one call in twenty fails; returns how many listings ended as an error."""
        from django.db import connection

        from apps.connectors.models import Listing

        self.account.control.faults({"path": "^/items/", "percent": 5, "action": "status", "status": 500})
        errors = told = 0
        while told < numbers:
            self.move(50)
            told += 50
            for _ in range(4):  # three tries, and the pauses between them
                self.work()
                errors += Listing.objects.filter(sync_state="ERROR").update(sync_state="RETRY")
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE integracao_anuncio SET due_at = now() WHERE due_at > now()")
        return errors


def _agree(written: list[tuple[int, int | None]], logged: list[tuple[int, int | None]]) -> bool:
    """Tell whether the rows are the writes: same numbers in the same order; an answer that never came is in neither."""
    if [number for number, _ in written] != [number for number, _ in logged]:
        return False
    return all(row is None or row == call for (_, call), (_, row) in zip(written, logged, strict=True))


if __name__ == "__main__":
    sys.exit(main())
