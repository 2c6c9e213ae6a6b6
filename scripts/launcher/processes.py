"""Starting, watching and stopping child processes, so that none outlives its launcher."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from scripts.launcher import ROOT, machine
from scripts.launcher.console import LauncherError, tail

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOG_SIZE_LIMIT_BYTES = 20_000_000
KILL_WAIT_SECONDS = 10.0
QUICK_DEATH_SECONDS = 30.0
QUICK_DEATHS_LIMIT = 5
"""A child that dies this often in a row, each time sooner than QUICK_DEATH_SECONDS, will not get better by itself."""
RESTART_DELAYS_SECONDS = (0.0, 1.0, 2.0, 4.0)
"""Waits before the first, second, third and fourth restart in a row."""


ORPHAN_SECONDS = 3.0
"""What a child that holds no data has to end once its launcher is gone: what a worker had begun is taken up again."""


class Watchdog:
    """The launcher's end of watchdog.py: tells it what runs. One a process, started with the first child."""

    def __init__(self) -> None:
        self._program: subprocess.Popen[bytes] | None = None
        self._pipe = -1  # the end to write to, as a file descriptor
        self._owner_pid = 0
        self._facts: dict[str, str] = {}  # what a new watchdog must be told when the old one was killed

    def started(self, pid: int, stop_signal: signal.Signals, stop_seconds: float) -> None:
        """A child lives: stop it when the launcher is gone."""
        self._remember(f"start {pid}", f"start {pid} {int(stop_signal)} {stop_seconds}")

    def ended(self, pid: int) -> None:
        """A child is over."""
        self._forget(f"start {pid}", f"end {pid}")

    def remove(self, folder: Path) -> None:
        """Delete this throwaway folder when the launcher is gone."""
        self._remember(f"remove {folder}", f"remove {folder}")

    def keep(self, folder: Path) -> None:
        """Somebody has deleted the folder, or wants to keep it."""
        self._forget(f"remove {folder}", f"keep {folder}")

    def close(self) -> None:
        """The launcher ends: let the watchdog do what is left, and wait for it."""
        program = self._ours()
        if program is not None:
            os.close(self._pipe)
            program.wait()
            self._program, self._facts = None, {}

    def check(self) -> None:
        """Replace a watchdog that somebody killed."""
        program = self._ours()
        if program is not None and program.poll() is not None:
            os.close(self._pipe)
            self._start()

    def _ours(self) -> "subprocess.Popen[bytes] | None":
        """Return the program; None before the first child, and in a fork, which does not inherit the duty."""
        return self._program if self._owner_pid == os.getpid() else None

    def _remember(self, key: str, line: str) -> None:
        self._facts[key] = line
        self._tell(line)

    def _forget(self, key: str, line: str) -> None:
        self._facts.pop(key, None)
        self._tell(line)

    def _tell(self, line: str) -> None:
        self.check()
        if self._ours() is None:
            self._start()
            return
        with contextlib.suppress(BrokenPipeError):  # killed this very moment: the next check tells the new one
            os.write(self._pipe, f"{line}\n".encode())

    def _start(self) -> None:
        command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog.py"))]
        quiet = subprocess.DEVNULL
        self._owner_pid = os.getpid()
        read_end, self._pipe = os.pipe()
        self._program = subprocess.Popen(command, stdin=read_end, stdout=quiet, stderr=quiet, start_new_session=True)
        os.close(read_end)
        os.write(self._pipe, "".join(f"{fact}\n" for fact in self._facts.values()).encode())


watchdog = Watchdog()


class Child:
    """One child process: its command, its log, how it likes to be stopped.

    Args:
        name: what a person calls it; also the name of its log file.
        command: program and arguments.
        environment: the whole environment it gets.
        log: file that what it prints is appended to.
        output: file for its standard output alone, when that is not for the log.
        stop_signal: what asks it to end in order.
        stop_seconds: how long it may take before it is killed.
        identity: called between fork and exec to be somebody else (machine.unprivileged_identity).
    """

    holds_data = False
    """A child that does is given its time to end in order even when the person is in a hurry."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        output: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_seconds: float = 10.0,
        identity: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.log = log
        self.output = output
        self.stop_signal = stop_signal
        self.stop_seconds = stop_seconds
        self.identity = identity
        self.exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_bytes_before = 0

    @property
    def last_words(self) -> str:
        """Return the end of what the process wrote into its log since it was started last."""
        return tail(self.log, since=self._log_bytes_before)

    @property
    def pid(self) -> int:
        """Process id; the process must have been started and not been seen to end."""
        if self._process is None:
            raise LauncherError(f"{self.name} is not running: call start() first.")
        return self._process.pid

    def start(self) -> None:
        """Start the process. Call it from the main thread: children die with the thread that started them."""
        if self.is_running():
            return
        parent_pid, identity, stop_signal = os.getpid(), self.identity, self.stop_signal
        # A Ctrl-C between the fork and the last line would leave a child that nobody knows of.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)

        def between_fork_and_exec() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            if identity is not None:
                identity()
            machine.die_with(parent_pid, stop_signal)  # last: a change of identity clears it

        self.exit_code = None
        try:
            with open_log(self.log) as log, open_log(self.output or self.log) as output:
                self._log_bytes_before = os.fstat(log.fileno()).st_size
                # A session of its own: Ctrl-C in the terminal must reach the launcher only, which stops in order.
                self._process = subprocess.Popen(
                    self.command,
                    env=self.environment,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=between_fork_and_exec,
                )
            seconds = self.stop_seconds if self.holds_data else min(self.stop_seconds, ORPHAN_SECONDS)
            watchdog.started(self._process.pid, self.stop_signal, seconds)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def is_running(self) -> bool:
        """Say whether the process lives; a dead one is reaped, and with it what is left of its group."""
        if self._process is None:
            return False
        if self._process.poll() is None:
            return True
        pid, self.exit_code, self._process = self._process.pid, self._process.returncode, None
        kill_group(pid)
        watchdog.ended(pid)
        return False

    def ask_to_stop(self) -> None:
        """Send the stop signal and return at once."""
        if self.is_running():
            os.kill(self.pid, self.stop_signal)

    def wait(self, seconds: float) -> bool:
        """Wait until the process has ended, at most so long. Returns whether it has."""
        deadline = time.monotonic() + seconds
        while self.is_running():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True

    def stop(self) -> None:
        """Ask the process to end, wait for it, kill it if it does not."""
        self.ask_to_stop()
        if not self.wait(self.stop_seconds):
            self.kill()

    def kill(self) -> None:
        """End the process and its group at once (SIGKILL), as a power cut would."""
        if self.is_running():
            kill_group(self.pid)
            self.wait(KILL_WAIT_SECONDS)

    def run(self, *, seconds: float) -> None:
        """Start, wait for the end, insist on exit code 0.

        Raises:
            LauncherError: it failed or took longer than `seconds`, with the tail of its log.
        """
        try:
            self.start()
            ended = self.wait(seconds)
        finally:
            self.stop()
        if not ended or self.exit_code != 0:
            fate = f"ended with exit code {self.exit_code}" if ended else f"was not done after {seconds:.0f} s"
            raise LauncherError(f"{self.name} {fate}:\n{self.last_words}")


class Supervisor:
    """Keeps started children running: restarts the ones that die, gives up on one that keeps dying."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._children: list[Child] = []
        self._born: dict[str, float] = {}
        self._deaths: dict[str, int] = {}
        self._due: dict[str, float] = {}

    def add(self, *children: Child) -> None:
        """Take over children that have been started."""
        for child in children:
            self._children.append(child)
            self._born[child.name] = time.monotonic()

    def check(self) -> None:
        """Look at every child once; restart the dead whose time has come.

        Raises:
            LauncherError: a child has died QUICK_DEATHS_LIMIT times in a row.
        """
        watchdog.check()
        for child in self._children:
            if not child.is_running():
                self._revive(child)

    def _revive(self, child: Child) -> None:
        now = time.monotonic()
        if child.name not in self._due:
            lived_long = now - self._born[child.name] > QUICK_DEATH_SECONDS
            deaths = self._deaths[child.name] = 1 if lived_long else self._deaths.get(child.name, 0) + 1
            if deaths >= QUICK_DEATHS_LIMIT:
                raise LauncherError(
                    f"{child.name} died {deaths} times in a row, the last time with exit code {child.exit_code}; "
                    f"everything is stopped. The end of its log says why:\n{child.last_words}"
                )
            delay = RESTART_DELAYS_SECONDS[deaths - 1]
            self._due[child.name] = now + delay
            self._say(
                f"{child.name} died (exit code {child.exit_code}); restarting it in {delay:.0f} s. Log: {child.log}"
            )
        if now >= self._due[child.name]:
            del self._due[child.name]
            self._born[child.name] = now
            with contextlib.suppress(LauncherError):  # a server that does not come up counts as one more death
                child.start()


def stop_in_order(groups: Sequence[Sequence[Child]], *, is_in_a_hurry: Callable[[], bool] = lambda: False) -> list[str]:
    """Stop groups of children, the last group first, the members of one group together.

    Args:
        groups: in the order they were started.
        is_in_a_hurry: asked while waiting; True kills what does not hold data instead of waiting for it.

    Returns:
        The names of those that had not ended when their time was over and were killed.
    """
    killed = []
    for group in reversed(groups):
        for child in group:
            child.ask_to_stop()
        began, waiting = time.monotonic(), list(group)
        while waiting := [child for child in waiting if child.is_running()]:
            for child in waiting.copy():
                is_late = time.monotonic() - began >= child.stop_seconds
                if is_late:
                    killed.append(child.name)
                if is_late or (is_in_a_hurry() and not child.holds_data):
                    child.kill()
                    waiting.remove(child)
            time.sleep(0.02)
    return killed


def kill_group(pid: int) -> None:
    """Kill what is left of a child's process group, whose number is the child's pid."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def open_log(path: Path) -> BinaryIO:
    """Open a log file to append to; one that has grown too large is moved aside first, so that two are kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_SIZE_LIMIT_BYTES:
        path.replace(path.with_suffix(".old"))
    return path.open("ab")
