"""The pages of the stock: the grid, movements, reservations, batches, oversells, a product; what each costs."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.connectors.models import Connector, Listing
from apps.console import keyset
from apps.inventory import ledger
from apps.inventory.models import Balance, Batch, Location, Movement, Oversell, Product, Reservation
from apps.tenants.models import AuditEntry, Membership
from tests import factories

from .test_pages import QUERIES_MAX, Shop, open_shop

pytestmark = pytest.mark.django_db

LISTS = ["stock", "all-movements", "reservations", "batches", "oversells"]


@pytest.fixture
def shop() -> Shop:
    return open_shop("Alice")


@pytest.fixture
def charlies() -> Shop:
    return open_shop("Charlie")


def english(shop: Shop, role: str = Membership.Role.MANAGER) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(factories.member(shop.tenant, role, first_name="Alice"))
    return client


@pytest.fixture
def alice(shop: Shop) -> Client:
    return english(shop)


@pytest.fixture
def charlie(charlies: Shop) -> Client:
    return english(charlies)


def words(client: Client, name: str, *arguments: object, status: int = 200, **query: object) -> str:
    """Return a page's main part as a person reads it."""
    answer = client.get(reverse(f"console:{name}", args=arguments), query)
    assert answer.status_code == status
    main = answer.content.decode().partition("<main")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


def rows(client: Client, name: str, *arguments: object, **query: object) -> list[str]:
    answer = client.get(reverse(f"console:{name}", args=arguments), query)
    assert answer.status_code == 200
    return re.findall(r'data-row="([^"]+)"', answer.content.decode())


def hold(product: Product, place: Location, units: int, **more: Any) -> Reservation:
    cause = ledger.Cause(actor="test", reference_type="checkout", reference_id=more.pop("document", "C-1"))
    more = {"is_fact": True, **more}
    line = ledger.Line(product.pk, units, place.pk)
    made = ledger.reserve(product.tenant, [line], key=uuid.uuid4().hex, cause=cause, **more)
    return Reservation.objects.get(pk=made[0].reservation_id)


def batch_of(product: Product, place: Location, number: str, units: int, days: float | None) -> Batch:
    expiry = None if days is None else timezone.now() + timedelta(days=days)
    move = ledger.Move(
        kind=Movement.Kind.RECEIPT,
        product_id=product.pk,
        location_id=place.pk,
        quantity=units,
        cause=ledger.Cause(actor="test"),
        batch_number=number,
        batch_expires_at=expiry,
    )
    ledger.post_one(product.tenant, move)
    return Batch.objects.get(product=product, location=place, batch_number=number)


# --- The grid -----------------------------------------------------------------------------------------------------


def test_the_grid_says_what_there_is_what_a_channel_should_show_and_what_it_shows(shop: Shop, alice: Client) -> None:
    Connector.objects.update(margin_percent=50)
    page = words(alice, "stock")
    place = Location.objects.get(tenant=shop.tenant)
    assert f"{place.code} {place.name} 12 2 reserved: see for whom 0 10" in page
    assert f"{shop.listing.item_id} {shop.connector.name} 10 50% 5 12 7 too many" in page


def test_a_channel_that_shows_too_few_and_one_that_is_right(shop: Shop, alice: Client) -> None:
    Listing.objects.filter(pk=shop.listing.pk).update(accepted_quantity=8)
    assert "2 too few" in words(alice, "stock")
    Listing.objects.filter(pk=shop.listing.pk).update(accepted_quantity=12, sold_there=2)  # it counted two off itself
    page = words(alice, "stock")
    assert "too few" not in page
    assert "too many" not in page


def test_a_number_that_the_channel_counts_itself_is_compared_with_nothing(shop: Shop, alice: Client) -> None:
    Listing.objects.filter(pk=shop.listing.pk).update(capability=Listing.Capability.FULL, accepted_quantity=99)
    page = words(alice, "stock")
    assert "Counted by the channel itself" in page
    assert "too many" not in page


def test_filters_of_the_grid(shop: Shop, alice: Client) -> None:
    mine = shop.log.product
    other = factories.ProductFactory(tenant=shop.tenant, sku="ZZ-OTHER", gtin="7891000100103")
    place = factories.LocationFactory(tenant=shop.tenant)
    factories.stocked(other, place, 3)
    both = [str(mine.pk), str(other.pk)]
    assert rows(alice, "stock") == sorted(both, key=lambda pk: Product.objects.get(pk=pk).sku)
    assert rows(alice, "stock", product="zz-oth") == [str(other.pk)]
    assert rows(alice, "stock", product="7891000100103") == [str(other.pk)]
    assert rows(alice, "stock", product=shop.listing.item_id.lower()) == [str(mine.pk)]
    assert rows(alice, "stock", location=place.pk) == [str(other.pk)]
    assert rows(alice, "stock", connector=shop.connector.pk) == [str(mine.pk)]
    assert rows(alice, "stock", at_most=3) == [str(other.pk)]
    assert rows(alice, "stock", at_most=2) == []
    assert rows(alice, "stock", state="difference") == [str(mine.pk)]  # its divergence is open
    shop.divergence.delete()
    assert rows(alice, "stock", state="difference") == []
    Listing.objects.filter(pk=shop.listing.pk).update(due_at=timezone.now())
    assert rows(alice, "stock", state="difference") == [str(mine.pk)]


def test_a_place_that_was_chosen_is_the_only_one_shown(shop: Shop, alice: Client) -> None:
    product, place = shop.log.product, factories.LocationFactory(tenant=shop.tenant, code="FAR")
    factories.stocked(product, place, 4)
    here = Location.objects.exclude(pk=place.pk).get(tenant=shop.tenant)
    page = words(alice, "stock", location=place.pk).partition("Actions")[2]
    assert "FAR" in page
    assert here.name not in page


def test_low_stock_is_asked_at_the_place_that_was_chosen(shop: Shop, alice: Client) -> None:
    product, place = shop.log.product, factories.LocationFactory(tenant=shop.tenant)
    factories.stocked(product, place, 1)
    assert rows(alice, "stock", at_most=1) == []
    assert rows(alice, "stock", at_most=1, location=place.pk) == [str(product.pk)]


def test_a_product_without_stock_says_why_nothing_is_told(shop: Shop, alice: Client) -> None:
    product = factories.ProductFactory(tenant=shop.tenant, sku="NEVER")
    page = words(alice, "stock", product="NEVER")
    assert "No stock was received or counted yet" in page
    assert rows(alice, "stock", product="NEVER") == [str(product.pk)]


def test_only_managers_are_offered_to_adjust(shop: Shop, alice: Client) -> None:
    assert "Adjust" in words(alice, "stock")
    for role in (Membership.Role.OPERATOR, Membership.Role.ANALYST):
        assert "Adjust" not in words(english(shop, role), "stock")


# --- Strangers and costs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_lists_show_nobody_elses_rows_and_take_nonsense_calmly(
    name: str, shop: Shop, charlies: Shop, alice: Client
) -> None:
    for one in (shop, charlies):
        place = Location.objects.get(tenant=one.tenant)
        hold(one.log.product, place, 90)
        batch_of(one.log.product, place, "L1", 5, 20)
    page = words(alice, name)
    assert shop.log.product.sku in page
    assert "Charlie" not in page
    nonsense = {
        "product": "%_",
        "location": "x",
        "state": "?",
        "at_most": "many",
        "who": "me",
        "trace": "1",
        "before": "e30",
    }
    assert alice.get(reverse(f"console:{name}"), nonsense).status_code == 200


def test_a_strangers_rows_are_not_found(shop: Shop, charlie: Client) -> None:
    product, place = shop.log.product, Location.objects.get(tenant=shop.tenant)
    reservation = hold(product, place, 50)
    batch = batch_of(product, place, "L1", 5, 20)
    targets: list[tuple[str, object]] = [
        ("movements", product.pk),
        ("movement", shop.movement.pk),
        ("release", reservation.pk),
        ("batch", batch.pk),
        ("oversell", Oversell.objects.get(tenant=shop.tenant).pk),
        ("adjust", product.pk),
        ("receive", product.pk),
        ("transfer", product.pk),
    ]
    for name, pk in targets:
        assert charlie.get(reverse(f"console:{name}", args=[pk])).status_code == 404, name
    for name, pk in (("block-batch", batch.pk), ("unblock-batch", batch.pk), ("release", reservation.pk)):
        assert charlie.post(reverse(f"console:{name}", args=[pk]), {"reason": "mine now"}).status_code == 404, name
    batch.refresh_from_db()
    reservation.refresh_from_db()
    assert (batch.status, reservation.status) == ("ACTIVE", "PENDING")


@pytest.mark.parametrize("name", [*LISTS, "movements", "oversell"])
def test_many_rows_cost_no_more_queries_than_few(name: str, shop: Shop, alice: Client) -> None:
    place = Location.objects.get(tenant=shop.tenant)

    def fill(count: int) -> None:
        for number in range(count):
            product = factories.ProductFactory(tenant=shop.tenant)
            factories.ListingFactory(tenant=shop.tenant, connector=shop.connector, product=product)
            batch_of(product, place, f"L{number}", 2, 20)
            hold(product, place, 5, document=f"C-{number}")
            hold(shop.log.product, place, 5, document=f"D-{number}")

    fill(2)
    arguments = {"movements": [shop.log.product.pk], "oversell": [Oversell.objects.order_by("pk")[0].pk]}.get(name, [])
    url = reverse(f"console:{name}", args=arguments)
    alice.get(url)
    few = _queries(alice, url)
    fill(10)
    many = _queries(alice, url)
    assert len(many) <= QUERIES_MAX, "\n".join(many)
    assert len(many) <= len(few), "\n".join(many)
    assert not [sql for sql in many if "COUNT(*)" in sql]


def _queries(client: Client, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


# --- Movements ------------------------------------------------------------------------------------------------------


def test_movements_are_filtered_by_product_place_kind_who_document_source_and_period(shop: Shop, alice: Client) -> None:
    other = factories.ProductFactory(tenant=shop.tenant, sku="ZZ-OTHER")
    place = factories.LocationFactory(tenant=shop.tenant)
    person = Membership.objects.get(tenant=shop.tenant, user__first_name="Alice").user
    factories.stocked(
        other, place, 3, actor=f"user:{person.pk}", reference_type="invoice", reference_id="NF-4821", source="pdv"
    )
    theirs = str(Movement.objects.get(product=other).pk)
    sale = str(shop.movement.pk)
    assert rows(alice, "all-movements")[0] == theirs
    assert rows(alice, "all-movements", product="zz-o") == [theirs]
    assert rows(alice, "all-movements", location=place.pk) == [theirs]
    assert rows(alice, "all-movements", kind="RESERVE") == [sale]
    assert rows(alice, "all-movements", document="NF-4821") == [theirs]
    assert rows(alice, "all-movements", document=shop.order.external_id) == [sale]
    assert rows(alice, "all-movements", document=str(shop.order.pk)) == []  # our own ids are nobody's document
    assert rows(alice, "all-movements", source="PDV") == [theirs]
    assert rows(alice, "all-movements", who="people") == [theirs]
    assert rows(alice, "all-movements", who=f"user:{person.pk}") == [theirs]
    assert rows(alice, "all-movements", who="saldo") == [sale]
    assert theirs in rows(alice, "all-movements", period="1h")
    assert rows(alice, "all-movements", until=f"{timezone.localdate() - timedelta(days=2):%Y-%m-%d}") == []
    assert rows(alice, "all-movements", trace=shop.event.trace_id) == [sale]


def test_what_is_rare_is_found_in_steps_and_each_says_how_far_it_looked(
    shop: Shop, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    product, place = factories.ProductFactory(tenant=shop.tenant), factories.LocationFactory(tenant=shop.tenant)
    sources = ["till" if n % 6 == 1 else "shop" for n in range(15)]
    made = [factories.stocked(product, place, 1, source=source).movement_ids[0] for source in sources]
    wanted = [str(pk) for pk, source in zip(made, sources, strict=True) if source == "till"][::-1]
    monkeypatch.setattr(keyset, "REACH", 4)
    steps = walked(alice, "?source=till")
    assert [pk for page in steps for pk in page] == wanted
    assert any(not page for page in steps[:-1])  # a step may find nothing, and goes on all the same
    assert walked(alice, f"?source=till&product={product.sku}") == [wanted]  # an index finds the product's
    monkeypatch.undo()
    assert walked(alice, "?source=till") == [wanted]


def walked(client: Client, query: str) -> list[list[str]]:
    """Return the rows of each page of movements from the first to the last; on each, that and why there is more."""
    pages = []
    while query:
        text = client.get(reverse("console:all-movements") + query).content.decode()
        pages.append(re.findall(r'data-row="([^"]+)"', text))
        further = re.search(r'href="([^"]+)" rel="next"', text)
        query = further[1].replace("&amp;", "&") if further else ""
        assert ("What lies beyond was not looked at yet" in text) == bool(query)
    return pages


def test_one_movement_says_everything(shop: Shop, alice: Client) -> None:
    page = words(alice, "movement", shop.movement.pk)
    assert "Reserved 0 +2 2" in page
    assert "Available 12 −2 10" in page
    assert f"order {shop.order.external_id}" in page
    assert str(shop.event.trace_id) in page
    assert shop.event.external_id in page  # the event of the same trace
    assert f"{shop.listing.item_id} : 12 → 10" in page  # what the channel was told because of it


def test_a_movement_that_was_taken_back_and_the_one_that_did_it_name_each_other(shop: Shop, alice: Client) -> None:
    product, place = shop.log.product, Location.objects.get(tenant=shop.tenant)
    first = factories.stocked(product, place, 5).movement_ids[0]
    move = ledger.Move(
        kind=Movement.Kind.ADJUSTMENT,
        product_id=product.pk,
        location_id=place.pk,
        quantity=-5,
        cause=ledger.Cause(actor="test"),
        reverses_id=first,
    )
    second = ledger.post_one(shop.tenant, move).movement_ids[0]
    assert "This movement was taken back: Adjustment −5" in words(alice, "movement", first)
    assert "Takes back Receipt +5" in words(alice, "movement", second)


def test_the_balance_of_a_product_at_a_moment_with_what_was_told_late(shop: Shop, alice: Client) -> None:
    product, place = shop.log.product, Location.objects.get(tenant=shop.tenant)
    Movement.objects.filter(product=product)
    factories.stocked(product, place, 30, occurred_at=timezone.now() - timedelta(days=3))
    then = timezone.localtime() - timedelta(days=1)
    asked = {"aba": "saldo", "day": f"{then:%Y-%m-%d}", "clock": f"{then:%H:%M}"}
    assert f"{place.code} {place.name} 30 0 0 30 nothing: the first movement came later" in words(
        alice, "movements", product.pk, **asked
    )
    future = timezone.localtime() + timedelta(days=2)
    page = words(alice, "movements", product.pk, aba="saldo", day=f"{future:%Y-%m-%d}", clock="10:00")
    assert "still to come" in page


# --- Reservations ---------------------------------------------------------------------------------------------------


def test_reservations_by_state_and_for_whom(shop: Shop, alice: Client) -> None:
    product, place = shop.log.product, Location.objects.get(tenant=shop.tenant)
    sold = str(Reservation.objects.get(tenant=shop.tenant).pk)
    soon = str(hold(product, place, 1, document="C-7", ttl_seconds=600).pk)
    over = hold(product, place, 1, ttl_seconds=600)
    Reservation.objects.filter(pk=over.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    gone = hold(product, place, 1)
    ledger.confirm(shop.tenant, gone.pk, key="gone", cause=ledger.Cause(actor="test"))
    assert rows(alice, "reservations") == [str(gone.pk), str(over.pk), soon, sold]
    assert rows(alice, "reservations", state="open") == [soon, sold]
    assert rows(alice, "reservations", state="due") == [soon]
    assert rows(alice, "reservations", state="EXPIRED") == [str(over.pk)]
    assert rows(alice, "reservations", state="CONFIRMED") == [str(gone.pk)]
    assert rows(alice, "reservations", document=shop.order.external_id) == [sold]
    assert rows(alice, "reservations", document="C-7") == [soon]
    assert f"order {shop.order.external_id}" in words(alice, "reservations")


def test_releasing_by_hand_says_what_it_means_wants_a_reason_and_is_written_down(shop: Shop, alice: Client) -> None:
    product, place = shop.log.product, Location.objects.get(tenant=shop.tenant)
    row = hold(product, place, 3)
    url = reverse("console:release", args=[row.pk])
    assert "Available there 7 → 10" in words(alice, "release", row.pk)
    assert "Its order is still open" not in words(alice, "release", row.pk)
    assert alice.post(url, {"reason": ""}).status_code == 422
    assert alice.post(url, {"reason": "abandoned basket"}).status_code == 302
    row.refresh_from_db()
    movement = Movement.objects.get(reservation_id=row.pk, kind=Movement.Kind.RELEASE)
    assert (row.status, movement.reserved_delta) == ("RELEASED", -3)
    assert movement.actor.startswith("user:")
    assert movement.reason == "released by hand: abandoned basket"
    assert alice.post(url, {"reason": "again"}).status_code in (302, 409)
    assert Movement.objects.filter(reservation_id=row.pk, kind=Movement.Kind.RELEASE).count() == 1


def test_releasing_what_an_open_order_holds_is_warned_of(shop: Shop, alice: Client) -> None:
    sold = Reservation.objects.get(tenant=shop.tenant)
    assert "Its order is still open" in words(alice, "release", sold.pk)


@pytest.mark.parametrize("role", [Membership.Role.OPERATOR, Membership.Role.ANALYST])
def test_who_does_not_manage_moves_no_stock(role: str, shop: Shop) -> None:
    product, place = shop.log.product, Location.objects.get(tenant=shop.tenant)
    batch = batch_of(product, place, "L1", 5, 20)
    sold = Reservation.objects.get(tenant=shop.tenant)
    client, before = english(shop, role), Movement.objects.count()
    targets = [("release", sold.pk), ("block-batch", batch.pk), ("unblock-batch", batch.pk)]
    targets += [(name, product.pk) for name in ("adjust", "receive", "transfer")]
    for name, pk in targets:
        assert client.post(reverse(f"console:{name}", args=[pk]), {"reason": "x"}).status_code == 403, name
    assert Movement.objects.count() == before


# --- Batches --------------------------------------------------------------------------------------------------------


def test_batches_come_in_the_order_of_their_dates(shop: Shop, alice: Client) -> None:
    product = factories.ProductFactory(tenant=shop.tenant)
    place = factories.LocationFactory(tenant=shop.tenant)
    late = str(batch_of(product, place, "LATE", 1, 300).pk)
    never = str(batch_of(product, place, "NEVER", 1, None).pk)
    soon = str(batch_of(product, place, "SOON", 1, 12.5).pk)
    assert rows(alice, "batches", product=product.sku) == [soon, late, never]
    assert rows(alice, "batches", state="soon") == [soon]
    page = words(alice, "batches", product=product.sku)
    assert "Expires in 12 days" in page
    assert "no date" in page
    Batch.objects.filter(pk=late).update(expires_at=timezone.now() - timedelta(days=1))
    assert rows(alice, "batches", state="expired") == [late]
    assert "Expired: off sale" in words(alice, "batches", state="expired")


def test_a_batch_is_taken_off_sale_and_put_back_with_a_reason(shop: Shop, alice: Client) -> None:
    product, place = factories.ProductFactory(tenant=shop.tenant), factories.LocationFactory(tenant=shop.tenant)
    batch = batch_of(product, place, "L1", 5, 90)
    hold(product, place, 2, document="C-9")
    page = words(alice, "batch", batch.pk)
    assert "Its 3 free units go off sale at once" in page
    assert "checkout C-9" in page  # who was given units
    block, unblock = (reverse(f"console:{name}-batch", args=[batch.pk]) for name in ("block", "unblock"))
    assert alice.post(block, {"reason": ""}).status_code == 422
    assert Balance.objects.get(product=product).available == 3
    assert "3 units went off sale" in alice.post(block, {"reason": "recall"}, follow=True).content.decode()
    assert Balance.objects.get(product=product).available == 0
    assert Movement.objects.get(product=product, kind="BLOCK").reason == "blocked by hand: recall"
    assert AuditEntry.objects.get().details == {"before": "ACTIVE", "units": 3}
    assert rows(alice, "batches", state="blocked") == [str(batch.pk)]
    alice.post(unblock, {"reason": "tested"})
    assert Balance.objects.get(product=product).available == 3


# --- Oversells ------------------------------------------------------------------------------------------------------


def test_an_oversell_says_how_many_are_missing_and_whom_the_newest_sales_leave_without(
    shop: Shop, alice: Client
) -> None:
    product, place = factories.ProductFactory(tenant=shop.tenant), factories.LocationFactory(tenant=shop.tenant)
    far = factories.LocationFactory(tenant=shop.tenant, code="FAR")
    factories.stocked(product, place, 5)
    factories.stocked(product, far, 9)
    for number, units in enumerate((4, 2, 3), start=1):
        hold(product, place, units, document=f"C-{number}")
    case = Oversell.objects.get(product=product)
    page = words(alice, "oversells")
    assert f"{product.sku} · {place.code}" in page
    assert "checkout C-3 3 units missing checkout C-2 1 unit missing FAR: 9" in page
    detail = words(alice, "oversell", case.pk)
    assert re.search(
        r"checkout C-1 4 all there .*checkout C-2 2 1 unit missing .*checkout C-3 3 3 units missing", detail
    )
    assert "FAR: 9 available" in detail
    assert "Enter a count" in detail
    factories.stocked(product, place, 10)
    assert str(case.pk) not in rows(alice, "oversells")
    assert rows(alice, "oversells", state="closed") == [str(case.pk)]
    closed = words(alice, "oversell", case.pk)
    assert "What happened" in closed
    assert "+10 15" in closed  # the movement that ended it
    assert "Enter a count" not in closed


def test_without_any_oversell_the_page_says_so(alice: Client) -> None:
    assert "Nothing is oversold" in words(alice, "oversells")


# --- A product ------------------------------------------------------------------------------------------------------


def test_the_sections_of_a_product(shop: Shop, alice: Client) -> None:
    product, place = shop.log.product, Location.objects.get(tenant=shop.tenant)
    batch = batch_of(product, place, "L-77", 5, 20)
    sold = Reservation.objects.get(tenant=shop.tenant)
    assert str(shop.movement.pk) in rows(alice, "movements", product.pk)
    assert str(sold.pk) in rows(alice, "movements", product.pk, aba="reservas")
    assert str(batch.pk) in rows(alice, "movements", product.pk, aba="lotes")
    assert str(shop.movement.pk) in rows(alice, "movements", product.pk, aba="nonsense")
