"""`python3 -m scripts.launcher up|test|manage|screenshots`, as the scripts of these names call it."""

import sys

from scripts.launcher.console import LauncherError, say
from scripts.launcher.support import check_platform


def main(arguments: list[str]) -> int:
    """Run one of the launcher's commands; returns the exit code."""
    try:
        check_platform()
        from scripts.launcher import check, screenshots, up  # only now: they need what Windows lacks

        command, *rest = arguments
        commands = {"up": up.main, "test": check.main, "manage": up.manage, "screenshots": screenshots.main}
        return commands[command](rest)
    except LauncherError as problem:
        say(f"\n{problem}", to=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
