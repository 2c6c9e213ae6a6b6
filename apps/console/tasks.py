"""Checks that run by themselves, and the errands people asked for. A tick finds its work in PostgreSQL."""

import structlog
from celery import shared_task

from apps.common.slots import slot
from apps.connectors import errands
from apps.connectors.importing import run_import
from apps.connectors.models import Errand
from apps.console import checkup
from apps.console.proof import prove_all

log = structlog.get_logger(__name__)


@shared_task
def prove() -> None:
    """Check every invariant on the live data and say loudly what does not hold."""
    for finding in prove_all():
        log.error("invariant_broken", rule=finding.rule, count=finding.count, examples=str(finding.examples[:3]))


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
