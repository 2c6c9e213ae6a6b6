"""The README's curl lines do what the README says: as they stand there, on a real `scripts/up`."""

import shutil
from pathlib import Path

import pytest

from benchmarks.curl import converse, lines, running_up
from scripts.launcher import install
from tests.stack import free_port

EACH = {"estoque", "reservar", "confirmar", "cancelar", "repor"}


def test_the_readme_has_a_line_for_each_address() -> None:
    assert lines().keys() == EACH


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="install curl to run the README's lines")
@pytest.mark.skipif(not install._is_installed("runtime"), reason="run scripts/test, which installs the packages")
def test_each_answers_as_documented(tmp_path: Path) -> None:
    port = free_port()
    with running_up(tmp_path, port) as key:
        answers = converse(key, port)
    assert {answer.name for answer in answers} == EACH
    assert [answer for answer in answers if not answer.is_right] == []
