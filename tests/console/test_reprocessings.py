"""The pages of jobs over many: who may decide, what a plan shows, what is confirmed, and what the report holds.

The cast is that of test_pages: Alice manages the shop, Bob works there, Anna only reads; Charlie is a stranger.
"""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from apps.console.number_words import in_words
from apps.events import bulk
from apps.events.models import IntegrationEvent, Reprocess, ReprocessItem, Watch
from apps.tenants.models import AuditEntry, Membership
from tests import factories
from tests.console.test_pages import QUERIES_MAX, Shop, open_shop, signed_in

pytestmark = pytest.mark.django_db

State = ReprocessItem.State

DECISIONS = (
    "confirm-reprocessing",
    "approve-reprocessing",
    "pause-reprocessing",
    "resume-reprocessing",
    "cancel-reprocessing",
    "repeat-failures",
)


@pytest.fixture
def shop() -> Shop:
    return open_shop("Alice")


@pytest.fixture
def alice(shop: Shop) -> Client:
    return signed_in(factories.member(shop.tenant, Membership.Role.MANAGER, first_name="Alice", last_name="Prado"))


@pytest.fixture
def bob(shop: Shop) -> Client:
    return signed_in(factories.member(shop.tenant, Membership.Role.OPERATOR))


@pytest.fixture
def anna(shop: Shop) -> Client:
    return signed_in(factories.member(shop.tenant, Membership.Role.ANALYST))


@pytest.fixture
def charlie() -> Client:
    return signed_in(factories.member(open_shop("Charlie").tenant, Membership.Role.ADMIN))


def fail(shop: Shop, count: int, **values: Any) -> list[IntegrationEvent]:
    same = {"tenant": shop.tenant, "connector": shop.connector, "status": "ERRO", "error_code": "server_error"}
    return factories.EventFactory.create_batch(count, **{**same, **values})


def planned(client: Client, filters: str = "status=ERRO") -> Reprocess:
    answer = client.post(reverse("console:plan-events"), {"filters": filters})
    job = Reprocess.objects.latest("created_at")
    assert (answer.status_code, answer["Location"]) == (302, page_of(job))
    return job


def page_of(job: Reprocess, name: str = "reprocessing") -> str:
    return reverse(f"console:{name}", args=[job.pk])


def confirm(client: Client, job: Reprocess, **said: str) -> Any:
    values = {"plan_hash": job.plan_hash, "reason": "o canal caiu", **said}
    return client.post(page_of(job, "confirm-reprocessing"), values, follow=True)


def words(answer: Any) -> str:
    page = re.sub(r"<(script|style|svg).*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def end(job: Reprocess, **states: int) -> None:
    """Let members of a job have ended so, as its worker would leave it."""
    items = iter(job.items.order_by("id"))
    for state, count in states.items():
        for _ in range(count):
            item = next(items)
            item.state, item.finished_at = State[state], timezone.now()
            item.code = {"FAILED": "foreign_order", "SKIPPED": "already_done"}.get(state, "")
            item.save()
    Reprocess.objects.filter(pk=job.pk).update(status="CONCLUIDO", finished_at=timezone.now())


def test_from_a_filtered_list_to_a_running_job(shop: Shop, alice: Client) -> None:
    fail(shop, 3)
    fail(shop, 2, error_code="timeout", status="NOVA_TENTATIVA", next_attempt_at=timezone.now())
    listed = alice.get(reverse("console:events"), {"status": "ERRO"})
    assert 'name="filters" value="status=ERRO"' in listed.content.decode()
    job = planned(alice)
    assert set(job.items.values_list("event__status", flat=True)) == {"ERRO"}
    shown = words(alice.get(page_of(job)))
    assert "3" in shown
    assert ("three" in shown) or ("três" in shown)
    assert job.status == "PROPOSTO"
    confirm(alice, job)
    job.refresh_from_db()
    assert (job.status, job.reason) == ("EM_ANDAMENTO", "o canal caiu")
    entry = AuditEntry.objects.get(action="bulk.confirmed")
    assert (entry.tenant, entry.subject, entry.details["count"]) == (shop.tenant, f"reprocess:{job.pk}", 3)
    alice.post(page_of(job, "pause-reprocessing"))
    assert Reprocess.objects.get(pk=job.pk).status == "PAUSADO"
    alice.post(page_of(job, "resume-reprocessing"))
    alice.post(page_of(job, "cancel-reprocessing"))
    job.refresh_from_db()
    assert job.status == "CANCELADO"
    told = bulk.progress(job)
    assert (told.skipped, told.left) == (3, 0)
    actions = AuditEntry.objects.filter(subject=f"reprocess:{job.pk}").order_by("id").values_list("action", flat=True)
    assert list(actions) == [
        "bulk.confirmed",
        "bulk.paused",
        "bulk.resumed",
        "bulk.cancelled",
    ]


def test_above_a_thousand_the_number_is_typed(shop: Shop, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "TYPE_ABOVE", 2)
    fail(shop, 3)
    job = planned(alice)
    assert 'name="typed"' in alice.get(page_of(job)).content.decode()
    answer = confirm(alice, job, typed="33")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert 'value="o canal caiu"' in answer.content.decode()  # nothing is to be written twice
    assert Reprocess.objects.get().status == "PROPOSTO"
    confirm(alice, job, typed="3")
    assert Reprocess.objects.get().status == "EM_ANDAMENTO"


def test_another_plan_than_was_shown_is_refused(shop: Shop, alice: Client) -> None:
    fail(shop, 1)
    assert confirm(alice, planned(alice), plan_hash="f" * 64).status_code == 409
    assert Reprocess.objects.get().status == "PROPOSTO"


def test_a_second_manager_approves_a_large_one(shop: Shop, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "APPROVE_ABOVE", 2)
    fail(shop, 3)
    job = planned(alice)
    confirm(alice, job)
    assert page_of(job, "approve-reprocessing") not in alice.get(page_of(job)).content.decode()
    assert alice.post(page_of(job, "approve-reprocessing")).status_code == 409
    assert Reprocess.objects.get().status == "APROVACAO"
    second = signed_in(factories.member(shop.tenant, Membership.Role.MANAGER))
    assert page_of(job, "approve-reprocessing") in second.get(page_of(job)).content.decode()
    second.post(page_of(job, "approve-reprocessing"))
    assert Reprocess.objects.get().status == "EM_ANDAMENTO"


def test_who_does_not_manage_decides_nothing(shop: Shop, alice: Client, bob: Client, anna: Client) -> None:
    fail(shop, 1)
    job = planned(alice)
    for client in (bob, anna):
        assert client.get(page_of(job)).status_code == 200
        assert client.get(reverse("console:reprocessings")).status_code == 200
        for name in DECISIONS:
            assert client.post(page_of(job, name), {"plan_hash": job.plan_hash, "reason": "x"}).status_code == 403
        for name in ("plan-events", "plan-syncs", "plan-all-numbers", "look-back"):
            given = {"connector": str(shop.connector.pk), "days": "3"}
            assert client.post(reverse(f"console:{name}"), given).status_code == 403
        page = client.get(page_of(job)).content.decode()
        assert not re.search(r'method="post" action="/console/(?!idioma|empresa|visoes|exportacoes)', page)
    assert alice.post(reverse("console:plan-all-numbers"), {"connector": shop.connector.pk}).status_code == 403
    assert Reprocess.objects.count() == 1


def test_a_strangers_job_is_not_found(shop: Shop, alice: Client, charlie: Client) -> None:
    fail(shop, 1)
    job = planned(alice)
    for name in ("reprocessing", "reprocessing-csv"):
        assert charlie.get(page_of(job, name)).status_code == 404
    for name in DECISIONS:
        assert charlie.post(page_of(job, name), {"plan_hash": job.plan_hash, "reason": "x"}).status_code == 404
    for name in ("plan-all-numbers", "look-back"):
        assert charlie.post(reverse(f"console:{name}"), {"connector": shop.connector.pk}).status_code == 404
    assert str(job.pk) not in charlie.get(reverse("console:reprocessings")).content.decode()
    job.refresh_from_db()
    assert job.status == "PROPOSTO"


def test_a_strangers_events_are_never_members(shop: Shop, charlie: Client) -> None:
    fail(shop, 2)
    charlie.post(reverse("console:plan-events"), {"filters": "status=ERRO"})
    assert not Reprocess.objects.exists()  # Charlie has none in error


def test_the_report_names_each_member_and_its_failures_are_repeated_alone(shop: Shop, alice: Client) -> None:
    events = fail(shop, 4)
    job = planned(alice)
    confirm(alice, job)
    end(job, DONE=1, FAILED=2, SKIPPED=1)
    page = alice.get(page_of(job)).content.decode()
    for event in events:
        assert reverse("console:event", args=[event.pk]) in page
    only = alice.get(page_of(job), {"state": "FALHOU"}).content.decode()
    assert only.count("data-row=") == 2

    answer = alice.get(page_of(job, "reprocessing-csv"))
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    rows = list(csv.reader(io.StringIO(text), delimiter=";"))
    assert [row[0] for row in rows[1:]] == [event.external_id for event in events]
    assert [row[2] for row in rows[1:]] == ["", "foreign_order", "foreign_order", "already_done"]
    assert rows[1][-1].endswith(reverse("console:event", args=[events[0].pk]))

    alice.post(page_of(job, "repeat-failures"))
    again = Reprocess.objects.latest("created_at")
    assert (again.parent, again.count) == (job, 2)
    assert set(again.items.values_list("event_id", flat=True)) == {events[1].pk, events[2].pk}


def test_no_cell_of_the_report_is_a_formula(shop: Shop, alice: Client) -> None:
    fail(shop, 1, external_id="=HYPERLINK(1)")
    job = planned(alice)
    confirm(alice, job)
    end(job, DONE=1)
    text = b"".join(alice.get(page_of(job, "reprocessing-csv")).streaming_content).decode()  # type: ignore[attr-defined]
    assert "'=HYPERLINK" in text


def test_numbers_of_a_list_of_synchronisations_are_sent_again(shop: Shop, alice: Client) -> None:
    answer = alice.post(reverse("console:plan-syncs"), {"filters": f"listing={shop.listing.pk}&before=x"})
    job = Reprocess.objects.get()
    assert answer["Location"] == page_of(job)
    assert (job.verb, job.count, job.filters) == ("ANUNCIOS", 1, f"listing={shop.listing.pk}")
    assert job.items.get().listing == shop.listing


def test_only_an_administrator_sends_every_number_again(shop: Shop) -> None:
    admin = signed_in(factories.member(shop.tenant, Membership.Role.ADMIN))
    admin.post(reverse("console:plan-all-numbers"), {"connector": shop.connector.pk})
    job = Reprocess.objects.get()
    assert job.count == 2
    assert job.summary["skipped"] == {"not_mapped": 1}


def test_looking_back_asks_for_a_search_and_says_so_in_the_audit(shop: Shop, alice: Client) -> None:
    now = timezone.now()
    Watch.objects.create(connector=shop.connector, searched_until=now, search_at=now + timedelta(minutes=5))
    answer = alice.post(reverse("console:look-back"), {"connector": shop.connector.pk, "days": "3"}, follow=True)
    watch = Watch.objects.get()
    assert answer.status_code == 200
    assert watch.search_at <= timezone.now()
    assert (now - (watch.asked_from or now)).days in (2, 3)
    assert watch.searched_until == now
    assert AuditEntry.objects.filter(action="search.asked", subject=f"connector:{shop.connector.pk}").count() == 1


def test_nothing_on_the_list_is_said(shop: Shop, alice: Client) -> None:
    answer = alice.post(reverse("console:plan-events"), {"filters": "status=ERRO"}, follow=True)
    assert answer.redirect_chain[0][0] == reverse("console:events")
    assert "message-warning" in answer.content.decode()


def test_the_pages_cost_the_same_for_many(shop: Shop, alice: Client) -> None:
    fail(shop, 60)
    job = planned(alice)
    for status in ("PROPOSTO", "EM_ANDAMENTO"):
        Reprocess.objects.update(status=status, started_at=timezone.now())
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert alice.get(page_of(job)).status_code == 200
        assert len(asked) <= QUERIES_MAX, [query["sql"] for query in asked]
    with CaptureQueriesContext(connection) as asked:
        alice.get(reverse("console:reprocessings"))
    assert len(asked) <= QUERIES_MAX


@pytest.fixture
def portuguese() -> Iterator[None]:
    with translation.override("pt-br"):
        yield


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "zero"),
        (1, "um"),
        (21, "vinte e um"),
        (100, "cem"),
        (101, "cento e um"),
        (999, "novecentos e noventa e nove"),
        (1000, "mil"),
        (1100, "mil e cem"),
        (1020, "mil e vinte"),
        (1234, "mil duzentos e trinta e quatro"),
        (2300, "dois mil e trezentos"),
        (50_001, "cinquenta mil e um"),
        (100_000, "cem mil"),
        (345_678, "trezentos e quarenta e cinco mil seiscentos e setenta e oito"),
    ],
)
def test_numbers_in_words(number: int, said: str, portuguese: None) -> None:
    assert in_words(number) == said


def test_numbers_in_english_words() -> None:
    with translation.override("en"):
        assert in_words(12_345) == "twelve thousand three hundred forty-five"
