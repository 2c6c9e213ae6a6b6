"""How fast the front door answers: notifications posted at a fixed rate, whatever the answers take (open loop).

`.venv/bin/python -m benchmarks.intake [--rate 200] [--seconds 20] [--limit 0.1]`: each notification names an order of
its own; every delivery answered 200 must be in the database afterwards; exits 1 when one is missing or the 99th
percentile is over the limit. Latency counts from the moment a post was due, so a slow door cannot hide its queue.
"""

import argparse
import http.client
import json
import queue
import sys
import threading
import time
from urllib.parse import urlsplit

from benchmarks.stack import manage, running_saldo

SENDERS = 16

ADDRESS = """
from apps.connectors.models import Connector
connector = Connector.objects.get()
print(connector.notification_url, connector.client_id, connector.user_id)
"""
STORED = """
from apps.events.models import IntegrationEvent
print(IntegrationEvent.objects.filter(payload__bench=1).count())
"""


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200, help="notifications a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--limit", type=float, default=0.1, help="seconds the 99th percentile may take")
    options = parser.parse_args()
    with running_saldo() as saldo:
        url, application, account = manage(saldo, "shell", "--verbosity", "0", "-c", ADDRESS).split()
        latencies, statuses = _post_at_rate(url, application, account, options.rate, options.seconds)
        stored = int(manage(saldo, "shell", "--verbosity", "0", "-c", STORED))
    latencies.sort()
    accepted = statuses.get(200, 0)
    p99 = latencies[int(0.99 * len(latencies)) - 1]
    print(f"posted {len(latencies)} at {options.rate}/s, answers {statuses}, stored {stored}")
    for share in (0.5, 0.95, 0.99):
        print(f"p{share * 100:g} {latencies[int(share * len(latencies)) - 1] * 1000:.1f} ms")
    print(f"max {latencies[-1] * 1000:.1f} ms")
    return 0 if stored >= accepted == len(latencies) and p99 <= options.limit else 1


def _post_at_rate(
    url: str, application: str, account: str, rate: int, seconds: int
) -> tuple[list[float], dict[int, int]]:
    """Post rate x seconds notifications and return each one's latency in seconds and the count of each status."""
    due: queue.Queue[tuple[float, int] | None] = queue.Queue()
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    lock = threading.Lock()

    def send() -> None:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        while (post := due.get()) is not None:
            due_at, number = post
            notice = {
                "bench": 1,
                "resource": f"/questions/{number}",
                "topic": "questions",  # kept and not used: the door is measured, not the workers
                "user_id": int(account),
                "application_id": int(application),
            }
            connection.request("POST", parts.path, json.dumps(notice), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            with lock:
                latencies.append(time.monotonic() - due_at)
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
        connection.close()

    senders = [threading.Thread(target=send) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    started = time.monotonic()
    for number in range(rate * seconds):
        due_at = started + number / rate
        time.sleep(max(0.0, due_at - time.monotonic()))
        due.put((due_at, number))
    for _ in senders:
        due.put(None)
    for sender in senders:
        sender.join()
    return latencies, statuses


if __name__ == "__main__":
    sys.exit(main())
