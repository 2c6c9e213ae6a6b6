"""What the launcher says to the person in front of it: one line a step, and a sentence when something is wrong."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_is_streaming = False  # other lines come in between, so a step's label and its seconds stand on two lines
_is_line_open = False  # a step's label stands there and waits for its seconds
LABEL_WIDTH = 44
TAIL_LINES = 25


class LauncherError(Exception):
    """Something a person can cure. Its text says what happened, what it means and what to do; exit code 1."""


def say(text: str = "", *, end: str = "\n", to: TextIO | None = None) -> None:
    """Print and flush. A reader who has gone away (`scripts/up | head`) must not stop the servers halfway."""
    stream = to or sys.stdout
    with contextlib.suppress(BrokenPipeError, ValueError):
        print(text, end=end, file=stream, flush=True)


@contextlib.contextmanager
def step(label: str) -> Iterator[None]:
    """Print one line for a step: its label at once, the seconds it took when it is done."""
    global _is_line_open
    started = time.monotonic()
    heading = f"  {label} ".ljust(LABEL_WIDTH, ".") + " "
    done = threading.Event()
    say(heading, end="\n" if _is_streaming else "")
    _is_line_open = not _is_streaming
    if not _is_streaming and sys.stdout.isatty():
        threading.Thread(target=_count_seconds, args=(heading, started, done), daemon=True).start()
    try:
        yield
    except BaseException:
        done.set()
        _is_line_open = False
        say("stopped" if isinstance(sys.exc_info()[1], KeyboardInterrupt) else "failed")
        raise
    done.set()
    _is_line_open = False
    again = f"\r{heading}" if sys.stdout.isatty() else heading if _is_streaming else ""
    say(f"{again}{time.monotonic() - started:5.1f} s")


def note(text: str) -> None:
    """Say something that happened meanwhile, with the time of day, on a line of its own."""
    say(f"{chr(10) if _is_line_open else ''}  {time.strftime('%H:%M:%S')} {text}")


def _count_seconds(heading: str, started: float, done: threading.Event) -> None:
    while not done.wait(1.0):
        say(f"\r{heading}{time.monotonic() - started:5.0f} s", end="")


def tail(log: Path, *, lines: int = TAIL_LINES, since: int = 0) -> str:
    """Return the last `lines` lines of a log file, indented, with the path of the whole.

    since: bytes that were in it before; what an earlier start wrote is no reason for this one's end.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(since, os.fstat(file.fileno()).st_size - 64_000))
            last = file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        last = []
    shown = "\n".join(f"    {line}" for line in last) or "    (empty)"
    return f"{shown}\n  The whole log: {log}"


class LogFollower:
    """Prints what is added to the log files of a folder, each line with its file's name (`scripts/up --verbose`)."""

    def __init__(self, folder: Path) -> None:
        global _is_streaming
        _is_streaming = True
        self._folder = folder
        self._offsets = {path: path.stat().st_size for path in folder.glob("*.log")}
        self._stopped = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def stop(self) -> None:
        """Print what is left and stop following."""
        global _is_streaming
        _is_streaming = False
        self._stopped.set()
        self._print_new_lines()

    def _follow(self) -> None:
        while not self._stopped.wait(0.3):
            self._print_new_lines()

    def _print_new_lines(self) -> None:
        for path in sorted(self._folder.glob("*.log")):
            with contextlib.suppress(OSError), path.open("rb") as file:
                offset = self._offsets.get(path, 0)
                file.seek(offset if offset <= path.stat().st_size else 0)
                for line in file.readlines():
                    say(f"[{path.stem}] {line.decode(errors='replace').rstrip()}")
                self._offsets[path] = file.tell()
