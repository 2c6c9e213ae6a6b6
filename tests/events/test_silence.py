"""A topic is called silent by its own rhythm: nights, Sundays, bursts and small shops are no alarm."""

import random
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone
from structlog.testing import capture_logs

from apps.connectors.models import Connector
from apps.events import silence
from apps.events.models import IntegrationEvent, SilentTopic
from apps.events.silence import ALARM_CHANCE, SLOT_SECONDS, chance_of_quiet
from tests import factories

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
SLOT = timedelta(seconds=SLOT_SECONDS)


def slot_of(moment: datetime) -> int:
    return int(moment.timestamp()) // SLOT_SECONDS


def heard(when: Callable[[datetime], bool], days: float) -> set[int]:
    """Return the spoken slots of `days` from a Monday on: those whose moment `when` says yes to."""
    moments = (MONDAY + number * SLOT for number in range(int(days * 24 * 6)))
    return {slot_of(moment) for moment in moments if when(moment)}


def always(moment: datetime) -> bool:
    return True


def by_day(moment: datetime) -> bool:
    """Told every ten minutes from 8 to 20 h."""
    return 8 <= moment.hour < 20


def on_workdays(moment: datetime) -> bool:
    return by_day(moment) and moment.weekday() < 5


def thinly(moment: datetime) -> bool:
    """Three a day."""
    return moment.hour in (9, 13, 18) and moment.minute == 20


def in_bursts(moment: datetime) -> bool:
    """A price list twice a day, told for an hour."""
    return moment.hour in (6, 18)


def on_workdays_and_saturday_morning(moment: datetime) -> bool:
    return on_workdays(moment) or (by_day(moment) and moment.weekday() == 5 and moment.hour < 13)


def now_and_then(moment: datetime) -> bool:
    """About three a day, at no hour in particular."""
    return zlib.crc32(moment.isoformat().encode()) % 48 == 0


END = MONDAY + timedelta(days=28)
"""Four weeks on, a Monday again."""


@pytest.mark.parametrize(
    ("when", "days", "silent_from", "now", "is_silent"),
    [
        (always, 28, END, END + timedelta(minutes=20), False),
        (always, 28, END, END + timedelta(hours=1), True),
        (by_day, 28, END, END + timedelta(hours=8), False),  # the night
        (by_day, 28, END, END + timedelta(hours=9), True),
        (on_workdays, 28, END, END + timedelta(hours=8), False),  # the week-end
        (on_workdays, 28, END, END + timedelta(hours=9, minutes=30), True),
        (
            on_workdays,
            10,
            MONDAY + timedelta(days=10),
            MONDAY + timedelta(days=14, hours=8),
            True,
        ),  # off since Thursday
        (on_workdays, 12, MONDAY + timedelta(days=12), MONDAY + timedelta(days=14, hours=8), False),
        (on_workdays_and_saturday_morning, 28, END, END + timedelta(hours=8), False),
        (on_workdays_and_saturday_morning, 28, END - timedelta(days=1.5), END, False),  # Saturday afternoon
        (on_workdays_and_saturday_morning, 28, END - timedelta(days=2), END - timedelta(days=1.5), True),
        (thinly, 28, END, END + timedelta(days=1), False),
        (thinly, 28, END, END + timedelta(days=5), True),
        (now_and_then, 28, END, END + timedelta(days=1), False),
        (now_and_then, 28, END, END + timedelta(days=6), True),
        (in_bursts, 28, END - timedelta(hours=5), END + timedelta(hours=6), False),
        (in_bursts, 28, END - timedelta(hours=5), END + timedelta(hours=7), True),
        (always, 2.9, MONDAY + timedelta(days=2.9), MONDAY + timedelta(days=5), False),  # no rhythm yet
        (always, 4, MONDAY + timedelta(days=4), MONDAY + timedelta(days=4, hours=1), True),  # days, no weeks yet
    ],
)
def test_silence_is_told_from_rest(
    when: Callable[[datetime], bool], days: float, silent_from: datetime, now: datetime, is_silent: bool
) -> None:
    spoken = {slot for slot in heard(when, days) if slot < slot_of(silent_from)}
    assert (chance_of_quiet(spoken, slot_of(now)) < ALARM_CHANCE) is is_silent


def test_a_shop_that_works_is_never_called_silent() -> None:
    """Half a year of a shop with ten notifications a day by chance, judged every slot by its last four weeks."""
    chance = random.Random(11)
    moments = (MONDAY + number * SLOT for number in range(180 * 24 * 6))
    spoken = [slot_of(moment) for moment in moments if by_day(moment) and chance.random() < 10 / 72]
    for number, slot in enumerate(spoken[600:], 600):
        before = [one for one in spoken[number - 400 : number] if one > slot - 28 * 24 * 6]
        assert chance_of_quiet(before, slot) > ALARM_CHANCE


def test_a_topic_that_was_never_heard_has_no_rhythm() -> None:
    assert chance_of_quiet(set(), slot_of(END)) == 1.0


def hear(connector: Connector, topic: str, since: timedelta, until: timedelta) -> None:
    """Store an event each ten minutes from `since` ago to `until` ago, as if it had come then."""
    now = timezone.now()
    moments = [now - since + number * SLOT for number in range((since - until) // SLOT)]
    events = IntegrationEvent.objects.bulk_create(
        factories.EventFactory.build_batch(
            len(moments), tenant=connector.tenant, connector=connector, topic=topic, status="PROCESSADO"
        )
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE integracao_evento SET received_at = %s WHERE id = %s",
            [(moment, event.pk) for moment, event in zip(moments, events, strict=True)],
        )


def names_of(logs: list[dict[str, object]]) -> list[object]:
    return [(entry["event"], entry["topic"]) for entry in logs]


@pytest.mark.django_db
def test_a_silent_topic_is_told_once_and_taken_back_when_it_is_heard() -> None:
    connector = factories.ConnectorFactory()
    hear(connector, "orders_v2", timedelta(days=5), timedelta(hours=2))
    hear(connector, "stock-location", timedelta(days=5), timedelta(hours=2))
    hear(connector, "stock-locations", timedelta(hours=2), timedelta())  # the same topic by its other name
    hear(connector, "questions", timedelta(days=5), timedelta(days=1))  # not used: nobody misses it
    with capture_logs() as logs:
        silence.look()
        silence.look()
    assert names_of(logs) == [("topic_silent", "orders_v2")]
    [row] = SilentTopic.objects.all()
    assert (row.connector, row.topic) == (connector, "orders_v2")
    hear(connector, "orders_v2", timedelta(minutes=10), timedelta())
    with capture_logs() as logs:
        silence.look()
        silence.look()
    assert names_of(logs) == [("topic_speaks_again", "orders_v2")]
    assert not SilentTopic.objects.exists()


@pytest.mark.django_db
def test_an_account_that_waits_for_its_owner_is_not_judged() -> None:
    connector = factories.ConnectorFactory(status=Connector.Status.REAUTHORIZE)
    hear(connector, "orders_v2", timedelta(days=5), timedelta(hours=2))
    silence.look()
    assert not SilentTopic.objects.exists()
