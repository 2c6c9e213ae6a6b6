"""When something happened, by the hub's clock."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from apps.sources import retry, timing
from apps.sources.models import SourceEvent
from apps.sources.timing import Note
from tests.factories import ProductFactory
from tests.sources.conftest import ERP, Teller

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)

ROWS = [
    # told, clock ahead by -> when it was, note
    (NOW - MINUTE, 0 * SECOND, NOW - MINUTE, Note.NONE),
    (NOW - MINUTE, 5 * SECOND, NOW - MINUTE, Note.NONE),
    (NOW - MINUTE, 6 * SECOND, NOW - MINUTE - 6 * SECOND, Note.CORRECTED),
    (NOW - MINUTE, -6 * SECOND, NOW - MINUTE + 6 * SECOND, Note.CORRECTED),
    (NOW, 3 * MINUTE, NOW - 3 * MINUTE, Note.FLAGGED),
    (NOW + SECOND, 0 * SECOND, NOW, Note.NONE),
    (NOW + 2 * MINUTE, 0 * SECOND, NOW, Note.NONE),
    (NOW + 3 * MINUTE, 0 * SECOND, NOW, Note.FLAGGED),
    (NOW - MINUTE, -2 * MINUTE, NOW, Note.CORRECTED),
]


@pytest.mark.parametrize(("told", "ahead", "moment", "note"), ROWS)
def test_a_clock_is_corrected_and_flagged(told: datetime, ahead: timedelta, moment: datetime, note: Note) -> None:
    assert timing.by_our_clock(told, now=NOW, ahead=ahead) == (moment, note)


def test_only_a_sender_from_the_future_is_ahead() -> None:
    assert timing.ahead_of_us(NOW + MINUTE, now=NOW) == MINUTE
    assert timing.ahead_of_us(NOW - MINUTE, now=NOW) == timedelta()  # it may have been under way for long
    assert timing.ahead_of_us(None, now=NOW) is None


@pytest.mark.django_db
def test_an_event_of_a_clock_that_is_ahead_is_put_back(teller: Teller) -> None:
    now = timezone.now()
    told = teller.event(time=(now + timedelta(minutes=10)).isoformat())
    ahead = (now + timedelta(minutes=10, seconds=1)).isoformat()
    [result] = teller.push(teller.batch([told], sent_at=ahead))["results"]
    event = teller.stored(told)
    assert (result["clock"], event.status) == ("flagged", "APPLIED")
    assert abs(event.occurred_at - (now - SECOND)) < MINUTE
    assert teller.source().clock_offset_ms > 590_000


@pytest.mark.django_db
def test_a_device_may_say_itself_how_far_its_clock_is_off(teller: Teller) -> None:
    now = timezone.now()
    told = teller.event(time=(now - timedelta(hours=1)).isoformat(), device_clock_offset_ms=-3_000_000)
    teller.tell(told)
    assert abs(teller.stored(told).occurred_at - (now - timedelta(minutes=10))) < SECOND


@pytest.mark.django_db
def test_what_is_older_than_a_week_waits_for_approval(teller: Teller) -> None:
    old = teller.event("SALE", 2, time=(timezone.now() - timedelta(days=8)).isoformat(), sequence=1)
    answer = teller.push([old])
    assert [(r["status"], r["code"]) for r in answer["results"]] == [("recorded", "too_old")]
    assert (answer["sources"][0]["ack_seq"], teller.on_hand()) == (1, 0)
    call_command("retry_source_events")
    assert teller.on_hand() == 0  # trying again is no approval
    call_command("retry_source_events", str(teller.stored(old).pk), "--approve", "ana")
    event = teller.stored(old)
    assert (event.status, event.approved_by, teller.on_hand()) == ("APPLIED", "command:ana", -2)


@pytest.mark.django_db
def test_a_count_of_an_old_moment_waits_for_approval(teller: Teller) -> None:
    [result] = teller.tell(teller.counted(5, timezone.now() - timedelta(days=8)))
    assert (result["status"], result["code"]) == ("recorded", "too_old")


def wait_here(event: SourceEvent, time: timedelta) -> None:
    """Let a stored event have arrived that much earlier, and with it have happened that much earlier."""
    told = datetime.fromisoformat(event.payload["time"]) - time
    SourceEvent.objects.filter(pk=event.pk).update(
        payload={**event.payload, "time": told.isoformat()}, received_at=event.received_at - time
    )


@pytest.mark.django_db
def test_what_waited_here_for_more_than_a_week_is_applied_once_it_can_be(teller: Teller) -> None:
    sale = teller.event("SALE", 2, sku="HAT")
    teller.tell(sale)
    wait_here(teller.stored(sale), timedelta(days=8))
    arrived_at = teller.stored(sale).received_at
    hat = ProductFactory(tenant=teller.tenant, sku="HAT")
    assert retry.again_what_is_mended() == 1
    event = teller.stored(sale)
    assert (event.status, teller.on_hand(hat), event.received_at) == ("APPLIED", -2, arrived_at)
    assert event.occurred_at == datetime.fromisoformat(event.payload["time"])


@pytest.mark.django_db
def test_what_was_too_old_when_it_came_waits_for_approval_whatever_else_it_waited_for(teller: Teller) -> None:
    sale = teller.event(sku="HAT", time=(timezone.now() - timedelta(days=8)).isoformat())
    assert [result["code"] for result in teller.tell(sale)] == ["unknown_sku"]
    ProductFactory(tenant=teller.tenant, sku="HAT")
    assert retry.again_what_is_mended() == 1
    assert teller.stored(sale).code == "too_old"


@pytest.mark.django_db
def test_other_contents_under_the_id_of_a_rejected_event_are_judged_by_when_they_came(teller: Teller) -> None:
    sale = teller.event(quantity="1.5")
    teller.tell(sale)
    wait_here(teller.stored(sale), timedelta(days=8))
    told = teller.stored(sale).payload["time"]
    [result] = teller.tell({**sale, "time": told, "data": {**sale["data"], "quantity": "1"}})
    assert (result["code"], teller.on_hand()) == ("too_old", 0)


@pytest.mark.django_db
def test_a_retry_goes_by_the_clock_as_it_stood_when_the_event_came(teller: Teller) -> None:
    now, hour, ahead = timezone.now(), timedelta(hours=1), timedelta(minutes=10)
    sale = teller.event(sku="HAT", time=(now + ahead - hour).isoformat())
    teller.push(teller.batch([sale], sent_at=(now + ahead + SECOND).isoformat()))
    teller.push(teller.batch([], sent_at=now.isoformat()))  # somebody set the clock right
    assert teller.source().clock_offset_ms == 0
    ProductFactory(tenant=teller.tenant, sku="HAT")
    assert retry.again_what_is_mended() == 1
    event = teller.stored(sale)
    assert (event.status, event.clock_note) == ("APPLIED", "flagged")
    assert abs(event.occurred_at - (now - hour)) < timedelta(seconds=30)


@pytest.mark.django_db
def test_a_retry_cuts_a_clock_ahead_to_when_the_event_came(teller: Teller) -> None:
    sale = teller.event(sku="HAT", time=(timezone.now() + timedelta(days=1)).isoformat())
    teller.tell(sale)
    wait_here(teller.stored(sale), timedelta(days=3))
    ProductFactory(tenant=teller.tenant, sku="HAT")
    retry.again_what_is_mended()
    event = teller.stored(sale)
    assert (event.status, event.clock_note, event.occurred_at) == ("APPLIED", "flagged", event.received_at)


@pytest.mark.django_db
def test_a_count_asserts_what_was_there_at_its_moment(teller: Teller) -> None:
    now = timezone.now()

    def at(minutes_ago: int) -> datetime:
        return now - timedelta(minutes=minutes_ago)

    teller.tell(teller.event("RECEIPT", 10, time=at(60).isoformat()))
    teller.tell(teller.event("SALE", 1, time=at(10).isoformat()))
    teller.tell(teller.counted(8, at(30)))
    assert teller.on_hand() == 7  # 8 were there half an hour ago, one was sold since
    teller.tell(teller.event("SALE", 2, time=at(40).isoformat()))
    assert teller.on_hand() == 7  # the count had seen that sale
    teller.tell(teller.counted(100, at(50)))
    assert teller.on_hand() == 7  # an older count changes nothing
    [result] = teller.tell(teller.counted(3, at(5)))
    assert (result["status"], teller.on_hand()) == ("accepted", 3)


@pytest.mark.django_db
def test_the_number_that_a_count_names_does_not_move_its_moment(teller: Teller) -> None:
    now = timezone.now()
    teller.tell(teller.event("SALE", 1, time=(now - 60 * MINUTE).isoformat(), sequence=7))
    teller.tell(teller.event("RECEIPT", 5, time=(now - 40 * MINUTE).isoformat(), source=ERP))
    as_of = (now - 20 * MINUTE).isoformat()
    teller.tell(teller.event("COUNT", 9, mode="ABSOLUTE", count={"as_of": as_of, "as_of_sequence": 7}))
    assert teller.on_hand() == 9  # what the other source received after number 7 was on the shelf and was counted
