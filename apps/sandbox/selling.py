"""The marketplace's own life: buyers who buy by themselves, at a slow pace, so that a demo has something to watch.

Off until a control switches it on (``PUT /sandbox/selling``); kept with the state, so it goes on after a restart. What
happens is asked for through the controls, as a person would, and so stands in the journal.
"""

from __future__ import annotations

import random
import threading

from .call import Doc
from .client import Control, ControlError
from .state import State

PACE_DEFAULT_SECONDS = [10, 30]
PACE_LIMITS_SECONDS = (1, 3600)
RECENT_ORDERS = 40
HAPPENINGS = (("sell", 78), ("ship", 10), ("cancel", 5), ("edit", 3), ("price", 4))
"""What happens next, and how many times of a hundred."""


def policy(state: State) -> Doc:
    """``{on, pace_seconds: [least, most]}``; off by default."""
    return {"on": False, "pace_seconds": PACE_DEFAULT_SECONDS, **(state.get("setting", "selling") or {})}


class Selling:
    """One thread, while it is switched on. ``look`` is called whenever the policy may have changed."""

    def __init__(self, state: State, control: Control) -> None:
        self.state = state
        self.control = control
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._dice = random.Random()  # noqa: S311 no secret

    def look(self) -> None:
        """Begin when it is on; the thread itself ends when it is off."""
        self._wake.set()
        with self._lock:
            if policy(self.state)["on"] and self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="sandbox-selling", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread, for good."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            now = policy(self.state)
            with self._lock:
                if not now["on"]:
                    self._thread = None
                    return
            if not self._wake.wait(self._dice.uniform(*now["pace_seconds"])):
                self.happen()

    def happen(self) -> None:
        """Let one thing happen; nothing when there is nothing it could happen to."""
        [name] = self._dice.choices([name for name, _ in HAPPENINGS], [weight for _, weight in HAPPENINGS])
        try:
            getattr(self, f"_{name}")()
        except (ControlError, OSError):
            return  # sold out meanwhile, or stopping: the next one

    def _sell(self) -> None:
        found = self._item()
        if found is None:
            return
        item, variation = found
        more = {"variation_id": variation["id"]} if variation else {}
        invoice = self._dice.random() < 0.3
        shipment = {"substatus": "invoice_pending" if invoice else "ready_to_print"}
        self.control.sell(item["id"], self._dice.choice((1, 1, 1, 2)), shipment=shipment, **more)

    def _item(self) -> tuple[Doc, Doc | None] | None:
        """Some listing that can be bought, of a seller whose application still may hear of it."""
        with self.state.lock:
            items = self.state.tables["item"]
            heard = {grant["user_id"] for grant in self.state.tables["grant"].values() if not grant["revoked"]}
            for key in self._dice.sample(list(items), min(len(items), 20)):
                item = items[key]
                place = self._dice.choice(item["variations"]) if item["variations"] else item
                is_there = item["status"] == "active" and place["available_quantity"] > 2
                if is_there and item["user_id"] in heard and item["logistic_type"] != "fulfillment":
                    return dict(item), dict(place) if item["variations"] else None
        return None

    def _recent(self, *, status: str) -> Doc | None:
        """Some late order whose parcel is in a state."""
        with self.state.lock:
            orders, parcels = self.state.tables["order"], self.state.tables["shipment"]
            late = [orders[key] for key in list(orders)[-RECENT_ORDERS:]]
            fit = [
                order
                for order in late
                if order["status"] == "paid" and parcels.get(str(order["shipment_id"]), {}).get("status") == status
            ]
            return dict(self._dice.choice(fit)) if fit else None

    def _ship(self) -> None:
        order = self._recent(status="ready_to_ship")
        if order is not None:
            self.control.edit_order(order["id"], shipment_status="shipped")

    def _cancel(self) -> None:
        order = self._recent(status="ready_to_ship")
        if order is not None:
            self.control.cancel(order["id"])

    def _edit(self) -> None:
        """The seller types a lower number by hand."""
        found = self._item()
        if found is not None and found[1] is None:
            item = found[0]
            self.control.edit_item(item["id"], available_quantity=item["available_quantity"] - 1)

    def _price(self) -> None:
        found = self._item()
        if found is not None:
            item = found[0]
            self.control.edit_item(item["id"], price=round(item["price"] * self._dice.uniform(0.94, 1.06), 1))
