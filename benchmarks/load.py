"""Load on the web server that costs little itself: a client as heavy as the server would halve its figures.

Two kinds. **Closed**: some connections, each sends its next request when its last was answered; says how many a second
the server can do. wrk does that when it is installed (Debian's package `wrk`), else `Lane`s of this module in two
processes. **Offered**: requests fall due at a fixed rate whatever the answers take, and latency counts from the moment
one was due, so that a slow server cannot hide its queue; always by this module.

A request is a `Template`: the bytes that are sent, with `{sku}` and `{key}` filled in anew each time.
"""

import itertools
import json
import random
import re
import selectors
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WRK = shutil.which("wrk")
SCRIPT = Path(__file__).with_name("load.lua")
WHO = "wrk" if WRK else "benchmarks/load.py (wrk is not installed)"
PROCESSES = 2
ANSWER_SECONDS = 30.0
"""An answer that takes longer never comes."""


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of request: each `{sku}` is one of the numbers 00001 to `skus` by chance, `{key}` a key of its own."""

    raw: str
    skus: int

    @classmethod
    def of(cls, method: str, path: str, key: str, body: Any = None, *, skus: int, is_keyed: bool = False) -> "Template":
        """Make one from its parts; `{sku}` may stand in the path and in the body. key: the API key that is sent."""
        text = "" if body is None else json.dumps(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}"]
        if is_keyed:
            lines.append("Idempotency-Key: {key}")
        if body is not None:
            length = len(text) + text.count("{sku}") * (len("00001") - len("{sku}"))
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        return cls("\r\n".join([*lines, "", text]), skus)

    def requests(self, run: str) -> Iterator[bytes]:
        """Return request after request, filled in. run: a word that makes this run's keys its own."""
        texts = re.split(r"\{(sku|key)\}", self.raw)  # text, name, text, name, …, text
        names = texts[1::2]
        for sent in itertools.count(1):
            key = f"{run}-{sent:020d}"
            texts[1::2] = [key if name == "key" else f"{random.randint(1, self.skus):05d}" for name in names]
            yield "".join(texts).encode()


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of a load. Latencies in milliseconds; failed: answers that were no 2xx, and those that never came."""

    answers: int
    seconds: float
    failed: int
    p50: float
    p95: float
    p99: float
    most: float

    @property
    def rate(self) -> float:
        """Return the good answers a second."""
        return (self.answers - self.failed) / self.seconds

    @classmethod
    def of(cls, latencies: Sequence[float], seconds: float, failed: int) -> "Tally":
        """Sum up latencies in seconds."""
        millis = sorted(latency * 1000 for latency in latencies) or [0.0]
        p50, p95, p99 = (percentile(millis, share) for share in (0.5, 0.95, 0.99))
        return cls(len(latencies), seconds, failed, p50, p95, p99, millis[-1])


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed."""
    return ascending[max(0, int(share * len(ascending) + 0.999999) - 1)]


# --- connections --------------------------------------------------------------------------------------------------


class Hangup(Exception):
    """The server closed a connection with a request under way."""


@dataclass(slots=True)
class Lane:
    """One keep-alive connection with at most one request under way."""

    port: int
    wire: socket.socket = field(init=False)
    since: float = 0.0  # when the request under way was due
    note: Any = None  # whatever the caller wants to find again
    _received: bytes = b""

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        """Open the connection, again after a Hangup."""
        self.wire = socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS)
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send(self, request: bytes, since: float) -> None:
        """Send one request."""
        self.since = since
        self.wire.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Read what has come: the status and body of the answer once it is whole. Raises Hangup."""
        try:
            data = self.wire.recv(65536)
        except OSError as error:
            raise Hangup from error
        if not data:
            raise Hangup
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return None
        _, _, length = head.partition(b"content-length: ")
        if len(body) < int(length.split(b"\r\n", 1)[0]):
            return None
        self._received = b""
        return int(head[9:12]), body


@contextmanager
def open_lanes(port: int, count: int) -> Iterator[tuple[selectors.BaseSelector, list[Lane]]]:
    """Open so many connections, with a selector that says which of them has something to read."""
    with selectors.DefaultSelector() as selector:
        lanes = [Lane(port) for _ in range(count)]
        for lane in lanes:
            selector.register(lane.wire, selectors.EVENT_READ, lane)
        try:
            yield selector, list(lanes)
        finally:
            for lane in lanes:
                lane.wire.close()


# --- closed loop --------------------------------------------------------------------------------------------------


def closed(port: int, template: Template, *, connections: int, seconds: float) -> Tally:
    """Keep `connections` busy for so long."""
    run = uuid.uuid4().hex[:12]
    if WRK:
        return _closed_by_wrk(WRK, port, template, connections, seconds, run)
    share = max(1, connections // PROCESSES)
    with ProcessPoolExecutor(PROCESSES) as pool:
        jobs = [pool.submit(_closed_here, port, template, share, seconds, f"{run}-{n:02d}") for n in range(PROCESSES)]
        results = [job.result() for job in jobs]
    return Tally.of([one for latencies, _ in results for one in latencies], seconds, sum(f for _, f in results))


def _closed_by_wrk(wrk: str, port: int, template: Template, connections: int, seconds: float, run: str) -> Tally:
    with tempfile.NamedTemporaryFile() as file:
        file.write(template.raw.encode())
        file.flush()
        options = ["--threads", "2", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s"]
        command = [wrk, *options, "--timeout", f"{ANSWER_SECONDS:.0f}s", "--script", str(SCRIPT)]
        arguments = [f"http://127.0.0.1:{port}/", "--", file.name, str(template.skus), run]
        done = subprocess.run([*command, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return Tally(**json.loads(done.stdout.splitlines()[-1]))


def _closed_here(port: int, template: Template, connections: int, seconds: float, run: str) -> tuple[list[float], int]:
    """Return the latencies, in seconds, and how many failed."""
    requests = template.requests(run)
    latencies: list[float] = []
    failed = 0
    ends_at = time.monotonic() + seconds
    with open_lanes(port, connections) as (selector, lanes):
        for lane in lanes:
            lane.send(next(requests), time.monotonic())
        while (now := time.monotonic()) < ends_at:
            for key, _events in selector.select(ends_at - now):
                lane = key.data
                if (answer := lane.receive()) is None:
                    continue
                now = time.monotonic()
                latencies.append(now - lane.since)
                failed += not 200 <= answer[0] < 300
                lane.send(next(requests), now)
    return latencies, failed


# --- offered rate -------------------------------------------------------------------------------------------------


def offered(port: int, template: Template, *, rate: float, seconds: float, connections: int = 32) -> Tally:
    """Offer `rate` requests a second for so long, over at most `connections` at once; the rest waits its turn."""
    requests = template.requests(uuid.uuid4().hex[:15])
    latencies: list[float] = []
    failed = 0
    due: deque[float] = deque()
    offers, made = int(rate * seconds), 0
    began = time.monotonic()
    with open_lanes(port, connections) as (selector, free):
        while len(latencies) < offers and (now := time.monotonic()) < began + seconds + ANSWER_SECONDS:
            while made < offers and began + made / rate <= now:
                due.append(began + made / rate)
                made += 1
            while due and free:
                free.pop().send(next(requests), due.popleft())
            pause = began + made / rate - now if made < offers else 1.0
            for key, _events in selector.select(max(0.0, pause)):
                lane = key.data
                if (answer := lane.receive()) is None:
                    continue
                latencies.append(time.monotonic() - lane.since)
                failed += not 200 <= answer[0] < 300
                free.append(lane)
    return Tally.of(latencies, max(seconds, time.monotonic() - began), failed + offers - len(latencies))
