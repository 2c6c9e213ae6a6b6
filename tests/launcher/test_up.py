"""`scripts/up` as a person meets it: started, used, stopped, killed."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import requests

from scripts.launcher import ROOT, install, machine
from scripts.launcher.servers import Postgres, socket_folder_for
from tests.launcher.conftest import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not machine.IS_LINUX, reason="finds processes by /proc"),
    pytest.mark.skipif(not install._is_installed("runtime"), reason="run scripts/test, which installs the packages"),
]
START_SECONDS = 90.0
STOP_SECONDS_MAX = 90.0
"""Only so that a stop that hangs ends the test: what stops in order takes 3 s, and more where others work, too."""


class Up:
    """One `scripts/up` on data of its own; what it prints goes to the file `output`."""

    def __init__(self, data: Path, output: Path, **variables: str) -> None:
        self.data = data
        self._output = output
        without = ("DATABASE_URL", "REDIS_URL", "SALDO_PUBLIC_URL", "MERCADOLIVRE_API_URL", "MERCADOLIVRE_AUTH_URL")
        environment = {name: value for name, value in os.environ.items() if name not in without}
        environment |= {"SALDO_DATA": str(data), "PORT": "0", "SALDO_WORKERS": "1", "SALDO_DEMO": "1"}
        environment |= {"SALDO_DEMO_LIVE": "0", **variables}
        command = [str(ROOT / "scripts" / "up")]
        with output.open("w") as file:
            self.process = subprocess.Popen(
                command, env=environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True
            )

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self._output.read_text()

    def wait_for(self, pattern: str, seconds: float = START_SECONDS) -> str:
        """Wait until something was printed that matches; return the first group."""
        wait_until(lambda: re.search(pattern, self.printed) or self.process.poll() is not None, seconds, self.printed)
        found = re.search(pattern, self.printed)
        assert found, f"ended with exit code {self.process.returncode}:\n{self.printed}"
        return found[1]

    def address(self) -> str:
        """Wait until Saldo runs; return its address, with the last slash."""
        return self.wait_for(r"running on (http://\S+/)")

    def end(self, sign: signal.Signals, seconds: float) -> int:
        """Send a signal to the launcher alone and return its exit code."""
        self.process.send_signal(sign)
        return self.process.wait(seconds)

    def processes(self) -> dict[int, str]:
        """Return what runs on our data, whoever started it: by command line or environment."""
        mark, sockets = os.fsencode(self.data), [socket_folder_for(self.data / name) for name in ("pg", "valkey")]
        marks = [mark, *(os.fsencode(folder) for folder in sockets)]
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes()
                about = command + (folder / "environ").read_bytes()
                if command and any(mark in about for mark in marks):
                    found[int(folder.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found


StartUp = Callable[..., Up]


@pytest.fixture(scope="module")
def start_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartUp]:
    """Start an Up, on the folder given; none is left after the module's tests."""
    outputs = tmp_path_factory.mktemp("printed")
    started: list[Up] = []

    def start(data: Path, **variables: str) -> Up:
        started.append(Up(data, outputs / str(len(started)), **variables))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                up.process.wait(30)
            up.process.kill()
            up.process.wait()


@pytest.fixture(scope="module")
def running(start_up: StartUp, tmp_path_factory: pytest.TempPathFactory) -> Up:
    """One Saldo that several tests use."""
    up = start_up(tmp_path_factory.mktemp("up") / "data")
    up.address()
    return up


def status(url: str) -> int:
    """Return the HTTP status of a page."""
    return requests.get(url, timeout=10).status_code


def test_the_address_it_prints_answers(running: Up) -> None:
    assert status(f"{running.address()}readyz") == 200


def test_manage_runs_in_its_environment(running: Up) -> None:
    environment = os.environ | {"SALDO_DATA": str(running.data)}
    command = [str(ROOT / "scripts" / "manage"), "showmigrations", "--plan"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "[X]" in result.stdout
    assert "[ ]" not in result.stdout


def test_a_second_one_on_the_same_data_is_refused_and_told_the_address_of_the_first(
    start_up: StartUp, running: Up
) -> None:
    second = start_up(running.data)
    assert second.process.wait(20) == 1
    wait_until(lambda: "already runs" in second.printed, 5, "the sentence")
    assert running.address() in second.printed
    assert "Traceback" not in second.printed
    assert status(f"{running.address()}readyz") == 200


def test_the_key_it_prints_opens_the_api(running: Up) -> None:
    key = running.wait_for(r"export SALDO_KEY=(saldo_\S+)")
    stock = f"{running.address()}v1/stores/S1/stock/SKU-001"
    found = requests.get(stock, headers={"Authorization": f"Bearer {key}"}, timeout=10).json()
    assert (found["onHand"], found["available"], found["version"]) == (10, 10, 1)
    assert status(stock) == 401


def test_its_secrets_and_environment_are_closed_to_others(running: Up) -> None:
    for name in ("secrets", "env", "demo-key"):
        assert (running.data / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["postgres", "valkey", "web", "beat", "worker", "sandbox"])
def test_what_is_killed_comes_back(running: Up, name: str) -> None:
    marks = {
        "postgres": "/bin/postgres -D",
        "valkey": "valkey-server",
        "web": "config.wsgi",
        "worker": " worker ",
        "beat": " beat ",
        "sandbox": " sandbox ",
    }
    mine = {pid: command for pid, command in running.processes().items() if marks[name] in command}
    os.kill(min(mine), signal.SIGKILL)
    running.wait_for(rf"({name} died \(exit code -9\); restarting it)", 10)

    def answers() -> bool:
        with contextlib.suppress(requests.RequestException):
            return status(f"{running.address()}readyz") == 200
        return False

    wait_until(answers, 30, "the page answers again")


def test_kill_9_leaves_nothing_and_ctrl_c_ends_all_in_order_and_neither_loses_data(
    start_up: StartUp, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    killed = start_up(data)
    assert on_hand(killed, restock=5) == 15
    assert len(killed.processes()) > 6
    killed.end(signal.SIGKILL, 5)
    wait_until(lambda: not killed.processes(), 60, f"left: {killed.processes()}")
    kept = [(data / name).read_text() for name in ("secrets", "demo-key")]

    again = start_up(data)
    assert on_hand(again, restock=5) == 20, "found again after kill -9"
    logs = data / "logs"
    printed_before = {log: len(log.read_bytes()) for log in logs.glob("*.log")}
    assert again.end(signal.SIGINT, STOP_SECONDS_MAX) == 0
    assert again.processes() == {}
    assert "was killed" not in again.printed
    said = {log.stem: log.read_bytes()[size:].decode() for log, size in printed_before.items()}
    assert "database system is shut down" in said["postgres"]
    assert "bye bye" in said["valkey"]
    assert "Warm shutdown" in said["worker"]
    assert [(data / name).read_text() for name in ("secrets", "demo-key")] == kept
    assert not (data / "env").exists()
    assert not socket_folder_for(data / "pg").exists()

    database = Postgres(data / "pg", durable=True, log=tmp_path / "afterwards.log")
    database.start()
    try:
        with psycopg.connect(database.url) as connection:
            found = connection.execute(STOCK).fetchall()
    finally:
        database.stop()
    assert found == [(20,)]
    assert "database system was shut down at" in (tmp_path / "afterwards.log").read_text(), "no recovery was needed"


STOCK = """SELECT quantity_on_hand FROM inventory_balances b JOIN inventory_products p ON p.id = b.product_id
            WHERE p.sku = 'SKU-001'"""


def on_hand(up: Up, *, restock: int) -> int:
    """Receive so many units of the demo's SKU-001 over the API and return what is there then."""
    key = up.wait_for(r"export SALDO_KEY=(saldo_\S+)")
    order = {"sku": "SKU-001", "storeId": "S1", "qty": restock}
    headers = {"Authorization": f"Bearer {key}"}
    requests.post(f"{up.address()}v1/stock/restock", json=order, headers=headers, timeout=10).raise_for_status()
    answer = requests.get(f"{up.address()}v1/stores/S1/stock/SKU-001", headers=headers, timeout=10)
    return int(answer.json()["onHand"])


@pytest.mark.parametrize("moment", ["Database migrations", "Demo tenant"])
def test_ctrl_c_while_it_starts_leaves_nothing(start_up: StartUp, tmp_path: Path, moment: str) -> None:
    up = start_up(tmp_path / "data")
    up.wait_for(f"({moment})")
    assert up.end(signal.SIGINT, STOP_SECONDS_MAX) == 130
    assert up.processes() == {}
    assert "Traceback" not in up.printed


def test_a_taken_port_is_one_sentence(start_up: StartUp, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        up = start_up(tmp_path / "data", PORT=str(listener.getsockname()[1]))
        assert up.process.wait(20) == 1
    wait_until(lambda: "is taken by another program" in up.printed, 5, up.printed)
    assert "Traceback" not in up.printed
    assert up.processes() == {}


def test_a_folder_that_cannot_be_written_is_one_sentence(start_up: StartUp) -> None:
    up = start_up(Path("/proc/saldo"))
    assert up.process.wait(20) == 1
    wait_until(lambda: "Cannot write to /proc/saldo" in up.printed, 5, up.printed)
    assert "Traceback" not in up.printed


def test_manage_without_a_running_saldo_is_one_sentence(tmp_path: Path) -> None:
    environment = os.environ | {"SALDO_DATA": str(tmp_path)}
    command = [str(ROOT / "scripts" / "manage"), "check"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == f"\nNo Saldo is running on {tmp_path}: start one with scripts/up in another terminal.\n"


def test_a_path_with_spaces_is_no_trouble(tmp_path: Path) -> None:
    project = tmp_path / "meu projeto"
    shutil.copytree(ROOT / "scripts", project / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    result = subprocess.run([project / "scripts" / "up", "--help"], capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "Ctrl-C stops it" in result.stdout
