"""An installed Chromium or Chrome for the browser tests."""

import os
import shutil
import subprocess
from pathlib import Path

from scripts.launcher.console import LauncherError, tail

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_APPLICATIONS = ("Google Chrome", "Chromium")


def find_browser() -> str | None:
    """Return the path of a Chromium or Chrome: SALDO_BROWSER if set, else one that is installed, else None."""
    if os.environ.get("SALDO_BROWSER"):
        return os.environ["SALDO_BROWSER"]
    applications = (Path(f"/Applications/{name}.app/Contents/MacOS/{name}") for name in MAC_APPLICATIONS)
    installed = (str(path) for path in applications if path.exists())
    return next((path for name in NAMES if (path := shutil.which(name))), None) or next(installed, None)


def ensure_browser(log: Path) -> str:
    """Return the path of a browser, installing Debian's Chromium when there is none and we may.

    Raises:
        LauncherError: there is none and it cannot be installed.
    """
    if found := find_browser():
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        with log.open("w") as output:
            for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
                subprocess.run(
                    command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=False
                )
        if found := find_browser():
            return found
        raise LauncherError(f"The browser tests need Chromium, and apt-get could not install it:\n{tail(log)}")
    raise LauncherError(
        "The browser tests need Chromium or Chrome and none was found: install one (Debian: apt install chromium; "
        "macOS: brew install --cask chromium), or name it with SALDO_BROWSER=/path/to/chrome. Without it, run the "
        'other tests with scripts/test -m "not browser and not slow".'
    )
