"""Signs of life, kept in PostgreSQL: who is alive stands where the work stands, and Redis may be away.

Whoever lives writes one row, at most every `EVERY_SECONDS`: a worker after a task that it ended, Beat at its tick, a
web process after a request. A sign that cannot be written is dropped: saying "I live" must never stop anybody.
"""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import DatabaseError, connection

log = structlog.get_logger(__name__)

EVERY_SECONDS = 10.0
"""A program writes its row at most this often."""

FORGET_AFTER_HOURS = 24
"""A program that has been silent for so long was replaced or taken away; what has one name for good stays."""

WRITE = """
INSERT INTO painel_sinal (name, seen_at, detail) VALUES (%s, now(), %s::jsonb)
ON CONFLICT (name) DO UPDATE SET seen_at = EXCLUDED.seen_at, detail = EXCLUDED.detail
"""

READ = """
SELECT name, seen_at, extract(epoch FROM now() - seen_at)::float8, detail FROM painel_sinal ORDER BY name
"""

_written: dict[str, float] = {}  # per name, when this process wrote it last (monotonic seconds)


@dataclass(frozen=True, slots=True)
class Sign:
    """One program's or check's last sign of life. age_seconds: by the database's clock."""

    name: str
    seen_at: datetime
    age_seconds: float
    detail: dict[str, Any]


def note(name: str, **detail: Any) -> None:
    """Write down that `name` lives now, with what it has to say. Raises DatabaseError."""
    with connection.cursor() as cursor:
        cursor.execute(WRITE, [name[:150], json.dumps(detail)])


def note_rarely(name: str, **detail: Any) -> bool:
    """Do the same at most every `EVERY_SECONDS` in this process; never raises. Tells whether it was its turn."""
    now = time.monotonic()
    if now - _written.get(name, -EVERY_SECONDS) < EVERY_SECONDS:
        return False
    _written[name] = now
    try:
        note(name, **detail)
    except DatabaseError as error:
        log.warning("pulse_not_written", name=name, reason=type(error).__name__)
    return True


def worker_ended_a_task(task: Any = None, **_rest: object) -> None:
    """Have a worker give a sign after a task; receives Celery's `task_postrun`."""
    request = getattr(task, "request", None)
    if request is not None and not request.is_eager and not connection.in_atomic_block:
        note_rarely(f"worker:{request.hostname or 'unknown'}")


def signs() -> list[Sign]:
    """Return every sign of life there is."""
    with connection.cursor() as cursor:
        cursor.execute(READ)
        return [
            Sign(name, seen_at, age, json.loads(detail) if isinstance(detail, str) else detail)
            for name, seen_at, age, detail in cursor.fetchall()
        ]


def forget_old() -> None:
    """Forget the programs that have been gone for long."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM painel_sinal WHERE name LIKE '%%:%%' AND seen_at < now() - make_interval(hours => %s)",
            [FORGET_AFTER_HOURS],
        )
