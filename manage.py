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

    try:
        import config.settings  # noqa: F401  a bad setting ends here, with its sentence and no traceback
    except ImproperlyConfigured as bad_setting:
        sys.exit(str(bad_setting))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
