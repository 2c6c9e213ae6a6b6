"""Every screen in a real browser: no violation of WCAG 2.2 A/AA, no sideways scrolling, nothing from elsewhere, light.

Two widths, each light and dark. One server in this process, so that a page that fails says where.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test.signals import template_rendered
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from tests import screens
from tests.browser import looking
from tests.screens import Cast, Screen

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

TEMPLATES = Path(settings.BASE_DIR) / "templates"
BYTES_MAX = 300_000
"""What a page may transfer to somebody who never was here."""

HEAVIER = {"api docs": 600_000}
"""Swagger UI alone is 430 kB."""

NOT_SCREENS = {"base.html", "notifications/trouble.html", "notifications/order_ready.html"}
"""What every page is made of, and letters."""


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return screens.build()


@pytest.fixture
def rendered() -> Iterator[set[str]]:
    """The names of the templates that were filled in since."""
    names: set[str] = set()

    def note(sender: Any, template: Any, **_more: Any) -> None:
        names.add(template.name or "")

    template_rendered.connect(note)
    yield names
    template_rendered.disconnect(note)


def by_person(cast: Cast) -> dict[str, list[Screen]]:
    people: dict[str, list[Screen]] = {}
    for screen in cast.screens:
        people.setdefault(screen.who, []).append(screen)
    return people


def told(problems: dict[str, list[str]]) -> str:
    return "\n".join(f"{name}\n  " + "\n  ".join(dict.fromkeys(found)) for name, found in problems.items() if found)


WIDTHS = [360, pytest.param(1440, marks=pytest.mark.apart)]
"""Of the window, in pixels. The check has time for one."""


@pytest.mark.parametrize("width", WIDTHS)
def test_no_screen_keeps_anybody_out(
    width: int, browser: Browser, live_server: LiveServer, cast: Cast, rendered: set[str]
) -> None:
    problems: dict[str, list[str]] = {}
    for who, seen in by_person(cast).items():
        context = looking.context_of(browser, cast, who, live_server.url, width)
        watched = looking.Watched(context)
        for screen in seen:
            found = problems.setdefault(f"{screen.name} {screen.address}", [])
            found += wrong_with(screen, watched, live_server.url)
        context.close()
    assert not told(problems), told(problems)
    missed = {name for name in pages_of_the_house() if name not in rendered}
    assert missed == set(), "no screen of tests/screens.py shows these templates"


def wrong_with(screen: Screen, watched: looking.Watched, hub: str) -> list[str]:
    """Open a screen and return what is wrong with it, light and dark."""
    page = watched.page
    watched.forget()
    page.emulate_media(color_scheme="light")
    with screen.trouble():
        status = looking.show(page, screen, hub)
    found = [f"answers {status}, not {screen.status}"] if status != screen.status else []
    found += looking.overflow(page)
    if (weight := looking.weight_bytes(page)) > HEAVIER.get(screen.name, BYTES_MAX):
        found.append(f"weighs {weight} bytes")
    found += looking.violations(page)
    page.emulate_media(color_scheme="dark")
    found += [f"in the dark: {one}" for one in looking.violations(page, looking.COLOURS)]
    found += [f"refused by the policy: {one}" for one in page.evaluate("window.refused")]
    found += watched.broken
    if not screen.leaves:
        found += [f"asks another host: {url}" for url in watched.asked if not is_ours(url, hub)]
    return found


def is_ours(url: str, hub: str) -> bool:
    return url.startswith((hub, "data:"))


def pages_of_the_house() -> set[str]:
    """The names of all templates that are whole pages."""
    names = {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html") if path.name[0] != "_"}
    return names - NOT_SCREENS
