"""Telling the applications that something changed (contract §2), and ``/missed_feeds``.

A notification is stored in the same write as the change it tells of, so a killed sandbox still sends it when it is
back. Sender threads take what is due; one application never holds more than half of them, so a slow hub does not
keep the others waiting.
"""

from __future__ import annotations

import heapq
import http.client
import json
import random
import ssl
import threading
import time
import uuid
from collections import deque
from urllib.parse import urlsplit

from .call import Doc
from .clock import now_seconds, zulu
from .state import State

MAX_TRIES = 8
ANSWER_LIMIT_SECONDS = 0.5
"""An answer later than this counts as none (contract §2.1)."""
MISSED_KEPT_SECONDS = 2 * 24 * 3600
SENDERS = 16
SENDERS_PER_APPLICATION = SENDERS // 2
TRY_FRACTIONS = (0.0, 0.01, 0.04, 0.1, 0.2, 0.4, 0.7, 1.0)
"""When each of the eight tries is made, as a share of ``retry_seconds``: the hour of the contract, compressed."""
WITHOUT_ID_EVERY = 3
"""Each third notification comes without ``_id``, as many printed examples do (contract §2.2)."""
SINGULAR_TOPIC_EVERY = 4
"""Each fourth stock notification is spelt ``stock-location``, the rest ``stock-locations`` (contract §2.3)."""
LOG_LENGTH = 500

DEFAULT_POLICY: Doc = {
    "enabled": True,
    "duplicate": 1,
    "delay_ms": 0,
    "drop_percent": 0,
    "drop_to_missed_feeds": False,
    "shuffle": False,
    "shuffle_ms": 1000,
    "retry_seconds": 60,
    "order_visible_after_ms": 0,
    "disable_topic_after": 0,
}
"""``disable_topic_after``: so many notifications of a topic given up in a row switch it off for the application, as the
marketplace does (contract §2.1); 0 is never. A person switches it on again: ``topics`` of the application."""

SPELLINGS = {"stock-location": "stock-locations"}


class Notifier:
    """Stores, sends and gives up notifications.

    ``start`` begins sending; ``announce`` is called inside ``state.change()``.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.log: deque[Doc] = deque(maxlen=LOG_LENGTH)
        self.delivered = 0
        self.dropped = 0
        self._wake = threading.Condition()
        self._due: dict[str, list[tuple[float, int, str]]] = {}
        self._sending: dict[str, int] = {}
        self._order = 0
        self._started = False
        self._stopping = False
        self._idle = 0
        self._threads: list[threading.Thread] = []

    def policy(self) -> Doc:
        """How notifications behave at the moment (``DEFAULT_POLICY`` and what the control changed)."""
        return {**DEFAULT_POLICY, **(self.state.get("setting", "notifications") or {})}

    def start(self) -> None:
        """Begin to send; first of all what an earlier run still owed."""
        self._started = True
        with self.state.change():
            now = now_seconds()
            for key, doc in list(self.state.tables["notification"].items()):
                # Time that passed while the sandbox was down is no reason to hurry through the tries that are left.
                late_seconds = max(0.0, now - doc["due"])
                doc["first"] += late_seconds
                doc["due"] += late_seconds
                self.state.save("notification", key, doc)
                self._schedule(doc["client_id"], doc["due"], key)

    def stop(self) -> None:
        """End the senders; what is not delivered stays stored."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in list(self._threads):
            thread.join(timeout=2)

    def announce(self, user_id: int, topic: str, resource: str) -> None:
        """Owe a notification to every application that this seller granted and that subscribed to the topic."""
        policy = self.policy()
        if not policy["enabled"]:
            return
        for client_id, application in self.state.tables["application"].items():
            grant = self.state.get("grant", f"{client_id}:{user_id}")
            granted = grant is not None and not grant["revoked"]
            if granted and application["notification_url"] and topic in application["topics"]:
                self._owe(client_id, user_id, topic, resource, policy)

    def _owe(self, client_id: str, user_id: int, topic: str, resource: str, policy: Doc) -> None:
        number = self.state.next_number("notification", 1)
        created_seconds = now_seconds()
        spelt = "stock-location" if topic == "stock-locations" and number % SINGULAR_TOPIC_EVERY == 0 else topic
        body: Doc = {
            "_id": str(uuid.uuid4()),
            "resource": resource,
            "user_id": user_id,
            "topic": spelt,
            "application_id": int(client_id),
            "attempts": 1,
            "sent": zulu(created_seconds + 0.022),
            "received": zulu(created_seconds),
        }
        for copy in range(policy["duplicate"]):
            if copy % 2 == 0 and copy:  # every other copy is a notification of its own, the rest are plain repeats
                body = {**body, "_id": str(uuid.uuid4()), "sent": zulu(created_seconds + 0.022 + copy / 1000)}
            due = created_seconds + policy["delay_ms"] / 1000
            if policy["shuffle"]:
                due += random.uniform(0, policy["shuffle_ms"] / 1000)  # noqa: S311 no secret
            doc: Doc = {
                "client_id": client_id,
                "body": body,
                "with_id": number % WITHOUT_ID_EVERY != 0,
                "tries": 0,
                "first": due,
                "due": due,
            }
            if random.uniform(0, 100) < policy["drop_percent"]:  # noqa: S311 no secret
                self._drop(doc, policy)
                continue
            key = f"{number}.{copy}"
            self.state.save("notification", key, doc)
            self.state.after(lambda key=key, due=due: self._schedule(client_id, due, key))  # type: ignore[misc]

    def _drop(self, doc: Doc, policy: Doc) -> None:
        self.dropped += 1
        if policy["drop_to_missed_feeds"]:
            self._miss(doc, "", MAX_TRIES, 0, "", 0)

    def look_at_the_clock(self) -> None:
        """Wake the senders: the clock was set, and something may be due."""
        with self._wake:
            self._wake.notify_all()

    def _schedule(self, client_id: str, due: float, key: str) -> None:
        with self._wake:
            self._order += 1
            heapq.heappush(self._due.setdefault(client_id, []), (due, self._order, key))
            if self._started and not self._threads:
                self._add_sender()
            self._wake.notify()

    def _add_sender(self) -> None:
        """Senders start when needed, each as the last idle one takes work: most sandboxes of a test run have none."""
        thread = threading.Thread(target=self._run, name=f"sandbox-sender-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _take(self) -> tuple[str, str] | None:
        """Wait for something due whose application has a sender left; ``None`` when stopping."""
        with self._wake:
            while not self._stopping:
                now = now_seconds()
                next_due = now + 60
                # The application that was served last goes to the end of the row.
                for client_id in list(self._due):
                    heap = self._due[client_id]
                    if not heap or self._sending.get(client_id, 0) >= SENDERS_PER_APPLICATION:
                        continue
                    if heap[0][0] <= now:
                        self._due[client_id] = self._due.pop(client_id)
                        self._sending[client_id] = self._sending.get(client_id, 0) + 1
                        if self._idle == 0 and len(self._threads) < SENDERS:
                            self._add_sender()
                        return client_id, heapq.heappop(heap)[2]
                    next_due = min(next_due, heap[0][0])
                self._idle += 1
                self._wake.wait(timeout=max(0.001, next_due - now))
                self._idle -= 1
            return None

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            client_id, key = taken
            try:
                self._deliver(key)
            finally:
                with self._wake:
                    self._sending[client_id] -= 1
                    self._wake.notify()

    def _deliver(self, key: str) -> None:
        with self.state.lock:
            doc = self.state.get("notification", key)
            application = doc and self.state.get("application", doc["client_id"])
        if doc is None or application is None:
            return
        body = {**doc["body"], "attempts": doc["tries"] + 1}
        if not doc["with_id"]:
            del body["_id"]
        url = application["notification_url"] or ""
        status, answer, taken_ms = post_json(url, body)
        accepted = status == 200 and taken_ms <= ANSWER_LIMIT_SECONDS * 1000
        self.log.append(
            {
                "time": zulu(now_seconds()),
                "client_id": doc["client_id"],
                "topic": body["topic"],
                "resource": body["resource"],
                "user_id": body["user_id"],
                "attempts": body["attempts"],
                "status": status,
                "milliseconds": taken_ms,
                "accepted": accepted,
            }
        )
        self._settle(key, doc, url, accepted, status, answer, taken_ms)

    def _settle(self, key: str, doc: Doc, url: str, accepted: bool, status: int, answer: str, taken_ms: int) -> None:
        with self.state.change():
            if self._stopping:
                return  # the file may be closed already; an accepted one will be sent once more, as the real one may
            if accepted:
                self.delivered += 1
                self.state.drop("notification", key)
                self._count_given_up(doc, is_given_up=False)
                return
            doc["tries"] += 1
            if doc["tries"] >= MAX_TRIES:
                self.state.drop("notification", key)
                self._miss(doc, url, doc["tries"], status, answer, taken_ms)
                self._count_given_up(doc, is_given_up=True)
                return
            window_seconds = self.policy()["retry_seconds"]
            doc["due"] = max(now_seconds(), doc["first"] + TRY_FRACTIONS[doc["tries"]] * window_seconds)
            self.state.save("notification", key, doc)
            self.state.after(lambda: self._schedule(doc["client_id"], doc["due"], key))

    def _count_given_up(self, doc: Doc, *, is_given_up: bool) -> None:
        """Switch the topic off when too many were given up in a row: from then on nothing of it is told or kept."""
        application = self.state.tables["application"][doc["client_id"]]
        topic = SPELLINGS.get(doc["body"]["topic"], doc["body"]["topic"])
        row: dict[str, int] = application.setdefault("given_up", {})
        if not is_given_up and topic not in row:
            return
        row[topic] = row.get(topic, 0) + 1 if is_given_up else 0
        limit = self.policy()["disable_topic_after"]
        if limit and row[topic] >= limit and topic in application["topics"]:
            application["topics"] = [other for other in application["topics"] if other != topic]
        self.state.save("application", doc["client_id"], application)

    def _miss(self, doc: Doc, url: str, tries: int, status: int, answer: str, taken_ms: int) -> None:
        """Keep a lost notification for ``/missed_feeds`` (contract §2.6)."""
        number = self.state.next_number("missed", 1)
        row: Doc = {
            **doc["body"],
            "attempts": tries,
            "request": {
                "url": url,
                "headers": {"accept": "application/json", "content-type": "application/json"},
                "data": json.dumps(doc["body"], separators=(",", ":")),
            },
            "response": {"req_time": taken_ms, "http_code": status, "body": answer, "headers": {}},
        }
        self.state.save("missed", number, {"client_id": doc["client_id"], "at": now_seconds(), "row": row})

    def missed_rows(self, client_id: str, topic: str | None) -> list[Doc]:
        """What this application lost in the last two days, oldest first."""
        limit = now_seconds() - MISSED_KEPT_SECONDS
        with self.state.change():
            table = self.state.tables["missed"]
            for key in [key for key, doc in table.items() if doc["at"] < limit]:
                self.state.drop("missed", key)
            rows = [doc["row"] for doc in table.values() if doc["client_id"] == client_id]
        return [row for row in rows if topic is None or row["topic"] == topic]


def post_json(url: str, body: Doc) -> tuple[int, str, int]:
    """POST once, following nothing.

    Returns: HTTP status (0 when there was no answer in time), the first 2,000 characters of the answer or of the
    failure, and the milliseconds it took.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        return 0, "the application has no notification_url", 0
    began = time.monotonic()
    connection: http.client.HTTPConnection | None = None
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=ANSWER_LIMIT_SECONDS, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_LIMIT_SECONDS)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        connection.request("POST", target, json.dumps(body, separators=(",", ":")).encode(), headers)
        response = connection.getresponse()
        taken_ms = round((time.monotonic() - began) * 1000)
        return response.status, response.read1(2000).decode("utf-8", "replace"), taken_ms
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 0, f"{type(error).__name__}: {error}"[:2000], round((time.monotonic() - began) * 1000)
    finally:
        if connection is not None:
            connection.close()
