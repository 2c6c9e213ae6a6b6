"""What the launcher asks of the operating system: which processes live, dying together, who PostgreSQL may be."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.launcher.console import LauncherError

IS_LINUX = sys.platform == "linux"
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1

# Loaded once, before any fork: loading a library between fork and exec may deadlock.
_libc = ctypes.CDLL(None, use_errno=True) if IS_LINUX else None


def is_alive(pid: int) -> bool:
    """Say whether the process runs. A zombie does not: without an init its parent's death leaves it for ever."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not IS_LINUX:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_line(pid: int) -> str:
    """Return the command line of a process, or an empty string when there is none."""
    try:
        if IS_LINUX:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        return subprocess.run(ps, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def die_with(parent_pid: int, stop_signal: signal.Signals) -> None:
    """Have the kernel send `stop_signal` to this process when its parent dies, even of kill -9 (Linux only).

    Runs in the child between fork and exec. It follows the parent's *thread*: start children from the main one.
    """
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
    if os.getppid() != parent_pid:  # it died in between
        os._exit(1)


def unprivileged_identity(*folders: Path) -> Callable[[], None] | None:
    """Return what a child must call before exec so that it is not root, or None where nothing is needed.

    PostgreSQL refuses uid 0. A user namespace makes root look like uid 1000 to the child and leaves owners and modes
    of all files alone. Where that is refused (a container's seccomp rules) the child becomes `nobody`, which must be
    able to reach `folders`.

    Raises:
        LauncherError: only `nobody` is possible and a folder lies below a closed one, such as /root.
    """
    if os.geteuid() != 0:
        return None
    if _can_enter_user_namespace():
        return enter_user_namespace
    nobody = pwd.getpwnam("nobody")
    for folder in folders:
        closed = next(
            (path for path in [folder, *folder.parents] if path.exists() and not path.stat().st_mode & 1), None
        )
        if closed is not None and closed.stat().st_uid != nobody.pw_uid:
            raise LauncherError(
                f"PostgreSQL must not run as root, and the user nobody cannot reach {folder} because {closed} is "
                "closed to others: run as an ordinary user, or put the project and SALDO_DATA where everybody may pass."
            )
    return become_nobody


def our_user_ids() -> set[int]:
    """Return whose files are as good as our own: this user's, and for root those it gave to `nobody`."""
    return {os.geteuid()} | ({pwd.getpwnam("nobody").pw_uid} if os.geteuid() == 0 else set())


def give_to_nobody(folder: Path) -> None:
    """Make `nobody` the owner of a folder; its mode stays."""
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)


def become_nobody() -> None:
    """Give root up for good and be the user `nobody`. Runs between fork and exec."""
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def enter_user_namespace() -> None:
    """Enter a user namespace in which this process is uid 1000. Runs between fork and exec."""
    user, group = os.getuid(), os.getgid()
    if _libc is None or _libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    for name, content in (("setgroups", "deny"), ("uid_map", f"1000 {user} 1"), ("gid_map", f"1000 {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)


def _can_enter_user_namespace() -> bool:
    if not IS_LINUX:
        return False
    pid = os.fork()
    if pid == 0:
        try:
            enter_user_namespace()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0
