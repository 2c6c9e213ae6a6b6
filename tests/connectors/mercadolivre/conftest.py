"""The marketplace to test against: the sandbox over real HTTP, one account on it, and its tokens."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.common import http
from apps.connectors.channel import TokenPair
from apps.connectors.mercadolivre import oauth
from apps.connectors.mercadolivre.channel import MercadoLivre
from apps.sandbox.server import Sandbox


class Tokens:
    """A `channel.TokenSource` that keeps its pair in memory and counts how often it had to ask for another."""

    def __init__(self, client_id: str, client_secret: str, refresh_token: str) -> None:
        self.credentials = {"client_id": client_id, "client_secret": client_secret}
        self.refresh_token = refresh_token
        self.pair: TokenPair | None = None
        self.rejected: list[str] = []

    def access_token(self) -> str:
        if self.pair is None:
            self._refresh()
        assert self.pair is not None
        return self.pair.access_token

    def refreshed(self, rejected: str) -> str:
        self.rejected.append(rejected)
        self._refresh()
        return self.access_token()

    def _refresh(self) -> None:
        self.pair = oauth.refresh(**self.credentials, refresh_token=self.refresh_token)
        self.refresh_token = self.pair.refresh_token


@pytest.fixture
def box(settings: Any) -> Iterator[Sandbox]:
    """A sandbox of this test's own, which the hub's settings point at."""
    with Sandbox() as sandbox:
        settings.MERCADOLIVRE_API_URL = sandbox.url
        yield sandbox
    http._kept_connections.drop_all()


@pytest.fixture
def application(box: Sandbox) -> dict[str, Any]:
    return dict(box.control.application())


@pytest.fixture
def seller(box: Sandbox, application: dict[str, Any]) -> dict[str, Any]:
    return dict(box.control.account(client_id=application["client_id"]))


@pytest.fixture
def tokens(application: dict[str, Any], seller: dict[str, Any]) -> Tokens:
    return Tokens(application["client_id"], application["client_secret"], seller["refresh_token"])


@pytest.fixture
def shop(tokens: Tokens) -> MercadoLivre:
    return MercadoLivre(tokens)


def calls(box: Sandbox, path: str = "") -> list[dict[str, Any]]:
    """Return what the sandbox journalled of calls of the API whose path holds `path`, controls left out."""
    return [entry for entry in box.control.journal() if not entry.get("control") and path in entry["path"]]


def misbehave(box: Sandbox, **fault: Any) -> None:
    """Make the sandbox do something else than answer the calls that fit; see its `faults`."""
    box.control.faults(fault)
