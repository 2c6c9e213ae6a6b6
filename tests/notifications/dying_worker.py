"""A worker that kills itself with SIGKILL at a named joint: `python -m tests.notifications.dying_worker "<joint>"`.

What it leaves behind is what a machine that lost its power would.
"""

import os
import signal
import sys
from importlib import import_module
from typing import Any

#: joint: (function to die at, whether the function still runs to its end first)
JOINTS: dict[str, tuple[str, bool]] = {
    "ready orders are being queued": ("apps.notifications.following.queue_ready", False),
    "ready orders are queued": ("apps.notifications.following.queue_ready", True),
    "a notification is claimed": ("apps.notifications.sending.claim_due", True),
    "the try is opened, nothing sent": ("apps.notifications.sending._send", False),
    "the mail is sent, nothing settled": ("apps.notifications.sending._send", True),
    "the notification is settled": ("apps.notifications.sending._settle", True),
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

    from apps.notifications import following, sending

    following.queue_ready()
    while sending.send_next():
        pass
