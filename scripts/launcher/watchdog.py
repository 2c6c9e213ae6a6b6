"""Stops what a launcher started when that launcher is gone, however it went. Run as a program by processes.Watchdog.

Its standard input is a pipe whose other end only the launcher holds. Lines say what there is to do once the pipe
breaks: `start PID SIGNAL SECONDS` (stop it: the signal, then after the seconds SIGKILL for its whole group),
`end PID` (it is over), `remove FOLDER` and `keep FOLDER`. A launcher that ends in order leaves nothing to do.

On Linux the kernel also tells each child at once (machine.die_with); this sees to the rest, and to other systems.
"""

import contextlib
import os
import shutil
import signal
import sys
import time


def main() -> None:
    """Read until the launcher is gone, then stop its children, the last started first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    children: dict[int, tuple[int, float]] = {}
    folders: set[str] = set()
    for line in sys.stdin:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "start":
            pid, stop_signal, seconds = rest.split()
            children[int(pid)] = (int(stop_signal), float(seconds))
        elif word == "end":
            children.pop(int(rest), None)
        elif word == "remove":
            folders.add(rest)
        elif word == "keep":
            folders.discard(rest)
    for pid, (stop_signal, seconds) in reversed(children.items()):
        stop(pid, stop_signal, seconds)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def stop(pid: int, stop_signal: int, seconds: float) -> None:
    """Ask the process to stop, wait, then kill what is left of its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, stop_signal)
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Say whether the process lives; a zombie that nobody reaps does not."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, PermissionError):
        return False
    except OSError:
        return True  # not Linux: no /proc, but the signal reached it


if __name__ == "__main__":
    main()
