"""A worker that kills itself with SIGKILL at a named joint: `python -m tests.subscribers.dying_worker "<joint>"`.

What it leaves behind is what a machine that lost its power would: half a transaction, a lease nobody ends.
"""

import os
import signal
import sys
from importlib import import_module
from typing import Any

#: joint: (function to die at, whether the function still runs to its end first)
JOINTS: dict[str, tuple[str, bool]] = {
    "the feed is read, nothing queued": ("apps.subscribers.following.queue", False),
    "the deliveries are queued, not committed": ("apps.subscribers.following.queue", True),
    "the feed is followed": ("apps.subscribers.following.follow", True),
    "a lane is claimed": ("apps.subscribers.delivering.take_turn", False),
    "a try is opened, nothing sent": ("apps.subscribers.delivering._call", False),
    "the event is sent, nothing written": ("apps.subscribers.delivering._call", True),
    "the answer came, nothing settled": ("apps.subscribers.lanes.settle_delivered", False),
    "the delivery is settled, the turn not ended": ("apps.subscribers.lanes.settle_delivered", True),
    "the turn is ended": ("apps.subscribers.lanes.end_turn", True),
}


def die_at(joint: str) -> None:
    """Replace the joint's function by one that runs it (or not) and then kills this process, without any clean-up."""
    path, runs_first = JOINTS[joint]
    module_name, _, name = path.rpartition(".")
    module = import_module(module_name)
    original = getattr(module, name)

    def last_act(*args: Any, **options: Any) -> None:
        if runs_first:
            original(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, last_act)


if __name__ == "__main__":
    import django

    django.setup()
    die_at(sys.argv[1])

    from apps.subscribers import delivering, following

    while following.follow():
        pass
    crew = delivering.Crew()
    crew.work(20)
    crew.go_home()
