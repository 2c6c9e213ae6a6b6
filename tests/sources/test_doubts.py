"""Counts about which a clock leaves doubt, shown to people."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.inventory import ledger
from apps.inventory.ledger import Cause
from apps.sources import doubts
from apps.sources.models import SourceEvent
from tests.factories import member
from tests.sources.conftest import ERP, Teller, open_teller

pytestmark = pytest.mark.django_db

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.fixture
def noon() -> datetime:
    """Return the moment of the counts: an hour ago."""
    return timezone.now() - 60 * MINUTE


def counted(teller: Teller, noon: datetime, **facts: Any) -> SourceEvent:
    """Tell a count of 10 shirts at noon and return it."""
    event = teller.event("COUNT", 10, mode="ABSOLUTE", count={"as_of": noon.isoformat(), **facts})
    teller.tell(event)
    return teller.stored(event)


def sold(teller: Teller, moment: datetime, **changes: Any) -> None:
    [result] = teller.tell(teller.event("SALE", 1, time=moment.isoformat(), **changes))
    assert result["status"] == "accepted"


def sides(count: SourceEvent) -> list[bool]:
    """Return of each doubtful movement whether it is taken as counted; the list must agree with the count's page."""
    found = [doubt.is_counted for doubt in doubts.doubts_of(count)]
    assert doubts.counts_in_doubt(SourceEvent.objects.filter(pk=count.pk)).exists() == bool(found)
    return found


@pytest.mark.parametrize("is_count_first", [True, False])
@pytest.mark.parametrize(
    ("after_noon", "expected"),
    [
        (-121 * SECOND, []),
        (-119 * SECOND, [True]),
        (timedelta(), [True]),
        (119 * SECOND, [False]),
        (121 * SECOND, []),
    ],
)
def test_a_movement_within_two_minutes_of_a_count_is_in_doubt(
    teller: Teller, noon: datetime, after_noon: timedelta, expected: list[bool], is_count_first: bool
) -> None:
    if is_count_first:
        count = counted(teller, noon)
        sold(teller, noon + after_noon)
    else:
        sold(teller, noon + after_noon)
        count = counted(teller, noon)
    assert sides(count) == expected


def test_what_is_elsewhere_or_somebody_elses_or_no_change_on_hand_leaves_no_doubt(
    teller: Teller, noon: datetime
) -> None:
    stranger = open_teller()
    count = counted(teller, noon)
    sold(teller, noon, location="CD1")
    sold(teller, noon, sku="MUG")
    sold(stranger, noon)
    counted(teller, noon - MINUTE)  # an older count changes nothing
    assert sides(count) == []


def test_a_movement_of_the_hub_itself_is_in_doubt_as_well(teller: Teller) -> None:
    count = counted(teller, timezone.now())
    ledger.receive(teller.tenant, teller.shirt.pk, teller.store.pk, 3, key="k", cause=Cause(actor="user:1"))
    assert sides(count) == [False]


def test_a_newer_count_ends_the_doubt(teller: Teller, noon: datetime) -> None:
    count = counted(teller, noon)
    sold(teller, noon)
    newer = counted(teller, noon + 10 * MINUTE)
    assert (sides(count), sides(newer)) == ([], [])


@pytest.mark.parametrize(
    ("number", "after_noon", "expected"),
    [
        (5, -MINUTE, []),  # in it by its number, and by the clock
        (6, +MINUTE, []),
        (6, -MINUTE, [True]),  # after it by its number: the clock says otherwise
        (5, +MINUTE, [False]),
    ],
)
def test_a_number_that_agrees_with_the_clock_leaves_no_doubt(
    teller: Teller, noon: datetime, number: int, after_noon: timedelta, expected: list[bool]
) -> None:
    sold(teller, noon + after_noon, sequence=number)
    count = counted(teller, noon, as_of_sequence=5)
    assert sides(count) == expected


def test_the_number_of_another_source_or_epoch_says_nothing(teller: Teller, noon: datetime) -> None:
    sold(teller, noon, sequence=5, source=ERP)
    sold(teller, noon, sequence="0002.5")
    assert sides(counted(teller, noon, as_of_sequence=5)) == [True, True]


def test_people_find_the_counts_in_doubt_and_see_the_movements(teller: Teller, noon: datetime) -> None:
    stranger = open_teller()
    for told in (teller, stranger):
        counted(told, noon)
        sold(told, noon - MINUTE)
    counted(teller, noon, as_of_sequence=1)  # of the same moment: two rows in doubt
    person = member(teller.tenant, is_staff=True)
    person.user_permissions.add(Permission.objects.get(content_type__app_label="sources", codename="view_sourceevent"))
    client = Client()
    client.force_login(person)
    page = client.get(reverse("admin:sources_sourceevent_changelist"), {"doubt": "counts"})
    rows = list(page.context["cl"].result_list)
    assert [(row.tenant_id, row.movement_type) for row in rows] == [(teller.tenant.pk, "COUNT")] * 2
    text = client.get(reverse("admin:sources_sourceevent_change", args=[rows[0].pk])).content.decode()
    [doubt] = doubts.doubts_of(rows[0])
    assert f"{doubt.movement_id}: " in text
