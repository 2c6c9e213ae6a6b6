"""What several clients did at once, and whether one of them after the other could have seen the same answers.

A history is a list of calls, each with the moments it began and ended and what was answered. It is linearizable when
each call can be given a single moment between its two, so that the answers are right one after the other. Calls of
different SKUs do not meet, so each SKU is judged alone (linearizability is local).

The answers carry the balance's version, which is the order the ledger claims to have worked in. So nothing needs to be
searched: the check is that this order respects real time (a call that ended before another began has the lower
version), that it has no gap and nothing twice, that every answer is what a plain counter says at its version, and that
every refusal, which has no version, fits between two versions that its moments allow. The earliest fitting place is
taken for each refusal, in the order they ended: a later one could only narrow what is left for those after it.
"""

import bisect
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from apps.inventory import ledger, refusals
from apps.inventory.models import Balance, Movement, Product

from .conftest import Shop
from .crowd import Crowd

Kind = Movement.Kind


@dataclass
class Call:
    """One thing a client did to one SKU. verb: RECEIPT, SALE, ADJUSTMENT, COUNT, RESERVE, CONFIRM, RELEASE."""

    verb: str
    quantity: int
    began: int
    ended: int
    key: str
    hold: str = ""
    version: int | None = None  # None: refused
    refusal: str = ""
    seen: dict[str, int] = field(default_factory=dict)  # the numbers in the answer

    def __str__(self) -> str:
        said = self.refusal or f"v{self.version}"
        return f"[{self.began}, {self.ended}] {self.verb} {self.quantity} {self.hold}: {said} {self.seen}"


@dataclass
class Counter:
    """The plain truth of one SKU."""

    on_hand: int = 0
    reserved: int = 0
    open: dict[str, int] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    def apply(self, call: Call) -> str:
        """Do what was accepted; return what is wrong about it."""
        units = call.quantity
        if call.verb in ("RECEIPT", "SALE", "ADJUSTMENT"):
            if call.verb == "ADJUSTMENT" and self.available + units < 0:
                return "was accepted with too few available"
            self.on_hand += -units if call.verb == "SALE" else units
        elif call.verb == "COUNT":
            self.on_hand = units
        elif call.verb == "RESERVE":
            if self.available < units:
                return "was accepted with too few available"
            self.reserved += units
            self.open[call.hold] = units
        else:
            if call.hold not in self.open:
                return "ended a hold that was not open"
            held = self.open.pop(call.hold)
            self.ended[call.hold] = call.verb
            self.reserved -= held
            self.on_hand -= held if call.verb == "CONFIRM" else 0
        wrong = {name: (seen, getattr(self, name)) for name, seen in call.seen.items() if seen != getattr(self, name)}
        return f"was answered with wrong numbers (seen, true): {wrong}" if wrong else ""

    def would_refuse(self, call: Call) -> bool:
        """Tell whether the refusal is right here."""
        if call.refusal == "insufficient_stock":
            return max(self.available, 0) == call.seen["available"] < abs(call.quantity)
        endings = {"reservation_already_confirmed": "CONFIRM", "reservation_already_released": "RELEASE"}
        return self.ended.get(call.hold) == endings.get(call.refusal, "never")


def problems(calls: list[Call], final_version: int) -> list[str]:
    """Return what no order explains; an empty list means the history of this SKU is linearizable."""
    found: list[str] = []
    done = sorted(once_per_key(calls, found), key=lambda call: call.version or 0)
    versions = [call.version for call in done]
    if versions != list(range(1, final_version + 1)):
        found.append(f"versions have gaps or doubles: {versions}, at last {final_version}")
        return found

    # real time: whoever began later than somebody ended has the higher version
    earliest_end = None
    for call in reversed(done):
        if earliest_end is not None and earliest_end.ended < call.began:
            found.append(f"worked before, though it began after the other had ended: {call} / {earliest_end}")
        if earliest_end is None or call.ended < earliest_end.ended:
            earliest_end = call

    counter = Counter()
    legal: dict[int, list[int]] = {id(call): [] for call in calls if call.refusal}
    refused = sorted((call for call in calls if call.refusal), key=lambda call: call.ended)
    for version in range(final_version + 1):
        if version and (wrong := counter.apply(done[version - 1])):
            found.append(f"{done[version - 1]} {wrong}")
        for call in refused:
            if counter.would_refuse(call):
                legal[id(call)].append(version)
    found += misplaced_refusals(refused, done, legal)
    return found


def once_per_key(calls: list[Call], found: list[str]) -> Iterator[Call]:
    """One call for each key that was accepted: it worked once, before the first of its answers."""
    by_key: dict[str, list[Call]] = {}
    for call in calls:
        if not call.refusal:
            by_key.setdefault(call.key, []).append(call)
    for same in by_key.values():
        first = same[0]
        if any((call.version, call.hold, call.seen) != (first.version, first.hold, first.seen) for call in same):
            found.append(f"one key, two answers: {', '.join(map(str, same))}")
        first.began, first.ended = min(call.began for call in same), min(call.ended for call in same)
        yield first


def misplaced_refusals(refused: list[Call], done: list[Call], legal: dict[int, list[int]]) -> list[str]:
    """Give each refusal the earliest version it fits after; return those that fit nowhere."""
    found = []
    placed: list[tuple[int, int]] = []  # ended, version
    for call in refused:
        lowest = max((other.version or 0 for other in done if other.ended < call.began), default=0)
        lowest = max([lowest, *(version for ended, version in placed if ended < call.began)])
        highest = min((other.version or 0 for other in done if other.began > call.ended), default=len(done) + 1) - 1
        fitting = legal[id(call)]
        at = bisect.bisect_left(fitting, lowest)
        if at == len(fitting) or fitting[at] > highest:
            found.append(f"refused, and no moment explains it: {call}, between v{lowest} and v{highest}: {fitting}")
        else:
            placed.append((call.ended, fitting[at]))
    return found


# --- clients that do things at random --------------------------------------------------------------------------------


@dataclass
class Bustle:
    """Clients on some SKUs of a shop, all at once."""

    shop: Shop
    crowd: Crowd
    name: str
    calls_each: int
    skus: int
    calls: dict[int, list[Call]] = field(default_factory=dict)  # by product
    holds: list[tuple[str, int]] = field(default_factory=list)

    def run(self) -> list[str]:
        """Let them loose and judge each SKU; returns what is wrong."""
        for number in range(self.skus):
            product = Product.objects.create(tenant=self.shop.tenant, sku=f"{self.name}-{number}", name="busy")
            self.calls[product.pk] = []
        self.crowd.all_at_once(self._client)
        final = dict(Balance.objects.filter(product__in=self.calls).values_list("product_id", "version"))
        return [
            f"{self.name}, product {product_id}: {problem}"
            for product_id, calls in self.calls.items()
            for problem in problems(calls, final.get(product_id, 0))
        ]

    def _client(self, number: int) -> None:
        chance = random.Random(f"{self.name}/{number}")
        for turn in range(self.calls_each):
            self._act(chance, f"{self.name}/{number}/{turn}")

    def _act(self, chance: random.Random, key: str) -> None:
        if chance.random() < 0.1:  # a key that two clients use: only one of them does it, both get its answer
            key = f"{self.name}/shared/{chance.randrange(4)}"
            product_id = sorted(self.calls)[hash_of(key) % self.skus]
            return self._post(key, product_id, Kind.RECEIPT, 2)
        product_id = chance.choice(list(self.calls))
        what = chance.random()
        if what < 0.35 or (what < 0.6 and not self.holds):
            wanted = {product_id: chance.randrange(1, 4)}
            if chance.random() < 0.3:
                wanted[chance.choice(list(self.calls))] = chance.randrange(1, 4)
            return self._reserve(key, wanted)
        if what < 0.6:
            return self._end(key, *chance.choice(self.holds[-12:]), is_confirmed=chance.random() < 0.5)
        kinds = [Kind.RECEIPT, Kind.RECEIPT, Kind.SALE, Kind.ADJUSTMENT, Kind.COUNT]
        kind = chance.choice(kinds)
        units = chance.randrange(1, 6)
        return self._post(key, product_id, kind, -units if kind == Kind.ADJUSTMENT else units)

    def _note(self, product_id: int, call: Call) -> None:
        self.calls[product_id].append(call)  # appending is one step, so clients need no lock here

    def _post(self, key: str, product_id: int, kind: Movement.Kind, quantity: int) -> None:
        move = self.shop.a_move(kind, quantity, product_id=product_id, key=key)
        began, said, ended = timed(lambda: ledger.post(self.shop.tenant, [move])[0])
        self._note(product_id, call_of(kind.value, quantity, began, ended, key, said))

    def _reserve(self, key: str, wanted: dict[int, int]) -> None:
        lines = [ledger.Line(product_id, units, self.shop.store.pk) for product_id, units in wanted.items()]
        began, said, ended = timed(
            lambda: ledger.reserve(self.shop.tenant, lines, key=key, cause=self.shop.cause(), ttl_seconds=3600)
        )
        if isinstance(said, refusals.LedgerError):
            product_id = said.facts["product_id"]
            return self._note(product_id, call_of("RESERVE", wanted[product_id], began, ended, key, said))
        for row in said:
            call = call_of("RESERVE", row.quantity, began, ended, key, row, hold=row.reservation_id)
            self._note(row.product_id, call)
            self.holds.append((row.reservation_id, row.product_id))
        return None

    def _end(self, key: str, hold: str, product_id: int, *, is_confirmed: bool) -> None:
        verb = ledger.confirm if is_confirmed else ledger.release
        began, said, ended = timed(lambda: verb(self.shop.tenant, hold, key=key, cause=self.shop.cause()))
        self._note(product_id, call_of("CONFIRM" if is_confirmed else "RELEASE", 0, began, ended, key, said, hold=hold))


def hash_of(text: str) -> int:
    return sum(text.encode())


def timed(work: Callable[[], Any]) -> tuple[int, Any, int]:
    """When it began and ended (ns), and what it answered, a refusal included."""
    began = time.monotonic_ns()
    try:
        said = work()
    except refusals.LedgerError as refusal:
        said = refusal
    return began, said, time.monotonic_ns()


def call_of(verb: str, quantity: int, began: int, ended: int, key: str, said: Any, hold: str = "") -> Call:
    call = Call(verb, quantity, began, ended, key, hold)
    if isinstance(said, refusals.LedgerError):
        call.refusal = said.code
        call.seen = {name: units for name, units in said.facts.items() if name == "available"}
    else:
        call.version = said.version
        names = ("on_hand", "reserved", "available")
        call.seen = {name: getattr(said, name) for name in names if hasattr(said, name)}
    return call
