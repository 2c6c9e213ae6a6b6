"""A worker that kills itself with SIGKILL at a named point of the road.

Run it by `python -m tests.stories.dying_worker "<point>"`.

It runs the same functions as the Celery ticks, in a process of its own, so what it leaves behind is what a machine that
lost its power would: half a transaction rolled back by PostgreSQL, a lease nobody ends, a call nobody answers for.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

#: point: (function to die at, whether the function still runs to its end first)
POINTS: dict[str, tuple[str, bool]] = {
    "the event is claimed": ("apps.events.inbox._process", False),
    "the order is read": ("apps.events.inbox._take_in", False),
    "the effect's key is written, nothing else": ("apps.orders.intake.take_in", False),
    "order and stock are written, not committed": ("apps.orders.intake.take_in", True),
    "order and stock are committed": ("apps.events.inbox._take_in", True),
    "the listings are marked, not committed": ("apps.sync.queue._mark_due", True),
    "the ledger is followed": ("apps.sync.queue.follow", True),
    "the listing is claimed": ("apps.sync.push._push", False),
    "the log is opened, the call not made": ("apps.sync.push._send", False),
    "the number is put, the log not finished": ("apps.sync.push._send", True),
    "the log is finished, the claim not ended": ("apps.sync.push._close_log", True),
    "the push is settled": ("apps.sync.push._push", True),
}


def die_at(point: str) -> None:
    """Replace the point's function by one that runs it (or not) and then kills this process, without any clean-up."""
    path, runs_first = POINTS[point]
    module_name, _, name = path.rpartition(".")
    module = import_module(module_name)
    original: Callable[..., Any] = getattr(module, name)

    def last_act(*args: object, **options: object) -> None:
        if runs_first:
            original(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, last_act)


if __name__ == "__main__":
    import django

    django.setup()
    die_at(sys.argv[1])

    from tests.market import work_until_quiet

    work_until_quiet()
