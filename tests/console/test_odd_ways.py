"""Odd states and bad input: what people and browsers send by mistake or on purpose is never a fault of ours."""

import base64
import html
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.connectors.models import Listing
from apps.console import mapping_jobs
from apps.events.models import Reprocess
from apps.notifications.models import Trouble
from apps.sync import pausing
from apps.tenants import audit
from tests import factories
from tests.console.test_everybody import factories_shop
from tests.console.test_home import tile
from tests.console.test_pages import Shop, signed_in
from tests.console.test_shelf import english

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


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [("&".join(f"a{n}=1" for n in range(1001)), FORM, 413), ("x", "multipart/form-data; boundary=é", 400)],
    ids=["too much", "unreadable"],
)
def test_what_cannot_be_read_is_no_fault_of_ours_where_there_is_no_page(
    body: str, kind: str, status: int, shop: Shop
) -> None:
    client = Client(enforce_csrf_checks=True)  # it is the token that is looked for in the form
    client.get(reverse("login"))
    answer = client.post("/console/no-such-page/", body, content_type=kind)
    assert answer.status_code == status
    assert answer["X-Trace-Id"] in answer.content.decode()


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


def test_a_number_that_a_channel_does_not_take_is_corrected_here_or_capped(shop: Shop) -> None:
    Listing.objects.filter(pk=shop.listing.pk).update(
        sync_state=Listing.SyncState.ERROR, last_error_code="quantity_invalid", due_at=None
    )
    page = english(shop).get(reverse("console:listing", args=[shop.listing.pk])).content.decode()
    assert "set a maximum on the listing" in page
    assert reverse("console:listing-rule", args=[shop.listing.pk]) in page


@pytest.mark.parametrize(
    "reason", ["2026-11-22T10:00:00", "2026-99-99T99:99:99 ou depois", "0001-01-01T00:00:00+14:00"]
)
def test_a_reason_that_looks_like_a_moment_is_shown_as_it_was_typed(reason: str, admin: Any, shop: Shop) -> None:
    answer = admin.post(reverse("console:pause-connector", args=[shop.connector.pk]), {"reason": reason})
    assert answer.status_code == 302
    page = admin.get(reverse("console:trail"))
    assert page.status_code == 200
    assert reason in html.unescape(page.content.decode())


def test_the_audit_trail_names_the_people_among_what_changed(admin: Any, shop: Shop) -> None:
    colleague = factories.member(shop.tenant, "GESTOR", first_name="Beatriz", last_name="")
    audit.record(
        shop.tenant, "command:x", "trouble.seen", "trouble:1", changes={"seen_by": ["", f"user:{colleague.pk}"]}
    )
    page = admin.get(reverse("console:trail")).content.decode()
    assert "<strong>Beatriz</strong>" in page


def test_the_start_page_counts_every_pending_matter_as_the_menu_does(shop: Shop) -> None:
    for cause, connector in (("a", shop.connector), ("b", None)):
        about = {"tenant": shop.tenant, "connector": connector, "kind": Trouble.Kind.LISTINGS}
        Trouble.objects.create(**about, cause=cause, count=1)
    page = english(shop).get(reverse("console:home")).content.decode()
    assert tile(page, "Pending matters").startswith("bad 2 ")
    assert '<span class="badge badge-bad">2</span>' in page


def test_a_filter_that_cannot_be_read_shows_nothing_and_acts_on_nothing(shop: Shop) -> None:
    alice = english(shop)
    for name, filters in (("all-movements", {"trace": "x"}), ("syncs", {"listing": "0"}), ("events", {"period": "x"})):
        page = alice.get(reverse(f"console:{name}"), filters).content.decode()
        assert "so no row is shown" in page
        assert "data-row" not in page
        assert "data-row" in alice.get(reverse(f"console:{name}")).content.decode()
    for name, filters in (("events", "period=x"), ("syncs", "listing=0"), ("syncs", "product=nothing-is-called-so")):
        answer = alice.post(reverse(f"console:plan-{name}"), {"filters": filters}, follow=True)
        assert answer.redirect_chain[-1][0] == reverse(f"console:{name}")
    assert not Reprocess.objects.exists()
