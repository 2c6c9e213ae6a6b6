"""The data folder of a running Saldo: its lock, its secrets, and the environment that every process of it gets."""

import base64
import contextlib
import errno
import fcntl
import os
import secrets
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from scripts.launcher import ROOT
from scripts.launcher.console import LauncherError

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  addresses to listen on, and to reach them by
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SETTING_NAMES = (
    "SALDO_ENV",
    "SALDO_DATA",
    "SALDO_DEMO",
    "SALDO_STAGING",
    "SALDO_PUBLIC_URL",
    "PORT",
    "SECRET_KEY",
    "FIELD_ENCRYPTION_KEYS",
    "DEBUG",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "HSTS_SECONDS",
    "PROXIES_IN_FRONT",
    "STAFF_SECOND_FACTOR",
    "DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "API_RATE_LIMIT_PER_MINUTE",
    "API_BODY_MAX_BYTES",
    "IDEMPOTENCY_KEY_DAYS",
    "JWT_ALGORITHM",
    "JWT_KEY",
    "JWT_ISSUER",
    "JWT_AUDIENCE",
    "SUBSCRIBER_PORTS",
    "SUBSCRIBER_NETWORKS",
    "SUBSCRIBER_KEEP_DAYS",
    "EVENT_BODY_DAYS",
    "ENDED_KEEP_DAYS",
    "SYNC_LOG_MONTHS",
    "ORDER_SEARCH_EVERY_SECONDS",
    "ORDER_SEARCH_OVERLAP_MINUTES",
    "ORDER_SEARCH_FIRST_HOURS",
    "RECONCILE_EVERY_MINUTES",
    "RECONCILE_CALLS_PER_MINUTE",
    "CONSOLE_STATEMENT_SECONDS",
    "MERCADOLIVRE_API_URL",
    "MERCADOLIVRE_AUTH_URL",
    "CHANNEL_BREAKER_FAILURES",
    "CHANNEL_BREAKER_SECONDS",
    "SYNC_READ_FIRST_UNITS",
    "SYNC_IN_FLIGHT_SECONDS",
    "CHANNEL_CALLS_PER_MINUTE",
    "BULK_SHARE_PERCENT",
    "SYNC_THREADS",
    "EVENT_RETRY_PAUSES_SECONDS",
    "METRICS_TOKEN",
    "EMAIL_URL",
    "EMAIL_FROM",
    "NOTIFICATION_EMAIL_DRIVER",
    "NOTIFICATION_SMS_DRIVER",
    "NOTIFICATION_WHATSAPP_DRIVER",
    "NOTIFICATION_PAUSES_SECONDS",
)
"""What config/settings.py reads from the environment, each name (tests/launcher/test_environment.py compares)."""
NOT_FOR_CHILDREN = ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Settings:
    """What the person decided through the environment; README has the table."""

    data: Path
    host: str
    port: int
    is_demo: bool
    workers: int
    is_live: bool = False
    """Whether the demo shop gets its history and sells by itself."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read them, refusing nonsense with a sentence."""
        demo = (environment.get("SALDO_DEMO") or "1").lower()
        if demo not in YES + NO:
            raise LauncherError(f"SALDO_DEMO is {demo!r}: use 1 for the demo tenant and the sandbox, 0 for neither.")
        live = (environment.get("SALDO_DEMO_LIVE") or "1").lower()
        if live not in YES + NO:
            raise LauncherError(
                f"SALDO_DEMO_LIVE is {live!r}: use 1 for a shop with two weeks behind it that sells by itself, 0 for a "
                "small one where nothing happens but what you do."
            )
        return cls(
            data=Path(environment.get("SALDO_DATA") or ROOT / "var").absolute(),
            host=environment.get("HOST") or "127.0.0.1",
            port=_number(environment, "PORT", 8000, low=0, high=65535),
            is_demo=demo in YES,
            workers=_number(environment, "SALDO_WORKERS", 4, low=1, high=256),
            is_live=live in YES,
        )


def _number(environment: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    value = environment.get(name) or str(default)
    if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
        raise LauncherError(f"{name} is {value!r}: use a whole number from {low} to {high}.")
    return int(value)


class DataFolder:
    """The folder `SALDO_DATA`, held by one launcher at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self.environment_file = path / "env"
        self.was_killed = False
        self._lock: TextIO | None = None

    def acquire(self) -> None:
        """Make the folder and take its lock, which the system frees when this process ends in any way.

        Raises:
            LauncherError: the folder cannot be written, or another launcher has it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as refused:
            raise LauncherError(
                f"Cannot write to {self.path} ({refused.strerror}), where the data goes: name a folder of your own, as "
                "in SALDO_DATA=$HOME/saldo scripts/up."
            ) from refused
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as refused:
            with lock:
                if refused.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                lock.seek(0)
                holder = lock.read().strip() or "it is just starting"
            raise LauncherError(
                f"Saldo already runs on {self.path} ({holder}): use that one, stop it first, or start a second one "
                "beside it with another folder and port, as in SALDO_DATA=/tmp/other PORT=0 scripts/up."
            ) from None
        self._lock = lock
        self.was_killed = self.environment_file.exists()  # who stops in order removes it
        self.describe(f"process {os.getpid()}")

    def describe(self, holder: str) -> None:
        """Write who holds the folder, for the one who finds it taken."""
        if self._lock is not None:
            self._lock.seek(0)
            self._lock.truncate()
            self._lock.write(holder)
            self._lock.flush()

    def is_held(self) -> bool:
        """Say whether some launcher holds the folder."""
        try:
            with (self.path / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError as refused:
            return refused.errno in (errno.EAGAIN, errno.EACCES)
        return False

    def release(self) -> None:
        """Free the folder."""
        self.environment_file.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def secrets(self) -> dict[str, str]:
        """Return SECRET_KEY and FIELD_ENCRYPTION_KEYS of this folder, made on first use and kept ever after."""
        path = self.path / "secrets"
        if not path.exists():
            fernet_key = base64.urlsafe_b64encode(os.urandom(32)).decode()
            _write_private(path, {"SECRET_KEY": secrets.token_urlsafe(50), "FIELD_ENCRYPTION_KEYS": fernet_key})
        return read_variables(path)

    def write_environment(self, variables: Mapping[str, str]) -> None:
        """Leave the environment of the running processes for scripts/manage."""
        _write_private(self.environment_file, variables)


def _write_private(path: Path, variables: Mapping[str, str]) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def read_variables(path: Path) -> dict[str, str]:
    """Return the variables of a NAME=value file that `write_environment` or `secrets` made."""
    pairs = (word.partition("=") for word in shlex.split(path.read_text()))
    return {name: value for name, _, value in pairs}


def saldo_variables(settings: Settings, folder: DataFolder, port: int) -> dict[str, str]:
    """Return the variables that Saldo's processes get over and above the person's own environment.

    What the person has set wins, but for what only the launcher knows: the port it found and where the data is. Every
    name of SETTING_NAMES is among them; an empty value means the default. So whoever has them all, as scripts/manage in
    another terminal, is in the environment of the running processes whatever else is set there.
    """
    host = EVERYWHERE.get(settings.host, settings.host)
    proposed = {
        **folder.secrets(),
        "SALDO_ENV": "development",
        "SALDO_PUBLIC_URL": f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}",
        "DATABASE_URL": "",  # the servers fill in what the person has left empty
        "REDIS_URL": "",
    }
    if settings.host not in LOOPBACK:  # other machines may come in, by whatever name they know
        proposed["ALLOWED_HOSTS"] = "*" if settings.host in EVERYWHERE else f"{host},127.0.0.1,localhost"
    known = {
        "SALDO_DATA": str(settings.data),
        "SALDO_DEMO": "1" if settings.is_demo else "0",
        "PORT": str(port),
        "GRANIAN_HOST": settings.host,
        "GRANIAN_PORT": str(port),
        # A worker that is told to stop while it starts does not hear it (granian 2.8): Ctrl-C would take 10 s.
        "GRANIAN_WORKERS_KILL_TIMEOUT": "1",
    }
    proposed = dict.fromkeys(SETTING_NAMES, "") | proposed
    return {name: os.environ.get(name) or value for name, value in proposed.items()} | known


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a child: the person's, without what slows or bends Python, plus `variables`."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_FOR_CHILDREN}
    return inherited | {"PYTHONUNBUFFERED": "1"} | dict(variables)


def usable_port(host: str, port: int) -> int:
    """Return `port` if it is free on `host`, or a free one for 0.

    Raises:
        LauncherError: it is taken, or nobody may listen there.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
            return int(listener.getsockname()[1])
    except OSError as refused:
        if refused.errno == errno.EADDRINUSE:
            raise LauncherError(
                f"Port {port} on {host} is taken by another program: stop that one, or choose another port, as in "
                "PORT=8001 scripts/up (PORT=0 finds a free one)."
            ) from refused
        raise LauncherError(
            f"Cannot listen on {host} port {port} ({refused.strerror}): choose others with HOST and PORT."
        ) from refused
