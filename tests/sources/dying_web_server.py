"""A web process that kills itself with SIGKILL while it takes a batch in, at a named point.

Run it by `python -m tests.sources.dying_web_server "<point>" <tenant id> <file with the body>`.
"""

import sys
from pathlib import Path

from tests.dying import Points, die_at

#: point: (function to die at, whether the function still runs to its end first)
POINTS: Points = {
    "the sources are met": ("apps.sources.ingest.lock_sources", False),
    "the claims are taken": ("apps.sources.settling._claim", True),
    "the ledger has moved": ("apps.sources.settling._post", True),
    "the events are written": ("apps.sources.ingest.settle", True),
    "the counters are written, not committed": ("apps.sources.ingest._see", True),
    "all is committed, nobody was answered": ("apps.sources.ingest._retry_reversals", False),
}


if __name__ == "__main__":
    import django

    django.setup()
    die_at(sys.argv[1], POINTS)

    from apps.sources import decoding, ingest
    from apps.tenants.models import Tenant

    ingest.take_in(Tenant(pk=int(sys.argv[2])), decoding.read(Path(sys.argv[3]).read_bytes()))
