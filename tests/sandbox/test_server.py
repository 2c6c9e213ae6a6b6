"""The process: start, ready file, persistence over kill -9, the page, speed, and paths that do not exist."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.core.management import CommandError, call_command

from apps.sandbox.client import Control
from apps.sandbox.server import Sandbox

from .conftest import Hub, send

ROOT = Path(__file__).resolve().parents[2]
MANAGE = ["manage.py", "sandbox"]
"""What a person types. All doors get nothing but PATH: the sandbox needs none of the settings of the hub."""
NOTHING = {"PATH": os.environ["PATH"]}
DJANGO = (
    "import sys, django; from django.conf import settings;"
    "settings.configure(INSTALLED_APPS=['apps.sandbox'], USE_TZ=True, LANGUAGE_CODE='pt-br'); django.setup();"
    "from django.core.management import call_command; call_command('sandbox', *sys.argv[1:])"
)
"""The same as a command of Django, under the least of settings."""
DOORS = [MANAGE, ["-m", "apps.sandbox"], ["-c", DJANGO]]


class Process:
    """``manage.py sandbox`` on a free port, with a data folder."""

    def __init__(self, folder: Path, door: Sequence[str] = MANAGE) -> None:
        self.ready = folder / "ready"
        self.ready.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, *door, "--port=0", f"--data={folder}", f"--ready-file={self.ready}"],
            cwd=ROOT,
            env=NOTHING,
            stdout=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 15
        while not self.ready.exists():
            assert self.process.poll() is None, "the sandbox ended before it was ready"
            assert time.monotonic() < deadline, "the sandbox was not ready in 15 s"
            time.sleep(0.02)
        self.url = self.ready.read_text(encoding="utf-8").strip()
        self.control = Control(self.url)

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        code = self.process.wait(timeout=10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def hub() -> Iterator[Hub]:
    receiver = Hub()
    yield receiver
    receiver.stop()


def test_kill_9_loses_nothing_that_was_answered(folder: Path, hub: Hub) -> None:
    first = Process(folder)
    control = first.control
    hub.answer = 503
    application = control.application(notification_url=hub.url, topics=["orders_v2"])
    account = control.account(client_id=application["client_id"])
    [item_id] = control.create_items(account["user_id"], [{"seller_sku": "A", "available_quantity": 500}])
    form = {
        "grant_type": "refresh_token",
        "client_id": application["client_id"],
        "client_secret": application["client_secret"],
    }
    pair = send(first.url, "POST", "/oauth/token", urlencode({**form, "refresh_token": account["refresh_token"]})).json
    control.faults({"path": "^/packs/", "action": "status", "status": 500})
    answered: list[int] = []

    def sell_until_it_dies() -> None:
        try:
            while True:
                answered.append(control.sell(item_id)["order_id"])
        except OSError:
            return

    sellers = [threading.Thread(target=sell_until_it_dies) for _ in range(3)]
    for seller in sellers:
        seller.start()
    while len(answered) < 40:
        time.sleep(0.01)
    first.end(signal.SIGKILL)
    for seller in sellers:
        seller.join()

    hub.answer = 200
    second = Process(folder)
    state = second.control.state()
    sold = {order["id"] for order in second.control.orders(limit=1000)}
    assert set(answered) <= sold
    assert second.control.item(item_id)["available_quantity"] == 500 - len(sold)
    assert state["accounts"][0]["refresh_token"] == pair["refresh_token"]
    assert state["faults"][0]["path"] == "^/packs/"
    token = {"Authorization": f"Bearer {pair['access_token']}"}
    assert send(second.url, "GET", f"/items/{item_id}", headers=token).status == 200
    assert second.control.sell(item_id)["order_id"] not in sold
    second.control.wait_until_notified(60)
    told = {int(one["resource"].split("/")[2]) for one in hub.received}
    assert sold <= told
    entries = second.control.journal()
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert len([entry for entry in entries if entry["path"] == "/sandbox/sell"]) >= len(answered)
    assert second.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_with_connections_open(folder: Path, how: signal.Signals) -> None:
    process = Process(folder)
    idle = HTTPConnection(process.url.removeprefix("http://"), timeout=5)
    idle.request("GET", "/sandbox/state")
    idle.getresponse().read()
    process.control.faults({"path": "^/users/me$", "action": "timeout"})
    held = HTTPConnection(process.url.removeprefix("http://"), timeout=5)
    held.request("GET", "/users/me")
    time.sleep(0.1)
    began = time.monotonic()
    assert process.end(how) == 0
    assert time.monotonic() - began < 3
    idle.close()
    held.close()
    assert json.loads((folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()[-1])["fault"] == "timeout"


@pytest.mark.parametrize("door", DOORS)
def test_every_door_starts_it_with_no_settings_and_sigterm_ends_it(folder: Path, door: list[str]) -> None:
    process = Process(folder, door)
    assert process.control.state()["applications"] == []
    assert process.end(signal.SIGTERM) == 0


def refused(door: list[str], *arguments: str) -> str:
    """Run the sandbox with arguments that it refuses; return the sentence it prints."""
    command = [sys.executable, *door, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=NOTHING, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1, done
    return done.stderr


@pytest.mark.parametrize("door", DOORS[:2])
def test_a_taken_port_is_one_clear_sentence(box, door: list[str]) -> None:
    port = box.url.rpartition(":")[2]
    sentence = refused(door, f"--port={port}")
    assert sentence.startswith(f"The sandbox could not start at 127.0.0.1:{port}: ")
    assert "Choose another --port" in sentence
    assert sentence.count("\n") == 1


def test_a_taken_port_is_a_command_error_to_django(box) -> None:
    with pytest.raises(CommandError, match="Choose another --port"):
        call_command("sandbox", port=int(box.url.rpartition(":")[2]))


@pytest.mark.parametrize("port", ["abc", "65536", "-1", "8000.5", "٨٠٠٠"])
def test_a_bad_port_is_one_clear_sentence(port: str) -> None:
    sentence = refused(MANAGE, f"--port={port}")
    assert f"{port!r} is no TCP port: use a number from 0 to 65535" in sentence
    assert sentence.count("\n") == 1


def test_a_ready_file_that_cannot_be_written_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sentence = refused(MANAGE, "--port=0", f"--ready-file={tmp_path}/file/ready")
    assert "The sandbox could not start" in sentence
    assert sentence.count("\n") == 1


def test_a_data_folder_has_one_sandbox(tmp_path: Path) -> None:
    with Sandbox(data=tmp_path), pytest.raises(sqlite3.OperationalError, match="locked"):
        Sandbox(data=tmp_path)


def test_the_port_can_be_taken_again_at_once(tmp_path: Path) -> None:
    with Sandbox(data=tmp_path) as first:
        port = int(first.url.rpartition(":")[2])
        first.control.application(client_id="123")
    with Sandbox(port=port, data=tmp_path) as second:
        assert second.control.state()["applications"][0]["client_id"] == "123"


def test_unknown_paths_methods_and_bodies(shop, raw) -> None:
    assert shop.get("/sites/MLB/search").status == 404
    assert shop.call("DELETE", "/users/me").status == 405
    assert shop.call("PUT", f"/items/{shop.item()}", b"{").json["error"] == "bad_request"
    assert shop.call("PUT", f"/items/{shop.item()}", b"[" * 100_000).status == 400
    assert raw("POST", "/sandbox/sell", {"item_id": "MLB0"}).status == 409
    assert raw("GET", "/sandbox/nothing").status == 404
    assert raw("PUT", "/sandbox/notifications", {"drop_percent": "half"}).status == 400
    assert raw("PUT", "/sandbox/notifications", {"speed": 1}).status == 400
    assert raw("POST", "/sandbox/accounts", {"client_id": "1"}).status == 400
    head = shop.call("HEAD", "/users/me")
    assert (head.status, head.raw) == (200, b"")


class _Forms(HTMLParser):
    """Collects ids, labelled controls and outside addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.unlabelled: list[str] = []
        self.outside: list[str] = []
        self.in_label = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.in_label += tag == "label"
        visible = tag in ("input", "select") and given.get("type") != "hidden"
        if visible and not self.in_label and not given.get("aria-label"):
            self.unlabelled.append(str(given))
        for name in ("src", "href"):
            if (given.get(name) or "").startswith(("http", "//")):
                self.outside.append(str(given[name]))

    def handle_endtag(self, tag: str) -> None:
        self.in_label -= tag == "label"


def test_the_page_shows_and_does(shop, raw) -> None:
    item_id = shop.item(seller_sku="A-1", title="Caneca <b>azul</b>", available_quantity=8)
    old = shop.item(title="Camiseta", variations=[{"seller_sku": "CAM-P", "available_quantity": 4}])
    shop.control.faults({"path": "^/x", "action": "lie"})
    sale = raw("POST", "/sandbox/sell", urlencode({"item_id": item_id, "quantity": 3}))
    assert (sale.status, sale.headers["Location"][:12]) == (303, "/sandbox?ok=")
    raw(
        "POST",
        f"/sandbox/items/{old}",
        urlencode({"available_quantity": 6, "variation_id": shop.get(f"/items/{old}/variations").json[0]["id"]}),
    )
    assert (shop.shown(item_id), shop.shown(old)) == (5, 6)
    failed = raw("POST", "/sandbox/sell", urlencode({"item_id": item_id, "quantity": 99}))
    page = raw("GET", failed.headers["Location"])
    text = page.raw.decode()
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert 'role="alert"' in text
    assert "Caneca &lt;b&gt;azul&lt;/b&gt;" in text
    assert "CAM-P" in text
    assert re.search(r"MLB\d+: 8 → 5", text)
    found = _Forms()
    found.feed(text)
    assert (found.unlabelled, found.outside) == ([], [])
    assert "Caneca" not in raw("GET", "/sandbox?busca=cam-p").raw.decode().split('id="orders"')[0]
    raw(
        "POST",
        "/sandbox/faults",
        urlencode({"action": "status", "path": "^/users/me$", "status": 500, "times": 1, "method": ""}),
    )
    assert shop.get("/users/me").status == 500
    raw("POST", "/sandbox/faults/clear", "")
    assert shop.control.faults() == []
    raw("POST", "/sandbox/notifications", urlencode({"enabled": "false", "delay_ms": 5}))
    assert (shop.control.notifications()["enabled"], shop.control.notifications()["delay_ms"]) == (False, 5)
    raw("POST", "/sandbox/rate_limit", urlencode({"per_minute": "", "retry_after": ""}))
    assert shop.control.state()["rate_limit"]["per_minute"] is None


def test_the_sandbox_imports_no_other_room() -> None:
    code = (
        "import sys, apps.sandbox.server;"
        "print(*(name for name in sys.modules if name.startswith(('apps.', 'django', 'config'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert [name for name in done.stdout.split() if not name.startswith("apps.sandbox")] == []
