"""The flag `integracao.ml.enabled`, told as stories: off, everything waits; on again, everything flows."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from apps.connectors.models import Listing
from apps.events import inbox
from apps.events.models import IntegrationEvent
from apps.inventory.models import Movement
from apps.orders.models import Order
from apps.sync import queue
from apps.sync.models import SyncLog
from apps.sync.prove import prove
from apps.tenants import flags, signatures
from tests.factories import EventFactory, member
from tests.market import Market, let_time_pass, open_market, work_until_quiet
from tests.senders import Sender, message

FLAG = "integracao.ml.enabled"


def _switch(market: Market, position: str) -> dict[str, str]:
    out = StringIO()
    call_command("feature_flag", "--tenant", market.tenant.slug, f"--{position}", "--json", stdout=out)
    answer: dict[str, str] = json.loads(out.getvalue())
    return answer


def _states(order_id: str) -> list[str]:
    return list(IntegrationEvent.objects.filter(external_id=order_id).values_list("status", flat=True))


def test_switched_off_a_sale_waits_and_switched_on_it_flows(market: Market) -> None:
    assert _switch(market, "off") == {FLAG: "off"}
    order_id = market.sell("SHIRT", 3)
    market.settle()
    assert set(_states(order_id)) == {"AGUARDANDO"}
    assert not Order.objects.exists()
    assert market.numbers("SHIRT") == (10, 0)
    let_time_pass()
    market.settle()  # however long it takes
    assert set(_states(order_id)) == {"AGUARDANDO"}

    assert _switch(market, "on") == {FLAG: "on"}
    work_until_quiet()
    assert "PROCESSADO" in _states(order_id)
    assert set(_states(order_id)) <= {"PROCESSADO", "DUPLICADO"}
    assert market.numbers("SHIRT") == (10, 3)
    assert market.shown("SHIRT") == 7


def test_switched_off_no_number_goes_out_and_switched_on_the_newest_does(market: Market) -> None:
    _switch(market, "off")
    told = SyncLog.objects.count()
    market.receive("SHIRT", 5)
    queue.mark_now(Listing.objects.filter(pk=market.listing("MUG").pk))
    work_until_quiet()
    queue.sweep()
    work_until_quiet()
    market.receive("SHIRT", 2)
    work_until_quiet()
    assert (market.shown("SHIRT"), SyncLog.objects.count()) == (10, told)
    let_time_pass()
    assert prove() == []  # what waits on purpose is not stuck

    _switch(market, "on")
    work_until_quiet()
    assert market.shown("SHIRT") == 17


def test_what_changed_unmarked_while_it_was_off_is_found_by_the_sweep(market: Market) -> None:
    _switch(market, "off")
    Listing.objects.filter(pk=market.listing("SHIRT").pk).update(accepted_quantity=3)
    assert queue.sweep() == 0
    _switch(market, "on")
    assert queue.sweep() == 1


def test_a_claim_leaves_it_alone_even_before_it_is_put_aside(market: Market) -> None:
    _switch(market, "off")
    EventFactory(tenant=market.tenant, connector=market.connector)
    assert inbox.claim_due() is None
    assert inbox.obey_flags() == (1, 0)
    assert inbox.obey_flags() == (0, 0)
    _switch(market, "on")
    assert inbox.obey_flags() == (0, 1)
    assert inbox.claim_due() is not None


def test_it_switches_one_tenant_and_no_other(market: Market, live_server: LiveServer) -> None:
    bobs = open_market(market.control, live_server.url, slug="bob")
    _switch(market, "off")
    mine, theirs = market.sell("SHIRT"), bobs.sell("SHIRT")
    market.settle()
    assert set(_states(mine)) == {"AGUARDANDO"}
    assert "PROCESSADO" in _states(theirs)
    assert bobs.shown("SHIRT") == 9


def test_a_retry_that_falls_due_waits_and_goes_on_as_a_retry(market: Market) -> None:
    event = EventFactory(
        tenant=market.tenant, connector=market.connector, status="NOVA_TENTATIVA", attempts=2, error_code="timeout"
    )
    _switch(market, "off")
    inbox.obey_flags()
    event.refresh_from_db()
    assert (event.status, event.next_attempt_at, event.attempts) == ("AGUARDANDO", None, 2)
    _switch(market, "on")
    inbox.obey_flags()
    event.refresh_from_db()
    assert (event.status, event.attempts, event.error_code) == ("NOVA_TENTATIVA", 2, "timeout")


def test_the_signed_door_takes_events_while_it_is_off(market: Market) -> None:
    erp = Sender("alice", [signatures.issue(market.tenant, name="ERP")[1]])
    market.control.application(client_id=market.connector.client_id, notification_url="")
    order_id = market.sell("SHIRT", 2)
    _switch(market, "off")
    assert erp.post(message(externalId=order_id)).status_code == 202
    work_until_quiet()
    assert _states(order_id) == ["AGUARDANDO"]
    moved = Movement.objects.count()
    _switch(market, "on")
    work_until_quiet()
    assert _states(order_id) == ["PROCESSADO"]
    assert Movement.objects.count() == moved + 1


@pytest.mark.parametrize("name", ["eventos", "sincronizacoes", "conectores"])
def test_the_console_says_that_it_is_off(market: Market, name: str) -> None:
    bob = Client(headers={"Accept-Language": "en"})
    bob.force_login(member(market.tenant))
    words = "is switched off"
    assert words not in bob.get(f"/console/{name}/").content.decode()
    flags.switch(market.tenant, FLAG, is_enabled=False, actor="test")
    assert words in bob.get(f"/console/{name}/").content.decode()
