"""PostgreSQL and Valkey on a temporary folder, gone without a trace afterwards: for tests and checks.

with ThrowawayServers(durable=True) as servers:
    subprocess.run(command, env=servers.environment())
    servers.postgres.kill()      # kill -9, at whatever moment
    servers.postgres.start()     # same address, everything committed is there
"""

import base64
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from scripts.launcher.environment import child_environment
from scripts.launcher.processes import stop_in_order, watchdog
from scripts.launcher.servers import Postgres, Valkey

NOWHERE = "http://127.0.0.1:9"  # the discard port: a test that forgets its stand-in is refused, not let out


class ThrowawayServers:
    """A pair of servers of one's own.

    Args:
        durable: True as `scripts/up` runs them; False is several times faster at committing. Data survives kill -9 of
            a server either way; the difference is a power cut.

    Attributes:
        postgres, valkey: each with start(), stop(), kill(), is_running(), pid, url, log.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="saldo-test-"))
        self.postgres = Postgres(self.folder / "pg", durable=durable)
        self.valkey = Valkey(self.folder / "valkey")
        self._garbage = [self.folder, self.postgres.socket_folder, self.valkey.socket_folder]

    def start(self) -> None:
        """Start both and wait until they answer; 1 s."""
        for folder in self._garbage:
            watchdog.remove(folder)
        self.postgres.start()
        self.valkey.start()

    def stop(self) -> None:
        """Stop both and delete the data."""
        stop_in_order([[self.postgres, self.valkey]])
        for folder in self._garbage:
            shutil.rmtree(folder, ignore_errors=True)
            watchdog.keep(folder)

    def __enter__(self) -> "ThrowawayServers":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def variables(self) -> dict[str, str]:
        """Return what Saldo's settings need to run on these servers, with fresh secrets."""
        return {
            "SALDO_ENV": "development",
            "SALDO_DATA": str(self.folder),
            "SALDO_DEMO": "0",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.valkey.url,
            "CHANNEL_CALLS_PER_MINUTE": "0",  # a sandbox has no quota but the one that a test gives it
            "MERCADOLIVRE_API_URL": NOWHERE,
            "MERCADOLIVRE_AUTH_URL": NOWHERE,
        }

    def environment(self) -> dict[str, str]:
        """Return a whole environment for a child process on these servers."""
        return child_environment(self.variables())
