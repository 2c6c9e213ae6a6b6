"""A marketplace that listens, a shop on it, and a hub that is notified. Nothing here needs Django or a database."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from apps.sandbox.server import Sandbox


class Reply:
    """An HTTP answer: ``status``, ``headers`` (case-insensitive), ``raw`` bytes and ``json``."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.raw = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


def send(
    url: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, timeout: float = 10
) -> Reply:
    """One real HTTP call; a ``dict`` or ``list`` body goes as JSON, ``str`` as a form, ``bytes`` as they are."""
    headers = dict(headers or {})
    if isinstance(body, str):
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        body = body.encode()
    elif body is not None and not isinstance(body, bytes):
        headers.setdefault("Content-Type", "application/json")
        body = json.dumps(body).encode()
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request(method, path, body, headers)
        return Reply(connection.getresponse())
    finally:
        connection.close()


class Shop:
    """A seller with an application and a token."""

    def __init__(self, box: Sandbox, notification_url: str | None = None, **account: Any) -> None:
        self.box = box
        self.control = box.control
        self.application = box.control.application(notification_url=notification_url)
        self.account = box.control.account(client_id=self.application["client_id"], **account)
        self.user_id = self.account["user_id"]
        self.refresh_token = self.account["refresh_token"]
        self.pair: dict[str, Any] = {}
        self.renew()

    def token_call(self, **form: Any) -> Reply:
        """POST /oauth/token with this application's id and secret, unless ``form`` has others."""
        fields = {
            "client_id": self.application["client_id"],
            "client_secret": self.application["client_secret"],
            **form,
        }
        return send(self.box.url, "POST", "/oauth/token", urlencode(fields))

    def renew(self) -> None:
        """Spend the refresh token and keep the new pair."""
        self.pair = self.token_call(grant_type="refresh_token", refresh_token=self.refresh_token).json
        self.refresh_token = self.pair["refresh_token"]

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """A call with this shop's token."""
        own = {"Authorization": f"Bearer {self.pair['access_token']}", **(headers or {})}
        return send(self.box.url, method, path, body, own)

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def put(self, path: str, body: Any, **headers: str) -> Reply:
        return self.call("PUT", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def item(self, **spec: Any) -> str:
        """Create one listing and return its id."""
        [item_id] = self.control.create_items(self.user_id, [{"available_quantity": 10, **spec}])
        return item_id

    def shown(self, item_id: str) -> int:
        """What the API shows as available."""
        return self.get(f"/items/{item_id}").json["available_quantity"]


class Hub:
    """Receives notifications; ``answer`` (status) and ``wait_seconds`` say how it behaves."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.answer = 200
        self.wait_seconds = 0.0
        self.busy = 0
        self.busiest = 0
        hub = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.received.append(json.loads(body))
                hub.busy += 1
                hub.busiest = max(hub.busiest, hub.busy)
                time.sleep(hub.wait_seconds)
                hub.busy -= 1
                try:
                    self.send_response(hub.answer)
                    self.end_headers()
                except OSError:
                    return

            def log_message(self, *_args: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/notified"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [one for one in list(self.received) if one["topic"] == topic]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def shop(box: Sandbox) -> Shop:
    return Shop(box)


@pytest.fixture
def hub() -> Iterator[Hub]:
    receiver = Hub()
    yield receiver
    receiver.stop()


@pytest.fixture
def make_shop(box: Sandbox) -> Callable[..., Shop]:
    """Another shop on the same marketplace, with an application of its own."""
    return lambda **account: Shop(box, **account)


@pytest.fixture
def raw(box: Sandbox) -> Callable[..., Reply]:
    """A call without a token."""
    return lambda method, path, body=None, headers=None: send(box.url, method, path, body, headers)
