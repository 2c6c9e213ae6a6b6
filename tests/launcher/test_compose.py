"""docker-compose.yml starts what scripts/up starts, safely."""

import re
import shlex
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from scripts.launcher import ROOT, commands
from scripts.launcher.servers import POSTGRES_OPTIONS, Valkey

COMPOSE = ROOT / "docker-compose.yml"
OURS = ("migrate", "web", "worker", "beat")
VALUES = {
    "SECRET_KEY": "s" * 50,
    "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=",
    "SALDO_PUBLIC_URL": "https://saldo.example",
    "POSTGRES_PASSWORD": "p",
    "SALDO_WORKERS": "7",
}


def interpolate(text: str) -> str:
    """Replace ${NAME}, ${NAME:-default} and ${NAME:?complaint} as compose does; the values are VALUES."""
    return re.sub(r"\$\{(\w+)(?::([-?])([^}]*))?\}", lambda m: VALUES.get(m[1]) or (m[3] if m[2] == "-" else ""), text)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services, with values filled in."""
    services: dict[str, Any] = yaml.safe_load(interpolate(COMPOSE.read_text()))["services"]
    return services


@pytest.mark.parametrize(
    ("service", "command"),
    [("migrate", commands.MIGRATE), ("web", commands.WEB), ("worker", commands.worker(7)), ("beat", commands.BEAT)],
)
def test_a_service_runs_the_launchers_command(services: dict[str, Any], service: str, command: list[str]) -> None:
    assert services[service]["command"] == ["python", *command]


def test_the_image_alone_runs_the_web_server() -> None:
    instruction = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("CMD "))
    assert yaml.safe_load(instruction.removeprefix("CMD ")) == ["python", *commands.WEB]


def test_the_image_copies_only_what_exists_and_the_builder_may_see() -> None:
    visible = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [
        shlex.split(line)[1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")
    ]
    copied = {source for source in copies if not source.startswith("--")}
    assert copied == visible
    assert {name for name in copied if not (ROOT / name).exists()} == set()


def test_our_services_have_no_root_no_privileges_and_cannot_write(services: dict[str, Any]) -> None:
    assert re.search(r"^USER 10001:10001$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for name in OURS:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def test_nothing_but_the_web_server_is_published_and_that_on_loopback(services: dict[str, Any]) -> None:
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "web": ["127.0.0.1:8000:8000"]
    }


def test_valkey_runs_with_the_launchers_promises(services: dict[str, Any], valkey: Valkey) -> None:
    for option, value in (("--maxmemory-policy", "noeviction"), ("--appendonly", "yes"), ("--appendfsync", "everysec")):
        for command in (services["redis"]["command"], valkey.command):
            assert command[command.index(option) + 1] == value


def test_postgres_keeps_time_and_secrets_as_under_the_launcher(services: dict[str, Any]) -> None:
    for name in ("timezone", "log_min_error_statement", "log_error_verbosity"):
        assert f"{name}={POSTGRES_OPTIONS[name]}" in services["db"]["command"]


def test_processes_wait_for_the_servers_and_the_migration(services: dict[str, Any]) -> None:
    for name in ("web", "worker", "beat"):
        assert {other: wait["condition"] for other, wait in services[name]["depends_on"].items()} == {
            "db": "service_healthy",
            "redis": "service_healthy",
            "migrate": "service_completed_successfully",
        }


def test_every_needed_secret_is_in_the_example_without_a_value() -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert needed == {name for name, value in example.items() if not value}


def test_compose_itself_finds_nothing_wrong() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed here")
    command = [docker, "compose", "-f", str(COMPOSE), "config", "--quiet"]
    result = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin:/usr/local/bin", **VALUES}, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    missing = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin:/usr/local/bin"}, capture_output=True, text=True, check=False
    )
    assert missing.returncode != 0
    assert "see .env.example" in missing.stderr
