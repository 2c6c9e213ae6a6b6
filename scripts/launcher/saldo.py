"""One running Saldo: its servers and processes, started in order and stopped in reverse."""

import contextlib
import http.client
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from scripts.launcher import commands, install
from scripts.launcher.console import LauncherError, note, step, tail
from scripts.launcher.environment import (
    EVERYWHERE,
    DataFolder,
    Settings,
    child_environment,
    saldo_variables,
    usable_port,
)
from scripts.launcher.processes import Child, Supervisor, stop_in_order
from scripts.launcher.servers import Postgres, Server, Valkey

MIGRATE_SECONDS = 600.0
DEMO_SECONDS = 300.0
READY_SECONDS = 90.0
WORKER_STOP_SECONDS = 30.0  # longer than any task takes; 2 s when there is none
POLL_SECONDS = 0.1


class Saldo:
    """Everything that belongs to one `scripts/up`.

    Attributes:
        variables: what its processes get in their environment besides the person's own.
        address: the page to open, with its last slash.
        sandbox_url: where the sandbox answers; empty without SALDO_DEMO.
        greeting: what load_demo printed, the login above all, and the demo tenant's API key.
        supervisor: restarts what dies.
    """

    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self.settings = settings
        self.folder = folder
        self.variables: dict[str, str] = {}
        self.address = self.sandbox_url = self.greeting = ""
        self.supervisor = Supervisor(note)
        self.history: Child | None = None  # while it loads the demo's
        self._groups: list[list[Child]] = []  # in the order they start; one group stops together

    def start(self) -> None:
        """Start everything, one printed line a step; returns when the web server is ready.

        Raises:
            LauncherError: a step failed; the text says which and why. What runs by then is stopped by `stop`.
        """
        port = usable_port(self.settings.host, self.settings.port)
        self.variables = saldo_variables(self.settings, self.folder, port)
        self.address = f"{self.variables['SALDO_PUBLIC_URL']}/"
        self._start_servers()
        if self.settings.is_demo:
            self._start_sandbox()
        with step("Database migrations"):
            self._python("migrate", commands.MIGRATE).run(seconds=MIGRATE_SECONDS)
        if self.settings.is_demo:
            with step("Mercado Livre sandbox"):
                self._await(self._sandbox_is_ready, "sandbox")
        self.folder.write_environment(self.variables)
        # One group, since they stop together: what one still asks of another waits in the servers, which stop last.
        self._start_group(
            self._python("worker", commands.worker(self.settings.workers), stop_seconds=WORKER_STOP_SECONDS),
            self._python("beat", commands.BEAT),
            self._python("web", commands.WEB),
        )
        if self.settings.is_demo:  # while the others warm up
            with step("Demo tenant"):
                self._load_demo()
        with step("Web server, worker, beat"):
            self._await(self._web_is_ready, "web")
        self.folder.describe(f"process {os.getpid()}, {self.address}")
        if self.settings.is_demo and self.settings.is_live:
            self._load_history()

    def stop(self, *, is_in_a_hurry: Callable[[], bool]) -> None:
        """Stop everything that runs: web server, worker and beat first, then the sandbox, the servers last."""
        for name in stop_in_order(self._groups, is_in_a_hurry=is_in_a_hurry):
            note(f"{name} did not end in order and was killed. Log: {self._log(name)}")

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a process of this Saldo."""
        return child_environment(self.variables)

    def _start_servers(self) -> None:
        servers: list[tuple[str, Server]] = []
        if not self.variables.get("DATABASE_URL"):
            servers.append(("DATABASE_URL", Postgres(self.folder.path / "pg", durable=True, log=self._log("postgres"))))
        if not self.variables.get("REDIS_URL"):
            servers.append(("REDIS_URL", Valkey(self.folder.path / "valkey", log=self._log("valkey"))))
        self._groups.append([server for _, server in servers])
        for variable, server in servers:
            with step(server.label):
                server.start()
            self.supervisor.add(server)
            self.variables[variable] = server.url

    def _start_sandbox(self) -> None:
        # A port chosen here and not by the sandbox: it must answer at the same address after a restart.
        port = usable_port("127.0.0.1", 0)
        data = self.folder.path / "sandbox"
        self._sandbox_ready_file.unlink(missing_ok=True)
        options = ["--port", str(port), "--data", str(data), "--ready-file", str(self._sandbox_ready_file)]
        self.sandbox_url = f"http://127.0.0.1:{port}"
        for name in ("MERCADOLIVRE_API_URL", "MERCADOLIVRE_AUTH_URL"):
            self.variables[name] = os.environ.get(name) or self.sandbox_url
        self._start_group(self._python("sandbox", ["manage.py", "sandbox", *options]))

    @property
    def _sandbox_ready_file(self) -> Path:
        return self.folder.path / "sandbox.ready"

    def _sandbox_is_ready(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return self._sandbox_ready_file.read_text().strip() == self.sandbox_url
        return False

    def _web_is_ready(self) -> bool:
        host = EVERYWHERE.get(self.settings.host, self.settings.host)
        connection = http.client.HTTPConnection(host, int(self.variables["PORT"]), timeout=5.0)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz", headers={"Host": urlsplit(self.address).netloc})
            return connection.getresponse().status == 200
        return False

    def _load_demo(self) -> None:
        printed = self.folder.path / "demo-login"
        printed.unlink(missing_ok=True)
        key_file = self.folder.path / "demo-key"
        command = ["manage.py", "load_demo", "--sandbox", self.sandbox_url, "--key-file", str(key_file)]
        command += ["--room-for-history"] if self.settings.is_live else []
        self._python("load_demo", command, output=printed).run(seconds=DEMO_SECONDS)
        self.greeting = f"{printed.read_text().strip()}\nfor the API: export SALDO_KEY={key_file.read_text().strip()}"
        printed.unlink()

    def _load_history(self) -> None:
        """Fill the shop behind the first page; `watch_history` says when it is done. Loaded before, it ends at once."""
        command = ["manage.py", "load_demo", "--sandbox", self.sandbox_url, "--whole"]
        self.history = self._python("demo_history", command, stop_seconds=2.0)
        self._groups.append([self.history])
        self.history.start()

    def watch_history(self) -> str | None:
        """Return a sentence once, when the shop's history is loaded or could not be."""
        if self.history is None or self.history.is_running():
            return None
        child, self.history = self.history, None
        if child.exit_code == 0:
            return "The demo shop has its two weeks of history and sells by itself now."
        return f"The demo's history could not be loaded (the rest runs). Log: {child.log}"

    def _await(self, is_ready: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready():
            self.supervisor.check()
            if time.monotonic() > deadline:
                raise LauncherError(f"{name} was not ready after {READY_SECONDS:.0f} s:\n{tail(self._log(name))}")
            time.sleep(POLL_SECONDS)

    def _start_group(self, *children: Child) -> None:
        self._groups.append(list(children))
        for child in children:
            child.start()
        self.supervisor.add(*children)

    def _python(
        self, name: str, arguments: list[str], *, output: Path | None = None, stop_seconds: float = 10.0
    ) -> Child:
        return Child(
            name,
            [str(install.PYTHON), *arguments],
            environment=self.environment(),
            log=self._log(name),
            output=output,
            stop_seconds=stop_seconds,
        )

    def _log(self, name: str) -> Path:
        return self.folder.logs / f"{name}.log"
