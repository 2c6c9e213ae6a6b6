"""The ledger's meaning in plain Python, to compare the real one with: written from the documents, slow and obvious.

Numbers are never kept where they can be worked out: what is on hand is the newest count plus every change after it,
what is reserved is the sum of the open holds, what is blocked is what is free in batches that are off sale. Only
versions are counted, because callers hold on to them.

Time is a number: a past moment is small, now is large and grows. What is due is said (`is_due`), not waited for.
"""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

NOW = 1_000_000

OUTWARD = ("SALE", "LOSS", "TRANSFER_OUT")
FACTS = ("RECEIPT", "SALE", "RETURN", "LOSS", "COUNT")

Place = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One move that somebody asks for; the words are those of `ledger.Move`. at: None is now."""

    kind: str
    place: Place
    quantity: int
    at: int | None = None
    key: str | None = None
    is_fact: bool | None = None
    cost: Decimal | None = None
    batch: str | None = None
    expected_version: int | None = None
    order: str = ""
    transfer: str | None = None
    other: int | None = None
    reverses: int | None = None
    reversed_cost: Decimal | None = None  # of the receipt that is reversed; the ledger looks it up


@dataclass(frozen=True, kw_only=True)
class Promise:
    """Units to reserve, {place: units} in the order asked. A place without a location is found by the ledger."""

    lines: tuple[tuple[int, int | None, int], ...]  # product, location, units
    key: str | None = None
    is_due_later: bool = False
    is_fact: bool = False


@dataclass(frozen=True, kw_only=True)
class End:
    """How a hold is to end. quantity: None is all of it."""

    hold: str
    is_confirmed: bool
    at: int | None = None
    key: str | None = None
    quantity: int | None = None


@dataclass
class Batch:
    number: str
    born: int
    expires_in_days: int | None = None
    quantity: int = 0
    held: int = 0
    status: str = "ACTIVE"
    is_due: bool = False

    @property
    def free(self) -> int:
        return self.quantity - self.held

    @property
    def is_for_sale(self) -> bool:
        return self.status == "ACTIVE" and not self.is_due

    def by_expiry(self) -> tuple[float, int]:
        if self.is_due:
            return -1, self.born
        return float("inf") if self.expires_in_days is None else self.expires_in_days, self.born


@dataclass
class Hold:
    place: Place
    quantity: int
    parts: dict[str, int]  # batch number: units; empty where there are no batches
    status: str = "PENDING"
    confirmed: int = 0
    is_due: bool = False


@dataclass
class Shelf:
    """What is known of one product at one place."""

    is_fifo: bool
    version: int = 0
    deltas: list[tuple[int, int]] = field(default_factory=list)
    count: tuple[int, str, int] | None = None  # as of, order, counted
    holds: list[Hold] = field(default_factory=list)
    batches: dict[str, Batch] = field(default_factory=dict)
    cost: Decimal | None = None

    @property
    def on_hand(self) -> int:
        as_of, counted = (self.count[0], self.count[2]) if self.count else (-1, 0)
        return counted + sum(units for moment, units in self.deltas if moment > as_of)

    @property
    def reserved(self) -> int:
        return sum(hold.quantity for hold in self.holds if hold.status == "PENDING")

    @property
    def blocked(self) -> int:
        return sum(max(batch.free, 0) for batch in self.batches.values() if batch.status != "ACTIVE")

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved - self.blocked

    def numbers(self) -> dict[str, int]:
        names = ("on_hand", "reserved", "available", "version")
        return {name: getattr(self, name) for name in names}

    # --- batches

    def start_batches(self) -> None:
        """What is there already, promises included, becomes the batch without a number."""
        if not self.batches:
            self.batches[""] = Batch("", 0, quantity=self.on_hand, held=self.reserved)
            for hold in self.holds:
                if hold.status == "PENDING":
                    hold.parts = {"": hold.quantity}

    def batch(self, number: str, expires_in_days: int | None) -> Batch:
        self.start_batches()
        return self.batches.setdefault(number, Batch(number, len(self.batches), expires_in_days))

    def pick(self, units: int, *, is_hold: bool) -> list[tuple[str, int]]:
        """Take units by the product's rule; a batch may appear twice when it is the last resort too."""
        order: Callable[[Batch], Any] = (lambda batch: batch.born) if self.is_fifo else Batch.by_expiry
        of_sale = sorted((batch for batch in self.batches.values() if batch.is_for_sale), key=order)
        others = sorted((batch for batch in self.batches.values() if not batch.is_for_sale), key=order)
        picked = []
        for batch in of_sale if is_hold else of_sale + others:
            taken = min(units, batch.free)
            if taken > 0:
                picked.append((batch.number, taken))
                units -= taken
        if units:
            picked.append(("", units))
        for number, taken in picked:
            self.batches[number].held += taken if is_hold else 0
            self.batches[number].quantity -= 0 if is_hold else taken
        return picked

    def share_out(self, delta: int, number: str | None) -> list[tuple[str, int]]:
        """Change the batches by delta; which ones, and by how much each."""
        if not self.batches:
            return [("", delta)]
        if number is None and delta < 0:
            return [(name, -taken) for name, taken in self.pick(-delta, is_hold=False)]
        self.batches[number or ""].quantity += delta
        return [(number or "", delta)]


class Model:
    """A tenant's stock. Verbs answer the numbers after them (a dict) or the code of the refusal (a string)."""

    def __init__(self, *, fifo_products: Iterable[int] = (), locations: Iterable[int] = ()) -> None:
        self.fifo_products = frozenset(fifo_products)
        self.locations = sorted(locations)
        self.shelves: dict[Place, Shelf] = {}
        self.holds: dict[str, Hold] = {}
        self.transfers: dict[tuple[str, int], dict[str, Any]] = {}
        self.keys: dict[str, tuple[Any, Any]] = {}
        self.reversed: set[int] = set()
        self.clock = NOW
        self.number = 0  # of the request that is being worked on, among those of its call

    def shelf(self, place: Place) -> Shelf:
        return self.shelves.setdefault(place, Shelf(is_fifo=place[0] in self.fifo_products))

    def moment(self, at: int | None) -> int:
        self.clock += 1
        return self.clock if at is None else at

    # --- what time does

    def retire(self, shelf: Shelf) -> None:
        for batch in shelf.batches.values():
            if batch.status == "ACTIVE" and batch.is_due:
                shelf.version += batch.free > 0
                batch.status = "EXPIRED"

    def expire(self, shelf: Shelf) -> None:
        for hold in shelf.holds:
            if hold.status == "PENDING" and hold.is_due:
                self.end_hold(shelf, hold, "EXPIRED", 0)

    def expire_due(self) -> None:
        for shelf in self.shelves.values():
            self.retire(shelf)
            self.expire(shelf)

    def end_hold(self, shelf: Shelf, hold: Hold, status: str, taken: int) -> list[tuple[str, int]]:
        """End it, the parts that expire first leaving first; what left of which batch."""
        left = []
        parts = hold.parts or {"": hold.quantity}
        for number in sorted(parts, key=lambda name: shelf.batches[name].by_expiry() if shelf.batches else 0):
            leaving = min(taken - sum(units for _, units in left), parts[number])
            shelf.version += (leaving > 0) + (parts[number] > leaving)
            if leaving:
                left.append((number, leaving))
            if shelf.batches:
                shelf.batches[number].held -= parts[number]
                shelf.batches[number].quantity -= leaving
        hold.status, hold.confirmed = status, taken
        return left

    # --- changes of what is on hand

    def post(self, asks: Sequence[Ask]) -> list[Any]:
        return self.each_once(asks, self._post)

    def _post(self, ask: Ask) -> Any:
        shelf = self.shelf(ask.place)
        is_fact = ask.kind in FACTS if ask.is_fact is None else ask.is_fact
        delta = -ask.quantity if ask.kind in OUTWARD else ask.quantity
        self.retire(shelf)
        if delta < 0 and not is_fact and (shelf.available + delta < 0 or ask.batch):
            self.expire(shelf)
        if refusal := self._refusal(shelf, ask, delta, is_fact):
            return refusal
        moment = self.moment(ask.at)
        if ask.kind == "COUNT":
            if shelf.count and ((moment, ask.order), -ask.quantity) <= (shelf.count[:2], -shelf.count[2]):
                return shelf.numbers()
            before = shelf.on_hand
            shelf.count = (moment, ask.order, ask.quantity)
            shelf.version += len(shelf.share_out(shelf.on_hand - before, None))
            return shelf.numbers()
        if ask.batch:
            shelf.batch(ask.batch, BATCH_DAYS[ask.batch])
        parts = shelf.share_out(delta, ask.batch)
        self._cost(shelf, ask, parts)
        self._change(shelf, moment, parts)
        if ask.reverses is not None:
            self.reversed.add(ask.reverses)
        return shelf.numbers()

    def _refusal(self, shelf: Shelf, ask: Ask, delta: int, is_fact: bool) -> str | None:
        if ask.expected_version not in (None, shelf.version):
            return "version_mismatch"
        if ask.reverses in self.reversed:
            return "already_reversed"
        if is_fact:
            return None
        if delta < 0:
            free = shelf.available
            if ask.batch:
                if ask.batch not in shelf.batches:
                    return "unknown_batch"
                batch = shelf.batches[ask.batch]
                # units of a batch that may not be sold may leave, but no more than the place has beyond its promises
                free = min(batch.free, free if batch.status == "ACTIVE" else shelf.on_hand - shelf.reserved)
            if free < -delta:
                return "insufficient_stock"
        if ask.kind == "TRANSFER_IN":
            sent = self.transfers.get((ask.transfer or "", ask.place[0]))
            if sent is None or sent["destination"] != ask.place[1]:
                return "unknown_transfer"
            if sent["sent"] - sent["received"] < ask.quantity:
                return "transfer_exceeds_sent"
        return None

    def _change(self, shelf: Shelf, moment: int, parts: list[tuple[str, int]]) -> None:
        """Note a change. One from before the newest count was seen by it: its batches get back what it did to them."""
        shelf.deltas.append((moment, sum(units for _, units in parts)))
        shelf.version += len(parts)
        if shelf.count and moment <= shelf.count[0]:
            shelf.version += len(parts)
            for number, units in parts:
                if shelf.batches:
                    shelf.batches[number].quantity -= units

    def _cost(self, shelf: Shelf, ask: Ask, parts: list[tuple[str, int]]) -> None:
        """Move the average cost: a receipt does, and its reversal takes it back, batch by batch."""
        cost = ask.cost
        if ask.transfer:
            is_out = ask.kind == "TRANSFER_OUT"
            empty = {"sent": 0, "received": 0, "cost": None, "destination": ask.other if is_out else ask.place[1]}
            transfer = self.transfers.setdefault((ask.transfer, ask.place[0]), empty)
            transfer["sent" if is_out else "received"] += ask.quantity
            cost = cost or (shelf.cost if is_out else transfer["cost"])
            transfer["cost"] = transfer["cost"] or cost
        if ask.kind in ("RECEIPT", "TRANSFER_IN") and cost is not None:
            if shelf.on_hand > 0 and shelf.cost is not None:
                worth = shelf.on_hand * shelf.cost + ask.quantity * cost
                cost = (worth / (shelf.on_hand + ask.quantity)).quantize(Decimal("0.0001"), ROUND_HALF_UP)
            shelf.cost = cost
        if ask.reversed_cost is not None:
            on_hand = shelf.on_hand
            for _, units in parts:
                if shelf.cost is not None and on_hand + units > 0:
                    worth = max(on_hand * shelf.cost + units * ask.reversed_cost, Decimal(0))
                    shelf.cost = (worth / (on_hand + units)).quantize(Decimal("0.0001"), ROUND_HALF_UP)
                on_hand += units

    # --- promises

    def reserve(self, promises: Sequence[Promise], ids: Callable[[int, Place], str]) -> list[Any]:
        """Promise, each all or nothing. `ids(n, place)` names the n-th promise's hold there, as the ledger named it."""
        for promise in promises:
            for product, location, _ in promise.lines:
                assert location is not None
                self.retire(self.shelf((product, location)))
        swept: set[Place] = set()
        return self.each_once(promises, lambda promise: self._reserve(promise, swept, ids))

    def _reserve(self, promise: Promise, swept: set[Place], ids: Callable[[int, Place], str]) -> Any:
        wanted: dict[Place, int] = {}
        for product, location, units in promise.lines:
            assert location is not None
            wanted[product, location] = wanted.get((product, location), 0) + units
        for place, units in wanted.items():
            shelf = self.shelf(place)
            if promise.is_fact:
                continue
            if shelf.available < units and place not in swept:
                swept.add(place)
                self.expire(shelf)
            if shelf.available < units:
                return "insufficient_stock"
        held = []
        for place, units in wanted.items():
            shelf = self.shelf(place)
            parts: dict[str, int] = {}
            picked = shelf.pick(units, is_hold=True) if shelf.batches else [("", units)]
            for number, taken in picked:
                parts[number] = parts.get(number, 0) + taken
            hold = Hold(place, units, parts if shelf.batches else {})
            shelf.holds.append(hold)
            shelf.version += len(picked)
            held.append({"place": place, "quantity": units, "available": shelf.available, "version": shelf.version})
            self.holds[ids(self.number, place)] = hold
        return held

    def reserve_anywhere(self, promise: Promise, ids: Callable[[int, Place], str], among: list[int] | None) -> Any:
        """Promise where most is available. A refusal leaves no trace, not even of what was due."""
        before = deepcopy(self)
        products = {product for product, _, _ in promise.lines}
        for (product, _), shelf in self.shelves.items():
            if product in products:
                self.retire(shelf)
                self.expire(shelf)
        if promise.key not in self.keys:
            placed = self._place(promise, products, among)
            if placed is None:
                self.__dict__.update(before.__dict__)
                return "insufficient_stock"
            promise, asked = replace(promise, lines=placed), promise
        else:
            asked = promise
        self.number = 0
        answer = self.once(asked, lambda _: self._reserve(promise, set(), ids))
        if isinstance(answer, str):
            self.__dict__.update(before.__dict__)
        return answer

    def _place(
        self, promise: Promise, products: set[int], among: list[int] | None
    ) -> tuple[tuple[int, int | None, int], ...] | None:
        left = {
            product: {place[1]: shelf.available for place, shelf in self.shelves.items() if place[0] == product}
            for product in products
        }
        anywhere: dict[int, int] = {}
        placed = []
        for product, location, units in promise.lines:
            if location is None:
                anywhere[product] = anywhere.get(product, 0) + units
            else:
                placed.append((product, location, units))
                left[product][location] = left[product].get(location, 0) - units  # it has a balance from now on
        for product, units in sorted(anywhere.items()):
            had = {place[1] for place in self.shelves if place[0] == product and (among is None or place[1] in among)}
            if not had and promise.is_fact:
                left[product].setdefault(min(at for at in self.locations if among is None or at in among), 0)
            places = {at: free for at, free in left[product].items() if among is None or at in among}
            fullest = sorted(places, key=lambda at: (-places[at], at))
            taken = {}
            for at in fullest:
                if (share := min(units, places[at])) > 0:
                    taken[at] = share
                    units -= share
            if units and not promise.is_fact:
                return None
            if units:
                taken[fullest[0]] = taken.get(fullest[0], 0) + units
            placed += [(product, at, share) for at, share in taken.items()]
        return tuple(placed)

    def end(self, ends: Sequence[End]) -> list[Any]:
        return self.each_once(ends, self._end)

    def _end(self, end: End) -> Any:
        hold = self.holds.get(end.hold)
        if hold is None:
            return "unknown_reservation"
        shelf = self.shelf(hold.place)
        if hold.status != "PENDING":
            return "reservation_expired" if hold.status == "EXPIRED" else f"reservation_already_{hold.status.lower()}"
        if hold.is_due:
            self.end_hold(shelf, hold, "EXPIRED", 0)
            return "reservation_expired"
        taken = (hold.quantity if end.quantity is None else end.quantity) if end.is_confirmed else 0
        if taken > hold.quantity:
            return "quantity_exceeds_reservation"
        moment = self.moment(end.at)
        left = self.end_hold(shelf, hold, "CONFIRMED" if end.is_confirmed else "RELEASED", taken)
        if left:
            self._change(shelf, moment, [(number, -units) for number, units in left])
            shelf.version -= len(left)  # a confirmation is the movement that lets them go
        return {"status": hold.status, "confirmed": taken, "returned": hold.quantity - taken, **shelf.numbers()}

    # --- batches

    def set_batch(self, place: Place, number: str, status: str) -> Any:
        shelf = self.shelf(place)
        batch = shelf.batches[number]
        if batch.status == "EXPIRED" or (status == "ACTIVE" and batch.is_due):
            return "batch_expired"
        if batch.status != status:
            shelf.version += batch.free > 0
            batch.status = status
        return max(batch.free, 0)

    # --- once per key

    def each_once(self, asked: Sequence[Any], work: Callable[[Any], Any]) -> list[Any]:
        """Do each; of two with one new key in one call the second is told that the first is being worked on."""
        known, seen, answers = set(self.keys), set(), []
        for number, one in enumerate(asked):
            self.number = number
            if one.key is not None and one.key in seen and one.key not in known:
                answers.append("idempotency_key_in_flight")
            else:
                answers.append(self.once(one, work))
            seen.add(one.key)
        return answers

    def once(self, one: Any, work: Callable[[Any], Any]) -> Any:
        """Do it, or answer as the first time. A refusal leaves the key unused; when it happened is not compared."""
        body = replace(one, at=None) if hasattr(one, "at") else one
        if one.key is not None and one.key in self.keys:
            first, answer = self.keys[one.key]
            return answer if first == body else "idempotency_key_reused"
        answer = work(one)
        if one.key is not None and not isinstance(answer, str):
            self.keys[one.key] = (body, answer)
        return answer


BATCH_DAYS: dict[str, int | None] = {"A": 30, "B": 60, "C": None}
"""When the batches that tests speak of expire."""
