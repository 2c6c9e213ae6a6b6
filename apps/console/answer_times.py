"""How long the channels' notifications took to be answered, of all web processes together.

Every process counts its answers by minute and length, in memory, and adds the counts to PostgreSQL at most every
`pulse.EVERY_SECONDS`, after an answer. A process that dies takes the counts of those seconds with it. What is measured
is from the moment a process takes the request up until its answer is ready: what waits before that, in the server's
backlog or on the network, only the channel sees.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from apps.console import pulse

log = structlog.get_logger(__name__)

BOUNDS_MS = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000, 2000, 5000, 60_000)
"""The lengths that are told apart; an answer counts for the first that is not shorter."""

KEEP_HOURS = 48

LIMIT_MS = 500
"""Mercado Livre's own limit is 500 ms; slower ones are delivered again and, in the end, no more (contract §2.1)."""

ADD = """
INSERT INTO painel_resposta (minute, up_to_ms, answers) SELECT * FROM unnest(%s::timestamptz[], %s::int[], %s::int[])
ON CONFLICT (minute, up_to_ms) DO UPDATE SET answers = painel_resposta.answers + EXCLUDED.answers
"""

QUANTILE = """
SELECT min(up_to_ms) FILTER (WHERE below >= %(share)s * total) FROM (
    SELECT up_to_ms, sum(sum(answers)) OVER (ORDER BY up_to_ms) AS below, sum(sum(answers)) OVER () AS total
      FROM painel_resposta WHERE minute > now() - make_interval(hours => %(hours)s) GROUP BY up_to_ms) AS counted
"""

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_counts: Counter[tuple[datetime, int]] = Counter()
_lock = Lock()


def timed(application: Application, name: str) -> Application:
    """Return the WSGI application that also counts how long notifications take, and gives its process' sign of life.

    name: of the process, for its sign of life.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began = time.perf_counter()
        response = application(environ, start_response)
        if environ.get("PATH_INFO", "").startswith(settings.FAST_LANE):
            count((time.perf_counter() - began) * 1000)
        if pulse.note_rarely(name):
            flush()
        return response

    return answer


def count(milliseconds: float) -> None:
    """Count one answer that took so long."""
    bound = next((bound for bound in BOUNDS_MS if milliseconds <= bound), BOUNDS_MS[-1])
    with _lock:
        _counts[datetime.now(UTC).replace(second=0, microsecond=0), bound] += 1


def flush() -> None:
    """Add what this process has counted to what stands in PostgreSQL; kept for the next time when that is away."""
    with _lock:
        counted = dict(_counts)
        _counts.clear()
    if not counted:
        return
    rows = [(minute, bound, answers) for (minute, bound), answers in sorted(counted.items())]
    try:
        with connection.cursor() as cursor:
            cursor.execute(ADD, [list(column) for column in zip(*rows, strict=True)])
    except DatabaseError as error:
        log.warning("answer_times_not_written", reason=type(error).__name__)
        with _lock:
            _counts.update(counted)


def quantile_ms(share: float, *, hours: int) -> int | None:
    """Return within how many milliseconds `share` (0 to 1) of the last hours' notifications were answered.

    One of BOUNDS_MS, so never less than the truth; None when none was answered.
    """
    with connection.cursor() as cursor:
        cursor.execute(QUANTILE, {"share": share, "hours": hours})
        found = cursor.fetchone()[0]
    return int(found) if found is not None else None


def forget_old() -> None:
    """Forget what is past its hours."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM painel_resposta WHERE minute < now() - make_interval(hours => %s)", [KEEP_HOURS])
