"""Pending matters on their pages: kinds, states, who has seen them, and what a flicker does not do."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.connectors.models import Connector, Listing
from apps.events.models import IntegrationEvent, Reprocess
from apps.inventory import ledger
from apps.notifications import troubles
from apps.notifications.models import Trouble, TroubleNote
from apps.tenants.models import AuditEntry, Membership
from tests import factories
from tests.console.test_pages import QUERIES_MAX, signed_in

pytestmark = pytest.mark.django_db(transaction=True)  # each look is a moment of its own


@pytest.fixture
def account() -> Connector:
    connector: Connector = factories.ConnectorFactory(name="ML Centro")
    return connector


def person(account: Connector, role: str = Membership.Role.MANAGER) -> Client:
    return signed_in(factories.member(account.tenant, role, first_name="Alice"))


def fail(account: Connector, count: int = 2, status: str = "ERRO", code: str = "server_error") -> None:
    same = {"tenant": account.tenant, "connector": account}
    factories.EventFactory.create_batch(count, status=status, error_code=code, **same)


def let_pass(**span: int) -> None:
    moments = ("opened_at", "closed_at", "since_at", "acknowledged_at")
    Trouble.objects.update(**{name: F(name) - timedelta(**span) for name in moments})
    TroubleNote.objects.update(happened_at=F("happened_at") - timedelta(**span))


def story() -> list[str]:
    return list(TroubleNote.objects.order_by("happened_at", "id").values_list("what", flat=True))


def test_each_kind_is_found_in_its_rows(account: Connector) -> None:
    fail(account, 2)
    fail(account, 3, "MAPEAMENTO", "mapping_needed")
    fail(account, 1, "QUARENTENA", "unknown_account")
    waiting = factories.EventFactory(tenant=account.tenant, connector=account)
    IntegrationEvent.objects.filter(pk=waiting.pk).update(next_attempt_at=timezone.now() - timedelta(minutes=11))
    listing = factories.ListingFactory(connector=account, tenant=account.tenant)
    factories.DivergenceFactory(listing=listing)
    Listing.objects.filter(pk=listing.pk).update(sync_state="ERROR", last_error_code="rate_limited")
    troubles.look()
    found = set(Trouble.objects.values_list("kind", "cause", "count"))
    assert found == {
        ("EVENTOS", "server_error", 2),
        ("MAPEAMENTO", "mapping_needed", 3),
        ("QUARENTENA", "unknown_account", 1),
        ("FILA", "backlog_events", 1),
        ("DIVERGENCIA", "divergence", 1),
        ("ANUNCIOS", "rate_limited", 1),
    }
    alice = person(account)
    page = alice.get(reverse("console:troubles"))
    assert page.content.decode().count("data-row=") == 6
    limited = alice.get(reverse("console:troubles"), {"kind": "limite"}).content.decode()
    assert limited.count("data-row=") == 1
    for row in Trouble.objects.all():
        address = reverse("console:trouble", args=[row.pk])
        detail = alice.get(address)
        assert detail.status_code == 200
        target = re.search(r'page-actions">\s*<a class="button" href="([^"]+)"', detail.content.decode())
        assert target
        listed = alice.get(target[1].replace("&amp;", "&"))
        assert listed.status_code == 200
        if row.kind in ("EVENTOS", "QUARENTENA", "ANUNCIOS"):
            assert listed.content.decode().count("data-row=") == row.count, row
    IntegrationEvent.objects.filter(pk=waiting.pk).update(next_attempt_at=timezone.now())


def test_oversold_stock_is_the_companys_matter(account: Connector) -> None:
    product = factories.ProductFactory(tenant=account.tenant)
    location = factories.LocationFactory(tenant=account.tenant)
    factories.stocked(product, location, 1)
    ledger.reserve(
        account.tenant,
        [ledger.Line(product_id=product.pk, quantity=3)],
        key="sold",
        cause=ledger.Cause(actor="test", reason="sale"),
        is_fact=True,
    )
    troubles.look()
    troubles.look()
    row = Trouble.objects.get(kind="OVERSELL")
    assert (row.connector, row.cause, row.count) == (None, "oversold", 1)
    assert account.tenant.name in person(account).get(reverse("console:trouble", args=[row.pk])).content.decode()


def test_what_flickers_is_one_matter_and_stays_seen(account: Connector) -> None:
    fail(account)
    troubles.look()
    row = Trouble.objects.get()
    since = row.since_at
    bob = person(account, Membership.Role.OPERATOR)
    bob.post(reverse("console:acknowledge-trouble", args=[row.pk]), {"note": "falei com o suporte"})
    for _ in range(5):
        IntegrationEvent.objects.update(status="PROCESSADO")
        troubles.look()
        row.refresh_from_db()
        assert (row.closed_at is None, row.resolved_at) == (False, None)
        IntegrationEvent.objects.update(status="ERRO")
        troubles.look()
    row.refresh_from_db()
    assert (row.since_at, row.note, row.closed_at) == (since, "falei com o suporte", None)
    assert story() == ["ABERTA", "VISTA"]


def test_it_is_solved_when_it_stayed_away_and_comes_back_as_a_new_one(account: Connector) -> None:
    fail(account)
    troubles.look()
    row = Trouble.objects.get()
    troubles.acknowledge(row, actor="user:1", note="visto")
    IntegrationEvent.objects.update(status="PROCESSADO")
    troubles.look()
    let_pass(minutes=29)
    troubles.look()
    assert Trouble.objects.get().resolved_at is None
    let_pass(minutes=2)
    troubles.look()
    assert Trouble.objects.get().resolved_at is not None
    alice = person(account)
    assert "data-row=" not in alice.get(reverse("console:troubles")).content.decode()
    assert "data-row=" in alice.get(reverse("console:troubles"), {"state": "solved"}).content.decode()
    IntegrationEvent.objects.update(status="ERRO")
    troubles.look()
    again = Trouble.objects.get()
    assert (again.pk, again.resolved_at, again.acknowledged_at, again.note) == (row.pk, None, None, "")
    assert again.since_at > row.since_at
    assert story() == ["ABERTA", "VISTA", "RESOLVIDA", "ABERTA"]


def test_who_has_seen_it_is_named_and_audited(account: Connector) -> None:
    fail(account)
    troubles.look()
    row = Trouble.objects.get()
    alice = person(account)
    address = reverse("console:trouble", args=[row.pk])
    alice.post(reverse("console:acknowledge-trouble", args=[row.pk]), {"note": "é o 503 de sempre"})
    page = alice.get(address).content.decode()
    assert "é o 503 de sempre" in page
    assert "Alice" in page
    assert "data-row=" in alice.get(reverse("console:troubles"), {"state": "seen"}).content.decode()
    assert "data-row=" not in alice.get(reverse("console:troubles"), {"state": "open"}).content.decode()
    entry = AuditEntry.objects.get(action="trouble.seen")
    assert entry.details["changes"]["note"] == ["", "é o 503 de sempre"]
    alice.post(reverse("console:unacknowledge-trouble", args=[row.pk]))
    row.refresh_from_db()
    assert (row.acknowledged_at, row.note) == (None, "")
    assert story() == ["ABERTA", "VISTA", "NAO_VISTA"]


def test_strangers_and_readers(account: Connector) -> None:
    fail(account)
    troubles.look()
    pk = Trouble.objects.get().pk
    stranger = person(factories.ConnectorFactory(), Membership.Role.ADMIN)
    reader = person(account, Membership.Role.ANALYST)
    assert stranger.get(reverse("console:trouble", args=[pk])).status_code == 404
    assert "data-row=" not in stranger.get(reverse("console:troubles"), {"state": "all"}).content.decode()
    for name in ("acknowledge-trouble", "unacknowledge-trouble", "plan-trouble"):
        assert stranger.post(reverse(f"console:{name}", args=[pk])).status_code == 404
        assert reader.post(reverse(f"console:{name}", args=[pk])).status_code == 403
    assert story() == ["ABERTA"]


def test_its_events_or_numbers_are_sent_again_from_its_page(account: Connector) -> None:
    fail(account, 3)
    fail(account, 2, code="timeout")
    listing = factories.ListingFactory(connector=account, tenant=account.tenant)
    Listing.objects.filter(pk=listing.pk).update(sync_state="ERROR", last_error_code="rate_limited")
    fail(account, 1, "MAPEAMENTO", "mapping_needed")
    troubles.look()
    alice = person(account)
    for cause, verb, count in (("server_error", "EVENTOS", 3), ("rate_limited", "ANUNCIOS", 1)):
        row = Trouble.objects.get(cause=cause)
        alice.post(reverse("console:plan-trouble", args=[row.pk]))
        job = Reprocess.objects.latest("created_at")
        assert (job.verb, job.count) == (verb, count)
    mapping = Trouble.objects.get(kind="MAPEAMENTO")
    assert alice.post(reverse("console:plan-trouble", args=[mapping.pk])).status_code == 404


def test_the_list_costs_the_same_for_many(account: Connector) -> None:
    for number in range(20):
        fail(account, 1, code=f"code_{number}")
    troubles.look()
    alice = person(account)
    with CaptureQueriesContext(connection) as asked:
        assert alice.get(reverse("console:troubles")).status_code == 200
    assert len(asked) <= QUERIES_MAX
