"""The front door: whatever arrives is kept and answered, and nothing of it can hurt."""

import json
import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.connectors.models import Connector
from apps.events.models import IntegrationEvent
from apps.events.views import BODY_MAX_BYTES
from apps.tenants.models import Tenant


def _connector(slug: str, client_id: str = "77", user_id: str = "1001") -> Connector:
    tenant = Tenant.objects.create(slug=slug, name=slug.title())
    return Connector.objects.create(tenant=tenant, kind="ML", name=slug, client_id=client_id, user_id=user_id)


@pytest.fixture
def connector(db: None) -> Connector:
    return _connector("alice")


def _notice(**changes: object) -> bytes:
    notice = {
        "_id": str(uuid.uuid4()),
        "resource": "/orders/2000000000000001",
        "user_id": 1001,
        "topic": "orders_v2",
        "application_id": 77,
        "attempts": 1,
        "sent": "2026-11-22T10:00:00.000Z",
        "received": "2026-11-22T10:00:00.000Z",
    }
    return json.dumps(notice | changes).encode()


def _post(connector: Connector, body: bytes) -> int:
    response = Client().post(
        f"/api/integracoes/ml/notificacoes/{connector.notification_token}", body, content_type="application/json"
    )
    assert response.content == b"" or response.status_code != 200
    return response.status_code


def test_a_notification_is_kept_as_it_came_and_is_due(connector: Connector) -> None:
    body = _notice()
    assert _post(connector, body) == 200
    event = IntegrationEvent.objects.get()
    assert bytes(event.body) == body
    assert (event.status, event.topic, event.external_id) == ("RECEBIDO", "orders_v2", "2000000000000001")
    assert event.next_attempt_at is not None
    assert event.payload == json.loads(body)


def test_the_answer_costs_one_select_and_one_insert(connector: Connector) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        _post(connector, _notice())
    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "INSERT"]


def test_every_delivery_is_kept_even_the_same_again(connector: Connector) -> None:
    body = _notice()
    assert [_post(connector, body) for _ in range(3)] == [200, 200, 200]
    assert IntegrationEvent.objects.count() == 3


def test_a_wrong_address_is_not_found_and_keeps_nothing(connector: Connector) -> None:
    assert (
        Client().post("/api/integracoes/ml/notificacoes/guess", _notice(), content_type="application/json").status_code
        == 404
    )
    assert not IntegrationEvent.objects.exists()


def test_only_posts_are_taken(connector: Connector) -> None:
    assert Client().get(f"/api/integracoes/ml/notificacoes/{connector.notification_token}").status_code == 405


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"application_id": 78}, "foreign_application"), ({"user_id": 9999}, "unknown_account")],
)
def test_what_is_not_ours_is_quarantined_and_answered(connector: Connector, changes: dict[str, int], code: str) -> None:
    assert _post(connector, _notice(**changes)) == 200
    event = IntegrationEvent.objects.get()
    assert (event.status, event.error_code, event.next_attempt_at) == ("QUARENTENA", code, None)


def test_an_application_has_one_address_for_all_its_accounts(connector: Connector) -> None:
    """Contract §2.1: one callback per application; the account is found from the body."""
    second = _connector("bob", client_id="77", user_id="1002")
    assert _post(connector, _notice(user_id="1002")) == 200
    event = IntegrationEvent.objects.get()
    assert (event.connector, event.tenant, event.status) == (second, second.tenant, "RECEBIDO")


def test_another_applications_account_is_not_reached_through_this_address(connector: Connector) -> None:
    _connector("charlie", client_id="88", user_id="3003")
    assert _post(connector, _notice(user_id=3003)) == 200
    event = IntegrationEvent.objects.get()
    assert (event.tenant, event.status, event.error_code) == (connector.tenant, "QUARENTENA", "unknown_account")


@pytest.mark.parametrize("topic", ["shipments", "questions", "something_new"])
def test_topics_the_hub_does_not_use_are_kept_and_marked(connector: Connector, topic: str) -> None:
    assert _post(connector, _notice(topic=topic, resource="/items/MLB1")) == 200
    event = IntegrationEvent.objects.get()
    assert (event.status, event.topic, event.next_attempt_at) == ("IGNORADO", topic, None)


POISON = {
    "nothing": b"",
    "not JSON": b"<html>",
    "not UTF-8": '{"topic": "café"}'.encode("latin-1"),
    "a byte order mark": b"\xef\xbb\xbf" + _notice(),
    "an array": b"[1, 2]",
    "a string": b'"orders"',
    "nested 100,000 deep": b"[" * 100_000,
    "objects nested deep": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "an integer of 5,000 digits": b'{"user_id": ' + b"9" * 5_000 + b"}",
    "a number that grows in jsonb": b'{"a": 1e130000, "topic": "x"}',
    "NaN": b'{"user_id": NaN}',
    "a NUL character": b'{"topic": "a\\u0000b", "resource": "/orders/1", "user_id": 1001, "application_id": 77}',
    "half of a surrogate pair": b'{"topic": "\\ud800", "resource": "/orders/1", "user_id": 1001, "application_id": 77}',
    "a boolean for an account": _notice(user_id=True),
    "an object for a resource": _notice(resource={"a": 1}),
    "no topic": _notice(topic=None),
    "200 kB of nonsense": b"x" * 200_000,
}


@pytest.mark.parametrize("body", POISON.values(), ids=POISON.keys())
def test_poison_is_quarantined_and_answered(connector: Connector, body: bytes) -> None:
    assert _post(connector, body) == 200
    event = IntegrationEvent.objects.get()
    assert (event.status, event.error_code, event.next_attempt_at) == ("QUARENTENA", "unreadable", None)
    assert event.error_msg
    assert bytes(event.body) == body


@pytest.mark.parametrize(
    "resource",
    [
        "/orders/../users/me",
        "/orders/1?access_token=x",
        "//evil.example/orders/1",
        "http://169.254.169.254/latest",
        "/orders/1/../../2",
        "/orders/",
        "/orders/1%2F2",
        "/orders/" + "9" * 200,
    ],
)
def test_a_resource_of_another_form_is_never_read(connector: Connector, resource: str) -> None:
    assert _post(connector, _notice(resource=resource)) == 200
    assert IntegrationEvent.objects.get().next_attempt_at is None


def test_a_body_over_the_limit_is_refused(connector: Connector) -> None:
    assert _post(connector, b"x" * (BODY_MAX_BYTES + 1)) == 413
    assert not IntegrationEvent.objects.exists()
