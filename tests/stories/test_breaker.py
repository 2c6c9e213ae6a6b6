"""A channel that does not answer: left alone by all, probed by one, and nothing of it costs an event its tries."""

import threading
from contextlib import suppress
from typing import Any

import pytest
import redis
from django.test import Client

from apps.common.valkey import client
from apps.connectors import breaker, credentials
from apps.connectors.breaker import Breaker, State
from apps.connectors.channel import ChannelError
from apps.events.models import IntegrationEvent
from tests.factories import member
from tests.market import Market, let_time_pass, work_until_quiet

DOWN = {"path": "^/orders/", "action": "status", "status": 503}


@pytest.fixture
def soon(settings: Any) -> None:
    """Breakers that open after three failures and stay open until a test ends that, however slow the machine."""
    settings.CHANNEL_BREAKER_FAILURES = 3
    settings.CHANNEL_BREAKER_SECONDS = 600


def state(market: Market) -> State:
    return breaker.states([market.connector.pk])[market.connector.pk]


def let_it_half_open(market: Market) -> None:
    """Let the open breaker's time end, as waiting would."""
    client().set(f"saldo:breaker:{market.connector.pk}:open_until", 1.0)


def ask(market: Market, order_id: str = "1") -> str:
    """Ask the channel for an order and return the error's code."""
    with pytest.raises(ChannelError) as caught:
        credentials.open_connector(market.connector).order(order_id)
    return caught.value.code


def orders_asked(market: Market) -> int:
    return sum(entry["path"].startswith("/orders/") for entry in market.control.journal())


def test_after_some_failures_in_a_row_nobody_asks_and_one_probes(market: Market, soon: None) -> None:
    market.control.faults(DOWN)
    assert [ask(market) for _ in range(3)] == ["server_error"] * 3
    asked = orders_asked(market)
    assert state(market) is State.OPEN
    assert [ask(market) for _ in range(5)] == ["circuit_open"] * 5
    assert orders_asked(market) == asked
    let_it_half_open(market)
    assert state(market) is State.HALF_OPEN
    assert ask(market) == "server_error"
    assert state(market) is State.OPEN
    let_it_half_open(market)
    market.control.clear_faults()
    assert ask(market) == "order_not_found"  # an answer
    assert state(market) is State.CLOSED


def test_only_one_of_many_probes(market: Market, soon: None) -> None:
    for _ in range(3):
        Breaker(market.connector.pk).failed()
    let_it_half_open(market)
    start, let_through = threading.Barrier(8), []

    def probe() -> None:
        start.wait()
        with suppress(ChannelError):
            Breaker(market.connector.pk).ask()
            let_through.append(1)

    threads = [threading.Thread(target=probe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_through) == 1


def test_what_the_channel_answers_is_no_failure(market: Market, soon: None) -> None:
    assert [ask(market) for _ in range(9)] == ["order_not_found"] * 9
    market.control.faults({"path": "^/orders/", "action": "status", "status": 429})
    assert [ask(market) for _ in range(9)] == ["rate_limited"] * 9
    assert state(market) is State.CLOSED


def test_another_connector_is_not_concerned(market: Market, soon: None) -> None:
    for _ in range(3):
        Breaker(market.connector.pk).failed()
    Breaker(market.connector.pk + 1).ask()
    assert breaker.states([market.connector.pk + 1]) == {market.connector.pk + 1: State.CLOSED}


def test_an_open_breaker_uses_up_no_try_and_the_sale_comes_in_afterwards(market: Market, soon: None) -> None:
    market.sell("SHIRT", 2)
    market.control.wait_until_notified()
    for _ in range(3):
        Breaker(market.connector.pk).failed()
    for _ in range(100):  # more than all tries there are
        IntegrationEvent.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at="2026-01-01T00:00Z")
        work_until_quiet()
    event = IntegrationEvent.objects.get(topic="orders_v2")
    assert (event.status, event.error_code, event.attempts) == ("NOVA_TENTATIVA", "circuit_open", 0)
    assert market.numbers("SHIRT") == (10, 0)
    let_it_half_open(market)
    let_time_pass()
    work_until_quiet()
    assert market.numbers("SHIRT") == (10, 2)
    assert state(market) is State.CLOSED


def test_without_redis_calls_go_through(market: Market, soon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    away = redis.Redis.from_url("unix:///nonexistent/redis.sock")
    monkeypatch.setattr(breaker, "client", lambda: away)
    market.control.faults(DOWN)
    assert [ask(market) for _ in range(5)] == ["server_error"] * 5
    assert state(market) is State.CLOSED


def test_the_connectors_page_says_that_an_account_is_left_alone(market: Market, soon: None) -> None:
    client = Client(headers={"accept-language": "en"})
    client.force_login(member(market.tenant))
    sentence = "left alone for a moment"
    assert sentence not in client.get("/console/conectores/").content.decode()
    for _ in range(3):
        Breaker(market.connector.pk).failed()
    assert sentence in client.get("/console/conectores/").content.decode()
