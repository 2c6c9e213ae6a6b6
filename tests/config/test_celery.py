"""What we changed of Celery's own behaviour is still there to be changed."""

from multiprocessing import Value
from types import SimpleNamespace

import pytest
from billiard import SimpleQueue, pool

import config.celery


def test_a_worker_that_stops_waits_a_second_at_most_for_results_to_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when its parent has stopped counting, which once made `scripts/up` take 15 s to stop."""
    assert config.celery.app.main == "saldo"
    waits: list[float] = []
    monkeypatch.setattr(pool, "time", SimpleNamespace(sleep=waits.append))
    worker = pool.Worker(SimpleQueue(), SimpleQueue(), on_ready_counter=Value("i", 0))
    assert worker._ensure_messages_consumed(completed=1) is False
    assert sum(waits) == pytest.approx(1)
