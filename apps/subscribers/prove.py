"""Proof that no event is lost, out of order or stuck (invariants in models.py). Reads only.

Only the last day is compared movement by movement: what was right then does not change, and old deliveries are pruned.
"""

from django.db import connection, transaction

from apps.common.findings import Finding, check
from apps.subscribers.event_types import TYPES

TYPE_OF = ", ".join(f"('{event_type.kind}', '{event_type.type}')" for event_type in TYPES)

RULES = {
    "no movement that a subscriber wants is without a delivery": f"""
        SELECT s.id AS subscriber_id, m.id AS movement_id, m.kind, m.transaction_id
          FROM subscribers s
          LEFT JOIN inventory_feed_cursors room ON room.consumer = 'subscribers'
          JOIN inventory_ledger m
            ON m.tenant_id = s.tenant_id AND m.recorded_at > now() - interval '1 day'
           AND (m.transaction_id, m.id) > (s.complete_from_transaction_id, s.complete_from_movement_id)
           AND (m.transaction_id, m.id) <= (coalesce(s.cursor_transaction_id, room.transaction_id),
                                            coalesce(s.cursor_movement_id, room.movement_id))
          LEFT JOIN (VALUES {TYPE_OF}) AS types (kind, type) ON types.kind = m.kind
         WHERE s.deleted_at IS NULL
           AND (types.type IS NULL OR s.event_types = '{{}}' OR EXISTS (
                SELECT FROM unnest(s.event_types) AS wanted
                 WHERE types.type = wanted
                    OR (right(wanted, 1) = '*' AND starts_with(types.type, left(wanted, -1)))))
           AND NOT EXISTS (SELECT FROM subscriber_deliveries d WHERE d.subscriber_id = s.id AND d.movement_id = m.id)
        """,  # noqa: S608  the types are our own table
    "in a lane nothing was delivered before something older": """
        SELECT older.subscriber_id, older.lane_id, older.id AS pending, min(newer.id) AS delivered
          FROM subscriber_deliveries older JOIN subscriber_deliveries newer
            ON newer.lane_id = older.lane_id AND newer.id > older.id AND newer.status = 'DELIVERED'
           AND newer.delivered_at > now() - interval '1 day'
         WHERE older.status = 'PENDING' GROUP BY older.id""",
    "the events of a balance are queued in the order of its versions": """
        SELECT * FROM (
            SELECT d.id, d.subscriber_id, m.id AS movement_id, m.version, lag(m.version) OVER queue AS version_before
              FROM subscriber_deliveries d
              JOIN inventory_ledger m ON m.id = d.movement_id AND m.recorded_at = d.movement_recorded_at
             WHERE d.movement_recorded_at > now() - interval '1 day'
            WINDOW queue AS (PARTITION BY d.subscriber_id, d.replay_id, m.product_id, m.location_id ORDER BY d.id)
        ) AS queued WHERE version <= version_before""",
    "a lane with something pending has its time": """
        SELECT l.id, l.subscriber_id, l.product_id FROM subscriber_lanes l
         WHERE l.due_at IS NULL AND EXISTS (
               SELECT FROM subscriber_deliveries d WHERE d.lane_id = l.id AND d.status = 'PENDING')""",
    "no lane is held long past its lease": """
        SELECT l.id, l.subscriber_id, l.due_at FROM subscriber_lanes l
          JOIN subscribers s ON s.id = l.subscriber_id AND s.status = 'ACTIVE' AND s.deleted_at IS NULL
         WHERE l.lease_id IS NOT NULL AND l.due_at < now() - interval '10 minutes' AND s.failures = 0""",
    "a subscriber's cursor is not ahead of the room's": """
        SELECT s.id, s.cursor_transaction_id, s.cursor_movement_id, room.transaction_id, room.movement_id
          FROM subscribers s JOIN inventory_feed_cursors room ON room.consumer = 'subscribers'
         WHERE (s.cursor_transaction_id, s.cursor_movement_id) > (room.transaction_id, room.movement_id)""",
    "a replay that runs has a subscriber that stands behind": """
        SELECT r.id, r.subscriber_id FROM subscriber_replays r JOIN subscribers s ON s.id = r.subscriber_id
         WHERE r.status = 'RUNNING' AND s.cursor_transaction_id IS NULL""",
    "a subscriber that was disabled has an alert": """
        SELECT s.id, s.status_code FROM subscribers s
         WHERE s.status = 'DISABLED' AND s.deleted_at IS NULL
           AND NOT EXISTS (SELECT FROM subscriber_alerts a WHERE a.subscriber_id = s.id AND a.closed_at IS NULL)""",
}


def prove() -> list[Finding]:
    """Return every broken rule of the room with the rows that show it."""
    is_nested = connection.in_atomic_block  # then the caller's transaction decides what is seen
    with transaction.atomic():
        if not is_nested:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return check(RULES)
