"""What a company's programs and people ask of the inbox: queue, reprocess, list."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.common.error_codes import ADVICE
from apps.connectors.models import Connector
from apps.events.errors import OPEN, open_errors
from apps.events.models import IntegrationEvent
from apps.tenants import flags
from apps.tenants.models import ApiKey, AuditEntry, Membership, Tenant
from tests.factories import ConnectorFactory, EventFactory, ListingFactory, TenantFactory, member
from tests.senders import message

ENQUEUE = "/internal/integracoes/ml/enfileirar"
REPROCESS = "/internal/integracoes/ml/reprocessar/{}"
EVENTS = "/api/integracoes/eventos"
ERRORS = "/api/integracoes/erros"


@pytest.fixture
def connector(db: None) -> Connector:
    made: Connector = ConnectorFactory(tenant=TenantFactory(slug="alice"))
    return made


def program(tenant: Tenant, *scopes: str) -> Client:
    """Return a program of the tenant with a key for these scopes."""
    _key, text = ApiKey.issue(tenant, name="ERP", scopes=list(scopes))
    return Client(headers={"X-Api-Key": text, "Accept-Language": "en"})


@pytest.fixture
def alice(connector: Connector) -> Client:
    return program(connector.tenant, "integrations:read", "integrations:write")


@pytest.fixture
def charlie(db: None) -> Client:
    tenant: Tenant = TenantFactory(slug="charlie")
    ConnectorFactory(tenant=tenant)
    return program(tenant, "integrations:read", "integrations:write")


def post(client: Client, url: str, body: Any = None, **headers: str) -> Any:
    return client.post(url, body or {}, content_type="application/json", headers=headers)


# --- Queue ----------------------------------------------------------------------------------------------------------


def test_a_program_queues_an_event(alice: Client, connector: Connector) -> None:
    trace_id = uuid.uuid4()
    response = post(alice, ENQUEUE, message(traceId=str(trace_id), tenantId="alice"))
    assert response.status_code == 202
    event = IntegrationEvent.objects.get()
    assert response.json() == {"eventId": event.pk, "status": "RECEBIDO", "traceId": str(trace_id)}
    assert (event.tenant, event.connector, event.topic) == (connector.tenant, connector, "ORDER_CREATED")
    assert json.loads(bytes(event.body)) == message(traceId=str(trace_id), tenantId="alice")


def test_a_person_queues_an_event_with_their_session(connector: Connector) -> None:
    bob = Client(enforce_csrf_checks=True, headers={"Accept-Language": "en"})
    bob.force_login(member(connector.tenant, Membership.Role.OPERATOR))
    bob.cookies["csrftoken"] = token = "t" * 32
    assert post(bob, ENQUEUE, message()).json()["code"] == "csrf_failed"
    assert post(bob, ENQUEUE, message(), X_CSRFToken=token).status_code == 202
    assert IntegrationEvent.objects.get().tenant == connector.tenant


def test_who_only_reads_queues_and_reprocesses_nothing(connector: Connector) -> None:
    event = EventFactory(tenant=connector.tenant, connector=connector, status="ERRO")
    reader = program(connector.tenant, "integrations:read")
    analyst = Client()
    analyst.force_login(member(connector.tenant, Membership.Role.ANALYST))
    for client in (reader, analyst):
        assert post(client, ENQUEUE, message()).json()["code"] == "missing_scope"
        assert post(client, REPROCESS.format(event.pk)).json()["code"] == "missing_scope"
        assert client.get(EVENTS).status_code == 200
    assert IntegrationEvent.objects.get().reprocess_count == 0


@pytest.mark.parametrize("url", [ENQUEUE, REPROCESS.format(1), EVENTS, ERRORS])
def test_nobody_is_let_in_without_a_key(db: None, url: str) -> None:
    response = Client().get(url) if url in (EVENTS, ERRORS) else post(Client(), url, message())
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_a_message_for_another_company_is_refused(alice: Client, charlie: Client) -> None:
    for named in ("charlie", Tenant.objects.get(slug="charlie").pk, "nobody"):
        assert post(alice, ENQUEUE, message(tenantId=named)).json()["code"] == "tenant_mismatch"
    user_id = Connector.objects.get(tenant__slug="charlie").user_id
    assert post(alice, ENQUEUE, message(payload={"userId": user_id})).json()["code"] == "unknown_connector"
    assert not IntegrationEvent.objects.exists()


# --- Reprocess ------------------------------------------------------------------------------------------------------


def test_an_event_that_gave_up_is_due_again(alice: Client, connector: Connector) -> None:
    event = EventFactory(tenant=connector.tenant, connector=connector, status="ERRO", attempts=60)
    response = post(alice, REPROCESS.format(event.pk))
    assert response.status_code == 202
    answer = response.json()
    written = AuditEntry.objects.get(action="event.reprocessed", subject=f"event:{event.pk}")
    assert written.details == {"reprocess_id": answer.pop("reprocessId"), "count": 1}
    assert (written.tenant, written.actor[:4]) == (connector.tenant, "key:")
    assert answer == {"eventId": event.pk, "status": "RECEBIDO", "reprocessCount": 1}
    event.refresh_from_db()
    assert (event.status, event.attempts, event.next_attempt_at is not None) == ("RECEBIDO", 0, True)


def test_a_strangers_event_and_no_event_are_the_same_404(charlie: Client, connector: Connector) -> None:
    event = EventFactory(tenant=connector.tenant, connector=connector, status="ERRO")
    answers = [post(charlie, REPROCESS.format(pk)) for pk in (event.pk, 10**15)]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [(404, "unknown_event")] * 2
    event.refresh_from_db()
    assert event.reprocess_count == 0
    assert post(charlie, REPROCESS.format(10**30)).status_code in (404, 422)


def test_what_still_cannot_be_read_is_said_so(alice: Client, connector: Connector) -> None:
    event = EventFactory(
        tenant=connector.tenant, connector=connector, status="QUARENTENA", external_id="", payload=None, body=b"<html>"
    )
    response = post(alice, REPROCESS.format(event.pk))
    assert (response.status_code, response.json()["code"]) == (409, "nothing_to_reprocess")


# --- List -----------------------------------------------------------------------------------------------------------


def _at(event: IntegrationEvent, when: datetime) -> None:
    IntegrationEvent.objects.filter(pk=event.pk).update(received_at=when)


def test_the_list_says_how_far_each_event_is_and_nothing_of_what_it_holds(alice: Client, connector: Connector) -> None:
    event = EventFactory(
        tenant=connector.tenant,
        connector=connector,
        status="ERRO",
        error_code="mapping_needed",
        error_msg="canary Rosa",
        payload={"first_name": "canary Rosa"},
    )
    response = alice.get(EVENTS)
    [shown] = response.json()["items"]
    assert b"canary" not in response.content
    assert (shown["id"], shown["canal"], shown["tipo"]) == (event.pk, "ML", "orders_v2")
    assert (shown["externalId"], shown["status"], shown["errorCode"]) == (event.external_id, "ERRO", "mapping_needed")
    assert shown["traceId"] == str(event.trace_id)
    assert response.json()["switchedOff"] == []
    assert not {"payload", "body", "errorMsg"} & set(shown)


def test_nobody_sees_anothers_events(charlie: Client, connector: Connector) -> None:
    EventFactory.create_batch(3, tenant=connector.tenant, connector=connector)
    assert charlie.get(EVENTS).json()["items"] == []


def test_the_requirements_empty_parameters_filter_nothing(alice: Client, connector: Connector) -> None:
    EventFactory(tenant=connector.tenant, connector=connector)
    assert len(alice.get(f"{EVENTS}?canal=ML&status&data").json()["items"]) == 1
    assert len(alice.get(f"{EVENTS}?canal=&status=&data=&cursor=").json()["items"]) == 1


def test_filters_by_status(alice: Client, connector: Connector) -> None:
    same = {"tenant": connector.tenant, "connector": connector}
    failed = EventFactory(**same, status="ERRO")
    EventFactory(**same, status="PROCESSADO")
    found = alice.get(EVENTS, {"canal": "ML", "status": "ERRO"}).json()["items"]
    assert [item["id"] for item in found] == [failed.pk]


def test_a_day_is_the_companys_own(alice: Client, connector: Connector) -> None:
    """São Paulo is three hours behind UTC: 02:59 UTC is the evening before."""
    same = {"tenant": connector.tenant, "connector": connector}
    evening, morning, next_day = EventFactory.create_batch(3, **same)
    _at(evening, datetime(2026, 11, 22, 2, 59, 59, tzinfo=UTC))
    _at(morning, datetime(2026, 11, 22, 3, 0, tzinfo=UTC))
    _at(next_day, datetime(2026, 11, 23, 3, 0, tzinfo=UTC))

    def on(days: str) -> list[int]:
        return [item["id"] for item in alice.get(EVENTS, {"data": days}).json()["items"]]

    assert on("2026-11-21") == [evening.pk]
    assert on("2026-11-22") == [morning.pk]
    assert on("2026-11-21/2026-11-22") == [morning.pk, evening.pk]
    assert on("2026-11-20") == []
    Tenant.objects.update(time_zone="UTC")
    assert set(on("2026-11-22")) <= {evening.pk, morning.pk}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("data=yesterday", "data"),
        ("data=2026-13-01", "data"),
        ("data=2026-02-30", "data"),
        ("data=9999-12-31", "data"),
        ("data=0001-01-01", None),
        ("data=2026-11-22/2026-11-21", "data"),
        ("status=BROKEN", "status"),
        ("canal=SHOPEE", "canal"),
        ("limit=0", "limit"),
    ],
)
def test_what_cannot_be_asked_is_named(alice: Client, query: str, parameter: str | None) -> None:
    response = alice.get(f"{EVENTS}?{query}")
    if parameter is None:
        assert response.status_code == 200
    else:
        assert (response.status_code, response.json()["errors"][0]["parameter"]) == (422, parameter)


def test_pages_lead_on_and_back_while_events_come_in(alice: Client, connector: Connector) -> None:
    same = {"tenant": connector.tenant, "connector": connector}
    start = timezone.now() - timedelta(hours=1)
    events = EventFactory.create_batch(7, **same)
    for number, event in enumerate(events):
        _at(event, start + timedelta(seconds=number // 2))  # pairs of one moment: the id decides
    expected = [event.pk for event in reversed(events)]
    page = alice.get(EVENTS, {"canal": "ML", "limit": 3}).json()
    seen = [item["id"] for item in page["items"]]
    EventFactory(**same)
    while page["next"]:
        before, page = page, alice.get(page["next"]).json()
        seen += [item["id"] for item in page["items"]]
        assert alice.get(page["prev"]).json()["items"] == before["items"]
    assert seen == expected
    bad = alice.get(EVENTS, {"cursor": "nonsense"})
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_cursor")


def test_the_list_costs_the_same_however_many_events_there_are(alice: Client, connector: Connector) -> None:
    alice.get(EVENTS)
    with CaptureQueriesContext(connection) as few:
        alice.get(EVENTS)
    EventFactory.create_batch(20, tenant=connector.tenant, connector=connector)
    with CaptureQueriesContext(connection) as many:
        assert len(alice.get(EVENTS).json()["items"]) == 20
    assert len(few) == len(many)


def test_the_list_says_what_is_switched_off(alice: Client, connector: Connector) -> None:
    flags.switch(connector.tenant, "integracao.ml.enabled", is_enabled=False, actor="test")
    flags.switch(TenantFactory(), "integracao.ml.enabled", is_enabled=False, actor="test")
    assert alice.get(EVENTS).json()["switchedOff"] == ["integracao.ml.enabled"]
    flags.switch(connector.tenant, "integracao.ml.enabled", is_enabled=True, actor="test")
    assert alice.get(EVENTS).json()["switchedOff"] == []


# --- What is wrong --------------------------------------------------------------------------------------------------


def test_the_open_errors_come_first_and_the_whole_catalogue_after_them(
    alice: Client, charlie: Client, connector: Connector
) -> None:
    oldest = timezone.now() - timedelta(days=3)
    mine = {"tenant": connector.tenant, "connector": connector}
    for status, code in (("MAPEAMENTO", "mapping_needed"), ("ERRO", "mapping_needed"), ("ERRO", "never_heard_of")):
        EventFactory(**mine, status=status, error_code=code)
    EventFactory(**mine, status="NOVA_TENTATIVA", error_code="timeout")
    EventFactory(**mine, status="PROCESSADO", error_code="server_error")  # was, and is no more
    IntegrationEvent.objects.filter(status="MAPEAMENTO").update(received_at=oldest)
    ListingFactory(**mine, sync_state="ERROR", last_error_code="timeout", accepted_at=oldest)
    ListingFactory(**mine, sync_state="SUCCESS", last_error_code="")
    items = alice.get(ERRORS).json()["items"]
    shown = {item["code"]: item for item in items}
    assert [item["code"] for item in items[:3]] == ["mapping_needed", "timeout", "never_heard_of"]
    assert len(items) == len(shown) == len(ADVICE) + 1
    assert {name: shown["mapping_needed"][name] for name in ("events", "listings", "passes", "known")} == {
        "events": 2,
        "listings": 0,
        "passes": False,
        "known": True,
    }
    assert datetime.fromisoformat(shown["mapping_needed"]["oldestAt"]) == oldest
    assert (shown["timeout"]["events"], shown["timeout"]["listings"]) == (1, 1)
    assert shown["never_heard_of"]["known"] is False
    assert (shown["server_error"]["events"], shown["server_error"]["oldestAt"]) == (0, None)
    assert all(item["meaning"] and item["stock"] and item["action"] for item in items)
    few = alice.get(ERRORS, {"abertos": "true"}).json()["items"]
    assert [item["code"] for item in few] == ["mapping_needed", "timeout", "never_heard_of"]
    assert charlie.get(ERRORS, {"abertos": "true"}).json() == {"items": []}
    assert alice.get(ERRORS, {"abertos": "sim"}).json()["code"] == "validation_failed"


def test_the_catalogue_speaks_the_readers_language(alice: Client) -> None:
    said = {
        language: alice.get(ERRORS, headers={"Accept-Language": language}).json()["items"][0]["meaning"]
        for language in ("en", "pt-BR")
    }
    assert said["en"] != said["pt-BR"]


def test_open_errors_cost_the_same_however_many_events_are_done(alice: Client, connector: Connector) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO integracao_evento (tenant_id, connector_id, canal, tipo, resource_kind, external_id,
                   delivery_key, body, status, error_code, error_msg, waiting_for, attempts, interruptions,
                   reprocess_count, trace_id, received_at)
            SELECT %s, %s, 'ML', 'orders_v2', 'orders', n, '', '', CASE WHEN n %% 500 = 0 THEN 'ERRO' ELSE 'PROCESSADO'
                   END, CASE WHEN n %% 500 = 0 THEN 'timeout' ELSE '' END, '', '{}', 1, 0, 0, gen_random_uuid(), now()
              FROM generate_series(1, 20000) AS n""",
            [connector.tenant_id, connector.pk],
        )
        cursor.execute("ANALYZE integracao_evento")
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + OPEN, {"tenant": connector.tenant_id})
        [plan] = cursor.fetchone()[0]
    assert "ix_evento_open_error" in json.dumps(plan)
    [found] = open_errors(connector.tenant)
    assert (found.code, found.events) == ("timeout", 40)
