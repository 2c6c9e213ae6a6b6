"""A web process that kills itself with SIGKILL while it takes a batch in, at a named point.

Run it by `python -m tests.sources.dying_web_server "<point>" <tenant id> <file with the body>`.
"""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

#: point: (function to die at, whether the function still runs to its end first)
POINTS: dict[str, tuple[str, bool]] = {
    "the sources are met": ("apps.sources.ingest.lock_sources", False),
    "the claims are taken": ("apps.sources.settling._claim", True),
    "the ledger has moved": ("apps.sources.settling._post", True),
    "the events are written": ("apps.sources.ingest.settle", True),
    "the counters are written, not committed": ("apps.sources.ingest._see", True),
    "all is committed, nobody was answered": ("apps.sources.ingest._retry_reversals", False),
}


def die_at(point: str) -> None:
    """Replace the point's function by one that runs it (or not) and then kills this process, without any clean-up."""
    path, runs_first = POINTS[point]
    module_name, _, name = path.rpartition(".")
    module = import_module(module_name)
    original = getattr(module, name)

    def last_act(*args: object, **options: object) -> None:
        if runs_first:
            original(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, last_act)


if __name__ == "__main__":
    import django

    django.setup()
    die_at(sys.argv[1])

    from apps.sources import decoding, ingest
    from apps.tenants.models import Tenant

    ingest.take_in(Tenant(pk=int(sys.argv[2])), decoding.read(Path(sys.argv[3]).read_bytes()))
