"""A price that a person gives goes to the channel, apart from stock."""

from decimal import Decimal

import pytest
from django.utils import timezone

from apps.connectors.models import Connector, ListingPrice
from apps.sync import pricing
from apps.sync.models import SyncLog
from tests.market import Market, work_until_quiet


def price_shown(market: Market, sku: str) -> float:
    return float(market.control.item(market.listing(sku).item_id)["price"])


def ask(market: Market, price: str, **how: bool) -> None:
    pricing.ask(market.listing("SHIRT"), Decimal(price), actor="user:1", **how)


def logs() -> list[tuple[object, ...]]:
    rows = SyncLog.objects.filter(sync_type="PRICE").order_by("pk")
    return list(rows.values_list("old_value", "new_value", "status", "error_code"))


def push_all() -> None:
    ListingPrice.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
    while pricing.push_next():
        pass


def test_a_price_is_told_once_and_again_only_when_it_changes(market: Market) -> None:
    ask(market, "79.90")
    push_all()
    assert price_shown(market, "SHIRT") == 79.9
    ask(market, "79.90")
    assert not pricing.push_next()
    ask(market, "80")
    push_all()
    assert price_shown(market, "SHIRT") == 80
    assert logs() == [(None, Decimal("79.90"), "SUCCESS", ""), (Decimal("79.90"), 80, "SUCCESS", "")]


def test_an_automated_price_is_refused_once_and_blocks_no_stock(market: Market) -> None:
    market.control.edit_item(market.listing("SHIRT").item_id, price_automated=True)
    ask(market, "79.90")
    market.receive("SHIRT", 1)
    push_all()
    work_until_quiet()
    row = ListingPrice.objects.get()
    assert (row.error_code, row.due_at, row.accepted_price) == ("price_not_modifiable", None, None)
    assert (market.shown("SHIRT"), price_shown(market, "SHIRT")) == (11, 59.9)
    assert market.listing("SHIRT").last_error_code == ""
    assert Connector.objects.get().status == "ATIVO"


def test_stock_that_is_refused_blocks_no_price(market: Market) -> None:
    market.control.faults({"method": "PUT", "path": "^/items/", "action": "status", "status": 503, "times": 1})
    market.receive("SHIRT", 1)
    work_until_quiet()
    assert market.listing("SHIRT").last_error_code == "server_error"
    ask(market, "79.90")
    push_all()
    assert price_shown(market, "SHIRT") == 79.9


def test_a_hiccup_is_tried_again(market: Market) -> None:
    market.control.faults({"method": "PUT", "path": "^/items/", "action": "status", "status": 503, "times": 2})
    ask(market, "79.90")
    for _ in range(3):
        push_all()
    assert price_shown(market, "SHIRT") == 79.9
    assert [row[2:] for row in logs()] == [("ERROR", "server_error")] * 2 + [("SUCCESS", "")]


def test_a_price_that_was_ignored_with_200_is_no_success(market: Market) -> None:
    market.control.faults({"method": "PUT", "path": "^/items/", "action": "lie"})
    ask(market, "79.90")
    push_all()
    assert ListingPrice.objects.get().error_code == "price_ignored"


def test_a_price_far_from_the_last_is_asked_about_twice(market: Market) -> None:
    ask(market, "100")
    push_all()
    with pytest.raises(pricing.PriceJump):
        ask(market, "69")
    assert ListingPrice.objects.get().price == 100
    ask(market, "69", is_meant=True)
    push_all()
    assert price_shown(market, "SHIRT") == 69


def test_a_price_asked_for_during_a_call_goes_out_after_it(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    open_connector = pricing.credentials.open_connector

    def slowly(connector: Connector) -> object:
        monkeypatch.setattr(pricing.credentials, "open_connector", open_connector)
        ask(market, "90")
        assert not pricing.push_next()  # nobody else overtakes this call
        return open_connector(connector)

    monkeypatch.setattr(pricing.credentials, "open_connector", slowly)
    ask(market, "80")
    assert pricing.push_next()
    assert price_shown(market, "SHIRT") == 80
    assert pricing.push_next()
    assert price_shown(market, "SHIRT") == 90


def test_a_worker_that_died_leaves_a_trace_and_the_price_goes_out(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def dies(_connector: Connector) -> object:
        raise Died

    ask(market, "80")
    with monkeypatch.context() as patched:
        patched.setattr(pricing.credentials, "open_connector", dies)
        with pytest.raises(Died):
            pricing.push_next()
    assert not pricing.push_next()  # its lease runs
    push_all()
    assert [row[2:] for row in logs()] == [("UNKNOWN", "interrupted"), ("SUCCESS", "")]
    assert price_shown(market, "SHIRT") == 80


def test_an_application_without_permission_stops_the_account(market: Market) -> None:
    body = {"message": "x", "code": "PA_UNAUTHORIZED_RESULT_FROM_POLICIES", "status": 403}
    market.control.faults({"method": "PUT", "path": "^/items/", "action": "status", "status": 403, "body": body})
    market.receive("SHIRT", 1)
    market.receive("MUG", 1)
    work_until_quiet()
    stopped = Connector.objects.get()
    assert stopped.status == "ERROR"
    assert "403" in stopped.status_reason
    refused = [call for call in market.control.journal() if call["method"] == "PUT" and call.get("status") == 403]
    assert len(refused) <= 1  # it does not go on asking, listing after listing
