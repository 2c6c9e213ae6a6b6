"""What answers carry beside their page: policies, and the number of a fault."""

import re
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse

from apps.tenants import middleware
from tests import factories
from tests.console.test_everybody import ASKS, IDS, Ask, factories_shop, send
from tests.console.test_pages import Shop, signed_in

pytestmark = pytest.mark.django_db

INLINE = re.compile(
    r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\s(?:src=|type=\"application/json\"))|javascript:", re.IGNORECASE
)
"""Code and style within a page; a block of JSON is data, which no browser runs."""


@pytest.fixture
def shop() -> Shop:
    return factories_shop("Alice")


def policy_of(answer: Any) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer["Content-Security-Policy"].split(";"))
    return {name: what for name, _space, what in parts}


PAGES = [(name, ask) for name, ask in ASKS if ask.method == "GET"]


@pytest.mark.parametrize(("name", "ask"), PAGES, ids=[i for i in IDS if i.startswith("GET")])
def test_no_page_holds_anything_that_its_policy_would_stop(name: str, ask: Ask, shop: Shop) -> None:
    answer = send(signed_in(factories.member(shop.tenant, "ADMIN")), name, ask, shop)
    policy = policy_of(answer)
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    if not answer.streaming:
        assert INLINE.findall(answer.content.decode()) == []


def test_the_policy_lets_nobody_frame_rebase_or_post_elsewhere(client: Client) -> None:
    policy = policy_of(client.get(reverse("login")))
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert policy["default-src"] == "'none'"


def test_inline_code_is_allowed_in_the_administration_alone(client: Client) -> None:
    client.force_login(factories.UserFactory(is_staff=True, is_superuser=True))
    policy = policy_of(client.get("/admin/"))
    assert policy["script-src"] == "'self' 'unsafe-inline' 'unsafe-eval'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in client.get("/console/perfil/")["Content-Security-Policy"]


def test_a_fault_shows_its_number_without_the_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any, **_more: Any) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(middleware, "_zone", broken)
    client.raise_request_exception = False
    answer = client.get(reverse("login"))
    assert answer.status_code == 500
    assert re.fullmatch("[0-9a-f]{32}", answer["X-Trace-Id"])
    page = answer.content.decode()
    assert f'value="{answer["X-Trace-Id"]}"' in page
    assert "data-copy" in page
    assert INLINE.findall(page) == []


def test_the_number_of_a_fault_is_the_one_the_caller_is_in(client: Client) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = client.get("/console/nada/", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert answer.status_code == 404
    assert answer["X-Trace-Id"] == trace
    assert trace in answer.content.decode()


def test_a_refusal_says_who_may(shop: Shop) -> None:
    anna = signed_in(factories.member(shop.tenant, "ANALISTA"))
    page = anna.post(reverse("console:pause-connector", args=[shop.connector.pk])).content.decode()
    assert "Gestor" in page
