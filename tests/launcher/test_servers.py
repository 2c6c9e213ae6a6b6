"""The embedded servers: real starts, real kills."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from scripts.launcher import ROOT, machine
from scripts.launcher.console import LauncherError
from scripts.launcher.servers import Postgres, Valkey, make_private_folder, socket_folder_for
from tests.launcher.conftest import Nobody, wait_until

MakePostgres = Callable[..., Postgres]


def query(postgres: Postgres, sql: str) -> list[object]:
    """Run one statement; return the first row, or nothing."""
    with psycopg.connect(f"host={postgres.socket_folder} user=saldo dbname=saldo", autocommit=True) as connection:
        cursor = connection.execute(sql)
        return list(cursor.fetchone() or ()) if cursor.description else []


def test_postgres_speaks_utc_and_folds_accents_alike_everywhere(make_postgres: MakePostgres) -> None:
    postgres = make_postgres()
    postgres.start()
    assert query(postgres, "SHOW timezone") == ["UTC"]
    assert query(postgres, "SELECT upper('ação'), 'AÇÃO' ILIKE 'ação'") == ["AÇÃO", True]
    assert query(postgres, "SELECT array_agg(w ORDER BY w) FROM unnest(ARRAY['b', 'á', 'B', 'a']) w") == [
        ["B", "a", "b", "á"]
    ]


def test_postgres_listens_on_no_tcp_port(make_postgres: MakePostgres) -> None:
    postgres = make_postgres()
    postgres.start()
    assert query(postgres, "SHOW listen_addresses") == [""]
    assert postgres.socket_folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_only_throwaway_data_gives_up_fsync(make_postgres: MakePostgres, durable: bool, fsync: str) -> None:
    postgres = make_postgres(durable=durable)
    postgres.start()
    assert query(postgres, "SHOW fsync") == [fsync]


def test_a_failing_statement_leaves_no_value_in_the_log(make_postgres: MakePostgres) -> None:
    postgres = make_postgres()
    postgres.start()
    query(postgres, "CREATE TABLE sealed (id int PRIMARY KEY, secret text, size int NOT NULL)")
    with pytest.raises(psycopg.errors.NotNullViolation):
        query(postgres, "INSERT INTO sealed VALUES (1, 'APP_USR-secret', NULL)")
    query(postgres, "INSERT INTO sealed VALUES (1, 'APP_USR-secret', 1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        query(postgres, "INSERT INTO sealed VALUES (1, 'APP_USR-secret', 2)")
    log = postgres.log.read_text()
    assert "violates not-null constraint" in log
    assert "violates unique constraint" in log
    assert "APP_USR-secret" not in log


def test_committed_rows_survive_kill_9_of_postgres_at_the_same_address(make_postgres: MakePostgres) -> None:
    postgres = make_postgres(durable=True)
    postgres.start()
    url = postgres.url
    query(postgres, "CREATE TABLE counted AS SELECT generate_series(1, 20000) AS n")
    postgres.kill()
    assert not postgres.is_running()
    postgres.start()
    assert postgres.url == url
    assert query(postgres, "SELECT count(*), sum(n) FROM counted") == [20000, 200010000]


def test_stopping_leaves_no_process_and_no_socket(make_postgres: MakePostgres, valkey: Valkey) -> None:
    for server in (make_postgres(), valkey):
        server.start()
        pid = server.pid
        server.stop()
        assert not machine.is_alive(pid)
        assert not server.socket_folder.exists()


def test_a_deep_path_with_spaces_and_accents_is_no_trouble(tmp_path: Path, make_postgres: MakePostgres) -> None:
    deep = tmp_path / "uma pasta com espaços" / ("x" * 120)
    postgres, valkey = make_postgres(deep / "pg"), Valkey(deep / "valkey")
    postgres.start()
    assert query(postgres, "SELECT 1") == [1]
    valkey.start()
    valkey.stop()
    assert (deep / "valkey" / "appendonlydir").exists()


def test_a_pid_file_that_names_a_strangers_process_is_cleared(make_postgres: MakePostgres) -> None:
    postgres = make_postgres()
    postgres.start()
    pid_file = postgres.data / "postmaster.pid"
    content = pid_file.read_text()
    postgres.kill()
    # The number was given to another program since: this one, which lives on.
    pid_file.write_text("\n".join([str(os.getpid()), *content.splitlines()[1:]]))
    postgres.start()
    assert query(postgres, "SELECT 1") == [1]


@pytest.mark.parametrize("kind", ["postgres", "valkey"])
def test_a_server_that_a_dead_launcher_left_is_stopped_and_replaced(
    kind: str, make_postgres: MakePostgres, valkey: Valkey
) -> None:
    server = make_postgres() if kind == "postgres" else valkey
    server.start()
    server.stop()
    make_private_folder(server.socket_folder)
    with (server.data.parent / "orphan.log").open("w") as log:
        orphan = subprocess.Popen(
            server.command, env=server.environment, stdout=log, stderr=log, preexec_fn=server.identity
        )
    try:
        wait_until((server.data / server.pid_file_name).exists, 20, "the orphan has its pid file")
        server.start()
        assert server.pid != orphan.pid
        assert orphan.wait(10) == 0
        assert server.is_ready()
    finally:
        orphan.kill()
        orphan.wait()


def test_a_half_made_cluster_is_made_again(make_postgres: MakePostgres) -> None:
    postgres = make_postgres()
    unfinished = postgres.data.with_name("pg.unfinished")
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    postgres.start()
    assert query(postgres, "SELECT current_database()") == ["saldo"]
    assert not unfinished.exists()


def test_data_that_is_broken_gives_the_end_of_the_log(make_postgres: MakePostgres) -> None:
    postgres = make_postgres()
    postgres.start()
    postgres.stop()
    (postgres.data / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(LauncherError, match=r"PostgreSQL did not start(.|\n)*no_such_setting"):
        postgres.start()
    assert not postgres.is_running()


def test_valkey_keeps_everything_through_kill_9_and_evicts_nothing(valkey: Valkey) -> None:
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        client.mset({f"key {n}": n for n in range(5000)})
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    valkey.kill()
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        assert client.dbsize() == 5000
        assert client.config_get("port") == {"port": "0"}


def test_the_socket_folder_is_ours_alone_or_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "saldo-0-0000000000"
    theirs.mkdir()
    theirs.chmod(0o777)
    with pytest.raises(LauncherError, match="not a folder of ours alone"):
        make_private_folder(theirs)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises((LauncherError, FileExistsError)):
        make_private_folder(link)


def test_the_socket_folder_stays_short_below_a_long_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("t" * 100)))
    assert len(str(socket_folder_for(tmp_path) / ".s.PGSQL.5432.lock")) < 100


def test_nothing_is_left_when_the_tests_own_process_is_killed(tmp_path: Path) -> None:
    source = (
        "import time; from scripts.launcher.throwaway import ThrowawayServers\n"
        "servers = ThrowawayServers(); servers.start()\n"
        "print(servers.postgres.pid, servers.valkey.pid, servers.folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        postgres, valkey, folder = owner.stdout.readline().split()
        owner.kill()
    wait_until(lambda: not machine.is_alive(int(postgres)), 10, "PostgreSQL is gone")
    wait_until(lambda: not machine.is_alive(int(valkey)), 10, "Valkey is gone")
    wait_until(lambda: not Path(folder).exists(), 10, "the throwaway data are gone")


def test_an_ordinary_user_needs_nothing_more(nobody: Nobody) -> None:
    result = nobody.run(
        "import os, shutil; from pathlib import Path; from scripts.launcher.servers import Postgres, Valkey\n"
        "assert os.getuid() != 0\n"
        "for server in (Postgres(Path('pg'), durable=True), Valkey(Path('valkey'))):\n"
        "    server.start(); server.kill(); server.start(); server.stop()\n"
        "    print(server.name, server.data.stat().st_uid == os.getuid(), server.socket_folder.exists())\n"
        "    shutil.rmtree(server.data)\n"
    )
    assert result.stdout == "postgres True False\nvalkey True False\n", result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
class TestRootWithoutUserNamespaces:
    """What remains in a container whose seccomp rules refuse user namespaces: the user nobody."""

    @pytest.fixture(autouse=True)
    def _no_namespaces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "_can_enter_user_namespace", lambda: False)

    def test_postgres_runs_as_nobody(
        self, nobody: Nobody, make_postgres: MakePostgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "path", [str(nobody.folder / "packages"), *sys.path])
        postgres = make_postgres(nobody.folder / "pg-of-nobody")
        postgres.start()
        assert postgres.data.stat().st_uid != 0
        postgres.kill()
        postgres.start()
        assert query(postgres, "SELECT 1") == [1]
        postgres.stop()
        shutil.rmtree(postgres.data)

    def test_a_closed_folder_is_refused_by_name(self, tmp_path: Path, make_postgres: MakePostgres) -> None:
        tmp_path.chmod(0o700)
        with pytest.raises(LauncherError, match=rf"nobody cannot reach .* because {tmp_path.parents[-1]}.* is closed"):
            make_postgres(tmp_path / "pg").start()


def test_stopping_is_fast_with_clients_connected(make_postgres: MakePostgres) -> None:
    postgres = make_postgres()
    postgres.start()
    assert postgres.stop_signal is signal.SIGINT
    with psycopg.connect(f"host={postgres.socket_folder} user=saldo dbname=saldo"):
        postgres.ask_to_stop()
        assert postgres.wait(5.0)
