"""Many events at once: frozen members, each once, counts that add up, under a share of the account's calls."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.connectors import budget
from apps.connectors.models import Connector
from apps.events import bulk, bulk_work
from apps.events.bulk import CannotChange, CannotPlan, State, Status
from apps.events.models import IntegrationEvent, Reprocess, ReprocessItem
from apps.tenants.models import AuditEntry, Tenant
from tests import factories

E = IntegrationEvent.Status
WHO = "user:1"


@pytest.fixture
def connector(db: None) -> Connector:
    connector: Connector = factories.ConnectorFactory(calls_per_minute=0)
    budget.client().delete(f"{budget.KEY}{connector.pk}")
    return connector


def failed(connector: Connector, count: int, **values: Any) -> list[IntegrationEvent]:
    same = {"status": E.ERROR, "error_code": "server_error", "tenant": connector.tenant, "connector": connector}
    return factories.EventFactory.create_batch(count, **{**same, **values})


def planned(tenant: Tenant, **how: Any) -> Reprocess:
    return bulk.plan_events(tenant, IntegrationEvent.objects.all(), actor=WHO, **how)


def confirmed(job: Reprocess, actor: str = WHO, typed: int | None = None) -> Reprocess:
    return bulk.confirm(job, actor=actor, plan_hash=job.plan_hash, reason="o canal caiu", typed=typed)


def states(job: Reprocess) -> dict[str, int]:
    found = job.items.values_list("state", flat=True)
    return {state: list(found).count(state) for state in set(found)}


def test_a_plan_says_who_goes_who_is_skipped_and_changes_nothing(connector: Connector) -> None:
    failed(connector, 3)
    failed(connector, 2, error_code="timeout")
    failed(connector, 1, status=E.PROCESSED, error_code="")
    failed(connector, 1, status=E.RECEIVED, error_code="")
    failed(connector, 1, status=E.QUARANTINED, error_code="unreadable", body=b"", payload=None)
    failed(connector, 1, status=E.IGNORED, topic="questions", resource_kind="questions", error_code="")
    factories.EventFactory(status=E.ERROR)  # another company's
    before = list(IntegrationEvent.objects.order_by("pk").values())
    job = planned(connector.tenant, filters="status=attention")
    assert (job.count, job.status, job.filters) == (9, Status.PROPOSED, "status=attention")
    assert job.summary["groups"] == [
        {"status": "ERRO", "code": "server_error", "count": 3},
        {"status": "ERRO", "code": "timeout", "count": 2},
    ]
    assert job.summary["skipped"] == {"already_done": 1, "in_queue": 1, "nothing_kept": 1, "not_used": 1}
    assert (job.summary["to_do"], len(job.summary["sample"])) == (5, 5)
    assert list(IntegrationEvent.objects.order_by("pk").values()) == before


def test_what_arrives_later_is_not_swept_in(connector: Connector) -> None:
    failed(connector, 2)
    job = planned(connector.tenant)
    later = failed(connector, 1)
    confirmed(job)
    assert job.items.count() == 2
    assert not job.items.filter(event=later[0]).exists()


@pytest.mark.parametrize(("calls_per_minute", "seconds"), [(0, 13), (1500, 54), (60, 1334)])
def test_the_time_is_reckoned_at_the_accounts_calls(connector: Connector, calls_per_minute: int, seconds: int) -> None:
    Connector.objects.update(calls_per_minute=calls_per_minute)
    failed(connector, 100)
    assert planned(connector.tenant).summary["seconds"] == seconds


def test_nothing_chosen_is_no_plan(connector: Connector) -> None:
    with pytest.raises(CannotPlan, match="none"):
        planned(connector.tenant)
    assert not Reprocess.objects.exists()


def test_too_many_are_no_plan(connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MEMBERS_MAX", 2)
    failed(connector, 3)
    with pytest.raises(CannotPlan, match="too_many"):
        planned(connector.tenant)
    assert (Reprocess.objects.count(), ReprocessItem.objects.count()) == (0, 0)


def test_confirming_takes_the_plan_that_was_shown_and_a_reason(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(connector, 3)
    job = planned(connector.tenant)
    for bad, code in (
        ({"plan_hash": "0" * 64, "reason": "x"}, "moved"),
        ({"plan_hash": job.plan_hash, "reason": "  "}, "reason"),
    ):
        with pytest.raises(CannotChange, match=code):
            bulk.confirm(job, actor=WHO, **bad)
    monkeypatch.setattr(bulk, "TYPE_ABOVE", 2)
    for typed in (None, 4):
        with pytest.raises(CannotChange, match="number"):
            confirmed(job, typed=typed)
    job.refresh_from_db()
    assert job.status == Status.PROPOSED
    assert confirmed(job, typed=3).status == Status.RUNNING
    with pytest.raises(CannotChange, match="ended"):
        confirmed(job, typed=3)
    entry = AuditEntry.objects.get(action="bulk.confirmed")
    assert (entry.details["before"], entry.details["after"]) == ({"status": "PROPOSTO"}, {"status": "EM_ANDAMENTO"})
    assert (entry.details["count"], entry.details["reason"]) == (3, "o canal caiu")


def test_a_large_one_begins_when_a_second_person_approves(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "APPROVE_ABOVE", 2)
    failed(connector, 3)
    job = confirmed(planned(connector.tenant))
    assert job.status == Status.APPROVAL
    bulk_work.go_on(0)
    assert states(job) == {"AGUARDA": 3}
    with pytest.raises(CannotChange, match="same_person"):
        bulk.approve(job, actor=WHO)
    assert bulk.approve(job, actor="user:2").status == Status.RUNNING


def test_a_cancelled_job_takes_nobody_any_more_and_its_counts_add_up(connector: Connector) -> None:
    events = failed(connector, 4)
    job = confirmed(planned(connector.tenant))
    done = job.items.order_by("id").first()
    ReprocessItem.objects.filter(pk=done.pk).update(state=State.DONE, finished_at=timezone.now())
    bulk.cancel(job, actor=WHO)
    bulk_work.go_on(0)
    job.refresh_from_db()
    told = bulk.progress(job)
    assert (told.done, told.failed, told.skipped, told.left) == (1, 0, 3, 0)
    assert bulk.reasons(job) == [("PULADO", "cancelled", 3)]
    assert job.finished_at is not None
    assert not IntegrationEvent.objects.filter(pk__in=[e.pk for e in events], reprocess_count__gt=0).exists()
    with pytest.raises(CannotChange, match="ended"):
        bulk.resume(job, actor=WHO)


def test_a_paused_job_begins_nothing(connector: Connector) -> None:
    failed(connector, 2)
    job = confirmed(planned(connector.tenant))
    bulk.pause(job, actor=WHO)
    bulk_work.go_on(0)
    assert states(job) == {"AGUARDA": 2}
    assert bulk.resume(job, actor=WHO).status == Status.RUNNING


def test_a_stopped_account_is_waited_for(connector: Connector) -> None:
    failed(connector, 2)
    Connector.objects.update(status=Connector.Status.PAUSED)
    job = confirmed(planned(connector.tenant))
    bulk_work.go_on(0)
    assert states(job) == {"AGUARDA": 2}


def test_who_was_dealt_with_meanwhile_is_skipped_with_the_reason(connector: Connector) -> None:
    processed, worked_on = failed(connector, 2)
    job = confirmed(planned(connector.tenant))
    IntegrationEvent.objects.filter(pk=processed.pk).update(status=E.PROCESSED)
    IntegrationEvent.objects.filter(pk=worked_on.pk).update(
        lease_id="11111111-1111-1111-1111-111111111111", next_attempt_at=timezone.now() + timedelta(minutes=1)
    )
    bulk_work.go_on(5)  # waits for the share of calls as long as it must, and ends with the job
    assert set(job.items.values_list("state", "code")) == {("PULADO", "already_done"), ("PULADO", "in_progress")}
    job.refresh_from_db()
    assert job.status == Status.DONE
    IntegrationEvent.objects.filter(pk=worked_on.pk).update(lease_id=None, next_attempt_at=None)


def test_the_worker_keeps_to_its_share_of_the_calls(connector: Connector) -> None:
    """600 calls a minute are ten a second; 30 % of them are three; an order takes four: one in 1.3 s."""
    first = budget.take_share(connector.pk, share=0.3, calls=4, ceiling=10)
    second = budget.take_share(connector.pk, share=0.3, calls=4, ceiling=10)
    assert first == 0
    assert 1.2 < second <= 4 / 3
    for _ in range(17):  # live work takes the bucket: a third of the share is left
        budget.Budget(connector.pk).ask()
    assert 3.5 < budget.take_share(connector.pk, share=0.3, calls=4, ceiling=10) <= 4


def test_plans_that_nobody_confirms_expire_with_their_members(connector: Connector) -> None:
    failed(connector, 2)
    job = planned(connector.tenant)
    assert bulk.expire_proposals() == 0
    Reprocess.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert bulk.expire_proposals() == 1
    job.refresh_from_db()
    assert (job.status, job.items.count()) == (Status.EXPIRED, 0)


def test_the_members_are_found_without_reading_the_events(
    connector: Connector, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    failed(connector, 150)
    with django_assert_max_num_queries(16):
        planned(connector.tenant)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT event_id) FROM reprocessamento_item")
        assert cursor.fetchone() == (150,)
