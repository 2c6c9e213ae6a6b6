"""Beat's rhythm stands in the database: seeded from the code once, the operator's from then on."""

import pytest
from celery import current_app
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config.beat import Scheduler
from config.celery import app


@pytest.fixture
def _seeded(transactional_db: None) -> None:
    Scheduler(app=app).sync()


@pytest.mark.usefixtures("_seeded")
def test_the_rhythm_is_seeded() -> None:
    minute = PeriodicTask.objects.get(name="stock sync")
    assert (minute.task, minute.interval.every, minute.interval.period) == ("apps.sync.tasks.stock_sync", 60, "seconds")
    for name in ("inbox", "follow the ledger", "push due numbers"):
        tick = PeriodicTask.objects.get(name=name)
        assert (tick.interval.every, tick.interval.period, tick.expires_) == (1, "seconds", 1)


@pytest.mark.usefixtures("_seeded")
def test_every_task_of_the_rhythm_exists() -> None:
    app.loader.import_default_modules()
    known = set(current_app.tasks)
    assert not {entry["task"] for entry in app.conf.beat_schedule.values()} - known


@pytest.mark.usefixtures("_seeded")
def test_an_operators_edit_survives_a_restart() -> None:
    slower, _ = IntervalSchedule.objects.get_or_create(every=120, period="seconds")
    PeriodicTask.objects.filter(name="stock sync").update(interval=slower, enabled=False)
    Scheduler(app=app).sync()
    task = PeriodicTask.objects.get(name="stock sync")
    assert (task.interval.every, task.enabled) == (120, False)
