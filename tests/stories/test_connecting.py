"""Connecting an account, told as stories: through the hub's own pages and the marketplace's own consent page.

Alice administers a shop, Bob works there, Charlie administers another. The marketplace answers over HTTP.
"""

import html
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.db.models import F
from django.test import Client
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from apps.connectors import credentials
from apps.connectors.models import Authorization, Connector, Errand, Listing
from apps.console.tasks import run_imports, run_tests
from apps.events.models import IntegrationEvent
from apps.inventory.models import Product
from apps.sandbox.server import Sandbox
from apps.sync.models import SyncLog
from apps.tenants import flags
from apps.tenants.models import AuditEntry, Membership, Tenant
from config.logs import hide_addresses
from tests.factories import TenantFactory, member
from tests.market import work_until_quiet
from tests.sandbox.conftest import send

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Office:
    """A tenant's administrator in front of the console, with an application and an account at the marketplace."""

    sandbox: Sandbox
    tenant: Tenant
    browser: Client
    application: dict[str, Any]
    seller_id: int

    def register(self) -> Connector:
        """Enter the application's id and secret; return the connector that waits for its authorisation."""
        said = {"name": "Loja", **{name: self.application[name] for name in ("client_id", "client_secret")}}
        answer = self.browser.post("/console/conectores/novo/", said)
        assert answer.status_code == 302
        assert answer["Location"].endswith("/assistente/")
        return Connector.objects.get(pk=int(answer["Location"].split("/")[-3]))

    def leave(self, connector: Connector) -> str:
        """Press “Authorise”; return the address of the consent page."""
        answer = self.browser.post(f"/console/conectores/{connector.pk}/autorizar/")
        assert answer.status_code == 200
        found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', answer.content.decode())
        assert found
        return html.unescape(found[1])

    def consent(self, address: str, answer: str = "yes", seller_id: int = 0) -> str:
        """Fill the consent page in as a person does; return where the marketplace sends the browser back to."""
        path = address.removeprefix(self.sandbox.url)
        page = send(self.sandbox.url, "GET", path)
        assert page.status == 200, page.raw
        form = urlencode({"user_id": seller_id or self.seller_id, "answer": answer})
        reply = send(self.sandbox.url, "POST", path, form)
        return reply.headers["Location"] if reply.status == 302 else ""

    def come_back(self, address: str) -> str:
        """Follow the marketplace's redirect; return the page that the person ends on."""
        parts = urlsplit(address)
        answer = self.browser.get(f"{parts.path}?{parts.query}", follow=True)
        assert answer.status_code == 200
        assert "code=" not in answer.redirect_chain[-1][0]  # no code stays in the address bar
        return answer.content.decode()

    def connect(self) -> Connector:
        connector = self.register()
        assert "is connected" in self.come_back(self.consent(self.leave(connector)))
        connector.refresh_from_db()
        return connector

    def page(self, connector: Connector) -> str:
        return self.browser.get(f"/console/conectores/{connector.pk}/").content.decode()

    def press(self, connector: Connector, button: str, **said: str) -> str:
        return self.browser.post(f"/console/conectores/{connector.pk}/{button}/", said, follow=True).content.decode()


@pytest.fixture
def box(settings: Settings, live_server: LiveServer) -> Iterator[Sandbox]:
    settings.SALDO_PUBLIC_URL = live_server.url
    with Sandbox() as running:
        settings.MERCADOLIVRE_API_URL = settings.MERCADOLIVRE_AUTH_URL = running.url
        yield running


def open_office(box: Sandbox, live_server: LiveServer, application: dict[str, Any] | None = None) -> Office:
    back = f"{live_server.url}/console/conectores/ml/retorno/"
    application = application or box.control.application(pkce_required=True, redirect_uri=back)
    account = box.control.account(client_id=application["client_id"])
    tenant = TenantFactory()
    return Office(box, tenant, browser_of(tenant), application, account["user_id"])


def browser_of(tenant: Tenant, role: str = Membership.Role.ADMIN) -> Client:
    browser = Client(headers={"Accept-Language": "en"})
    browser.force_login(member(tenant, role))
    return browser


@pytest.fixture
def alice(box: Sandbox, live_server: LiveServer) -> Office:
    return open_office(box, live_server)


def secrets_of(connector: Connector) -> list[str]:
    return [credentials.reveal(connector, field) for field in credentials.SECRET_FIELDS]


# --- Authorising --------------------------------------------------------------------------------------------------


def test_an_account_is_connected_from_the_console_alone(alice: Office) -> None:
    connector = alice.register()
    assert (connector.user_id, connector.status) == ("", "REAUTORIZAR")
    assert "No account was authorised yet" in alice.page(connector)

    asked = parse_qs(urlsplit(alice.leave(connector)).query)
    assert asked["code_challenge_method"] == ["S256"]
    alice.come_back(alice.consent(alice.leave(connector)))

    connector.refresh_from_db()
    assert (connector.user_id, connector.status, connector.tenant) == (str(alice.seller_id), "ATIVO", alice.tenant)
    assert credentials.ConnectorTokens(connector.pk).refreshed("") != ""  # the refresh token that was kept works
    done = AuditEntry.objects.filter(tenant=alice.tenant).order_by("pk").values_list("action", flat=True)
    assert list(done) == ["connector.registered", "connector.authorised"]


def test_pages_show_both_addresses_and_of_secrets_four_characters(alice: Office) -> None:
    connector = alice.connect()
    page = alice.page(connector)
    assert connector.notification_url in page
    assert "/console/conectores/ml/retorno/" in page
    assert f"••••{alice.application['client_secret'][-4:]}" in page
    for secret in secrets_of(connector):
        assert secret not in page
    bobs = browser_of(alice.tenant, Membership.Role.MANAGER).get(f"/console/conectores/{connector.pk}/")
    assert "••••" not in bobs.content.decode()


def test_authorising_again_brings_a_dead_account_back(alice: Office) -> None:
    connector = alice.connect()
    alice.sandbox.control.kill_token(alice.seller_id, "grant")
    alice.press(connector, "testar")
    run_tests()
    connector.refresh_from_db()
    assert connector.status == "REAUTORIZAR"
    assert "Authorise again" in alice.page(connector)
    alice.come_back(alice.consent(alice.leave(connector)))
    connector.refresh_from_db()
    assert (connector.status, connector.status_reason) == ("ATIVO", "")
    assert credentials.ConnectorTokens(connector.pk).access_token()


def test_who_cancels_there_is_told_that_nothing_changed(alice: Office) -> None:
    connector = alice.register()
    page = alice.come_back(alice.consent(alice.leave(connector), answer="no"))
    assert "You cancelled at the channel" in page
    connector.refresh_from_db()
    assert connector.user_id == ""


def test_a_collaborator_of_the_account_cannot_connect_it(alice: Office) -> None:
    connector = alice.register()
    alice.sandbox.control.account(user_id=alice.seller_id, client_id=alice.application["client_id"], operator=True)
    address = alice.leave(connector)
    assert alice.consent(address) == ""  # the marketplace keeps them on its own page
    assert "you signed in as a collaborator" in alice.page(connector)
    state = parse_qs(urlsplit(address).query)["state"][0]
    told = {"error": "invalid_operator_user_id", "state": state}
    page = alice.come_back(f"/console/conectores/ml/retorno/?{urlencode(told)}")
    assert "given by a collaborator" in page
    connector.refresh_from_db()
    assert connector.user_id == ""


def test_an_account_of_another_country_is_refused(alice: Office) -> None:
    alice.sandbox.control.account(user_id=alice.seller_id, client_id=alice.application["client_id"], site_id="MLA")
    connector = alice.register()
    assert "not of Mercado Livre Brazil" in alice.come_back(alice.consent(alice.leave(connector)))
    connector.refresh_from_db()
    assert (connector.user_id, connector.status, connector.refresh_token_enc) == ("", "REAUTORIZAR", "")


def test_another_account_than_the_connectors_own_is_refused(alice: Office) -> None:
    connector = alice.connect()
    kept = secrets_of(connector)
    other = alice.sandbox.control.account(client_id=alice.application["client_id"])
    page = alice.come_back(alice.consent(alice.leave(connector), seller_id=other["user_id"]))
    assert "another account&#x27;s than this connector" in page
    connector.refresh_from_db()
    assert (connector.user_id, secrets_of(connector)) == (str(alice.seller_id), kept)


def test_an_account_connected_elsewhere_is_refused_without_saying_where(
    alice: Office, box: Sandbox, live_server: LiveServer
) -> None:
    alice.connect()
    charlie = open_office(box, live_server, alice.application)
    connector = charlie.register()
    page = charlie.come_back(charlie.consent(charlie.leave(connector), seller_id=alice.seller_id))
    assert "connected to another company already" in page
    assert alice.tenant.name not in page
    connector.refresh_from_db()
    assert connector.user_id == ""


def test_an_account_of_ones_own_is_not_connected_twice(alice: Office) -> None:
    alice.connect()
    again = alice.register()
    assert "another connector of yours already" in alice.come_back(alice.consent(alice.leave(again)))
    assert Connector.objects.filter(user_id=str(alice.seller_id)).count() == 1


def test_a_wrong_secret_is_said_to_be_one_and_can_be_replaced(alice: Office) -> None:
    right = alice.application["client_secret"]
    alice.application["client_secret"] = "w" * 24
    connector = alice.register()
    assert "does not know this application" in alice.come_back(alice.consent(alice.leave(connector)))
    page = alice.press(connector, "segredos", client_secret=right)
    assert "The new secret is kept" in page
    assert right not in page
    assert "is connected" in alice.come_back(alice.consent(alice.leave(connector)))
    assert AuditEntry.objects.filter(action="connector.secret_replaced", subject=f"connector:{connector.pk}").exists()


def test_a_refresh_token_got_elsewhere_connects_too(alice: Office) -> None:
    connector = alice.register()
    token = alice.sandbox.control.grant(alice.seller_id)["refresh_token"]
    assert "is connected" in alice.press(connector, "segredos", refresh_token=token)
    connector.refresh_from_db()
    assert (connector.status, connector.user_id) == ("ATIVO", str(alice.seller_id))
    assert "expired, was revoked or was used elsewhere" in alice.press(connector, "segredos", refresh_token=token)
    connector.refresh_from_db()
    assert connector.status == "ATIVO"  # what it had is kept


# --- `state` ------------------------------------------------------------------------------------------------------


def test_a_state_works_once(alice: Office) -> None:
    back = alice.consent(alice.leave(alice.register()))
    assert "is connected" in alice.come_back(back)
    assert "used already" in alice.come_back(back)


def test_a_state_works_for_ten_minutes(alice: Office) -> None:
    back = alice.consent(alice.leave(alice.register()))
    Authorization.objects.update(expires_at=F("expires_at") - timedelta(minutes=10))
    assert "longer than ten minutes" in alice.come_back(back)
    assert Connector.objects.get().user_id == ""


def test_a_state_that_was_never_sent_is_refused(alice: Office) -> None:
    connector = alice.register()
    back = alice.consent(alice.leave(connector))
    forged = re.sub(r"state=[^&]+", "state=forged", back)
    assert "not begun here by you" in alice.come_back(forged)
    assert "not begun here by you" in alice.come_back("/console/conectores/ml/retorno/")
    connector.refresh_from_db()
    assert connector.user_id == ""


def test_a_state_is_worth_nothing_in_another_session_or_tenant(alice: Office) -> None:
    connector = alice.register()
    back = alice.consent(alice.leave(connector))
    person = Membership.objects.get(tenant=alice.tenant).user
    for tenant in (alice.tenant, TenantFactory()):
        thief = Office(alice.sandbox, tenant, browser_of(tenant), alice.application, alice.seller_id)
        assert "not begun here by you" in thief.come_back(back)
    elsewhere = Client(headers={"Accept-Language": "en"})
    elsewhere.force_login(person)
    same = Office(alice.sandbox, alice.tenant, elsewhere, alice.application, alice.seller_id)
    assert "not begun here by you" in same.come_back(back)
    connector.refresh_from_db()
    assert connector.user_id == ""
    assert "is connected" in alice.come_back(back)  # none of them used it up


def test_the_code_is_useless_without_the_hub(alice: Office) -> None:
    back = parse_qs(urlsplit(alice.consent(alice.leave(alice.register()))).query)
    form = {
        "grant_type": "authorization_code",
        "client_id": alice.application["client_id"],
        "client_secret": alice.application["client_secret"],
        "code": back["code"][0],
        "redirect_uri": alice.application["redirect_uri"],
        "code_verifier": back["state"][0],
    }
    assert send(alice.sandbox.url, "POST", "/oauth/token", urlencode(form)).json["error"] == "invalid_grant"


def test_no_log_line_holds_a_secret_a_code_or_a_state(alice: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    connector = alice.register()
    back = alice.consent(alice.leave(connector))
    alice.come_back(back)
    alice.come_back(back)  # refused
    connector.refresh_from_db()
    alice.press(connector, "testar")
    run_tests()
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert "/oauth/token" in told
    came = parse_qs(urlsplit(back).query)
    for secret in (*secrets_of(connector), came["code"][0], came["state"][0]):
        assert secret not in told
    failed = {"request": f"GET {urlsplit(back).path}?{urlsplit(back).query}"}  # as django_structlog says of a failure
    assert hide_addresses(None, "error", failed) == {"request": "GET /console/conectores/ml/retorno/?…"}


# --- Who may ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Membership.Role.ANALYST, Membership.Role.OPERATOR, Membership.Role.MANAGER])
def test_only_an_administrator_enters_secrets_or_authorises(alice: Office, role: str) -> None:
    connector = alice.connect()
    bob = browser_of(alice.tenant, role)
    assert bob.get("/console/conectores/novo/").status_code == 403
    said = {"name": "x", "client_id": "1", "client_secret": "s" * 20}
    assert bob.post("/console/conectores/novo/", said).status_code == 403
    kept = secrets_of(connector)
    assert bob.post(f"/console/conectores/{connector.pk}/autorizar/").status_code == 403
    assert bob.post(f"/console/conectores/{connector.pk}/segredos/", said).status_code == 403
    assert bob.get("/console/conectores/ml/retorno/?state=x&code=y").status_code == 403
    connector.refresh_from_db()
    assert secrets_of(connector) == kept
    assert Connector.objects.count() == 1


@pytest.mark.parametrize("button", ["autorizar", "segredos", "testar", "sincronizar", "importar", "importar/cancelar"])
def test_a_strangers_connector_is_not_found(alice: Office, button: str) -> None:
    connector = alice.connect()
    charlie = browser_of(TenantFactory())
    assert charlie.post(f"/console/conectores/{connector.pk}/{button}/").status_code == 404
    assert charlie.get(f"/console/conectores/{connector.pk}/").status_code == 404
    assert alice.browser.get(f"/console/conectores/{connector.pk}/{button}/").status_code == 405
    assert not Errand.objects.exists()


def test_a_form_that_is_refused_does_not_send_the_secret_back(alice: Office) -> None:
    said = {"name": "Loja", "client_id": "not a number", "client_secret": "never-show-this-again"}
    answer = alice.browser.post("/console/conectores/novo/", said)
    assert answer.status_code == 422
    assert "copy it again" in answer.content.decode()
    assert "never-show-this-again" not in answer.content.decode()


# --- Testing ------------------------------------------------------------------------------------------------------


def outcomes(connector: Connector) -> dict[str, str]:
    errand = Errand.objects.filter(connector=connector, kind=Errand.Kind.TEST).latest("pk")
    return {step["name"]: step["outcome"] for step in errand.report["steps"]}


def test_four_ticks_for_an_account_that_works(alice: Office) -> None:
    connector = alice.connect()
    [item_id] = alice.sandbox.control.create_items(
        alice.seller_id, [{"seller_sku": "MUG", "title": "Caneca", "available_quantity": 7}]
    )
    assert "Waiting for a worker" in alice.press(connector, "testar")
    assert "under way already" in alice.press(connector, "testar")
    run_tests()
    assert outcomes(connector) == {"token": "ok", "account": "ok", "listing": "ok", "echo": "ok"}
    page = alice.page(connector)
    assert page.count("Works") == 4
    assert item_id in page
    assert "A notification that Saldo sent itself arrived" in page
    event = IntegrationEvent.objects.get(connector=connector)
    assert (event.topic, event.status) == ("saldo_echo", "IGNORADO")
    assert alice.sandbox.control.item(item_id)["available_quantity"] == 7


def test_an_account_without_listings_passes(alice: Office) -> None:
    connector = alice.connect()
    alice.press(connector, "testar")
    run_tests()
    assert "The account has no listing yet" in alice.page(connector)
    assert set(outcomes(connector).values()) == {"ok"}


def test_a_dead_grant_fails_the_account_and_still_tests_the_address(alice: Office) -> None:
    connector = alice.connect()
    alice.sandbox.control.kill_token(alice.seller_id, "grant")
    alice.press(connector, "testar")
    run_tests()
    assert outcomes(connector) == {"token": "ok", "account": "failed", "listing": "skipped", "echo": "ok"}
    assert "expired, was revoked or was used elsewhere" in alice.page(connector)


def test_an_address_that_leads_elsewhere_is_found_out(alice: Office, settings: Settings) -> None:
    connector = alice.connect()
    settings.SALDO_PUBLIC_URL = alice.sandbox.url  # somebody else's server
    alice.press(connector, "testar")
    run_tests()
    assert outcomes(connector)["echo"] == "failed"
    assert "Have the operator check SALDO_PUBLIC_URL" in alice.page(connector)


def test_an_address_that_is_not_public_is_not_called(alice: Office, settings: Settings) -> None:
    connector = alice.connect()
    settings.SUBSCRIBER_NETWORKS = ()  # as in production
    alice.press(connector, "testar")
    run_tests()
    assert outcomes(connector)["echo"] == "failed"
    assert "not on the public internet" in alice.page(connector)
    assert not IntegrationEvent.objects.exists()


def test_a_marketplace_that_is_down_is_a_reason_and_no_failure_of_the_page(alice: Office) -> None:
    connector = alice.connect()
    alice.sandbox.control.faults({"path": "^/users/me", "action": "status", "status": 503})
    alice.press(connector, "testar")
    run_tests()
    assert outcomes(connector) == {"token": "ok", "account": "failed", "listing": "skipped", "echo": "ok"}
    page = alice.page(connector)
    assert "The channel had a failure of its own" in page
    assert "Try again in a moment" in page
    connector.refresh_from_db()
    assert connector.status == "ATIVO"


# --- Importing ----------------------------------------------------------------------------------------------------


def test_an_import_shows_what_it_did(alice: Office) -> None:
    connector = alice.connect()
    Product.objects.create(tenant=alice.tenant, sku="SKU-00001", name="Caneca")
    alice.sandbox.control.create_many(alice.seller_id, 230)
    alice.press(connector, "importar")
    assert "under way already" in alice.press(connector, "importar")
    run_imports()
    errand = Errand.objects.get()
    assert errand.status == "CONCLUIDO"
    assert errand.report == {"read": 230, "new": 230, "mapped": 1, "unmapped": 229, "products_made": 0}
    assert "230" in alice.page(connector)
    assert Listing.objects.filter(connector=connector).count() == 230
    alice.press(connector, "importar", makes_products="on")
    run_imports()
    assert Errand.objects.latest("pk").report["products_made"] == 229
    assert Listing.objects.filter(connector=connector, product__isnull=True).count() == 0


def test_an_import_is_stopped_by_whoever_wants_it_no_more(alice: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    connector = alice.connect()
    alice.press(connector, "importar")
    assert "stops after what it is reading" in alice.press(connector, "importar/cancelar")
    run_imports()
    assert (Errand.objects.get().status, Listing.objects.count()) == ("CANCELADO", 0)

    alice.sandbox.control.create_many(alice.seller_id, 150)
    alice.press(connector, "importar")
    errand = Errand.objects.latest("pk")
    Errand.objects.filter(pk=errand.pk).update(started_at=F("created_at"))  # a worker has it …
    alice.press(connector, "importar/cancelar")
    run_imports()  # … and hears of it when it next writes its count down
    errand.refresh_from_db()
    assert (errand.status, errand.report["read"]) == ("CANCELADO", 100)
    assert Listing.objects.count() == 100  # what was read is kept
    assert "No import is under way" in alice.press(connector, "importar/cancelar")


def test_an_import_that_fails_says_why_and_can_be_repeated(alice: Office) -> None:
    connector = alice.connect()
    alice.sandbox.control.create_many(alice.seller_id, 5)
    alice.sandbox.control.faults({"path": "/items/search", "action": "status", "status": 500, "times": 1})
    alice.press(connector, "importar")
    run_imports()
    assert (Errand.objects.get().status, Errand.objects.get().error_code) == ("ERRO", "server_error")
    assert "import again to go on" in alice.page(connector)
    alice.press(connector, "importar")
    run_imports()
    assert Listing.objects.count() == 5


def test_an_errand_whose_worker_died_is_taken_up_and_given_up_in_the_end(alice: Office) -> None:
    connector = alice.connect()
    alice.sandbox.control.create_many(alice.seller_id, 3)
    alice.press(connector, "importar")
    Errand.objects.update(status="EM_ANDAMENTO", started_at=F("created_at"), tries=1)  # and its lock died with it
    run_imports()
    assert (Errand.objects.get().status, Errand.objects.get().tries) == ("CONCLUIDO", 2)
    alice.press(connector, "importar")
    Errand.objects.filter(finished_at=None).update(status="EM_ANDAMENTO", started_at=F("created_at"), tries=3)
    run_imports()
    assert Errand.objects.latest("pk").error_code == "worker_died"


# --- Synchronising ------------------------------------------------------------------------------------------------


def test_synchronise_now_tells_every_number_of_the_connector(alice: Office, live_server: LiveServer) -> None:
    connector = alice.connect()
    assert "No listing has a product yet" in alice.press(connector, "sincronizar")
    alice.sandbox.control.create_many(alice.seller_id, 3)
    alice.press(connector, "importar", makes_products="on")
    run_imports()
    assert "3 listings are in the queue" in alice.press(connector, "sincronizar")
    assert Listing.objects.filter(due_at__isnull=False).count() == 3
    Connector.objects.update(status="PAUSADO")
    assert "once the connector works again" in alice.press(connector, "sincronizar")
    Connector.objects.update(status="ATIVO")
    work_until_quiet()
    assert not SyncLog.objects.exists()  # the hub knows no stock of theirs, so it says nothing
    flags.switch(alice.tenant, "integracao.ml.enabled", is_enabled=False, actor="test")
    assert "is switched off" in alice.press(connector, "sincronizar")
