"""Installing: when there is nothing to do, what is in the lock files, how pip's settings reach uv."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.launcher import ROOT, install
from scripts.launcher.console import LauncherError
from scripts.launcher.support import check_glibc, check_system

PIN = re.compile(r"^([a-z0-9.-]+)==([^ ]+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    """Return package and version of every line of a lock file."""
    return dict(PIN.findall((ROOT / name).read_text()))


def test_both_locks_agree_and_every_package_has_hashes() -> None:
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")
    assert len(runtime) > 50
    assert runtime.items() <= development.items()
    for name in ("requirements.txt", "requirements-dev.txt"):
        packages = re.split(r"\n(?=[a-z])", (ROOT / name).read_text())[1:]
        assert [package for package in packages if "--hash=sha256:" not in package] == []


@pytest.mark.parametrize("source", ["requirements.in", "requirements-dev.in"])
def test_every_direct_dependency_is_locked_and_says_why_it_is_there(source: str) -> None:
    locked = pins("requirements-dev.txt")
    lines = [line for line in (ROOT / source).read_text().splitlines() if re.match("[a-z]", line)]
    assert lines
    for line in lines:
        requirement, _, reason = line.partition("#")
        name = re.split(r"[\[=<>]", requirement)[0].strip()
        assert name in locked
        assert len(reason.split()) >= 2, f"{source}: say in a word or two why {name} is needed"


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder in place of the real one."""
    monkeypatch.setattr(install, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(install, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(install, "STAMP", tmp_path / ".venv" / "installed.json")
    monkeypatch.setattr(install, "LOG", tmp_path / ".venv" / "install.log")
    locks = {"runtime": tmp_path / "requirements.txt", "development": tmp_path / "requirements-dev.txt"}
    for lock in locks.values():
        lock.write_text("# nothing is needed\n")
    monkeypatch.setattr(install, "LOCKS", locks)
    monkeypatch.setattr(install, "UV", "uv @ file:///nowhere/uv-1-py3-none-any.whl")  # so that pip must do
    return tmp_path / ".venv"


@pytest.mark.slow
def test_an_environment_is_made_once_then_left_alone_until_the_lock_changes(
    venv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install.ensure_installed("development")
    assert "Packages (requirements-dev.txt)" in capsys.readouterr().out
    install.ensure_installed("development")
    install.ensure_installed("runtime")  # contained in the other
    assert capsys.readouterr().out == ""
    install.LOCKS["runtime"].write_text("# changed\n")
    install.ensure_installed("runtime")
    assert "Packages (requirements.txt)" in capsys.readouterr().out


@pytest.mark.slow
def test_an_environment_whose_python_is_gone_is_made_again(venv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to("/python/that/was/removed")
    (venv / "installed.json").write_text("{}")
    install.ensure_installed("runtime")
    assert subprocess.run([venv / "bin" / "python", "-c", ""], check=True).returncode == 0


@pytest.mark.slow
def test_a_failed_installation_shows_the_end_of_its_log(venv: Path) -> None:
    install.LOCKS["runtime"].write_text("no-such-package @ file:///no/such/file-1.0-py3-none-any.whl\n")
    with pytest.raises(LauncherError, match=r"requirements.txt could not be installed(.|\n)*no/such/file-1.0"):
        install.ensure_installed("runtime")
    assert not install._is_installed("runtime")


@pytest.mark.slow
@pytest.mark.parametrize("has_pip", [True, False])
def test_a_python_that_cannot_put_pip_in_uses_its_own_or_says_what_to_install(
    venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_pip: bool
) -> None:
    real = sys._base_executable
    if subprocess.run([real, "-m", "pip", "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{real} has no pip of its own")
    debian = tmp_path / "python3"  # as Debian's python3 behaves without the package python3-venv
    pip = f'exec {real} "$@"' if has_pip else "exit 1"
    debian.write_text(
        f'#!/bin/sh\ncase "$*" in "-m venv --without-pip"*) exec {real} "$@";; "-m venv"*) exit 1;; *) {pip};; esac\n'
    )
    debian.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(debian))
    if has_pip:
        install.ensure_installed("runtime")
        assert install._is_installed("runtime")
    else:
        with pytest.raises(
            LauncherError, match=r"cannot make a virtual environment with pip.*apt install python3-venv"
        ):
            install.ensure_installed("runtime")
        assert not install._is_installed("runtime")


def test_uv_is_told_what_pip_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if subprocess.run([*install._pip(), "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this environment was not made by scripts/test and has no pip")
    for name in [name for name in install.os.environ if name.startswith(("PIP_", "UV_", "SSL_"))]:
        monkeypatch.delenv(name)
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://a.example/simple\ncert = /a.pem\n"
        "extra-index-url =\n    https://b.example/simple\n    https://c.example/simple\n[install]\ncert = /b.pem\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    told = install._pip_settings_for_uv()
    assert told["UV_INDEX"] == "https://b.example/simple https://c.example/simple"
    assert told["UV_FIND_LINKS"] == "/wheels,/more"
    assert told["SSL_CERT_FILE"] == "/b.pem"
    assert "UV_DEFAULT_INDEX" not in told, "what the person told uv itself stays"


@pytest.mark.parametrize(
    ("system", "machine", "sentence"),
    [
        ("win32", "AMD64", "does not run on win32 itself: .*WSL 2"),
        ("linux", "riscv64", "no database binaries for a riscv64 processor"),
        ("darwin", "x86_64", "no database binaries for a x86_64 processor"),
    ],
)
def test_machines_without_binaries_are_refused_with_the_alternatives(system: str, machine: str, sentence: str) -> None:
    with pytest.raises(LauncherError, match=sentence):
        check_system(system, machine)


def test_musl_and_an_old_glibc_are_refused() -> None:
    for name, version, sentence in (
        ("", "", "musl"),
        ("musl", "1.2.5", "musl"),
        ("glibc", "2.17", "glibc 2.17, which is too old"),
    ):
        with pytest.raises(LauncherError, match=sentence):
            check_glibc(name, version)
    check_glibc("glibc", "2.28")


def test_without_a_new_enough_python_the_entry_says_so(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # what an old Python answers to the question for its version
    old.chmod(0o755)
    for tool in ("dirname", "sh"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}" if Path(f"/bin/{tool}").exists() else f"/usr/bin/{tool}")
    result = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "up")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Saldo needs Python 3.11 or newer and found none: install one")
    assert "scripts/up." in result.stderr
