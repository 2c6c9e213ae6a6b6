"""Idempotency keys are kept for their days and then forgotten, without a lock that anybody waits for."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.inventory import keys
from apps.inventory.models import LedgerKey
from apps.inventory.tasks import forget_old_keys
from config.celery import app

from .conftest import Shop


def _age(key: str, **age: int) -> None:
    LedgerKey.objects.filter(key=key).update(created_at=timezone.now() - timedelta(**age))


def test_a_key_is_forgotten_after_its_days_and_not_before(shop: Shop, settings: pytest.FixtureRequest) -> None:
    for key in ("new", "young", "old"):
        shop.receive(shop.shirt, shop.store, 1, key=key)
    _age("young", days=6, hours=23)
    _age("old", days=7, minutes=1)
    assert keys.forget_old() == 1
    assert set(LedgerKey.objects.values_list("key", flat=True)) == {"new", "young"}
    assert shop.receive(shop.shirt, shop.store, 1, key="young").replayed
    assert not shop.receive(shop.shirt, shop.store, 1, key="old").replayed
    settings.IDEMPOTENCY_KEY_DAYS = 1
    forget_old_keys()
    assert set(LedgerKey.objects.values_list("key", flat=True)) == {"new", "old"}


def test_every_page_of_a_large_table_is_walked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "PAGES_A_STEP", 2)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO inventory_keys (tenant_id, key, fingerprint, answer, created_at)
               SELECT %s, n::text, repeat('f', 64), jsonb_build_object('x', repeat('y', 100)),
                      now() - CASE WHEN n %% 10 = 0 THEN interval '1 day' ELSE interval '8 days' END
                 FROM generate_series(1, 1000) AS n""",
            [shop.tenant.pk],
        )
        cursor.execute("SELECT pg_relation_size('inventory_keys') / 8192")
        assert cursor.fetchone()[0] > 10
    assert keys.forget_old() == 900
    assert LedgerKey.objects.count() == 100


def test_nobody_is_waited_for_who_writes_a_key_meanwhile(committed_shop: Shop) -> None:
    """The walk asks for old rows alone: a key that is being written is neither touched nor waited for."""
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 1, key="old")
    _age("old", days=8)
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(
                "INSERT INTO inventory_keys (tenant_id, key, fingerprint) VALUES (%s, 'writing', '')", [shop.tenant.pk]
            )
            cursor.execute("SELECT created_at FROM inventory_keys WHERE key = 'old'")
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1s'")
        assert keys.forget_old() == 1
    finally:
        other.rollback()
        other.close()
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


def test_it_is_done_every_day() -> None:
    [entry] = [entry for entry in app.conf.beat_schedule.values() if entry["task"] == forget_old_keys.name]
    assert entry["schedule"] == 86400.0
