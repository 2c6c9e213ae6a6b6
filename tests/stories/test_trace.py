"""One sale in the log: the same trace and tenant from the webhook to the number that the channel is told."""

import pytest

from apps.events.models import IntegrationEvent
from tests.market import Market


def test_a_sale_is_followed_through_the_log(market: Market, caplog: pytest.LogCaptureFixture) -> None:
    market.sell("SHIRT", 2)
    market.settle()
    event = IntegrationEvent.objects.filter(topic="orders_v2").earliest("pk")
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    told = [line for line in lines if line.get("trace_id") == str(event.trace_id)]
    said = {line["event"]: line for line in told}
    assert {"notification_stored", "order_read", "stock_pushed"} <= said.keys()
    assert {line["purpose"] for line in told if line["event"] == "http.call"} >= {"ml.order", "ml.stock"}
    assert {line["tenant"] for line in told} == {market.tenant.pk}
    assert said["notification_stored"]["event_id"] == said["order_read"]["event_id"] == event.pk
