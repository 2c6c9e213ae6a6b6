"""Topics that fell silent: Mercado Livre switches a topic off without a word (contract §2.1), and tells nothing.

A topic is judged by its own rhythm. Time is cut into **slots** of ten minutes; a slot is *spoken* when at least one
notification of the topic arrived in it, so that a burst counts once. From the last four weeks follows how likely it is
that a slot of this hour (of the day, and of the week) is spoken, hence how likely it is that a topic which still works
is as quiet as this one was since it last spoke. Below `ALARM_CHANCE` it is called silent, once; it is taken back
when the topic is heard again.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import UTC, datetime

import structlog
from django.db import connection
from django.utils import timezone

from apps.connectors.models import Connector
from apps.events.inbox import USED_TOPICS
from apps.events.models import SilentTopic

log = structlog.get_logger(__name__)

SLOT_SECONDS = 600
SLOTS_PER_HOUR = 3600 // SLOT_SECONDS
HISTORY_DAYS = 28
HISTORY_MIN_SLOTS = 3 * 24 * SLOTS_PER_HOUR
"""A topic that has not spoken over three days has no rhythm yet."""

ENOUGH = 1.5
"""Spoken slots to be expected, below which it says little that there were none."""

ALARM_CHANCE = 1e-5
"""A topic of a notification every minute is missed within the hour; one of three a day after four days."""

SPELLINGS = {"stock-location": "stock-locations"}
"""One topic comes under two names (contract §2.3)."""


def chance_of_quiet(spoken: Collection[int], now: int) -> float:
    """Return how likely it is that a topic that works says nothing from its last spoken slot until slot `now`.

    spoken: numbers of the spoken slots; a number is Unix seconds by `SLOT_SECONDS`. 1.0 while there is no rhythm to
    judge by.
    """
    first, last = min(spoken, default=0), max(spoken, default=0)
    if last - first < HISTORY_MIN_SLOTS:
        return 1.0
    rhythm = Rhythm(spoken)
    return math.prod(1 - rhythm.chance_to_speak(slot) for slot in range(last + 1, now))


class Rhythm:
    """How often a topic spoke at an hour of the day, on a day of the week, at an hour of the week."""

    def __init__(self, spoken: Collection[int]) -> None:
        slots = range(min(spoken), max(spoken) + 1)
        self.seen_at, self.spoken_at = Counter(map(_hour_of_day, slots)), Counter(map(_hour_of_day, spoken))
        self.seen_in_week, self.spoken_in_week = Counter(map(_hour_of_week, slots)), Counter(map(_hour_of_week, spoken))
        self.spoken_on = Counter(map(_weekday, spoken))
        self.expected_on: Counter[int] = Counter()
        for slot in slots:
            self.expected_on[_weekday(slot)] += self._by_day(slot)  # type: ignore[assignment]  # a sum of shares

    def chance_to_speak(self, slot: int) -> float:
        """Return the chance that the topic speaks in a slot; 0 at an hour at which it never did.

        By the hour of the day, less on a day of the week that is quieter; by the hour of the week where that was seen
        often enough to tell. Of the two the lower, because a false alarm teaches people to look away.
        """
        chance, weekday = self._by_day(slot), _weekday(slot)
        if self.expected_on[weekday] >= ENOUGH:
            chance *= min(1.0, self.spoken_on[weekday] / self.expected_on[weekday])
        week, seen = _hour_of_week(slot), self.seen_in_week[_hour_of_week(slot)]
        return min(chance, self.spoken_in_week[week] / (seen + 1)) if chance * seen >= ENOUGH else chance

    def _by_day(self, slot: int) -> float:
        hour = _hour_of_day(slot)
        return self.spoken_at[hour] / (self.seen_at[hour] + 1)


def _hour_of_day(slot: int) -> int:
    return slot // SLOTS_PER_HOUR % 24


def _weekday(slot: int) -> int:
    return slot // (SLOTS_PER_HOUR * 24) % 7


def _hour_of_week(slot: int) -> int:
    return slot // SLOTS_PER_HOUR % (7 * 24)


def look() -> None:
    """Judge every used topic of every account that works; note what fell silent, take back what is heard again."""
    now = timezone.now()
    for connector in Connector.objects.filter(status=Connector.Status.ACTIVE).only("pk", "kind"):
        noted = {row.topic: row for row in SilentTopic.objects.filter(connector=connector)}
        for topic, spoken in _spoken_slots(connector.pk).items():
            heard_at = datetime.fromtimestamp(max(spoken) * SLOT_SECONDS, UTC)
            if topic in noted:
                if heard_at > noted[topic].last_heard_at:
                    noted[topic].delete()
                    log.info("topic_speaks_again", connector_id=connector.pk, topic=topic)
            elif chance_of_quiet(spoken, int(now.timestamp()) // SLOT_SECONDS) < ALARM_CHANCE:
                _note(connector, topic, heard_at)


def _note(connector: Connector, topic: str, heard_at: datetime) -> None:
    _row, is_new = SilentTopic.objects.get_or_create(
        connector=connector, topic=topic, defaults={"last_heard_at": heard_at}
    )
    if is_new:
        log.warning(
            "topic_silent",
            connector_id=connector.pk,
            topic=topic,
            last_heard_at=heard_at.isoformat(),
            advice="check the notification address and the topic in the application's settings at the channel",
        )


SPOKEN = """
SELECT topic, floor(extract(epoch FROM received_at) / %s)::bigint
  FROM (SELECT tipo AS topic, received_at FROM integracao_evento
         WHERE connector_id = %s AND tipo = ANY(%s) AND received_at > now() - make_interval(days => %s)) heard
 GROUP BY 1, 2
"""


def _spoken_slots(connector_id: int) -> dict[str, set[int]]:
    """Return the spoken slots of each used topic that was heard at all in the last four weeks."""
    slots: dict[str, set[int]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(SPOKEN, [SLOT_SECONDS, connector_id, list(USED_TOPICS), HISTORY_DAYS])
        for topic, slot in cursor.fetchall():
            slots[SPELLINGS.get(topic, topic)].add(slot)
    return slots
