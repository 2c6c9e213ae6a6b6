"""The connector's secrets: sealed, never shown, and a refresh token that is used exactly once."""

import threading

import pytest
from django.db import connection
from pytest_django.live_server_helper import LiveServer

from apps.connectors import credentials
from apps.connectors.channel import ChannelError
from apps.connectors.connecting import CannotConnect, connect
from apps.connectors.models import Connector
from apps.sandbox.server import Sandbox
from apps.tenants.models import Tenant
from tests.market import Market, open_market
from tests.stories.conftest import sandbox  # noqa: F401  the same marketplace


@pytest.fixture
def market(transactional_db: None, live_server: LiveServer, sandbox: Sandbox) -> Market:  # noqa: F811
    return open_market(sandbox.control, live_server.url)


def test_secrets_are_sealed_in_the_row_and_absent_from_its_text(market: Market) -> None:
    connector = market.connector
    secret = credentials.reveal(connector, "client_secret")
    with connection.cursor() as cursor:
        cursor.execute("SELECT integracao_conector::text FROM integracao_conector")
        row = cursor.fetchone()[0]
    for value in (
        secret,
        credentials.reveal(connector, "refresh_token"),
        credentials.reveal(connector, "access_token"),
    ):
        assert value
        assert value not in row
        assert value not in repr(connector)


def test_many_workers_with_a_dead_token_refresh_it_once(market: Market) -> None:
    market.control.kill_token(market.seller_id, "access")
    before = len([call for call in market.control.journal() if call["path"] == "/oauth/token"])
    dead = credentials.reveal(market.connector, "access_token")
    tokens: list[str] = []
    barrier = threading.Barrier(8)

    def refresh() -> None:
        barrier.wait()
        tokens.append(credentials.ConnectorTokens(market.connector.pk).refreshed(dead))
        connection.close()

    threads = [threading.Thread(target=refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 8
    assert len(set(tokens)) == 1
    assert tokens[0] != dead
    assert len([call for call in market.control.journal() if call["path"] == "/oauth/token"]) == before + 1


def test_the_new_refresh_token_is_stored_before_the_access_token_is_used(market: Market) -> None:
    first = credentials.reveal(market.connector, "refresh_token")
    market.control.kill_token(market.seller_id, "access")
    credentials.ConnectorTokens(market.connector.pk).refreshed(credentials.reveal(market.connector, "access_token"))
    stored = Connector.objects.get()
    assert credentials.reveal(stored, "refresh_token") != first
    state = market.control.state()["accounts"][0]
    assert credentials.reveal(stored, "refresh_token") == state["refresh_token"]


def test_invalid_grant_asks_for_authorisation_and_says_so(market: Market) -> None:
    market.control.kill_token(market.seller_id, "grant")
    current = credentials.reveal(market.connector, "access_token")
    with pytest.raises(ChannelError) as refusal:
        credentials.ConnectorTokens(market.connector.pk).refreshed(current)
    assert (refusal.value.code, refusal.value.account) == ("invalid_grant", True)
    connector = Connector.objects.get()
    assert connector.status == "REAUTORIZAR"
    assert "autori" in connector.status_reason.lower() or "authori" in connector.status_reason.lower()


def test_a_failing_token_server_does_not_disconnect(market: Market) -> None:
    market.control.faults({"path": "^/oauth/token", "action": "status", "status": 503})
    current = credentials.reveal(market.connector, "access_token")
    with pytest.raises(ChannelError) as refusal:
        credentials.ConnectorTokens(market.connector.pk).refreshed(current)
    assert not refusal.value.account
    assert Connector.objects.get().status == "ATIVO"


def test_an_account_is_connected_once(market: Market) -> None:
    grant = market.control.grant(market.seller_id)
    secret = market.control.state()["applications"][0]["client_secret"]
    stranger = Tenant.objects.create(slug="charlie", name="Charlie")
    with pytest.raises(CannotConnect, match="another tenant already"):
        connect(
            stranger,
            kind="ML",
            client_id=market.connector.client_id,
            client_secret=secret,
            refresh_token=grant["refresh_token"],
        )
    assert Connector.objects.count() == 1


def test_wrong_credentials_connect_nothing(market: Market) -> None:
    with pytest.raises(CannotConnect, match="refused"):
        connect(market.tenant, kind="ML", client_id="1", client_secret="wrong", refresh_token="TG-wrong")
    assert Connector.objects.count() == 1


def test_secrets_follow_a_key_rotation(market: Market, settings: object) -> None:
    from cryptography.fernet import Fernet

    secret = credentials.reveal(market.connector, "client_secret")
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_ENCRYPTION_KEYS]
    credentials.reseal_all(Connector.objects.get())
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    assert credentials.reveal(Connector.objects.get(), "client_secret") == secret
