"""A browser, and the tests' thread allowed to ask the database while it runs (Playwright keeps an event loop there)."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from scripts.launcher.browser import find_browser
from tests.stories.conftest import market, sandbox

__all__ = ["market", "sandbox"]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium or Chrome here; scripts/test installs or asks for one")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()
