"""A connection knows without a query whether its server is still there."""

import time

import pytest
from django.db import connection, connections
from django.db.backends.postgresql import base

from scripts.launcher.throwaway import ThrowawayServers

pytestmark = pytest.mark.django_db(transaction=True)


def end_of_the_backend() -> None:
    """Let the server end our connection, as its restart does, and wait until that has come through."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            assert cursor.fetchone() == (True,)
    finally:
        other.close()


def test_an_idle_one_is_usable_without_asking_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(self: object) -> bool:
        raise AssertionError("the server was asked")

    connection.ensure_connection()
    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", ask)
    assert connection.is_usable()


def test_one_that_the_server_ended_is_not_usable_and_the_next_request_gets_another() -> None:
    end_of_the_backend()
    assert not connection.is_usable()
    connection.health_check_enabled, connection.health_check_done = True, False  # as at the start of a request
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_one_that_received_a_notice_is_asked_and_lives() -> None:
    with connection.cursor() as cursor:
        cursor.execute("LISTEN a_word")
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("NOTIFY a_word")
    finally:
        other.close()
    time.sleep(0.2)
    assert connection.is_usable()
    connection.close()


def test_a_killed_server_is_noticed(servers: ThrowawayServers) -> None:
    connection.ensure_connection()
    try:
        servers.postgres.kill()
        for _attempt in range(100):  # its child that serves us dies a moment after it
            if not connection.is_usable():
                break
            time.sleep(0.1)
        assert not connection.is_usable()
    finally:
        servers.postgres.start()
        connection.close()
