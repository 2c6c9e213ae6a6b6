"""The requirement's webhook: signature, idempotency, and that the event is kept. Both doors, up to the stock.

The signed door takes our own envelope from programs that hold a secret; the other one takes Mercado Livre's
notifications, which are never signed.
"""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.connectors.models import Connector
from apps.events.models import IdempotencyKey, IntegrationEvent
from apps.orders.models import Order
from apps.tenants import signatures
from apps.tenants.models import Tenant, WebhookSecret
from tests.factories import ConnectorFactory, TenantFactory
from tests.market import Market, work_until_quiet
from tests.senders import Sender, message


@pytest.fixture
def connector(db: None) -> Connector:
    made: Connector = ConnectorFactory(tenant=TenantFactory(slug="alice"), user_id="1001")
    return made


@pytest.fixture
def sender(connector: Connector) -> Sender:
    """The ERP of Alice's shop."""
    return Sender("alice", [signatures.issue(connector.tenant, name="ERP")[1]])


def _refusal(response: Any) -> dict[str, Any]:
    """Return a 401 without what is each request's own."""
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    del body["trace_id"]
    return body


# --- The event is kept ----------------------------------------------------------------------------------------------


def test_a_signed_event_is_stored_as_it_came_and_is_due(sender: Sender, connector: Connector) -> None:
    body = json.dumps(message()).encode()
    response = sender.post(body, X_Event_Type="ORDER_CREATED")
    assert response.status_code == 202
    event = IntegrationEvent.objects.get()
    assert response.json() == {"eventId": event.pk, "status": "RECEBIDO", "traceId": str(event.trace_id)}
    assert bytes(event.body) == body
    assert (event.tenant, event.connector, event.channel) == (connector.tenant, connector, "ML")
    assert (event.topic, event.resource_kind, event.external_id) == ("ORDER_CREATED", "orders", "2000003508419013")
    assert event.payload["payload"] == {"order": {"buyer": "Rosa"}}
    assert event.delivery_key == f"ML|{connector.tenant_id}|ORDER_CREATED|2000003508419013|v1"
    assert (event.status, event.next_attempt_at is not None) == ("RECEBIDO", True)


@pytest.mark.parametrize("kind", ["ORDER_CREATED", "ORDER_UPDATED", "LABEL_AVAILABLE", "STATUS"])
def test_every_kind_of_event_is_taken(sender: Sender, kind: str) -> None:
    assert sender.post(message(tipo=kind)).status_code == 202
    assert IntegrationEvent.objects.get().topic == kind


def test_the_requirements_example_is_taken_word_for_word(sender: Sender, connector: Connector) -> None:
    example = {
        "canal": "ML",
        "tenantId": connector.tenant_id,
        "tipo": "ORDER_CREATED",
        "externalId": "ML-ORD-987654",
        "versao": 1,
        "payload": {"...": "conteúdo do webhook"},
        "traceId": "a8a4b8e0-....",
    }
    assert sender.post(example).status_code == 202
    event = IntegrationEvent.objects.get()
    assert event.external_id == "987654"
    assert event.delivery_key == f"ML|{connector.tenant_id}|ORDER_CREATED|ML-ORD-987654|v1"


def test_the_senders_trace_goes_on_when_it_is_a_uuid(sender: Sender) -> None:
    trace_id = uuid.uuid4()
    assert sender.post(message(traceId=str(trace_id))).json()["traceId"] == str(trace_id)
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert sender.post(message(traceId="mine"), traceparent=traceparent).json()["traceId"].replace("-", "") == (
        "4bf92f3577b34da6a3ce929d0e0e4736"
    )


def test_storing_costs_the_tenants_secrets_the_account_and_one_insert(sender: Sender) -> None:
    sender.post(message())  # records that the secret is used, once a minute
    with CaptureQueriesContext(connection) as queries:
        assert sender.post(message()).status_code == 202
    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "SELECT", "INSERT"]


# --- The signature --------------------------------------------------------------------------------------------------


def test_every_bad_signature_is_one_and_the_same_401_and_nothing_is_stored(
    sender: Sender, connector: Connector
) -> None:
    body = json.dumps(message()).encode()
    good = sender.headers(body)["X-ML-Signature"]
    bobs = TenantFactory(slug="bob")
    signatures.issue(bobs, name="Bob's")
    refused = {
        "no signature": sender.post(body, X_ML_Signature=None),
        "an empty one": sender.post(body, X_ML_Signature=""),
        "nonsense": sender.post(body, X_ML_Signature="nonsense"),
        "a digest alone": sender.post(body, X_ML_Signature=good.partition("v1=")[2]),
        "one digit changed": sender.post(body, X_ML_Signature=good[:-1] + ("0" if good[-1] != "0" else "1")),
        "another body": sender.post(message(externalId="1"), X_ML_Signature=good),
        "another time": sender.post(body, X_ML_Signature=good.replace("t=", "t=1", 1)),
        "digits that are no ASCII": sender.post(body, X_ML_Signature=good.replace("t=1", "t=١", 1)),
        "a thousand values": sender.post(body, X_ML_Signature=good + f",v1={'0' * 64}" * 1000),
        "no tenant": sender.post(body, X_Tenant=None),
        "an unknown tenant": sender.post(body, X_Tenant="nobody"),
        "an unknown number": sender.post(body, X_Tenant="999999999999999999"),
        "another tenant": sender.post(body, X_Tenant="bob"),
        "a wrong secret": Sender("alice", ["saldo_wh_guess"]).post(body),
        "a tenant without secrets": Sender(TenantFactory().slug, sender.secrets).post(body),
        "not JSON either": sender.post(b"<html>", X_ML_Signature="t=1,v1="),
        "too old": Sender("alice", sender.secrets, -301).post(body),
        "from the future": Sender("alice", sender.secrets, 305).post(body),
    }
    answers = {why: _refusal(response) for why, response in refused.items()}
    first = answers["no signature"]
    assert first["code"] == "invalid_signature"
    assert {why: answer for why, answer in answers.items() if answer != first} == {}
    assert not IntegrationEvent.objects.exists()


@pytest.mark.parametrize("clock_off_seconds", [-295, 0, 295])
def test_a_clock_may_be_five_minutes_off_both_ways(sender: Sender, clock_off_seconds: float) -> None:
    sender.clock_off_seconds = clock_off_seconds
    assert sender.post(message()).status_code == 202


def test_a_bad_signature_costs_the_same_work_whoever_is_named(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: one query, two seals opened and two digests, whether the tenant exists or not."""
    unseal, digest, work = signatures.crypto.unseal, signatures._hmac, [0, 0]

    def counted_unseal(*args: Any, **options: Any) -> str:
        work[0] += 1
        return unseal(*args, **options)

    def counted_digest(*args: Any) -> str:
        work[1] += 1
        return digest(*args)

    monkeypatch.setattr(signatures.crypto, "unseal", counted_unseal)
    monkeypatch.setattr(signatures, "_hmac", counted_digest)
    for named, signature in [
        ("alice", f"t=1,v1={'0' * 64}"),
        ("nobody", f"t=1,v1={'0' * 64}"),
        ("", ""),
        ("alice", ""),
    ]:
        work[:] = [0, 0]
        with CaptureQueriesContext(connection) as queries:
            _refusal(sender.post(message(), X_Tenant=named, X_ML_Signature=signature))
        assert (len(queries), work) == (1, [2, 2]), named


def test_the_tenant_may_be_named_by_its_id(sender: Sender, connector: Connector) -> None:
    assert sender.post(message(), X_Tenant=str(connector.tenant_id)).status_code == 202


def test_the_secret_decides_when_a_short_name_is_anothers_id(sender: Sender, connector: Connector) -> None:
    """A tenant may call itself by a number; that lets it neither into another tenant's door nor out of its own."""
    mimic: Tenant = TenantFactory(slug=str(connector.tenant_id))
    ConnectorFactory(tenant=mimic)
    _secret, text = signatures.issue(mimic, name="mimic")
    assert sender.post(message(), X_Tenant=str(connector.tenant_id)).status_code == 202
    assert Sender(mimic.slug, [text]).post(message()).status_code == 202
    assert list(IntegrationEvent.objects.order_by("pk").values_list("tenant_id", flat=True)) == [
        connector.tenant_id,
        mimic.pk,
    ]


def test_two_secrets_are_good_while_one_replaces_the_other(sender: Sender) -> None:
    old = WebhookSecret.objects.get()
    _new, new_text = signatures.rotate(old, overlap=timedelta(hours=1))
    [old_text] = sender.secrets
    for texts in ([old_text], [new_text], [old_text, new_text], ["saldo_wh_other", new_text]):
        assert Sender("alice", texts).post(message()).status_code == 202
    WebhookSecret.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    _refusal(Sender("alice", [old_text]).post(message()))
    assert Sender("alice", [new_text]).post(message()).status_code == 202


def test_a_revoked_secret_opens_nothing_at_once(sender: Sender) -> None:
    assert sender.post(message()).status_code == 202
    signatures.revoke(WebhookSecret.objects.get())
    _refusal(sender.post(message()))


def test_a_secret_that_cannot_be_opened_is_no_500(sender: Sender) -> None:
    WebhookSecret.objects.update(secret_enc="gAAAA")
    _refusal(sender.post(message()))


def test_a_secret_copied_into_another_tenants_row_opens_nothing(sender: Sender) -> None:
    """The seal is bound to its row: whoever can write the table still cannot lend a secret to another tenant."""
    bobs, _text = signatures.issue(TenantFactory(slug="bob"), name="Bob's")
    WebhookSecret.objects.filter(pk=bobs.pk).update(
        secret_enc=WebhookSecret.objects.exclude(pk=bobs.pk).get().secret_enc
    )
    _refusal(sender.post(message(), X_Tenant="bob"))


# --- Bodies that are no message -------------------------------------------------------------------------------------

UNREADABLE = {
    "nothing": (b"", 422),
    "not JSON": (b"<html>", 400),
    "not UTF-8": ('{"canal": "ML", "externalId": "é"}'.encode("latin-1"), 400),
    "an array": (b"[1, 2]", 422),
    "nested 100,000 deep": (b"[" * 100_000, 400),
    "a payload nested 900 deep": (
        json.dumps(message()).encode()[:-1] + b', "payload": ' + b'{"a":' * 900 + b"1" + b"}" * 901,
        422,
    ),
    "NaN": (b'{"canal": "ML", "externalId": "1", "tipo": "STATUS", "payload": {"a": NaN}}', 400),
    "a number that grows in jsonb": (
        b'{"canal": "ML", "externalId": "1", "tipo": "STATUS", "payload": {"a": 1e130000}}',
        422,
    ),
    "a NUL character": (b'{"canal": "ML", "externalId": "1", "tipo": "STATUS", "payload": {"a": "b\\u0000"}}', 422),
    "half of a surrogate pair": (
        b'{"canal": "ML", "externalId": "1", "tipo": "STATUS", "payload": {"a": "\\ud800"}}',
        400,
    ),
    "another channel": (json.dumps(message(canal="SHOPEE")).encode(), 422),
    "an unknown type": (json.dumps(message(tipo="ORDER_EATEN")).encode(), 422),
    "no order": (json.dumps(message(externalId="")).encode(), 422),
    "a prefix alone": (json.dumps(message(externalId="ML-ORD-")).encode(), 422),
    "a path for an order": (json.dumps(message(externalId="../users/me")).encode(), 422),
    "an order of 65 digits": (json.dumps(message(externalId="9" * 65)).encode(), 422),
    "a version that is no number": (json.dumps(message(versao="1")).encode(), 422),
    "a payload that is a text": (json.dumps(message(payload="x")).encode(), 422),
    "another type in the header": (json.dumps(message(tipo="STATUS")).encode(), 422),
    "another tenant in the body": (json.dumps(message(tenantId="bob")).encode(), 422),
    "another tenant's number": (json.dumps(message(tenantId=2**63)).encode(), 422),
}


@pytest.mark.parametrize(("body", "status"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_signed_body_that_is_no_message_is_a_problem_and_stores_nothing(
    sender: Sender, body: bytes, status: int
) -> None:
    response = sender.post(body, X_Event_Type="ORDER_CREATED")
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    assert response.json()["code"] in {
        *("malformed_json", "validation_failed", "event_type_mismatch", "tenant_mismatch"),
    }
    assert not IntegrationEvent.objects.exists()


def test_a_body_over_the_limit_is_413_whoever_signed_it(sender: Sender, settings: Any) -> None:
    settings.API_BODY_MAX_BYTES = 2048
    large = message(payload={"a": "x" * 2048})
    assert sender.post(large).json()["code"] == "body_too_large"
    assert sender.post(large, X_ML_Signature=None).status_code == 413


def test_the_type_may_stand_in_the_header_alone(sender: Sender) -> None:
    body = message()
    del body["tipo"]
    assert sender.post(body, X_Event_Type="LABEL_AVAILABLE").status_code == 202
    assert IntegrationEvent.objects.get().topic == "LABEL_AVAILABLE"
    assert sender.post(body).json()["errors"][0]["pointer"] == "/tipo"


def test_of_several_accounts_the_payload_names_one(sender: Sender, connector: Connector) -> None:
    second = ConnectorFactory(tenant=connector.tenant, user_id="1002")
    stranger = ConnectorFactory(user_id="3003")
    assert sender.post(message()).json()["code"] == "ambiguous_connector"
    assert sender.post(message(payload={"userId": int(stranger.user_id)})).json()["code"] == "unknown_connector"
    assert sender.post(message(payload={"userId": 1002})).status_code == 202
    assert sender.post(message(payload={"user_id": "1001"})).status_code == 202
    assert [event.connector for event in IntegrationEvent.objects.order_by("pk")] == [second, connector]


def test_a_tenant_without_an_account_is_told_so(db: None) -> None:
    tenant: Tenant = TenantFactory()
    sender = Sender(tenant.slug, [signatures.issue(tenant, name="ERP")[1]])
    assert sender.post(message()).json()["code"] == "no_connector"


# --- Idempotency, and the whole road --------------------------------------------------------------------------------


@pytest.fixture
def erp(market: Market) -> Sender:
    """A program of Alice's real shop at the marketplace."""
    return Sender("alice", [signatures.issue(market.tenant, name="ERP")[1]])


def _unnoticed_sale(market: Market) -> str:
    """Sell three shirts of which the marketplace itself tells the hub nothing."""
    market.control.application(client_id=market.connector.client_id, notification_url="")
    return market.sell("SHIRT", 3)


def _states(order_id: str) -> list[str]:
    """Return how the events about an order ended, in the order they came."""
    events = IntegrationEvent.objects.filter(external_id=order_id).order_by("pk")
    return list(events.values_list("status", flat=True))


def test_a_signed_event_brings_the_order_in_and_moves_its_stock(market: Market, erp: Sender) -> None:
    order_id = _unnoticed_sale(market)
    answer = erp.post(message(externalId=f"ML-ORD-{order_id}")).json()
    work_until_quiet()
    event = IntegrationEvent.objects.get(pk=answer["eventId"])
    assert (event.status, event.error_code) == ("PROCESSADO", "")
    assert Order.objects.get().external_id == order_id
    assert market.numbers("SHIRT") == (10, 3)
    assert market.shown("SHIRT") == 7


def test_the_payload_is_believed_in_nothing(market: Market, erp: Sender) -> None:
    """Law 5: what counts is what the marketplace shows of the order, not what a message says of it."""
    order_id = _unnoticed_sale(market)
    claims = {"status": "cancelled", "order_items": [{"item": {"id": "MLB1"}, "quantity": 99}]}
    erp.post(message(externalId=order_id, payload=claims))
    work_until_quiet()
    assert Order.objects.get().status == "RECEBIDO"
    assert market.numbers("SHIRT") == (10, 3)


def test_the_same_event_again_is_kept_and_marked_and_has_no_effect(market: Market, erp: Sender) -> None:
    order_id = _unnoticed_sale(market)
    for _copy in range(3):
        assert erp.post(message(externalId=order_id)).status_code == 202
        work_until_quiet()
    assert _states(order_id) == ["PROCESSADO", "DUPLICADO", "DUPLICADO"]
    assert IntegrationEvent.objects.filter(external_id=order_id).values("delivery_key").distinct().count() == 1
    assert Order.objects.count() == IdempotencyKey.objects.count() == 1
    assert market.numbers("SHIRT") == (10, 3)


def test_events_that_wait_together_are_one_read_and_one_effect(market: Market, erp: Sender) -> None:
    order_id = _unnoticed_sale(market)
    for version, kind in enumerate(["ORDER_CREATED", "ORDER_UPDATED", "STATUS", "LABEL_AVAILABLE"]):
        erp.post(message(externalId=order_id, tipo=kind, versao=version))
    work_until_quiet()
    assert _states(order_id) == ["PROCESSADO", "DUPLICADO", "DUPLICADO", "DUPLICADO"]
    assert market.numbers("SHIRT") == (10, 3)


def test_the_two_doors_make_one_effect_of_one_sale(market: Market, erp: Sender) -> None:
    order_id = market.sell("SHIRT", 3)  # the marketplace notifies, unsigned
    erp.post(message(externalId=order_id))
    market.settle()
    erp.post(message(externalId=order_id, tipo="ORDER_UPDATED", versao=2))
    market.settle()
    assert sorted(_states(order_id)) == ["DUPLICADO", "DUPLICADO", "PROCESSADO"]
    assert market.numbers("SHIRT") == (10, 3)
    assert market.shown("SHIRT") == 7


def test_an_order_nobody_has_ends_as_an_error_and_moves_nothing(market: Market, erp: Sender) -> None:
    event_id = erp.post(message(externalId="ML-ORD-987654")).json()["eventId"]
    work_until_quiet()
    event = IntegrationEvent.objects.get(pk=event_id)
    assert (event.status, event.error_code) == ("NOVA_TENTATIVA", "order_not_found")
    assert not Order.objects.exists()


# --- Mercado Livre's own door ---------------------------------------------------------------------------------------


def _notification(connector: Connector) -> dict[str, Any]:
    return {
        "_id": str(uuid.uuid4()),
        "resource": "/orders/2000003508419013",
        "user_id": int(connector.user_id),
        "topic": "orders_v2",
        "application_id": int(connector.client_id),
        "sent": "2026-11-22T10:00:00.000Z",
    }


@pytest.mark.parametrize("signature", [None, "nonsense", f"t=1,v1={'0' * 64}"])
def test_mercado_livres_own_posts_are_never_asked_for_a_signature(connector: Connector, signature: str | None) -> None:
    headers = {"X-ML-Signature": signature, "X-Tenant": "nobody"} if signature else {}
    address = f"/api/integracoes/ml/notificacoes/{connector.notification_token}"
    response = Client().post(address, _notification(connector), content_type="application/json", headers=headers)
    assert (response.status_code, response.content) == (200, b"")
    assert IntegrationEvent.objects.get().status == "RECEBIDO"


def test_a_notification_is_no_message_and_the_signed_door_says_so(sender: Sender, connector: Connector) -> None:
    assert sender.post(_notification(connector)).json()["code"] == "validation_failed"
    assert not IntegrationEvent.objects.exists()
