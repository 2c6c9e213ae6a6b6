"""Checks that run by themselves."""

import structlog
from celery import shared_task

from apps.console.proof import prove_all

log = structlog.get_logger(__name__)


@shared_task
def prove() -> None:
    """Check every invariant on the live data and say loudly what does not hold."""
    for finding in prove_all():
        log.error("invariant_broken", rule=finding.rule, count=finding.count, examples=str(finding.examples[:3]))
