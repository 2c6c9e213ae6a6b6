"""Every number that was ever told can be computed again, and a person who asks sees what came of it."""

import random
import uuid
from typing import Any

from django.test import Client

from apps.connectors.models import Connector, Listing
from apps.inventory import ledger
from apps.sync import explain, queue
from apps.sync.models import SyncLog
from apps.tenants.models import ApiKey
from tests.market import Market, let_time_pass, work_until_quiet

STEPS = 60
FAULTS: list[dict[str, object]] = [
    {"action": "status", "status": 429},
    {"action": "status", "status": 500},
    {"action": "lie", "method": "PUT"},
    {"action": "wrong_quantity", "method": "PUT"},
    {"action": "reset_after_applying", "method": "PUT"},
]


def test_after_a_random_story_every_number_told_can_be_computed_again(market: Market, settings: Any) -> None:
    dice = random.Random(20)
    for _ in range(STEPS):
        something_happens(dice, market)
        market.control.wait_until_notified()
        work_until_quiet()
    market.control.clear_faults()
    let_time_pass()
    work_until_quiet()
    market.control.faults({"path": "^/items/", "method": "PUT", "action": "wrong_quantity", "times": 1})
    market.receive("MUG", 2)
    work_until_quiet()
    settings.SYNC_IN_FLIGHT_SECONDS = 0  # a write whose answer was lost looks like a sale until then
    for _ in range(3):
        let_time_pass()
        queue.sweep()
        work_until_quiet()
    logs = list(SyncLog.objects.order_by("pk"))
    assert len(logs) > STEPS / 2
    assert {log.status for log in logs} >= {"SUCCESS", "ERROR"}
    assert {log.trigger for log in logs} >= {"auto", "manual", "sweep"}
    assert [(log.pk, log.new_value) for log in logs] == [(log.pk, explain.recomputed(log)) for log in logs]
    assert all(log.shown_value == log.new_value for log in logs if log.status == "SUCCESS")
    assert any(log.shown_value not in (None, log.new_value) for log in logs if log.error_code == "ignored_by_channel")
    for sku in ("SHIRT", "MUG"):
        why = explain.explain(Listing.objects.select_related("connector", "tenant").get(pk=market.listing(sku).pk))
        assert (why.number, why.state.value) == (market.shown(sku), "right")


def something_happens(dice: random.Random, market: Market) -> None:
    """Let one thing of the kind that makes numbers change, or go wrong, happen."""
    sku = dice.choice(["SHIRT", "MUG"])
    what = dice.randrange(8)
    if what == 0:
        market.receive(sku, dice.randint(1, 5))
    elif what == 1 and market.shown(sku):
        market.sell(sku)
    elif what == 2:
        line = ledger.Line(market.product(sku).pk, dice.randint(1, 3), market.location.pk)
        cause = ledger.Cause(actor="test")
        ledger.reserve(market.tenant, [line], key=uuid.uuid4().hex, cause=cause, is_fact=True)
    elif what == 3:
        Connector.objects.update(margin_percent=dice.choice([50, 80, 100]), buffer_units=dice.randint(0, 2))
        queue.sweep()
    elif what == 4:
        Listing.objects.filter(pk=market.listing(sku).pk).update(cap_units=dice.choice([None, 5]))
        queue.sweep()
    elif what == 5:
        queue.mark_now(Listing.objects.filter(pk=market.listing(sku).pk))
    elif what == 6:
        market.control.faults({"path": "^/items/", "times": dice.randint(1, 2), **dice.choice(FAULTS)})
        market.receive(sku, 2)
    else:
        market.control.clear_faults()
        let_time_pass()


def test_a_number_that_was_asked_for_shows_at_the_address_that_was_answered(market: Market) -> None:
    key = ApiKey.issue(market.tenant, name="ERP", scopes=["integrations:read", "integrations:write"])[1]
    client = Client(headers={"X-Api-Key": key})
    asked = client.post("/api/integrations/mercadolivre/sync-stock/SHIRT")
    assert asked.status_code == 202
    assert client.get(asked.json()["statusUrl"]).json()["items"] == []
    work_until_quiet()
    shown = client.get(asked.json()["statusUrl"]).json()
    assert [(row["status"], row["newValue"], row["trigger"]) for row in shown["items"]] == [("SUCCESS", 10, "manual")]
    assert shown["listings"][0]["state"] == "right"
