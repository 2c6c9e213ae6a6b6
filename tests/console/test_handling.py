"""Moving stock by hand: what is shown before, what is done, what is refused, and when stock moves meanwhile."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import translation

from apps.connectors.models import Connector, Listing
from apps.console import stock_forms
from apps.inventory import ledger
from apps.inventory.models import Balance, Batch, Location, Movement, Oversell, Product, Transfer
from tests import factories

from .test_pages import Shop, open_shop, signed_in
from .test_shelf import english, hold

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    return open_shop("Alice")


@pytest.fixture
def alice(shop: Shop) -> Client:
    return english(shop)


@pytest.fixture
def product(shop: Shop) -> Product:
    """Alice's vase: 12 on hand, 2 of them held for an order."""
    found: Product = shop.log.product
    return found


@pytest.fixture
def place(shop: Shop) -> Location:
    return Location.objects.get(tenant=shop.tenant)


class Page:
    """One address of a change, used as a browser does: what hidden fields hold is sent back."""

    def __init__(self, client: Client, name: str, pk: object) -> None:
        self.client, self.url = client, reverse(f"console:{name}", args=[pk])
        self.answer: Any = client.get(self.url)
        assert self.answer.status_code == 200
        self.typed: dict[str, object] = {"key": self._hidden()["key"]}

    def look(self, **typed: object) -> HttpResponse:
        self.typed |= typed
        return self._send({**self.typed, "step": "preview"})

    def confirm(self) -> HttpResponse:
        return self._send({**self._hidden(), "step": "confirm"})

    def correct(self) -> HttpResponse:
        return self._send({**self._hidden(), "step": "edit"})

    @property
    def text(self) -> str:
        main = self.answer.content.decode().partition("<main")[2]
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))

    def _send(self, data: dict[str, object]) -> HttpResponse:
        self.answer = self.client.post(self.url, data)
        return self.answer  # type: ignore[no-any-return]

    def _hidden(self) -> dict[str, object]:
        text = self.answer.content.decode().partition("<main")[2]
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text)
        return {name: value for name, value in found if name != "csrfmiddlewaretoken"}


def on_hand(product: Product, place: Location) -> int:
    return Balance.objects.get(product=product, location=place).on_hand


def test_before_anything_changes_the_page_shows_the_numbers_and_what_channels_would_show(
    shop: Shop, alice: Client, product: Product, place: Location
) -> None:
    Connector.objects.update(margin_percent=50)
    before = Movement.objects.count()
    page = Page(alice, "adjust", product.pk)
    assert page.look(location=place.pk, reason="damage", how="less", units=2, document="OC-9").status_code == 200
    assert f"{place.code} 12 → 10 −2 2 10 → 8" in page.text
    assert f"{shop.listing.item_id} ( {shop.connector.name} ): should show 4 instead of 5" in page.text.replace(
        f"({shop.connector.name})", f"( {shop.connector.name} )"
    )
    assert "Nothing was changed yet" in page.text
    assert Movement.objects.count() == before
    assert on_hand(product, place) == 12


def test_a_confirmed_damage_is_a_loss_with_reason_document_and_who(
    alice: Client, product: Product, place: Location
) -> None:
    page = Page(alice, "adjust", product.pk)
    page.look(location=place.pk, reason="damage", how="less", units=2, document="OC-9", note="fell down")
    answer = page.confirm()
    assert (answer.status_code, answer["Location"]) == (302, reverse("console:movements", args=[product.pk]))
    row = Movement.objects.filter(product=product).latest("id")
    assert (row.kind, row.on_hand_delta, row.reason) == ("LOSS", -2, "damage: fell down")
    assert (row.reference_type, row.reference_id, row.source) == ("document", "OC-9", "console")
    assert row.actor.startswith("user:")
    assert on_hand(product, place) == 10
    shown = alice.get(reverse("console:movements", args=[product.pk])).content.decode()
    assert "Damage: fell down" in shown


def test_a_form_that_is_sent_twice_counts_once(alice: Client, product: Product, place: Location) -> None:
    page = Page(alice, "adjust", product.pk)
    page.look(location=place.pk, reason="correction", how="total", units=9)
    seen = page.answer
    assert page.confirm().status_code == 302
    page.answer = seen
    assert page.confirm().status_code == 302
    assert on_hand(product, place) == 9
    assert Movement.objects.filter(product=product, kind="ADJUSTMENT").count() == 1


@pytest.mark.parametrize(
    ("language", "typed", "units"),
    [
        ("pt-br", "1.000", 1000),
        ("pt-br", "1.234.567", 1_234_567),
        ("pt-br", " 1000 ", 1000),
        ("en", "1,000", 1000),
        *((language, wrong, None) for language in ("pt-br", "en") for wrong in ("1.0", "1.00", "1.0000", "1,5", "1e3")),
        ("pt-br", "1,000", None),
        ("en", "1.000", None),
        ("pt-br", "9" * 5000, None),
    ],
)
def test_a_thousand_is_read_as_pages_write_it(language: str, typed: str, units: int | None) -> None:
    field = stock_forms.Adjust.base_fields["units"]
    with translation.override(language):
        if units is None:
            with pytest.raises(ValidationError):
                field.clean(typed)
        else:
            assert field.clean(typed) == units


@pytest.mark.parametrize(
    ("typed", "cost"),
    [("1.500", "1500"), ("1.234,56", "1234.56"), ("1234,56", "1234.56"), ("0,5", "0.5"), ("1.5", "1.5")],
)
def test_a_cost_is_read_as_brazil_writes_it(typed: str, cost: str) -> None:
    with translation.override("pt-br"):
        assert stock_forms.Receive.base_fields["unit_cost"].clean(typed) == Decimal(cost)


def test_a_thousand_units_received_are_a_thousand(shop: Shop, product: Product, place: Location) -> None:
    page = Page(signed_in(factories.member(shop.tenant, "GESTOR")), "receive", product.pk)
    page.look(location=place.pk, units="1.000", unit_cost="1.500")
    assert page.confirm().status_code == 302
    row = Movement.objects.filter(product=product).latest("id")
    assert (row.on_hand_delta, row.unit_cost) == (1000, 1500)
    rule = {"margin_percent": "", "buffer_units": "", "end_when_units": "", "cap_units": "1.000"}
    manager = signed_in(factories.member(shop.tenant, "GESTOR"))
    manager.post(reverse("console:listing-rule", args=[shop.listing.pk]), rule)
    shop.listing.refresh_from_db()
    assert shop.listing.cap_units == 1000
    shown = manager.get(reverse("console:stock"), {"at_most": "1.012"}).content.decode()
    assert product.sku in shown
    assert product.sku not in manager.get(reverse("console:stock"), {"at_most": "1"}).content.decode()


def test_a_double_click_says_that_the_change_is_being_made(alice: Client, product: Product, place: Location) -> None:
    page = Page(alice, "adjust", product.pk)
    page.look(location=place.pk, reason="correction", how="total", units=9)
    seen, key = page.answer, f"{product.tenant_id}/console:{page.typed['key']}"
    first = connection.copy()
    try:
        first.set_autocommit(False)
        with first.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
        assert page.confirm().status_code == 409
    finally:
        first.rollback()
        first.close()
    assert "This form was sent a moment ago" in page.text
    assert on_hand(product, place) == 12
    page.answer = seen
    assert page.confirm().status_code == 302
    assert on_hand(product, place) == 9


def test_stock_that_moved_meanwhile_is_a_409_that_says_what_happened_and_keeps_what_was_typed(
    alice: Client, product: Product, place: Location
) -> None:
    page = Page(alice, "adjust", product.pk)
    page.look(location=place.pk, reason="correction", how="less", units=3, note="typed once")
    factories.stocked(product, place, 5)
    assert page.confirm().status_code == 409
    assert "The stock moved since you looked" in page.text
    assert "on hand +5 → 17" in page.text
    assert f"{place.code} 17 → 14 −3" in page.text
    assert on_hand(product, place) == 17
    assert page.confirm().status_code == 302
    assert on_hand(product, place) == 14
    assert Movement.objects.filter(product=product).latest("id").reason == "correction: typed once"


def test_a_correction_of_promised_units_is_refused_and_names_who_holds_them(
    shop: Shop, alice: Client, product: Product, place: Location
) -> None:
    page = Page(alice, "adjust", product.pk)
    assert page.look(location=place.pk, reason="correction", how="less", units=11).status_code == 409
    assert "11 units were asked for and 10 are available" in page.text
    assert f"order {shop.order.external_id} · 2 · no deadline" in page.text
    assert 'value="11"' in page.answer.content.decode()
    assert on_hand(product, place) == 12


def test_a_loss_of_promised_units_is_a_fact_that_warns_of_the_oversell_it_opens(
    alice: Client, product: Product, place: Location
) -> None:
    page = Page(alice, "adjust", product.pk)
    assert page.look(location=place.pk, reason="loss", how="less", units=11).status_code == 200
    assert "1 unit that is promised would not be there: this is a case of oversell" in page.text
    assert not Oversell.objects.filter(product=product).exists()
    page.confirm()
    assert Oversell.objects.get(product=product).units_short == 1


def test_a_count_sets_the_number_and_is_kept_as_a_count(alice: Client, product: Product, place: Location) -> None:
    page = Page(alice, "adjust", product.pk)
    page.look(location=place.pk, reason="count", how="total", units=20)
    assert "12 → 20 +8" in page.text
    page.confirm()
    row = Movement.objects.filter(product=product).latest("id")
    assert (row.kind, row.on_hand_after) == ("COUNT", 20)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"reason": "count", "how": "less", "units": 3}, "goes with"),
        ({"reason": "found", "how": "less", "units": 3}, "goes with"),
        ({"reason": "correction", "how": "more", "units": 0}, "Zero units change nothing"),
        ({"reason": "other", "how": "more", "units": 1}, "Say why"),
        ({"reason": "bribe", "how": "more", "units": 1}, "Select a valid choice"),
        ({"reason": "found", "how": "more", "units": 10**12}, "less than or equal"),
        ({"reason": "found", "how": "more", "units": 1, "note": "x\0y"}, "Null characters"),
        ({"reason": "found", "how": "more", "units": 1, "key": "not-a-key"}, "Enter a valid UUID"),
    ],
)
def test_what_does_not_fit_is_said_beside_its_field(
    typed: dict[str, object], says: str, alice: Client, product: Product, place: Location
) -> None:
    page = Page(alice, "adjust", product.pk)
    assert page.look(location=place.pk, **typed).status_code == 422
    assert says in page.text
    assert on_hand(product, place) == 12


def test_a_place_of_strangers_is_no_choice(alice: Client, product: Product) -> None:
    theirs = factories.LocationFactory()
    page = Page(alice, "receive", product.pk)
    assert page.look(location=theirs.pk, units=3).status_code == 422
    assert not Balance.objects.filter(location=theirs).exists()


def test_correcting_brings_the_form_back_as_it_was_typed(alice: Client, product: Product, place: Location) -> None:
    page = Page(alice, "adjust", product.pk)
    page.look(location=place.pk, reason="found", how="more", units=3, note="behind the door")
    assert page.correct().status_code == 200
    form = page.answer.content.decode()
    assert 'value="behind the door"' in form
    assert '<option value="found" selected>' in form
    assert on_hand(product, place) == 12


def test_goods_are_received_with_cost_batch_and_date(alice: Client, product: Product, place: Location) -> None:
    page = Page(alice, "receive", product.pk)
    assert page.look(location=place.pk, units=6, unit_cost="12.5", expires_on="2028-03-31").status_code == 422
    page.look(batch_number="L1")
    assert "12 → 18 +6" in page.text
    page.confirm()
    row = Movement.objects.filter(product=product).latest("id")
    assert (row.kind, row.on_hand_delta, str(row.unit_cost)) == ("RECEIPT", 6, "12.5000")
    batch = Batch.objects.get(product=product, batch_number="L1")
    assert batch.expires_at is not None
    assert (batch.quantity, row.batch_id) == (6, batch.pk)


def test_units_leave_for_another_place_and_arrive_when_somebody_says_so(
    shop: Shop, alice: Client, product: Product, place: Location
) -> None:
    far = factories.LocationFactory(tenant=shop.tenant, code="FAR")
    page = Page(alice, "transfer", product.pk)
    assert page.look(location=place.pk, destination=place.pk, units=4).status_code == 422
    page.look(destination=far.pk)
    assert "12 → 8 −4" in page.text
    assert page.confirm().status_code == 302
    row = Transfer.objects.get(product=product)
    assert (row.sent, row.received, row.destination) == (4, 0, far)
    assert "They arrived" in alice.get(reverse("console:movements", args=[product.pk])).content.decode()
    arriving = Page(alice, "arrive", row.pk)
    assert arriving.look(units=5).status_code == 409
    assert "Only 4 units are on their way" in arriving.text
    arriving.look(units=3)
    assert "FAR 0 → 3 +3" in arriving.text
    assert arriving.confirm().status_code == 302
    row.refresh_from_db()
    assert (row.in_transit, on_hand(product, far), on_hand(product, place)) == (1, 3, 8)


def test_units_that_are_there_already_move_at_once_and_only_once(
    shop: Shop, alice: Client, product: Product, place: Location
) -> None:
    far = factories.LocationFactory(tenant=shop.tenant, code="FAR")
    page = Page(alice, "transfer", product.pk)
    page.look(location=place.pk, destination=far.pk, units=4, has_arrived="on")
    assert f"{place.code} 12 → 8 −4" in page.text
    assert "FAR 0 → 4 +4" in page.text
    seen = page.answer
    assert page.confirm().status_code == 302
    page.answer = seen
    assert page.confirm().status_code == 302
    assert (on_hand(product, far), on_hand(product, place)) == (4, 8)
    assert Transfer.objects.get(product=product).in_transit == 0


def test_more_than_is_available_cannot_be_sent_away(
    shop: Shop, alice: Client, product: Product, place: Location
) -> None:
    far = factories.LocationFactory(tenant=shop.tenant)
    hold(product, place, 5, document="C-5")
    page = Page(alice, "transfer", product.pk)
    assert page.look(location=place.pk, destination=far.pk, units=6).status_code == 409
    assert "6 units were asked for and 5 are available" in page.text
    assert "checkout C-5 · 5" in page.text
    assert not Transfer.objects.exists()


def test_the_transfer_of_a_stranger_is_not_found(shop: Shop, alice: Client) -> None:
    charlies = open_shop("Charlie")
    theirs = Location.objects.get(tenant=charlies.tenant)
    far = factories.LocationFactory(tenant=charlies.tenant)
    move = ledger.Move(
        kind=Movement.Kind.TRANSFER_OUT,
        product_id=charlies.log.product_id,
        location_id=theirs.pk,
        quantity=2,
        cause=ledger.Cause(actor="test"),
        transfer_code="T-1",
        other_location_id=far.pk,
    )
    ledger.post_one(charlies.tenant, move)
    row = Transfer.objects.get(tenant=charlies.tenant)
    assert alice.get(reverse("console:arrive", args=[row.pk])).status_code == 404


def test_a_listing_that_was_told_nothing_yet_is_no_obstacle(shop: Shop, alice: Client) -> None:
    product = factories.ProductFactory(tenant=shop.tenant)
    place = factories.LocationFactory(tenant=shop.tenant)
    listing: Listing = factories.ListingFactory(tenant=shop.tenant, connector=shop.connector, product=product)
    page = Page(alice, "receive", product.pk)
    page.look(location=place.pk, units=7)
    assert f"{place.code} 0 → 7 +7" in page.text
    assert f"{listing.item_id}" in page.text
    assert page.confirm().status_code == 302
    assert on_hand(product, place) == 7
