"""Months are made ahead and dropped when they are past their time; nothing else goes with them."""

from datetime import UTC, datetime

import pytest
from django.db import connection

from apps.common import partitions
from apps.inventory.tasks import make_partitions

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE diary (said_at timestamptz NOT NULL, what text) PARTITION BY RANGE (said_at)")
        cursor.execute("CREATE TABLE diary_default PARTITION OF diary DEFAULT")
    now(monkeypatch, 2026, 11)


def now(monkeypatch: pytest.MonkeyPatch, year: int, month: int) -> None:
    monkeypatch.setattr(partitions, "_this_month", lambda: datetime(year, month, 1, tzinfo=UTC).date())


def say(moment: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO diary VALUES (%s, 'x')", [moment])


def said() -> list[tuple[str, str]]:
    """Return in which part each row is, and when it was said."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL timezone = 'UTC'")
        cursor.execute("SELECT tableoid::regclass::text, said_at::text FROM diary ORDER BY said_at")
        return list(cursor.fetchall())


def test_the_months_ahead_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert partitions.make("diary", 2) == ["diary_2026_11", "diary_2026_12", "diary_2027_01"]
    assert partitions.make("diary", 2) == []
    now(monkeypatch, 2026, 12)
    assert partitions.make("diary", 2) == ["diary_2027_02"]


def test_a_month_begins_and_ends_in_utc() -> None:
    partitions.make("diary", 1)
    for moment in ("2026-10-31 23:59:59+00", "2026-11-30 23:59:59.999+00", "2026-11-30 21:00:00-03"):
        say(moment)
    assert said() == [
        ("diary_default", "2026-10-31 23:59:59+00"),
        ("diary_2026_11", "2026-11-30 23:59:59.999+00"),
        ("diary_2026_12", "2026-12-01 00:00:00+00"),
    ]


def test_whole_months_are_kept_and_older_ones_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    partitions.make("diary", 3)
    for month in ("2026-11", "2026-12", "2027-01", "2027-02"):
        say(f"{month}-01 00:00:00+00")
    say("2020-01-01 00:00:00+00")
    now(monkeypatch, 2027, 2)
    assert partitions.drop_older("diary", 3) == []
    assert partitions.drop_older("diary", 1) == ["diary_2026_11", "diary_2026_12"]
    assert [part for part, _moment in said()] == ["diary_default", "diary_2027_01", "diary_2027_02"]


def test_the_ledgers_months_are_guarded_as_its_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    now(monkeypatch, 2031, 5)
    make_partitions()
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT tgrelid::regclass::text, count(*) FROM pg_trigger
                WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'inventory\\_ledger\\_2031%' GROUP BY 1"""
        )
        found = dict(cursor.fetchall())
    assert found == {f"inventory_ledger_2031_{month:02}": 2 for month in (5, 6, 7, 8)}
