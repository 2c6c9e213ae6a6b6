"""Odd states and bad input: what people and browsers send by mistake or on purpose is never a fault of ours."""

import base64
import json
from typing import Any

import pytest
from django.urls import reverse

from apps.console import mapping_jobs
from apps.sync import pausing
from tests import factories
from tests.console.test_everybody import factories_shop
from tests.console.test_pages import Shop, signed_in

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def shop() -> Shop:
    return factories_shop("Alice")


@pytest.fixture
def admin(shop: Shop) -> Any:
    return signed_in(factories.member(shop.tenant, "ADMIN"))


def test_more_than_a_form_takes_is_refused_in_words(admin: Any, shop: Shop) -> None:
    address = reverse("console:adjust", args=[shop.log.product_id])
    pasted = admin.post(address, "note=" + "x" * 3_000_000, content_type=FORM)
    crowded = admin.post(address, "&".join(f"a{n}=1" for n in range(1001)), content_type=FORM)
    for answer in (pasted, crowded):
        assert answer.status_code == 413
        page = answer.content.decode()
        assert ">413<" in page
        assert answer["X-Trace-Id"] in page


def test_what_cannot_be_read_is_refused_in_words(admin: Any, shop: Shop) -> None:
    answer = admin.get(reverse("console:stock"), headers={"host": "elsewhere.example"})
    assert answer.status_code == 400
    assert answer["X-Trace-Id"] in answer.content.decode()


def test_a_paused_account_is_listed_with_who_paused_it(admin: Any, shop: Shop) -> None:
    colleague = factories.member(shop.tenant, "GESTOR", first_name="Beatriz", last_name="")
    pausing.pause(shop.connector, reason="férias coletivas", actor=f"user:{colleague.pk}")
    answer = admin.get(reverse("console:connectors"))
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "férias coletivas" in page
    assert "Beatriz" in page


def test_a_place_in_a_list_that_no_row_can_have_shows_the_first_page(admin: Any, shop: Shop) -> None:
    place = base64.urlsafe_b64encode(json.dumps(["\0", 1]).encode()).decode().rstrip("=")
    for direction in ("before", "after"):
        answer = admin.get(reverse("console:stock"), {direction: place})
        assert answer.status_code == 200
        assert shop.log.product.sku in answer.content.decode()


@pytest.mark.parametrize("name", ["syncs", "all-movements"])
def test_the_calendar_has_a_last_and_a_first_day(name: str, admin: Any, shop: Shop) -> None:
    answer = admin.get(reverse(f"console:{name}"), {"since": "0001-01-01", "until": "9999-12-31"})
    assert answer.status_code == 200
    assert shop.log.product.sku in answer.content.decode()
    assert shop.log.product.sku not in admin.get(reverse(f"console:{name}"), {"until": "0001-01-01"}).content.decode()


def test_numbers_too_long_to_be_read_are_like_any_wrong_number(admin: Any, shop: Shop) -> None:
    endless = "9" * 5000
    assert admin.post(reverse("console:tenant"), {"tenant": endless}).status_code == 302
    assert "tenant_id" not in admin.session
    chosen = [(shop.unmapped.pk, shop.log.product_id)]
    job = mapping_jobs.plan_chosen(shop.tenant, chosen, actor="user:1")
    assert admin.post(reverse("console:confirm-mapping", args=[job.pk]), {"count": endless}).status_code == 409
    assert admin.get(reverse("console:listings-csv"), {"connector": endless}).status_code == 200
