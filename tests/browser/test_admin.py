"""The administration in a real browser: no violation of WCAG 2.2 A/AA on its start, its lists, its forms and the rest.

Its templates are django-unfold's; `static/css/admin.css` mends what kept somebody out.
"""

from collections.abc import Iterator

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from apps.connectors.models import Connector
from tests import screens
from tests.browser import looking
from tests.screens import Cast, Screen

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.apart, pytest.mark.timeout(300)]


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return screens.build()


def pages(connector: Connector) -> Iterator[Screen]:
    """One of each kind of page that the administration has."""
    yield Screen("start", reverse("admin:index"))
    yield Screen("room", reverse("admin:app_list", args=["connectors"]))
    yield Screen("list", reverse("admin:connectors_connector_changelist"))
    yield Screen("list, filtered", reverse("admin:connectors_connector_changelist") + "?status__exact=PAUSADO")
    yield Screen("nothing found", reverse("admin:connectors_connector_changelist") + "?q=nothing-like-this")
    yield Screen("read-only list", reverse("admin:inventory_movement_changelist"))
    yield Screen("form", reverse("admin:connectors_connector_change", args=[connector.pk]))
    yield Screen("history", reverse("admin:connectors_connector_history", args=[connector.pk]))
    yield Screen("empty form", reverse("admin:auth_user_add"))
    yield Screen(
        "delete", reverse("admin:auth_user_delete", args=[connector.tenant.memberships.earliest("pk").user_id])
    )
    yield Screen("password", reverse("admin:password_change"))


@pytest.mark.parametrize("width", [360, 1440])
def test_no_page_of_the_administration_keeps_anybody_out(
    width: int, browser: Browser, live_server: LiveServer, cast: Cast
) -> None:
    context = looking.context_of(browser, cast, "platform", live_server.url, width)
    watched = looking.Watched(context)
    page = watched.page
    problems: dict[str, list[str]] = {}
    for screen in pages(cast.shop.connector):
        found = problems.setdefault(f"{screen.name} {screen.address}", [])
        watched.forget()
        for colours in ("light", "dark"):  # unfold reads them once
            page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
            status = looking.show(page, screen, live_server.url)
            expect(page.locator("html[x-cloak]")).to_have_count(0)
            is_dark = "dark" in (page.locator("html").get_attribute("class") or "")
            if (status, is_dark) != (200, colours == "dark"):
                found.append(f"answers {status}, {'dark' if is_dark else 'light'} when {colours} was asked for")
            found += [f"{colours}: {one}" for one in looking.overflow(page) + looking.violations(page)]
        found += [f"refused by the policy: {one}" for one in page.evaluate("window.refused")]
        found += watched.broken
    context.close()
    told = "\n".join(f"{name}\n  " + "\n  ".join(dict.fromkeys(found)) for name, found in problems.items() if found)
    assert not told, told
