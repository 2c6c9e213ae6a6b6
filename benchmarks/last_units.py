"""The last units: many want them at once, and exactly as many get one as there are.

`.venv/bin/python -m benchmarks.last_units [--rounds 100] [--buyers 500] [--units 100]`

Each round is a SKU of its own with so many units. Every buyer has a connection of its own and they all send
`POST /v1/stock/reserve` for one unit before anybody reads an answer. Whoever is told to try again (429, 503, a key in
flight, a connection that broke) does so with the same key, as a shop would. A round is right when as many were accepted
as there were units, everybody else was refused with `insufficient_stock`, and the hub says the same afterwards.
"""

import argparse
import json
import random
import selectors
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.load import Hangup, Lane, Template, open_lanes
from benchmarks.report import Report
from benchmarks.service import SKU, STORE, running_service

ROUND_SECONDS = 60.0
"""A round that takes longer has lost an answer."""
RETRY = ("rate_limited", "idempotency_key_in_flight", "temporarily_unavailable", "503", "hangup")


class Round(NamedTuple):
    """What became of one round. answers: how often each was given, tries again included; `left`: what the hub says."""

    accepted: int
    refused: int
    answers: Counter[str]
    left: tuple[int, int, int]  # on hand, reserved, available
    seconds: float

    def is_right(self, buyers: int, units: int) -> bool:
        """Say whether exactly the units there were went out."""
        return (self.accepted, self.refused, self.left) == (units, buyers - units, (units, units, 0))


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--buyers", type=int, default=500)
    parser.add_argument("--units", type=int, default=100)
    options = parser.parse_args()
    report = Report(
        "last_units",
        f"The last {options.units} units, {options.buyers} buyers at once",
        f"{options.rounds} rounds through HTTP, each on a SKU of its own: {options.buyers} connections, all requests "
        "sent before the first answer is read.",
    )
    with running_service() as service:
        key = service.call("shop", skus=options.rounds, units=options.units)["key"]
        rounds = play(service.port, key, rounds=options.rounds, buyers=options.buyers)
        is_proven = service.is_proven()
    right = sum(one.is_right(options.buyers, options.units) for one in rounds)
    outcomes = Counter((one.accepted, one.refused, *one.left) for one in rounds)
    heading = ["rounds", "accepted", "refused", "then on hand", "reserved", "available"]
    report.table(heading, [[times, *outcome] for outcome, times in sorted(outcomes.items())])
    answers = sum((one.answers for one in rounds), Counter[str]())
    report.table(["answer", "times"], [[code, times] for code, times in sorted(answers.items())])
    seconds = sorted(one.seconds for one in rounds)
    print(f"a round took {seconds[len(seconds) // 2]:.2f} s (median), {seconds[-1]:.2f} s at most")
    report.goal(f"{right} of {options.rounds} rounds with exactly {options.units} accepted", right == options.rounds)
    report.goal("`prove` is clean afterwards", is_proven)
    return report.write()


def play(port: int, key: str, *, rounds: int, buyers: int) -> list[Round]:
    """Play the rounds, on the SKUs 1 to `rounds`, over the same connections."""
    played = []
    with open_lanes(port, buyers) as (selector, lanes):
        for number in range(1, rounds + 1):
            played.append(_play_one(selector, lanes, key, SKU.format(sku=f"{number:05d}")))
            print(f"round {number}: {played[-1].accepted} accepted, {played[-1].refused} refused", flush=True)
    return played


def _play_one(selector: selectors.BaseSelector, lanes: Sequence[Lane], key: str, sku: str) -> Round:
    body = {"sku": sku, "storeId": STORE, "qty": 1, "clientId": "C1", "ttlSeconds": 600}
    template = Template.of("POST", "/v1/stock/reserve", key, body, skus=1, is_keyed=True)
    began = time.monotonic()
    for lane, request in zip(lanes, template.requests(uuid.uuid4().hex[:15]), strict=False):
        lane.note = request
        lane.send(request, began)
    answers: Counter[str] = Counter()
    again: list[tuple[float, Lane]] = []
    waiting = len(lanes)
    while waiting:
        now = time.monotonic()
        if now > began + ROUND_SECONDS:
            raise TimeoutError(f"{waiting} buyers of {sku} got no answer in {ROUND_SECONDS:.0f} s")
        for due in [entry for entry in again if entry[0] <= now]:
            again.remove(due)
            due[1].send(due[1].note, now)
        for ready, _events in selector.select(0.05):
            lane = ready.data
            code = _answer(selector, lane)
            if code is None:
                continue
            answers[code] += 1
            if code in RETRY:
                again.append((now + random.uniform(0.05, 0.5), lane))
            else:
                waiting -= 1
    return Round(answers["accepted"], answers["insufficient_stock"], answers, _left(lanes[0], key, sku), now - began)


def _answer(selector: selectors.BaseSelector, lane: Lane) -> str | None:
    """Return what a buyer was told: `accepted` or a problem's code; None while the answer is on its way."""
    try:
        answer = lane.receive()
    except Hangup:
        selector.unregister(lane.wire)
        lane.connect()
        selector.register(lane.wire, selectors.EVENT_READ, lane)
        return "hangup"
    if answer is None:
        return None
    status, body = answer
    if status == 200:
        return "accepted"
    try:
        return str(json.loads(body)["code"])
    except (ValueError, KeyError):
        return str(status)


def _left(lane: Lane, key: str, sku: str) -> tuple[int, int, int]:
    """Ask the hub what is left of a SKU: on hand, reserved, available."""
    request = next(Template.of("GET", f"/v1/stores/{STORE}/stock/{sku}", key, skus=1).requests("left"))
    lane.send(request, time.monotonic())
    while (answer := lane.receive()) is None:
        pass
    found = json.loads(answer[1])
    return found["onHand"], found["reserved"], found["available"]


if __name__ == "__main__":
    sys.exit(main())
