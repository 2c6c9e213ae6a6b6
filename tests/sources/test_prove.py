"""`prove` finds seeded corruption of what sources told. The corruption goes around the room and the triggers."""

import pytest
from django.db import connection
from django.utils import timezone

from apps.sources.prove import RULES, prove
from tests.sources.conftest import ERP, Teller

CORRUPTIONS = {
    "what an applied event moved is what it says": [
        "UPDATE source_event SET quantity = -7 WHERE event_id = 'sale-1'",
        "UPDATE source_event SET movement_ids = '{}' WHERE event_id = 'sale-1'",
        "UPDATE source_event SET movement_ids = movement_ids || 999999::bigint WHERE event_id = 'sale-1'",
        "DELETE FROM inventory_ledger WHERE source_key = 'sale-1'",
    ],
    "every movement of a source belongs to one event, and to one only": [
        "DELETE FROM source_event WHERE event_id = 'sale-1'",
        "UPDATE source_event SET movement_ids = '{}', applied_at = NULL, status = 'PENDING' WHERE event_id = 'sale-1'",
    ],
    "a fact told with a business key moved stock once, and its claim names the event": [
        "DELETE FROM source_claim",
        "UPDATE source_claim SET event_id = 'sale-2'",
    ],
    "a claim names an applied event": [
        "UPDATE source_claim SET event_id = 'nobody'",
        "DELETE FROM source_event WHERE event_id = 'live'",
    ],
    "a reversal undoes exactly the event it names": [
        "UPDATE source_event SET quantity = 9 WHERE event_id = 'sale-1'",
        "UPDATE source_event SET status = 'RECORDED', applied_at = NULL, movement_ids = '{}' WHERE event_id = 'sale-1'",
    ],
    "everything up to a counter's ack is stored, and what follows it is not": [
        "DELETE FROM source_event WHERE event_id = 'sale-2'",
        "UPDATE source_epoch SET ack_seq = 1",
        "UPDATE source_event SET sequence = 99 WHERE event_id = 'sale-2'",
    ],
    "an open gap begins right after the ack": [
        "UPDATE source_epoch SET gaps = '[]'",
        "UPDATE source_epoch SET gaps = '[[5, 5, \"2026-11-22T12:00:00+00:00\"]]'",
        "UPDATE source_epoch SET gap_since = NULL",
    ],
}


@pytest.fixture
def busy_teller(teller: Teller) -> Teller:
    teller.push(teller.batch(teller.numbered(1, 2, 4)))
    live = teller.event(id="live", business_key="K")
    teller.tell(
        live, teller.event(id="copy", business_key="K", source=ERP), teller.counted(5, timezone.now(), id="counted")
    )
    teller.tell(teller.event(id="undo", reverses_event_id="sale-1"))
    return teller


def test_every_rule_has_a_corruption() -> None:
    assert set(CORRUPTIONS) == set(RULES)


@pytest.mark.django_db
def test_an_honest_room_is_proven(busy_teller: Teller) -> None:
    assert prove() == []


@pytest.mark.django_db
@pytest.mark.corrupts
@pytest.mark.parametrize(("rule", "statement"), [(rule, s) for rule, several in CORRUPTIONS.items() for s in several])
def test_a_corruption_is_found(busy_teller: Teller, rule: str, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement)
        assert cursor.rowcount > 0
        cursor.execute("SET LOCAL session_replication_role = origin")
    assert rule in {finding.rule for finding in prove()}
