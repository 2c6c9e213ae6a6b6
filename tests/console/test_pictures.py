"""The pictures of docs/console: every screen of the menu has one, and the page shows what lies there."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from scripts.pictures import FOLDER, SCREENS, SIZES, THEMES, text
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db


def test_no_screen_of_the_menu_is_forgotten(client: Client) -> None:
    member = MembershipFactory(role="ADMIN")
    client.force_login(member.user)
    page = client.get(reverse("home"), follow=True).content.decode()
    menu = re.search(r'<nav class="nav".*?</nav>', page, re.DOTALL)
    assert menu is not None
    shown = {screen.address for screen in SCREENS}
    linked = set(re.findall(r'<a href="(/[^"]*)"', menu[0])) - {reverse("admin:index")}
    assert len(linked) > 12
    assert linked <= shown | {reverse("console:home")}


def test_every_screen_has_its_pictures_and_no_other_lies_there() -> None:
    wanted = {f"{screen.name}-{size}{theme}.webp" for screen in SCREENS for size in SIZES for theme in THEMES}
    assert {file.name for file in FOLDER.iterdir()} == wanted | {"README.md"}
    assert (FOLDER / "README.md").read_text() == text()
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 8_000_000
