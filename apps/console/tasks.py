"""Checks that run by themselves, and the errands people asked for. A tick finds its work in PostgreSQL."""

import structlog
from celery import shared_task
from django.conf import settings

from apps.common.slots import slot
from apps.connectors import errands
from apps.connectors.importing import run_import
from apps.connectors.models import Errand
from apps.console import answer_times, checkup, exporting, hours, mapping_jobs, pulse
from apps.console.proof import prove_all
from apps.events.unheard import find_sales
from apps.sync import reconcile

log = structlog.get_logger(__name__)


@shared_task
def prove() -> None:
    """Check every invariant on the live data and say loudly what does not hold."""
    findings = prove_all()
    for finding in findings:
        log.error("invariant_broken", rule=finding.rule, count=finding.count, examples=str(finding.examples[:3]))
    pulse.note("prove", broken=[finding.rule for finding in findings])


@shared_task
def canary() -> None:
    """Come all the way from Beat over the broker to a worker and into PostgreSQL: its age is the whole chain's."""
    pulse.note("canary")


@shared_task
def add_up_hours() -> None:
    """Bring the figures of the start page's charts up to date."""
    with slot("console.hours") as is_mine:
        while is_mine and hours.follow():
            pass


@shared_task
def forget_old_figures() -> None:
    """Forget the signs of life and figures that nobody looks at any more."""
    pulse.forget_old()
    answer_times.forget_old()
    hours.forget_old()


@shared_task
def run_tests() -> None:
    """Do the tests of connectors that people asked for."""
    with slot("console.tests") as is_mine:
        while is_mine and errands.work_next(Errand.Kind.TEST, checkup.run):
            pass


@shared_task
def run_imports() -> None:
    """Do the imports that people asked for. One at a time: a large one keeps a worker for long."""
    with slot("console.imports") as is_mine:
        while is_mine and errands.work_next(Errand.Kind.IMPORT, run_import):
            pass


@shared_task
def map_on() -> None:
    """Go on with the mappings of many that people confirmed."""
    with slot("console.mappings") as is_mine:
        if is_mine:
            mapping_jobs.go_on()


RECONCILE_TICK_SECONDS = 10.0
"""How often `reconcile_on` is sent (config/celery.py)."""


@shared_task
def reconcile_on() -> None:
    """Begin the comparisons with the channels that are due, and take those under way a little further."""
    with slot("console.reconcile") as is_mine:
        if is_mine:
            reconcile.begin_due()
            steps = max(1, round(settings.RECONCILE_CALLS_PER_MINUTE * RECONCILE_TICK_SECONDS / 60))
            reconcile.go_on(find_sales, steps=steps, max_seconds=0.8 * RECONCILE_TICK_SECONDS)


@shared_task
def run_reconciles() -> None:
    """Do the comparisons that people asked for. One at a time, as imports."""
    with slot("console.reconciles") as is_mine:
        while is_mine and errands.work_next(
            Errand.Kind.RECONCILE, lambda errand: reconcile.run_errand(errand, find_sales)
        ):
            pass


@shared_task
def write_exports() -> None:
    """Write the files that people asked for, a turn each until none is open. One worker at a time."""
    with slot("console.exports") as is_mine:
        while is_mine and exporting.work_on():
            pass


@shared_task
def forget_exports() -> None:
    """Delete the files whose day is over."""
    while exporting.forget_expired():
        pass
