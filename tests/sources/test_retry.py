"""What waits is tried again, and one event that the hub fails on holds up nobody."""

import logging
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection

from apps.sources import retry
from apps.sources.models import SourceEvent
from tests.factories import ProductFactory
from tests.sources.conftest import Teller, open_teller

pytestmark = pytest.mark.django_db


def poison(teller: Teller, event: dict[str, Any]) -> SourceEvent:
    """Spoil what is stored of an event, so that this version of the hub cannot read it."""
    row = teller.stored(event)
    SourceEvent.objects.filter(pk=row.pk).update(payload={**row.payload, "time": ["spoilt"]})
    return row


def waiting_for_hats(teller: Teller, count: int) -> list[dict[str, Any]]:
    """Tell sales of a product that is made only then."""
    sales = [teller.event(sku="HAT") for _number in range(count)]
    teller.tell(*sales)
    ProductFactory(tenant=teller.tenant, sku="HAT")
    return sales


def test_an_event_that_the_hub_fails_on_holds_up_no_other(teller: Teller, caplog: pytest.LogCaptureFixture) -> None:
    stranger = open_teller()
    sales = waiting_for_hats(teller, 3)
    [theirs] = waiting_for_hats(stranger, 1)
    poison(teller, sales[1])
    with caplog.at_level(logging.ERROR):
        assert retry.again_what_is_mended() == 4
    assert [teller.stored(sale).status for sale in sales] == ["APPLIED", "PENDING", "APPLIED"]
    assert stranger.stored(theirs).status == "APPLIED"
    row = teller.stored(sales[1])
    assert (row.code, row.movement_ids) == ("internal_error", [])
    assert row.detail
    tracebacks = [record for record in caplog.records if "source_events_retry_broke" in record.getMessage()]
    assert len(tracebacks) == 2  # of the three together, and of the one alone
    assert retry.again_what_is_mended() == 0


def test_what_the_hub_failed_on_is_tried_again_when_somebody_says_so(teller: Teller) -> None:
    [sale] = waiting_for_hats(teller, 1)
    row = poison(teller, sale)
    retry.again_what_is_mended()
    call_command("retry_source_events", "--code", "internal_error")
    assert teller.stored(sale).code == "internal_error"
    SourceEvent.objects.filter(pk=row.pk).update(payload=row.payload)  # the defect is mended
    call_command("retry_source_events", "--code", "internal_error")
    assert (teller.stored(sale).status, teller.stored(sale).code) == ("APPLIED", "")


def test_a_reversal_that_the_hub_fails_on_is_no_error_of_the_request(teller: Teller) -> None:
    sale = teller.event("SALE", 3)
    with connection.cursor() as cursor:
        cursor.execute(
            """CREATE FUNCTION break_reversals() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN IF NEW.reverses_id IS NOT NULL THEN RAISE 'broken'; END IF; RETURN NEW; END $$"""
        )
        cursor.execute(
            "CREATE TRIGGER broken BEFORE UPDATE ON source_event FOR EACH ROW EXECUTE FUNCTION break_reversals()"
        )
    results = teller.tell(sale, teller.event("SALE", 3, reverses_event_id=sale["id"]))
    assert [(result["status"], result["code"]) for result in results] == [
        ("accepted", ""),
        ("rejected", "internal_error"),
    ]
    assert teller.on_hand() == -3


def test_an_approval_that_the_hub_fails_on_may_be_given_again(teller: Teller) -> None:
    old = teller.event(time="2026-01-01T00:00:00Z")
    teller.tell(old)
    row = poison(teller, old)
    retry.again([row.pk], approved_by="user:1")
    assert (teller.stored(old).status, teller.stored(old).code) == ("QUARANTINED", "internal_error")
    SourceEvent.objects.filter(pk=row.pk).update(payload=row.payload)
    retry.again([row.pk], approved_by="user:1")
    assert teller.stored(old).status == "APPLIED"


def test_when_the_database_goes_away_nothing_is_blamed_on_an_event(teller: Teller) -> None:
    [sale] = waiting_for_hats(teller, 1)
    with connection.cursor() as cursor:
        cursor.execute(
            """CREATE FUNCTION shut_down() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE 'terminating connection' USING ERRCODE = 'admin_shutdown'; END $$"""
        )
        cursor.execute("CREATE TRIGGER away BEFORE UPDATE ON source_event FOR EACH ROW EXECUTE FUNCTION shut_down()")
    with pytest.raises(OperationalError):
        retry.again_what_is_mended()
    assert teller.stored(sale).code == "unknown_sku"
