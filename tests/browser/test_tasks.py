"""The ten main tasks of a day, each by mouse and by keyboard alone, on a wide window and on a phone of 360 px; and once
more where no script runs.

The shop is `tests/market.py`'s: a real marketplace over HTTP, and workers that work when the test says so. What is
looked for are the catalogue's own words, so a better translation breaks nothing. About three minutes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone, translation
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from apps.connectors.importing import import_listings
from apps.connectors.models import Connector
from apps.console.tasks import write_exports
from apps.events import bulk_work
from apps.events.models import IntegrationEvent, Reprocess
from apps.notifications import troubles
from apps.tenants.models import Membership
from tests import factories
from tests.browser.hands import Hands, Keyboard, Mouse, brought, go
from tests.market import Market, let_time_pass, work_until_quiet

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

WAYS = [
    pytest.param((Mouse, 1440, True), id="mouse-1440"),
    pytest.param((Keyboard, 360, True), id="keyboard-360"),
    pytest.param((Mouse, 360, True), id="mouse-360", marks=pytest.mark.apart),
    pytest.param((Keyboard, 1440, True), id="keyboard-1440", marks=pytest.mark.apart),
    pytest.param((Mouse, 360, False), id="no-script", marks=pytest.mark.apart),
]
"""By what, how wide a window in pixels, and whether scripts run. The check has time for two of them."""


def said(text: str) -> str:
    """Return the Portuguese of a text of the console."""
    with translation.override("pt-br"):
        return translation.gettext(text)


@pytest.fixture
def manager(market: Market) -> User:
    Connector.objects.update(calls_per_minute=0)
    return factories.member(market.tenant, Membership.Role.MANAGER, username="alice", first_name="Alice")


@pytest.fixture(params=WAYS)
def hands(request: pytest.FixtureRequest, browser: Browser, manager: User, live_server: LiveServer) -> Iterator[Hands]:
    """A signed-in manager's hands on the start page."""
    way, width, has_script = request.param
    context = window(browser, width, has_script)
    person = Client()
    person.force_login(manager)
    cookie = person.cookies[settings.SESSION_COOKIE_NAME]
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(f"{live_server.url}/console/")
    yield way(page, has_script=has_script)
    fits = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    context.close()
    assert failures == [], "a script of a page failed"
    assert fits, "the page the task ends on scrolls sideways"


def window(browser: Browser, width: int, has_script: bool) -> BrowserContext:
    return browser.new_context(
        viewport={"width": width, "height": 800 if width > 800 else 740},
        locale="pt-BR",
        timezone_id="America/Sao_Paulo",
        java_script_enabled=has_script,
    )


def button(within: Page | Locator, text: str) -> Locator:
    return within.get_by_role("button", name=said(text)).first


def badge(page: Page, text: str) -> Locator:
    return page.locator(".badge", has_text=said(text)).first


def row(page: Page, text: str) -> Locator:
    return page.locator("[data-row]", has_text=text).first


def confirmed(page: Page) -> Locator:
    """The message that a form was heard."""
    return page.locator(".message-success")


def fail(market: Market, count: int = 1) -> list[IntegrationEvent]:
    """Sell so often, and have the events stand in error: the channel was not heard for a while."""
    for _ in range(count):
        market.sell("SHIRT")
    market.control.wait_until_notified()
    events = IntegrationEvent.objects.filter(topic="orders_v2")
    events.update(status="ERRO", error_code="server_error", next_attempt_at=None, processed_at=timezone.now())
    IntegrationEvent.objects.exclude(topic="orders_v2").update(status="IGNORADO", next_attempt_at=None)
    return list(events.order_by("pk"))


def work(step: Callable[[], object], until: Callable[[], bool]) -> None:
    """Let the workers work, as their ticks do, until it is so."""
    for _ in range(20):
        step()
        let_time_pass()
        work_until_quiet()
        if until():
            return
    raise AssertionError("the workers do not end")


@pytest.mark.parametrize("way", WAYS)
def test_1_sign_in_and_read_the_health(
    way: tuple[type[Hands], int, bool], browser: Browser, manager: User, live_server: LiveServer
) -> None:
    kind, width, has_script = way
    page = window(browser, width, has_script).new_page()
    hands = kind(page, has_script=has_script)
    page.goto(live_server.url)
    hands.write(page.locator("[name=username]"), "alice")
    hands.write(page.locator("[name=password]"), factories.PASSWORD)
    hands.press(button(page, "Sign in"))
    expect(page.locator("h1")).to_have_text(said("Start"))
    go(hands, said("Health"))
    expect(page.locator("h1")).to_have_text(said("Health"))
    expect(page.locator("table.parts .badge").first).to_be_visible()
    page.context.close()


def test_2_find_a_sku_and_see_why_its_number_is_what_it_is(hands: Hands, market: Market) -> None:
    page, listing = hands.page, market.listing("SHIRT")
    hands.search("SHIRT")
    expect(page.locator("h1")).to_have_text("SHIRT")
    hands.press(page.get_by_role("link", name=said("Why?")).first)
    expect(page.locator("h1")).to_contain_text("10")
    expect(page.get_by_text(said("What it is made of"))).to_be_visible()
    expect(page.locator("main")).to_contain_text(str(listing))


def test_3_adjust_stock_with_a_reason_and_see_the_movement(hands: Hands, market: Market) -> None:
    page = hands.page
    go(hands, said("Inventory"))
    hands.press(row(page, "SHIRT").get_by_role("link", name=said("Adjust")).first)
    hands.choose(page.locator("[name=location]"), str(market.location.pk))
    hands.choose(page.locator("[name=reason]"), "damage")
    hands.choose(page.locator("[name=how]"), "less")
    hands.write(page.locator("[name=units]"), "3")
    hands.write(page.locator("[name=document]"), "AVARIA-17")
    hands.press(button(page, "See what it would change"))
    assert market.numbers("SHIRT") == (10, 0), "a preview changed stock"
    hands.press(page.locator("button[value=confirm]"))
    expect(confirmed(page)).to_be_visible()
    assert market.numbers("SHIRT") == (7, 0)
    go(hands, said("Movements"))
    moved = row(page, "AVARIA-17")
    expect(moved).to_contain_text("Alice")
    expect(moved).to_contain_text("7")
    market.settle()
    assert market.shown("SHIRT") == 7


def test_4_map_an_unmapped_listing_and_see_its_event_processed(hands: Hands, market: Market) -> None:
    page = hands.page
    item_id = market.control.create_items(
        market.seller_id, [{"seller_sku": "NOVA", "title": "Camisa nova", "available_quantity": 4}]
    )[0]
    import_listings(market.connector, create_products=False)
    order_id = str(market.control.sell(item_id, 1)["order_id"])
    market.settle()
    assert IntegrationEvent.objects.get(external_id=order_id).status == IntegrationEvent.Status.MAPPING

    go(hands, said("Events"))
    hands.press(page.get_by_role("link", name=order_id).first)
    hands.press(page.locator("main .notice").get_by_role("link").first)
    hands.write(page.locator("#id_sku"), "SHIRT")
    page.keyboard.press("Escape")  # the browser's own list of suggestions
    hands.press(page.locator("form[action$='/mapear/'] .button-primary"))
    hands.press(button(page, "Map and take them in"))  # having seen what it sets free
    expect(confirmed(page)).to_be_visible()
    market.settle()
    go(hands, said("Events"))
    expect(row(page, order_id).locator(".badge", has_text=said("Processed"))).to_be_visible()
    assert market.numbers("SHIRT") == (10, 1)


def test_5_synchronise_now_and_see_the_result(hands: Hands, market: Market) -> None:
    page = hands.page
    market.receive("SHIRT", 5)
    go(hands, said("Inventory"))
    hands.press(button(row(page, "SHIRT"), "Synchronise now"))
    expect(confirmed(page)).to_be_visible()
    market.settle()
    go(hands, said("Synchronisations"))
    told = row(page, "SHIRT")
    expect(told.locator(".badge", has_text=said("Synchronised"))).to_be_visible()
    expect(told).to_contain_text("15")
    assert market.shown("SHIRT") == 15


def test_6_read_a_failed_events_timeline_and_reprocess_it(hands: Hands, market: Market) -> None:
    page = hands.page
    event = fail(market)[0]
    go(hands, said("Events"))
    hands.press(page.get_by_role("link", name=event.external_id).first)
    expect(page.locator(".timeline-step").first).to_be_visible()
    expect(page.locator(".timeline .badge-bad").first).to_be_visible()
    hands.press(button(page, "Reprocess"))
    expect(confirmed(page)).to_be_visible()
    market.settle()
    brought(hands, badge(page, "Processed"))
    assert market.numbers("SHIRT") == (10, 1)


def test_7_reprocess_many_plan_confirm_watch_report(hands: Hands, market: Market, tmp_path: Path) -> None:
    page = hands.page
    events = fail(market, 3)
    go(hands, said("Reprocessings"))
    hands.press(button(page, "Plan for all that need attention"))
    expect(page.locator("main")).to_contain_text("três")
    hands.write(page.locator("[name=reason]"), "o canal caiu")
    hands.press(page.locator("form[action$='/confirmar/']").get_by_role("button"))
    expect(page.locator("progress")).to_be_visible()
    job = Reprocess.objects.get()

    def is_done() -> bool:
        job.refresh_from_db()
        return job.finished_at is not None

    work(lambda: bulk_work.go_on(5), is_done)
    brought(hands, badge(page, "Done"))
    link = page.get_by_role("link", name=said("Report as CSV"))
    report = downloaded(page, hands, link, tmp_path)
    assert all(event.external_id in report for event in events)
    assert market.numbers("SHIRT") == (10, 3)


def test_8_acknowledge_a_pending_matter_with_a_note(hands: Hands, market: Market) -> None:
    page = hands.page
    fail(market, 2)
    troubles.look()
    go(hands, said("Pending matters"))
    hands.press(page.locator("[data-row] a.cell-main").first)
    hands.write(page.locator("[name=note]"), "Falei com o canal")
    hands.press(button(page, "I have seen it"))
    expect(confirmed(page)).to_be_visible()
    expect(page.locator("main")).to_contain_text("“Falei com o canal”")
    expect(page.locator("main")).to_contain_text("Alice")


def test_9_pause_and_resume_a_connector(hands: Hands, market: Market) -> None:
    page = hands.page
    go(hands, said("Connectors"))
    hands.press(page.locator("main").get_by_role("link", name=market.connector.name).first)
    hands.write(page.locator("form[action$='/pausar/'] [name=reason]"), "inventário")
    hands.press(page.locator("form[action$='/pausar/'] button"))
    expect(page.locator(".message-warning", has_text="inventário").first).to_be_visible()
    market.receive("SHIRT", 5)
    work_until_quiet()
    assert market.shown("SHIRT") == 10, "a paused connector was told a number"
    hands.press(page.locator("form[action$='/retomar/'] button"))
    expect(page.locator("form[action$='/pausar/']")).to_be_visible()
    market.settle()
    assert market.shown("SHIRT") == 15


def test_10_export_a_list_and_download_it(hands: Hands, market: Market, tmp_path: Path) -> None:
    page = hands.page
    go(hands, said("Inventory"))
    hands.press(page.locator("summary", has_text=said("Export CSV")))
    hands.press(button(page, "For a spreadsheet"))
    expect(page.locator("h1")).to_have_text(said("Exports"))
    write_exports()
    link = page.get_by_role("link", name=said("Download"))
    brought(hands, link)
    lines = [line.split(";") for line in downloaded(page, hands, link, tmp_path).splitlines()]
    assert [line[0] for line in lines] == ["SKU", "MUG", "SHIRT"]
    assert "10" in lines[2]


def downloaded(page: Page, hands: Hands, link: Locator, folder: Path) -> str:
    """Press a link to a file; return what is in it."""
    with page.expect_download() as waiting:
        hands.press(link)
    waiting.value.save_as(folder / "list.csv")
    return (folder / "list.csv").read_text(encoding="utf-8-sig")
