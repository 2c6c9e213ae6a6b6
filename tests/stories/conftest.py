from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from apps.sandbox.server import Sandbox
from scripts.launcher.throwaway import ThrowawayServers
from tests.market import Market, open_market
from tests.stack import Stack


@pytest.fixture
def sandbox(settings: Settings) -> Iterator[Sandbox]:
    """A marketplace of one's own, at which the hub's settings point."""
    with Sandbox() as box:
        settings.MERCADOLIVRE_API_URL = settings.MERCADOLIVRE_AUTH_URL = box.url
        yield box


@pytest.fixture
def market(transactional_db: None, live_server: LiveServer, sandbox: Sandbox) -> Market:
    """Alice's shop: SHIRT and MUG, ten units of each, in the hub and on the marketplace."""
    return open_market(sandbox.control, live_server.url)


@pytest.fixture
def stack(durable_servers: ThrowawayServers, tmp_path: Path) -> Iterator[Stack]:
    with Sandbox() as sandbox:
        running = Stack(durable_servers, sandbox, tmp_path)
        try:
            running.start()
            yield running
        finally:
            running.stop()
