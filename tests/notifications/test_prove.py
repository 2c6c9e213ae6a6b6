"""`prove` finds what is lost, doubled or stuck, and names the rows."""

import pytest
from django.db import connection

from apps.notifications.models import PickupCounter, Trouble
from apps.notifications.prove import RULES, prove
from apps.orders.models import Order
from tests import factories
from tests.smtp import MailServer

from .conftest import make_ready, notify

CORRUPTIONS = {
    "an order that is ready has its notification": (
        "DELETE FROM notificacao_tentativa; DELETE FROM notificacao;"
        "UPDATE pedido SET ready_at = now() - interval '1 hour', updated_at = now() - interval '1 hour';"
        "UPDATE balcao_retirada SET updated_at = now() - interval '1 hour'"
    ),
    "no notification waits long past its time": (
        "UPDATE notificacao SET status = 'PENDENTE', due_at = now() - interval '1 hour'"
    ),
    "a notification is of its order's tenant": (
        "UPDATE notificacao SET tenant_id = (SELECT max(id) FROM tenant WHERE slug = 'charlie')"
    ),
    "the hub tells by itself only once, everything else was asked for by somebody": (
        "UPDATE notificacao SET reenvio = 3"
    ),
    "what was sent has a try that sent it": "UPDATE notificacao_tentativa SET outcome = 'refused'",
    "a listing in error is one of an open trouble": (
        "UPDATE integracao_anuncio SET sync_state = 'ERROR', last_error_code = 'item_closed',"
        " updated_at = now() - interval '1 hour'"
    ),
    "no e-mail about a trouble waits long past its time": (
        "UPDATE pendencia SET email_due_at = now() - interval '1 hour'"
    ),
    "a trouble is of its connector's tenant": (
        "UPDATE pendencia SET tenant_id = (SELECT max(id) FROM tenant WHERE slug = 'charlie')"
    ),
}


@pytest.fixture
def told(counter: PickupCounter, mail_server: MailServer) -> Order:
    factories.TenantFactory(slug="charlie")
    connector = counter.connector
    factories.ListingFactory(tenant=connector.tenant, connector=connector)
    Trouble.objects.create(
        tenant=connector.tenant, connector=connector, kind=Trouble.Kind.LISTINGS, cause="rate_limited", count=1
    )
    order = make_ready(counter)
    notify()
    return order


def test_an_honest_room_is_proven(told: Order) -> None:
    assert prove() == []


def test_every_rule_has_its_corruption() -> None:
    assert set(CORRUPTIONS) == set(RULES)


@pytest.mark.corrupts
@pytest.mark.parametrize("rule", CORRUPTIONS)
def test_a_corruption_is_found_and_its_row_named(told: Order, rule: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(CORRUPTIONS[rule])
    assert rule in {finding.rule for finding in prove()}
