"""How often a caller may ask, and that Redis' absence stops nobody. On a real Valkey."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from django.test import Client
from pytest_django import Settings
from structlog.testing import capture_logs

from apps.common.problems import Problem
from apps.tenants import rate_limit
from apps.tenants.models import ApiKey
from scripts.launcher.throwaway import ThrowawayServers
from tests.factories import TenantFactory


@pytest.fixture(autouse=True)
def _own_bucket(settings: Settings) -> Iterator[None]:
    rate_limit._take.cache_clear()
    yield
    rate_limit._take.cache_clear()


@pytest.fixture
def caller(request: pytest.FixtureRequest) -> str:
    """A caller nobody has heard of: buckets outlive a test."""
    return f"{time.time_ns()}:{request.node.name}"


def _taken(caller: str, times: int) -> int:
    """Ask so often; return how many were let through."""
    refusals = []
    for _ in range(times):
        try:
            rate_limit.take(caller)
        except Problem as problem:
            refusals.append((problem.status, problem.code))
    assert set(refusals) <= {(429, "rate_limited")}
    return times - len(refusals)


def test_ten_seconds_worth_pass_at_once_and_no_more(settings: Settings, caller: str) -> None:
    settings.API_RATE_LIMIT_PER_MINUTE = 18
    assert _taken(caller, 30) == 3
    assert _taken(f"{caller} and another", 30) == 3


def test_tokens_come_back_with_time(settings: Settings, caller: str) -> None:
    settings.API_RATE_LIMIT_PER_MINUTE = 600
    assert _taken(caller, 200) >= 100
    time.sleep(0.35)
    assert _taken(caller, 1) == 1


def test_processes_share_one_bucket(settings: Settings, caller: str) -> None:
    settings.API_RATE_LIMIT_PER_MINUTE = 18
    assert _taken(caller, 2) == 2
    rate_limit.forget_all()  # as another process would, it starts with nothing in its hands
    assert _taken(caller, 30) == 1


def test_redis_is_asked_once_a_block(settings: Settings, caller: str, servers: ThrowawayServers) -> None:
    settings.API_RATE_LIMIT_PER_MINUTE = 120_000
    rate_limit.take(caller)
    client = rate_limit._take().registered_client

    def calls() -> int:
        return int(client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])

    before = calls()
    assert _taken(caller, 1000) == 1000
    assert 5 <= calls() - before < 100


def test_a_refused_caller_costs_redis_nothing_until_there_is_a_token(settings: Settings, caller: str) -> None:
    settings.API_RATE_LIMIT_PER_MINUTE = 6
    assert _taken(caller, 2) == 1
    client = rate_limit._take().registered_client
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert _taken(caller, 100) == 0
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before


def test_nought_is_no_limit(settings: Settings, caller: str) -> None:
    settings.API_RATE_LIMIT_PER_MINUTE = 0
    assert _taken(caller, 1000) == 1000


def test_without_redis_everyone_passes_and_it_is_said_once(settings: Settings, caller: str) -> None:
    settings.API_RATE_LIMIT_PER_MINUTE = 6
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    with capture_logs() as lines:
        assert _taken(caller, 500) == 500
        assert _taken(f"{caller} and another", 500) == 500
    assert [line["event"] for line in lines] == ["rate_limit.off"]


def test_a_frozen_redis_is_waited_for_once(settings: Settings, caller: str, servers: ThrowawayServers) -> None:
    settings.API_RATE_LIMIT_PER_MINUTE = 6
    pid = servers.valkey.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with capture_logs() as lines:
            assert _taken(caller, 500) == 500
    finally:
        os.kill(pid, signal.SIGCONT)
    assert [line["event"] for line in lines] == ["rate_limit.off"]


def test_when_redis_is_back_the_limit_is(settings: Settings, caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.API_RATE_LIMIT_PER_MINUTE = 6
    monkeypatch.setattr(rate_limit, "REST_SECONDS", 0.2)
    monkeypatch.setattr(rate_limit, "BLOCK_SECONDS", 0.1)
    good, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:9/0"
    assert _taken(caller, 50) == 50
    settings.REDIS_URL = good
    rate_limit._take.cache_clear()
    time.sleep(0.4)
    assert _taken(caller, 50) == 1


@pytest.mark.django_db
@pytest.mark.urls("tests.tenants.echo_api")
@pytest.mark.parametrize("url", ["/v1/who", "/v1/drf"])
def test_a_caller_beyond_the_limit_is_told_when_to_come_back(settings: Settings, url: str) -> None:
    settings.API_RATE_LIMIT_PER_MINUTE = 12
    _key, text = ApiKey.issue(TenantFactory(), name="POS", scopes=["stock:read"])
    client = Client(headers={"X-Api-Key": text})
    answers = [client.get(url) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 429]
    refused = answers[2]
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 5
    assert refused.headers["RateLimit-Policy"] == '"perminute";q=12;w=60'
    assert refused.headers["RateLimit"] == f'"perminute";r=0;t={refused.headers["Retry-After"]}'
