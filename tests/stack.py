"""The whole of Saldo as `scripts/up` runs it: web, worker and Beat as processes, with servers and a sandbox."""

import contextlib
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from apps.sandbox.server import Sandbox
from scripts.launcher import commands
from scripts.launcher.console import note
from scripts.launcher.processes import Child, Supervisor
from scripts.launcher.throwaway import ThrowawayServers


class Stack:
    """Web, worker and beat on servers of their own, with the demo shop loaded at a sandbox.

    What dies by itself is restarted by the launcher's own Supervisor, whenever `supervise` or `wait` looks.
    """

    def __init__(self, servers: ThrowawayServers, sandbox: Sandbox, logs: Path) -> None:
        self.servers, self.sandbox, self.logs = servers, sandbox, logs
        self.port = free_port()
        self.environment = {
            **servers.environment(),
            "SALDO_DEMO": "1",
            "PORT": str(self.port),
            "GRANIAN_HOST": "127.0.0.1",
            "GRANIAN_PORT": str(self.port),
            "MERCADOLIVRE_API_URL": sandbox.url,
            "MERCADOLIVRE_AUTH_URL": sandbox.url,
        }
        what = {"web": commands.WEB, "worker": commands.worker(4), "beat": commands.BEAT}
        self.children = {
            name: Child(name, [sys.executable, *command], environment=self.environment, log=logs / f"{name}.log")
            for name, command in what.items()
        }
        self.supervisor = Supervisor(note)

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def start(self) -> None:
        self.manage("migrate", "--noinput")
        self.manage("load_demo", "--sandbox", self.sandbox.url)
        for child in self.children.values():
            child.start()
            self.supervisor.add(child)
        self.wait(self.is_ready, 60, "the web server is ready")

    def kill(self, name: str) -> None:
        """kill -9 the process and all its children, and start it again: not a death of its own, which counts."""
        self.children[name].kill()
        self.children[name].start()

    def supervise(self) -> None:
        """Restart what has died, as `scripts/up` does four times a second."""
        self.supervisor.check()

    def wait(self, is_so: Callable[[], bool], timeout_seconds: float, what: str) -> None:
        ends_at = time.monotonic() + timeout_seconds
        while not is_so():
            assert time.monotonic() < ends_at, f"not within {timeout_seconds:g} s: {what}"
            self.supervise()
            time.sleep(0.5)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        for child in self.children.values():
            child.kill()


def free_port() -> int:
    """Return a port for a server that is started later. None that the system gives away to whoever asks for any.

    Those, from 32768 up, a sandbox or a client of another test process could hold by then.
    """
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
            return int(probe.getsockname()[1])
