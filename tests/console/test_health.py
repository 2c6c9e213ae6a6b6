"""The health page: what each part says when it works and when it does not, and who sees what of it."""

import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from redis import RedisError

from apps.connectors.models import Connector
from apps.console import health, pulse, tasks
from apps.console.models import Pulse
from apps.inventory import feed
from apps.inventory.models import Movement
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_written_yet() -> None:
    pulse._written.clear()


@pytest.fixture
def connector() -> Connector:
    return factories.ConnectorFactory(name="Conta da Alice")


def page_of(connector: Connector) -> str:
    client = Client(headers={"accept-language": "en"})
    client.force_login(factories.member(connector.tenant))
    return client.get(reverse("console:health")).content.decode()


def part(page: str, name: str) -> str:
    """Return the words of one part's line."""
    found = re.search(rf"<tr>\s*<td[^>]*><strong[^>]*>{re.escape(name)}</strong>(.*?)</tr>", page, re.DOTALL)
    assert found, name
    return " ".join(re.sub("<[^>]+>", " ", found[1]).split())


def silent_for(name: str, **ago: float) -> None:
    Pulse.objects.update_or_create(name=name, defaults={"seen_at": timezone.now() - timedelta(**ago)})


def receive_one(connector: Connector) -> None:
    product = factories.ProductFactory(tenant=connector.tenant)
    factories.stocked(product, factories.LocationFactory(tenant=connector.tenant), 1)


def everything_lives() -> None:
    for name in ("worker:celery@one", "beat", "canary"):
        pulse.note(name)
    pulse.note("prove", broken=[])


def test_when_everything_lives_the_page_says_so(connector: Connector) -> None:
    everything_lives()
    page = page_of(connector)
    for name in ("Database", "Redis", "Web server", "Worker celery@one", "Clock (Beat)", "The whole chain (canary)"):
        assert part(page, name).startswith("Works"), name
    assert part(page, "Proof of the numbers").startswith("Holds")
    assert "stand still" not in page


@pytest.mark.parametrize(
    ("name", "shown", "words"),
    [
        ("worker:celery@one", "Worker celery@one", "Sales are stored and wait"),
        ("beat", "Clock (Beat)", "Nobody wakes the workers"),
        ("canary", "The whole chain (canary)", "Work that is waiting is not begun"),
    ],
)
def test_silence_is_said_with_what_it_means_for_stock(name: str, shown: str, words: str, connector: Connector) -> None:
    everything_lives()
    silent_for(name, minutes=3)
    page = page_of(connector)
    assert words in part(page, shown)
    assert "3 min" in part(page, shown)
    assert "1 thing stands still" in page


def test_a_new_installation_has_heard_of_nobody(connector: Connector) -> None:
    page = page_of(connector)
    assert "No worker has given a sign of life." in page
    assert "It never ticked." in page


def test_one_worker_of_two_is_a_warning_and_a_replaced_one_is_left_out(connector: Connector) -> None:
    everything_lives()
    silent_for("worker:celery@two", minutes=3)
    silent_for("worker:celery@old", minutes=40)
    page = page_of(connector)
    assert part(page, "Worker celery@two").startswith("Silent")
    assert "Everything works; 3 things should be looked at." in page  # the new account's token and comparison, too
    assert "celery@old" not in page


@pytest.mark.corrupts
def test_a_broken_invariant_is_told_with_what_to_do(connector: Connector) -> None:
    receive_one(connector)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_balances SET version = version + 1")
    tasks.prove()
    told = part(page_of(connector), "Proof of the numbers")
    assert told.startswith("Broken 1 rule is broken")
    assert "manage.py prove" in told


def test_redis_away_is_told_and_the_page_still_comes(connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object, **_options: object) -> None:
        raise RedisError

    for name in ("get", "get_many"):
        monkeypatch.setattr(cache, name, away)
    assert "numbers go to the channels only once it is back" in part(page_of(connector), "Redis")


def test_a_reader_of_the_ledger_that_stands_still_is_seen(connector: Connector) -> None:
    feed.FeedCursor.objects.create(consumer="sync")
    assert feed.oldest_unread() == {"sync": None}
    receive_one(connector)
    assert feed.oldest_unread() == {"sync": Movement.objects.get().recorded_at}
    assert part(page_of(connector), "Ledger to channels").startswith("Works The oldest movement")


def test_an_account_says_whether_its_channel_may_be_called(connector: Connector) -> None:
    factories.ConnectorFactory(name="Conta do Charlie")
    connector.access_token_expires_at = timezone.now() + timedelta(hours=5, minutes=2)
    connector.save()
    page = page_of(connector)
    assert "Conta do Charlie" not in page
    assert "for 5 h more" in page
    Connector.objects.filter(pk=connector.pk).update(status=Connector.Status.REAUTHORIZE)
    assert "Authorise again" in page_of(connector)


# --- Signs of life ------------------------------------------------------------------------------------------------


def test_a_sign_is_written_at_most_every_ten_seconds() -> None:
    assert pulse.note_rarely("beat")
    assert not pulse.note_rarely("beat")
    assert Pulse.objects.get().name == "beat"


def test_a_sign_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object, **_options: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(pulse, "note", away)
    assert pulse.note_rarely("beat")


def test_a_worker_gives_its_sign_after_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "connection", SimpleNamespace(in_atomic_block=False, cursor=connection.cursor))
    task = SimpleNamespace(request=SimpleNamespace(hostname="celery@one", is_eager=False))
    pulse.worker_ended_a_task(task=task)
    assert Pulse.objects.get().name == "worker:celery@one"


def test_programs_that_are_gone_for_long_are_forgotten() -> None:
    silent_for("worker:celery@old", days=2)
    silent_for("prove", days=2)
    pulse.forget_old()
    assert [sign.name for sign in pulse.signs()] == ["prove"]


def test_the_clock_is_late_only_after_several_signs() -> None:
    assert health.ALIVE_SECONDS > 4 * pulse.EVERY_SECONDS
