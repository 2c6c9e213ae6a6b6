"""A person's first five minutes, in a real browser: sign in, sell at the sandbox, watch the sale arrive."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from apps.console.demo import shop as demo
from scripts.launcher.browser import find_browser
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
ARRIVES_WITHIN_MS = 15_000
WIDTHS = [1440, 390]


@pytest.fixture
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium or Chrome here; scripts/test installs or asks for one")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


def _opened(browser: Browser, width: int) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, locale="pt-BR", timezone_id="America/Sao_Paulo"
    )
    opened = context.new_page()
    opened.on("pageerror", lambda error: pytest.fail(f"a script of the page failed: {error}"))
    return opened


def _sign_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Usuário").fill(demo.LOGIN)
    page.get_by_label("Senha").fill(demo.PASSWORD)
    page.get_by_role("button", name="Entrar").click()


def _fits(page: Page) -> bool:
    """Tell whether the page needs no sideways scrolling."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_a_sale_at_the_sandbox_arrives_before_ones_eyes(stack: Stack, browser: Browser) -> None:
    for width in WIDTHS:
        _watch_a_sale(stack, _opened(browser, width))


def _watch_a_sale(stack: Stack, page: Page) -> None:
    hub = f"http://127.0.0.1:{stack.port}"
    _sign_in(page, hub)
    expect(page.get_by_role("heading", level=1)).to_be_visible()

    page.goto(f"{stack.sandbox.url}/sandbox")
    page.get_by_role("button", name="Vender").first.click()
    order_id = str(stack.sandbox.control.orders()[0]["id"])

    page.goto(f"{hub}/console/eventos/")
    link = page.get_by_role("link", name=order_id).first
    expect(link).to_be_visible(timeout=ARRIVES_WITHIN_MS)  # the page brings it by itself
    assert _fits(page)

    page.goto(f"{hub}/console/pedidos/")
    page.get_by_role("link", name=order_id).first.click()
    expect(page.locator(".badge", has_text="Recebido").first).to_be_visible()
    assert _fits(page)

    page.goto(f"{hub}/console/sincronizacoes/")
    expect(page.locator(".badge", has_text="Sincronizado").first).to_be_visible(timeout=ARRIVES_WITHIN_MS)
    assert _fits(page)

    page.goto(f"{hub}/console/eventos/")
    page.get_by_role("link", name=order_id).first.click()
    page.get_by_role("button", name="Reprocessar").click()
    expect(page.get_by_role("status").or_(page.get_by_role("alert")).first).to_be_visible()
    expect(page.locator(".badge", has_text="Duplicado").first).to_be_visible(timeout=ARRIVES_WITHIN_MS)
    assert _fits(page)

    page.get_by_role("button", name="Simular").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("reprocessamento mudaria")
    expect(page.get_by_role("button", name="Aplicar")).to_be_visible()
    assert _fits(page)
