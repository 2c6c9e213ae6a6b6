"""The operator at a shell."""

import json
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django import Settings

from apps.subscribers.models import Subscriber

from .conftest import Receiver, Shop, tell, verified


def run(name: str, **options: object) -> dict[str, str]:
    out = StringIO()
    call_command(name, json=True, stdout=out, **options)
    return json.loads(out.getvalue())


def test_a_subscriber_is_made_told_and_told_again(shop: Shop, receiver: Receiver) -> None:
    made = run("create_subscriber", tenant="alice", url=receiver.url, event=["inventory.stock.*"])
    shop.receive(shop.shirt)
    tell()
    assert verified(receiver.requests[0], made["secret"])["type"] == "inventory.stock.received"
    again = run("replay_events", subscriber=made["subscriber"], since="2026-01-01T00:00:00Z")
    assert again["status"] == "RUNNING"
    tell()
    assert receiver.versions("SHIRT") == [1, 1]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("create_subscriber", {"tenant": "alice", "url": "http://10.0.0.1/"}, "public internet"),
        ("create_subscriber", {"tenant": "alice", "url": "http://localhost:1/", "event": ["x"]}, "no event type"),
        ("create_subscriber", {"tenant": "nobody", "url": "http://localhost:1/"}, "no tenant"),
        ("replay_events", {"subscriber": "x", "since": "2026-01-01T00:00:00Z"}, "no subscriber"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    shop: Shop, name: str, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command(name, **options)
    assert not Subscriber.objects.exists()


def test_a_moment_without_a_zone_is_refused(shop: Shop) -> None:
    subscriber, _ = shop.subscribe("http://localhost:1/")
    with pytest.raises(CommandError, match="zone"):
        call_command("replay_events", subscriber=str(subscriber.pk), since="2026-01-01T00:00:00")


def test_secrets_survive_a_rotation_of_the_installations_key(
    shop: Shop, receiver: Receiver, settings: Settings
) -> None:
    _, secret = shop.subscribe(receiver.url)
    new = Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [new, *settings.FIELD_ENCRYPTION_KEYS]
    resealed = {"connectors": 0, "second_factors": 0, "subscribers": 1, "webhook_secrets": 0}
    assert run("rotate_keys") == resealed
    settings.FIELD_ENCRYPTION_KEYS = [new]
    shop.receive(shop.shirt)
    tell()
    verified(receiver.requests[0], secret)
