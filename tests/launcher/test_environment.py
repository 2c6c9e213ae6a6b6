"""The data folder: settings, secrets, the lock, ports."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.launcher import ROOT
from scripts.launcher.console import LauncherError
from scripts.launcher.environment import (
    SETTING_NAMES,
    DataFolder,
    Settings,
    child_environment,
    read_variables,
    saldo_variables,
    usable_port,
)
from tests.launcher.conftest import Nobody


def test_defaults_are_port_8000_on_loopback_with_the_demo_and_data_in_var() -> None:
    expected = Settings(data=ROOT / "var", host="127.0.0.1", port=8000, is_demo=True, workers=4, is_live=True)
    assert Settings.read({}) == expected
    assert Settings.read({"PORT": "", "SALDO_DEMO": "", "SALDO_WORKERS": ""}) == expected


@pytest.mark.parametrize("port", ["http", "-1", "65536", "8000.5", "٨٠٠٠"])
def test_a_port_that_is_none_is_refused_by_name(port: str) -> None:
    with pytest.raises(LauncherError, match=r"^PORT is .*use a whole number from 0 to 65535"):
        Settings.read({"PORT": port})


def test_a_demo_setting_that_is_neither_yes_nor_no_is_refused() -> None:
    assert Settings.read({"SALDO_DEMO": "Off"}).is_demo is False
    with pytest.raises(LauncherError, match=r"^SALDO_DEMO is 'maybe': use 1"):
        Settings.read({"SALDO_DEMO": "maybe"})
    assert Settings.read({"SALDO_DEMO_LIVE": "0"}).is_live is False
    with pytest.raises(LauncherError, match=r"^SALDO_DEMO_LIVE is 'maybe': use 1"):
        Settings.read({"SALDO_DEMO_LIVE": "maybe"})


def test_secrets_are_made_once_kept_and_closed_to_others(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    made = folder.secrets()
    assert folder.secrets() == made
    assert len(made["SECRET_KEY"]) >= 50
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o600
    from cryptography.fernet import Fernet

    Fernet(made["FIELD_ENCRYPTION_KEYS"])


def test_variables_come_back_from_the_file_as_they_were(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    variables = {"A": "", "B": "two words", "C": 'it\'s "quoted" $HOME `x` \\', "D": "linha\nnova ção", "E": "a=b&c#d"}
    folder.write_environment(variables)
    assert read_variables(folder.environment_file) == variables
    assert folder.environment_file.stat().st_mode & 0o777 == 0o600
    shell = subprocess.run(
        ["/bin/sh", "-c", f". '{folder.environment_file}'; printf %s \"$C\""],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout == variables["C"]


def test_the_folder_has_one_holder_at_a_time_who_is_named(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.acquire()
    folder.describe("process 4711, http://127.0.0.1:8000/")
    with pytest.raises(LauncherError, match=r"already runs on .*process 4711, http://127.0.0.1:8000/.*SALDO_DATA="):
        DataFolder(tmp_path / "data").acquire()
    folder.release()
    again = DataFolder(tmp_path / "data")
    again.acquire()
    again.release()


def test_kill_9_of_the_holder_frees_the_folder_and_is_noticed(tmp_path: Path) -> None:
    source = (
        "import sys, time; from pathlib import Path; from scripts.launcher.environment import DataFolder\n"
        "folder = DataFolder(Path(sys.argv[1])); folder.acquire(); folder.write_environment({})\n"
        "print('held', flush=True); time.sleep(60)"
    )
    folder = DataFolder(tmp_path)
    with subprocess.Popen([sys.executable, "-c", source, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert folder.is_held()
        holder.kill()
    assert not folder.is_held()
    folder.acquire()
    assert folder.was_killed
    folder.release()


def test_a_read_only_folder_is_refused_with_the_cure(nobody: Nobody) -> None:
    result = nobody.run(
        "from pathlib import Path; from scripts.launcher.environment import DataFolder\n"
        "Path('closed').mkdir(exist_ok=True); Path('closed').chmod(0o500)\n"
        "try: DataFolder(Path('closed/data')).acquire()\n"
        "except Exception as refusal: print(type(refusal).__name__, refusal)"
    )
    assert result.stdout.startswith("LauncherError Cannot write to closed/data (Permission denied)"), result
    assert "SALDO_DATA=$HOME/saldo scripts/up" in result.stdout


def test_a_taken_port_is_refused_with_the_cure_and_zero_finds_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        with pytest.raises(LauncherError, match=rf"Port {taken} on 127.0.0.1 is taken .*PORT=0 finds a free one"):
            usable_port("127.0.0.1", taken)
        assert usable_port("127.0.0.1", 0) not in (0, taken)
    with pytest.raises(LauncherError, match=r"Cannot listen on 203\.0\.113\.1"):
        usable_port("203.0.113.1", 8000)


def test_what_the_person_has_set_wins_but_for_what_the_launcher_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "mine")
    monkeypatch.setenv("PORT", "0")
    monkeypatch.delenv("SALDO_PUBLIC_URL", raising=False)
    settings = Settings(data=tmp_path, host="127.0.0.1", port=0, is_demo=True, workers=1)
    variables = saldo_variables(settings, DataFolder(tmp_path), 43210)
    assert variables["SECRET_KEY"] == "mine"
    assert variables["PORT"] == variables["GRANIAN_PORT"] == "43210"
    assert variables["SALDO_PUBLIC_URL"] == "http://127.0.0.1:43210"


def test_the_list_of_settings_is_what_the_settings_file_reads() -> None:
    read = re.findall(r"\benv\.\w+\(\s*[\"']([A-Z_]+)[\"']", (ROOT / "config/settings.py").read_text())
    assert "PORT" in read
    assert set(read) == set(SETTING_NAMES)


def test_a_command_in_a_second_shell_gets_the_settings_of_the_running_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SETTING_NAMES:
        monkeypatch.delenv(name, raising=False)
    given = {
        "MERCADOLIVRE_API_URL": "http://127.0.0.1:9/api",
        "CELERY_BROKER_URL": "redis://127.0.0.1:9/3",
        "ALLOWED_HOSTS": "one.example,two.example",
        "DATABASE_URL": "postgres://saldo@127.0.0.1:9/saldo",
        "REDIS_URL": "redis://127.0.0.1:9/0",
    }
    folder = DataFolder(tmp_path / "data")
    folder.acquire()
    try:
        with monkeypatch.context() as first_shell:
            for name, value in given.items():
                first_shell.setenv(name, value)
            settings = Settings(data=folder.path, host="127.0.0.1", port=0, is_demo=False, workers=1)
            folder.write_environment(saldo_variables(settings, folder, 43210))
        second_shell = os.environ | {"SALDO_DATA": str(folder.path), "DEBUG": "1", "SALDO_ENV": "production"}
        second_shell |= {"MERCADOLIVRE_AUTH_URL": "http://127.0.0.1:9/not-given-to-up"}
        show = "from django.conf import settings as s; import json; print(json.dumps([s.MERCADOLIVRE_API_URL,"
        show += "s.MERCADOLIVRE_AUTH_URL,s.CELERY_BROKER_URL,s.ALLOWED_HOSTS,s.SALDO_ENV,s.DEBUG,s.SALDO_PUBLIC_URL]))"
        command = [str(ROOT / "scripts/manage"), "shell", "--no-imports", "-c", show]
        result = subprocess.run(command, env=second_shell, capture_output=True, text=True, check=False)
    finally:
        folder.release()
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [
        given["MERCADOLIVRE_API_URL"],
        "https://auth.mercadolivre.com.br",
        given["CELERY_BROKER_URL"],
        ["one.example", "two.example"],
        "development",
        False,
        "http://127.0.0.1:43210",
    ]


@pytest.mark.parametrize(
    ("host", "address", "hosts"),
    [
        ("0.0.0.0", "http://127.0.0.1:80", "*"),  # noqa: S104
        ("::", "http://[::1]:80", "*"),
        ("192.168.0.7", "http://192.168.0.7:80", "192.168.0.7,127.0.0.1,localhost"),
    ],
)
def test_another_host_is_shown_by_an_address_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, address: str, hosts: str
) -> None:
    for name in ("SALDO_PUBLIC_URL", "ALLOWED_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(data=tmp_path, host=host, port=80, is_demo=False, workers=1)
    variables = saldo_variables(settings, DataFolder(tmp_path), 80)
    assert (variables["SALDO_PUBLIC_URL"], variables["ALLOWED_HOSTS"]) == (address, hosts)


def test_children_do_not_inherit_what_slows_python_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = child_environment({"PORT": "1"})
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert "PYTHONPATH" not in environment
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["PORT"] == "1"
