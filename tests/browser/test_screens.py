"""Every screen in a real browser: no violation of WCAG 2.2 A/AA, no sideways scrolling, nothing from elsewhere, light.

Two widths, light and dark. One server in this process, so that a page that fails says where; about three minutes.
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

NOT_SCREENS = {"base.html", "403_csrf.html", "notifications/trouble.html", "notifications/order_ready.html"}
"""What every page is made of, what only a browser without cookies gets, and letters."""

UNSEEN_YET = {"500.html", "console/too_long.html", "console/login_setup.html", "api/docs.html"}
"""Pages that nothing here leads to yet: a failure, a list past its time, staff without a second factor, Swagger UI."""


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


LOOKS = [
    pytest.param(360, "light", id="360-light"),  # the check has time for one
    pytest.param(360, "dark", id="360-dark", marks=pytest.mark.apart),
    pytest.param(1440, "light", id="1440-light", marks=pytest.mark.apart),
    pytest.param(1440, "dark", id="1440-dark", marks=pytest.mark.apart),
]


@pytest.mark.parametrize(("width", "colours"), LOOKS)
def test_no_screen_keeps_anybody_out(
    width: int, colours: str, browser: Browser, live_server: LiveServer, cast: Cast, rendered: set[str]
) -> None:
    problems: dict[str, list[str]] = {}
    for who, seen in by_person(cast).items():
        context = looking.context_of(browser, cast, who, live_server.url, width)
        watched = looking.Watched(context)
        watched.page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
        for screen in seen:
            watched.forget()
            found = problems.setdefault(f"{screen.name} {screen.address}", [])
            status = looking.show(watched.page, screen, live_server.url)
            if status != screen.status:
                found.append(f"answers {status}, not {screen.status}")
            found += looking.overflow(watched.page)
            if (weight := looking.weight_bytes(watched.page)) > BYTES_MAX:
                found.append(f"weighs {weight} bytes")
            found += looking.violations(watched.page)
            found += [f"refused by the policy: {one}" for one in watched.page.evaluate("window.refused")]
            found += watched.broken
            if not screen.leaves:
                found += [f"asks another host: {url}" for url in watched.asked if not is_ours(url, live_server.url)]
        context.close()
    assert not told(problems), told(problems)
    missed = {name for name in pages_of_the_house() if name not in rendered}
    assert missed == set(), "no screen of tests/screens.py shows these templates"


def is_ours(url: str, hub: str) -> bool:
    return url.startswith((hub, "data:"))


def pages_of_the_house() -> set[str]:
    """The names of all templates that are whole pages."""
    names = {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html") if path.name[0] != "_"}
    return names - NOT_SCREENS - UNSEEN_YET
