from collections.abc import Iterator

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from apps.sandbox.server import Sandbox
from tests.market import Market, open_market


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
