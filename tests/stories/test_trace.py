"""One sale in the log: the same trace and tenant from the webhook to the number that the channel is told."""

import json
import logging.config

import pytest

from apps.events.models import IntegrationEvent
from config.logs import LOGGING, SHARED_PROCESSORS
from tests.market import Market


def test_a_sale_is_followed_through_the_log(market: Market, caplog: pytest.LogCaptureFixture) -> None:
    market.sell("SHIRT", 2)
    market.settle()
    event = IntegrationEvent.objects.filter(topic="orders_v2").earliest("pk")
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    told = [line for line in lines if line.get("traceId") == str(event.trace_id)]
    said = {line["event"]: line for line in told}
    assert {"notification_stored", "order_read", "stock_pushed"} <= said.keys()
    assert {line["purpose"] for line in told if line["event"] == "http.call"} >= {"ml.order", "ml.stock"}
    assert {line["tenant"] for line in told} == {market.tenant.pk}
    assert said["notification_stored"]["eventId"] == said["order_read"]["eventId"] == event.pk
    assert not any({"trace_id", "event_id"} & line.keys() for line in lines)  # one spelling, everywhere


def test_a_line_is_json_with_the_keys_of_the_requirement() -> None:
    """Through the formatter of the settings, as it is written to standard error."""
    formatter = logging.config.DictConfigurator(LOGGING).configure_formatter(LOGGING["formatters"]["json"])
    ours = {"event": "order_read", "trace_id": "a8", "event_id": 7, "tenant": 3}
    for processor in SHARED_PROCESSORS:
        ours = processor(logging.getLogger("x"), "info", ours)
    record = logging.makeLogRecord({"msg": ours, "levelname": "INFO", "name": "x", "_logger": None, "_name": "info"})
    line = json.loads(formatter.format(record))
    assert (line["event"], line["traceId"], line["eventId"], line["tenant"]) == ("order_read", "a8", 7, 3)
    foreign = json.loads(formatter.format(logging.makeLogRecord({"msg": "words of a library", "levelname": "INFO"})))
    assert foreign["event"] == "words of a library"
