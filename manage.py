#!/usr/bin/env python
"""Saldo's command line: `python manage.py help` lists what it can do."""

import os
import sys


def main() -> None:
    if sys.argv[1:2] == ["sandbox"]:  # it stands apart and needs no setting, so none may keep it from starting
        from apps.sandbox.__main__ import main as run_sandbox

        sys.exit(run_sandbox(sys.argv[2:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, connection

    try:
        import config.settings  # noqa: F401  a bad setting ends here, with its sentence and no traceback
    except ImproperlyConfigured as bad_setting:
        sys.exit(str(bad_setting))
    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        if connection.connection is not None:
            raise
        reason = str(error).partition("\n")[0]
        sys.exit(
            f"PostgreSQL does not answer at DATABASE_URL: {reason}. Nothing was read or changed."
            " Start it, or correct DATABASE_URL, and run the command again."
        )


if __name__ == "__main__":
    main()
