"""The demo tenant: its API key, kept for the person at this machine and nobody else, and stock that arrives once."""

from pathlib import Path

import pytest

from apps.console.demo import shop as demo
from apps.inventory.models import Balance, LedgerKey, Movement, Product
from apps.tenants.models import ApiKey, Tenant, hash_key
from apps.tenants.scopes import SCOPES
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> Tenant:
    made: Tenant = TenantFactory(slug=demo.SLUG)
    return made


def usable() -> list[ApiKey]:
    return [key for key in ApiKey.objects.order_by("pk") if key.is_usable]


def test_the_key_stands_in_the_file_and_only_its_hash_in_the_database(tenant: Tenant, tmp_path: Path) -> None:
    file = tmp_path / "demo-key"
    demo._keep_key(tenant, file)
    [key] = usable()
    assert file.stat().st_mode & 0o777 == 0o600
    assert key.key_hash == hash_key(file.read_text().strip())
    assert set(key.scopes) == set(SCOPES)
    assert list(tmp_path.iterdir()) == [file]


def test_a_key_that_still_opens_is_kept(tenant: Tenant, tmp_path: Path) -> None:
    file = tmp_path / "demo-key"
    demo._keep_key(tenant, file)
    first = file.read_text()
    demo._keep_key(tenant, file)
    assert file.read_text() == first
    assert len(usable()) == 1


@pytest.mark.parametrize("way", ["lost", "of another database", "revoked"])
def test_another_key_is_made_when_it_is(way: str, tenant: Tenant, tmp_path: Path) -> None:
    file = tmp_path / "demo-key"
    demo._keep_key(tenant, file)
    [first] = usable()
    if way == "lost":
        file.unlink()
    elif way == "revoked":
        first.revoke()
    else:
        file.write_text("saldo_00000000_of-another-database\n")
    demo._keep_key(tenant, file)
    [second] = usable()
    assert second.pk != first.pk
    assert second.key_hash == hash_key(file.read_text().strip())


def test_the_readmes_product_is_received_once(tenant: Tenant) -> None:
    demo._receive_example(tenant)
    demo._receive_example(tenant)
    balance = Balance.objects.get(product__sku="SKU-001", location__code="S1")
    assert (balance.on_hand, balance.version) == (10, 1)


def test_the_opening_stock_arrives_once_although_keys_are_forgotten() -> None:
    tenant = TenantFactory()
    for sku, _title, _price, _store, _depot, variations in demo.CATALOGUE:
        for name in [f"{sku}-{suffix}" for suffix, _colour in variations] or [sku]:
            Product.objects.create(tenant=tenant, sku=name, name=name)
    demo._receive_stock(tenant)
    received = Movement.objects.count()
    assert received == Balance.objects.count() > 10
    LedgerKey.objects.all().delete()
    demo._receive_stock(tenant)
    assert Movement.objects.count() == received
