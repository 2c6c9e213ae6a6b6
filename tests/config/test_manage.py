"""The command line says what is wrong in a sentence, not in a traceback."""

import os
import subprocess
import sys

from django.conf import settings


def test_a_database_that_does_not_answer_is_said_in_a_sentence() -> None:
    environment = os.environ | {"DATABASE_URL": "postgres://saldo:secret@127.0.0.1:1/saldo"}
    done = subprocess.run(
        [sys.executable, "manage.py", "prove"],
        cwd=settings.BASE_DIR,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "PostgreSQL does not answer at DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
