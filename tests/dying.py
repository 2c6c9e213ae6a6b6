"""A process that kills itself with SIGKILL where a test says, and leaves what a machine that lost its power would.

Half a transaction that PostgreSQL rolls back, a lease that nobody ends, a call that nobody answers for.
"""

import os
import signal
from collections.abc import Callable
from pydoc import locate
from typing import Any

Points = dict[str, tuple[str, bool]]
"""What happened when it dies: (the function to die at, whether that still runs to its end first)."""


def die_at(point: str, points: Points, nth: int = 1) -> None:
    """Replace the point's function by one that runs it (or not) and then kills this process, without any clean-up.

    nth: it dies when the function is called so often; before, that does its work.
    """
    path, runs_first = points[point]
    owner_name, _, name = path.rpartition(".")
    owner = locate(owner_name)  # a module, or a class in one
    original: Callable[..., Any] = getattr(owner, name)

    calls = 0

    def last_act(*args: object, **options: object) -> Any:
        nonlocal calls
        calls += 1
        if calls < nth:
            return original(*args, **options)
        if runs_first:
            original(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, last_act)
