"""Asking for a notification again: over HTTP and by button, by whom, and never for what is not one's own."""

import threading
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.notifications import resending
from apps.notifications.models import Notification, PickupCounter
from apps.orders.models import Order
from apps.tenants.models import ApiKey, Membership, Tenant
from tests import factories
from tests.smtp import MailServer

from .conftest import in_thread, let_time_pass, make_counter, make_ready, notify, outcomes, statuses

Status = Notification.Status


def with_key(tenant: Tenant, *scopes: str) -> Client:
    key = ApiKey.issue(tenant, name="ERP", scopes=list(scopes or ["notifications:send"]))[1]
    return Client(headers={"X-Api-Key": key, "Accept-Language": "en"})


def address(order: Order) -> str:
    return f"/api/notificacoes/pedido/{order.pk}/pronto"


def post(client: Client, order: Order, **headers: str) -> tuple[int, dict[str, Any]]:
    answer = client.post(address(order), headers=headers)
    is_problem = answer.status_code >= 400
    assert answer["Content-Type"] == ("application/problem+json" if is_problem else "application/json")
    assert answer["X-Trace-Id"]
    return answer.status_code, answer.json()


def test_a_resending_sends_once_more_and_says_who_asked(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    notify()
    client = with_key(order.tenant)
    status, body = post(client, order)
    assert status == 202
    assert (body["order_id"], body["order_number"], body["round"]) == (order.pk, order.external_id, 1)
    assert [(row["medium"], row["status"]) for row in body["notifications"]] == [("EMAIL", "PENDENTE")]
    notify()
    assert post(client, order)[1]["round"] == 2
    notify()
    assert statuses(order) == [("EMAIL", 0, Status.SENT), ("EMAIL", 1, Status.SENT), ("EMAIL", 2, Status.SENT)]
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == 3
    key = ApiKey.objects.get().prefix
    asked = Notification.objects.filter(order=order).order_by("round").values_list("requested_by", flat=True)
    assert list(asked) == ["", f"key:{key}", f"key:{key}"]


def test_asking_before_the_first_tick_tells_once(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    assert post(with_key(order.tenant), order)[0] == 202
    notify()
    assert statuses(order) == [("EMAIL", 0, Status.CANCELLED), ("EMAIL", 1, Status.SENT)]
    assert len(mail_server.mails) == 1


def test_a_resending_takes_the_place_of_a_retry(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    mail_server.answer = lambda step: "451 later" if step == "MAIL" else ""
    notify()
    mail_server.answer = lambda step: ""
    post(with_key(order.tenant), order)
    let_time_pass()
    notify()
    assert outcomes(order) == ["mail_refused", "sent"]
    assert len(mail_server.mails) == 1


def test_a_resending_reaches_who_failed_for_good(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    mail_server.answer = lambda step: "550 no" if step == "RCPT" else ""
    notify()
    mail_server.answer = lambda step: ""
    post(with_key(order.tenant), order)
    notify()
    assert statuses(order) == [("EMAIL", 0, Status.FAILED), ("EMAIL", 1, Status.SENT)]


def test_two_who_ask_at_once_get_a_round_each_and_one_message(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    notify()
    barrier, rounds = threading.Barrier(4), []

    def ask() -> None:
        barrier.wait()
        rounds.append(resending.resend(order, actor="user:7")[0].round)

    for thread in [in_thread(ask) for _ in range(4)]:
        thread.join()
    notify()
    assert sorted(rounds) == [1, 2, 3, 4]
    assert len(mail_server.mails) == 2  # its own, and the last one asked for


@pytest.mark.parametrize("status", [Order.Status.RECEIVED, Order.Status.PICKED_UP, Order.Status.CANCELLED])
def test_an_order_that_is_not_ready_is_409(counter: PickupCounter, mail_server: MailServer, status: str) -> None:
    order = make_ready(counter, status=status, picked_up_at=timezone.now())
    code, problem = post(with_key(order.tenant), order)
    assert (code, problem["code"], problem["order_status"]) == (409, "order_not_ready", status)
    notify()
    assert (statuses(order), mail_server.mails) == ([], [])


@pytest.mark.parametrize("media", [None, []])
def test_a_connector_that_tells_nobody_is_409(transactional_db: None, media: list[str] | None) -> None:
    connector = factories.ConnectorFactory()
    order = factories.ready(factories.OrderFactory(tenant=connector.tenant, connector=connector, item=None))
    if media is not None:
        make_counter(connector=connector, media=media)
    code, problem = post(with_key(order.tenant), order)
    assert (code, problem["code"]) == (409, "no_pickup_counter")


def test_a_strangers_order_is_as_unknown_as_none(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    charlie = with_key(factories.TenantFactory())
    code, foreign = post(charlie, order)
    order_of_nobody = Order(pk=order.pk + 1000)
    assert (code, foreign["code"]) == (404, "unknown_order")
    none = post(charlie, order_of_nobody)[1]
    assert {**foreign, "trace_id": "", "instance": ""} == {**none, "trace_id": "", "instance": ""}
    assert post(charlie, Order(pk=10**30))[0] == 404
    assert Notification.objects.filter(round__gt=0).count() == 0


def test_who_may_ask(counter: PickupCounter) -> None:
    order = make_ready(counter)
    assert post(Client(), order)[1]["code"] == "not_authenticated"
    assert post(with_key(order.tenant, "stock:read", "stock:adjust"), order)[1]["code"] == "missing_scope"
    assert Client().get(address(order)).status_code == 405

    def person(role: str) -> Client:
        client = Client(enforce_csrf_checks=True)
        client.force_login(factories.member(order.tenant, role))
        return client

    assert post(person(Membership.Role.OPERATOR), order)[1]["code"] == "csrf_failed"
    for role, expected in ((Membership.Role.ANALYST, 403), (Membership.Role.OPERATOR, 202)):
        client = person(role)
        client.get(reverse("console:orders"))
        client.cookies["csrftoken"] = "a" * 32
        assert post(client, order, **{"X-CSRFToken": "a" * 32})[0] == expected
    assert Notification.objects.get(round=1).requested_by.startswith("user:")


def test_a_stranger_cannot_name_the_owner_in_a_header(counter: PickupCounter) -> None:
    order = make_ready(counter)
    stranger = with_key(factories.TenantFactory())
    assert post(stranger, order, **{"X-Tenant": order.tenant.slug})[0] == 404
