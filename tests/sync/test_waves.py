"""A wave of zeros waits for a person; everything else flows."""

import pytest

from apps.connectors.models import Connector, Listing
from apps.inventory import ledger
from apps.inventory.models import Location, Movement, Product
from apps.sync import queue, turns, waves
from apps.tenants.models import Tenant


class Shop:
    """One account with `size` listings, each with five units."""

    def __init__(self, size: int, slug: str = "alice") -> None:
        self.tenant = Tenant.objects.create(slug=slug, name=slug)
        self.connector = Connector.objects.create(tenant=self.tenant, kind="ML", name="ML", client_id="1", user_id=slug)
        self.place = Location.objects.create(tenant=self.tenant, code="S1", name="Loja")
        for number in range(size):
            product = Product.objects.create(tenant=self.tenant, sku=f"P{number}", name="Produto")
            Listing.objects.create(
                tenant=self.tenant,
                connector=self.connector,
                product=product,
                item_id=f"{slug}{number}",
                accepted_quantity=5,
            )
            self.count(number, 5)
        self.settle()

    def settle(self) -> None:
        """Let the channel have accepted everything that may be told; return nothing, leave nothing due."""
        while queue.follow():
            pass
        queue.line_up_due()
        while isinstance(taken := queue.next_turns(100, 100), list):
            turns.end(taken, were_used=False)
            for claim in queue.claim([turn.listing_id for turn in taken]):
                number = queue.target_of(claim.listing.pk)
                Listing.objects.filter(pk=claim.listing.pk).update(
                    accepted_quantity=number, lease_id=None, lease_expires_at=None
                )

    def count(self, number: int, units: int) -> None:
        product = Product.objects.get(tenant=self.tenant, sku=f"P{number}")
        ledger.post_one(
            self.tenant,
            ledger.Move(
                kind=Movement.Kind.COUNT,
                product_id=product.pk,
                location_id=self.place.pk,
                quantity=units,
                cause=ledger.Cause(actor="erp"),
            ),
        )

    def shown(self) -> list[int]:
        rows = Listing.objects.filter(connector=self.connector).order_by("pk")
        return [quantity for quantity in rows.values_list("accepted_quantity", flat=True) if quantity is not None]

    def held(self) -> int:
        return Listing.objects.filter(connector=self.connector, held_at__isnull=False).count()


@pytest.fixture
def shop(transactional_db: None) -> Shop:
    return Shop(60)


def test_an_empty_file_closes_no_shop_and_the_rest_flows(shop: Shop) -> None:
    for number in range(59):
        shop.count(number, 0)
    shop.count(59, 3)
    shop.settle()
    assert shop.shown() == [5] * 59 + [3]
    assert shop.held() == 59
    assert queue.sweep() == 0  # they are due already
    shop.settle()
    assert shop.held() == 59


def test_everyday_zeros_are_told(shop: Shop) -> None:
    for number in range(12):  # a fifth of sixty
        shop.count(number, 0)
    shop.settle()
    assert (shop.shown()[:12], shop.held()) == ([0] * 12, 0)
    shop.count(12, 0)  # the thirteenth within the hour
    shop.settle()
    assert (shop.shown()[12], shop.held()) == (5, 1)


def test_a_small_shop_may_sell_out(transactional_db: None) -> None:
    shop = Shop(waves.ALWAYS_LET)
    for number in range(waves.ALWAYS_LET):
        shop.count(number, 0)
    shop.settle()
    assert shop.shown() == [0] * waves.ALWAYS_LET


def test_a_person_lets_the_zeros_through_and_later_ones_are_counted_anew(shop: Shop) -> None:
    for number in range(30):
        shop.count(number, 0)
    shop.settle()
    assert shop.held() == 30
    assert queue.let_zeros_through(shop.connector) == 30
    shop.settle()
    assert (shop.shown()[:30], shop.held()) == ([0] * 30, 0)
    for number in range(30, 60):
        shop.count(number, 0)
    shop.settle()
    assert shop.held() == 30


def test_stock_that_comes_back_lets_go(shop: Shop) -> None:
    for number in range(60):
        shop.count(number, 0)
    shop.settle()
    assert shop.held() == 60
    for number in range(60):
        shop.count(number, 4)
    shop.settle()
    assert (shop.shown(), shop.held()) == ([4] * 60, 0)


def test_a_wave_in_small_pieces_is_held_from_the_limit_on(shop: Shop) -> None:
    for number in range(60):
        shop.count(number, 0)
        shop.settle()
    assert shop.shown().count(0) == 12
    assert shop.held() == 48


def test_a_held_zero_stays_held_after_the_hour(shop: Shop) -> None:
    for number in range(30):
        shop.count(number, 0)
    shop.settle()
    Listing.objects.filter(zeroing_since__isnull=False).update(zeroing_since="2026-01-01T00:00Z")
    shop.count(0, 1)
    shop.count(0, 0)
    shop.settle()
    queue.sweep()
    shop.settle()
    assert shop.held() == 30


def test_a_limit_of_a_hundred_percent_holds_nothing(shop: Shop) -> None:
    Connector.objects.update(zero_limit_percent=100)
    for number in range(60):
        shop.count(number, 0)
    shop.settle()
    assert shop.shown() == [0] * 60


def test_another_account_is_not_concerned(shop: Shop) -> None:
    other = Shop(20, "bruno")
    for number in range(60):
        shop.count(number, 0)
    for number in range(3):
        other.count(number, 0)
    shop.settle()
    assert (shop.held(), other.held(), other.shown()[:3]) == (60, 0, [0, 0, 0])
