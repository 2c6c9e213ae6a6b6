"""A job over many against a real marketplace: killed in the middle, behind a channel that is down, pressed twice."""

import signal

import pytest
from django.db import connection
from django.utils import timezone

from apps.connectors.models import Connector, Listing
from apps.events import bulk, bulk_work
from apps.events.bulk import Status
from apps.events.models import IntegrationEvent, Reprocess
from apps.inventory.models import Reservation
from apps.sandbox.server import Sandbox
from tests.market import Market, let_time_pass, orders_of, work_until_quiet
from tests.stories.dying_worker import BULK_POINTS
from tests.stories.test_kill import work_until_death

ORDERS = 6


@pytest.fixture
def failing(market: Market) -> Market:
    """Six sales whose events stand in error, none of them taken in: the hub did not hear the channel for a while."""
    Connector.objects.update(calls_per_minute=0)
    for _ in range(ORDERS):
        market.sell("SHIRT")
    market.control.wait_until_notified()
    events = IntegrationEvent.objects.filter(topic="orders_v2")
    events.update(status="ERRO", error_code="server_error", next_attempt_at=None, processed_at=timezone.now())
    IntegrationEvent.objects.exclude(topic="orders_v2").update(status="IGNORADO", next_attempt_at=None)
    assert orders_of(market) == []
    return market


def job_of(market: Market) -> Reprocess:
    events = IntegrationEvent.objects.filter(status="ERRO")
    row = bulk.plan_events(market.tenant, events, actor="user:1", filters="status=ERRO")
    return bulk.confirm(row, actor="user:1", plan_hash=row.plan_hash, reason="o canal caiu")


def work_to_the_end(job: Reprocess) -> Reprocess:
    """Let the ticks work until the job ended."""
    for _ in range(20):
        bulk_work.go_on(5)
        let_time_pass()
        work_until_quiet()
        job.refresh_from_db()
        if job.finished_at:
            work_until_quiet()
            return job
    raise AssertionError(f"the job does not end: {bulk.progress(job)}")


@pytest.mark.parametrize("point", BULK_POINTS)
def test_a_worker_killed_half_way_when(failing: Market, sandbox: Sandbox, point: str) -> None:
    job = job_of(failing)
    assert work_until_death(f"{point}@{ORDERS // 2 + 1}", sandbox) == -signal.SIGKILL
    told = bulk.progress(job)
    assert told.done in (ORDERS // 2, ORDERS // 2 - 1, ORDERS // 2 + 1), told
    assert told.done + told.failed + told.skipped + told.left == job.count

    work_to_the_end(job)
    told = bulk.progress(job)
    assert (told.done, told.failed, told.skipped, told.left) == (job.count, 0, 0, 0)
    assert job.status == Status.DONE
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT reprocess_count FROM integracao_evento WHERE reprocess_id = %s", [job.pk])
        assert cursor.fetchall() == [(1,)]
    assert len(orders_of(failing)) == ORDERS
    assert Reservation.objects.count() == ORDERS
    assert (failing.numbers("SHIRT"), failing.shown("SHIRT")) == ((10, ORDERS), 10 - ORDERS)


def test_what_fails_is_told_and_can_be_repeated_alone(failing: Market) -> None:
    lost = IntegrationEvent.objects.filter(status="ERRO").order_by("pk").first()
    IntegrationEvent.objects.filter(pk=lost.pk).update(external_id="2000009999999999")
    job = work_to_the_end(job_of(failing))
    told = bulk.progress(job)
    assert (told.failed, told.left) == (1, 0)
    assert [code for state, code, _count in bulk.reasons(job) if state == "FALHOU"] == ["order_not_found"]
    IntegrationEvent.objects.filter(pk=lost.pk).update(external_id=lost.external_id)
    failures = IntegrationEvent.objects.filter(pk__in=job.items.filter(state="FALHOU").values("event_id"))
    again = bulk.plan_events(failing.tenant, failures, actor="user:1", parent=job)
    assert again.count == 1
    bulk.confirm(again, actor="user:1", plan_hash=again.plan_hash, reason="corrigido")
    work_to_the_end(again)
    assert bulk.progress(again).done == 1
    assert len(orders_of(failing)) == ORDERS


def test_events_about_one_order_are_read_once(failing: Market) -> None:
    """Forty notifications of one order are forty members and one reading, at most so many calls as one has."""
    first = IntegrationEvent.objects.filter(status="ERRO").order_by("pk").first()
    for number in range(40):
        first.pk, first.delivery_key = None, f"again-{number}"
        first.save(force_insert=True)
    job = job_of(failing)
    seen = len(failing.control.journal())
    work_to_the_end(job)
    reads = [
        call
        for call in failing.control.journal()[seen:]
        if call["method"] == "GET" and call["path"].endswith(f"/orders/{first.external_id}")
    ]
    assert len(reads) == 1
    assert bulk.progress(job).done == job.count >= ORDERS + 40


def test_numbers_are_sent_again_and_each_listing_says_how_it_went(market: Market) -> None:
    listing = market.listing("SHIRT")
    unmapped = Listing.objects.create(tenant=market.tenant, connector=market.connector, item_id="MLB999")
    market.control.edit_item(listing.item_id, available_quantity=99)
    job = bulk.plan_listings(market.tenant, Listing.objects.all(), actor="user:1")
    assert job.summary["skipped"] == {"not_mapped": 1}
    bulk.confirm(job, actor="user:1", plan_hash=job.plan_hash, reason="conferir tudo")
    work_to_the_end(job)
    told = bulk.progress(job)
    assert (told.done, told.failed, told.skipped, told.left) == (2, 0, 1, 0)
    assert job.items.get(listing=unmapped).code == "not_mapped"
    assert market.shown("SHIRT") == 10
