"""The door: who may push, how much at once, in which envelopes."""

import json
import zlib

import pytest
from django.test import Client

from apps.sources.decoding import BATCH_MAX
from apps.sources.models import SourceEvent
from apps.tenants.models import ApiKey
from tests.sources.conftest import POS, Teller

pytestmark = pytest.mark.django_db


def test_the_scope_is_asked_for(teller: Teller) -> None:
    _key, text = ApiKey.issue(teller.tenant, name="reader", scopes=["stock:read"])
    for path, send in (
        ("/v1/movements", Client().post),
        ("/v1/sources", Client().get),
        ("/v1/sources/x/gaps", Client().get),
    ):
        assert send(path, headers={"X-Api-Key": text}).status_code == 403
        assert send(path).status_code == 401
    assert not SourceEvent.objects.exists()


def test_both_envelopes_are_understood(teller: Teller) -> None:
    sale = teller.event()
    assert teller.push([sale])["accepted"] == 1
    enveloped = {name: value for name, value in teller.event().items() if name not in {"source", "specversion"}}
    assert teller.push(teller.batch([enveloped]))["accepted"] == 1
    assert teller.push(teller.batch([teller.event(source="/ignored")]))["sources"][0]["source"] == POS


def test_a_packed_body_is_unpacked(teller: Teller) -> None:
    assert teller.push_packed(json.dumps([teller.event()]).encode())["accepted"] == 1


def test_a_bomb_is_refused_before_it_unpacks(teller: Teller) -> None:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(512)) + packer.flush()  # half a gigabyte
    assert len(bomb) < 2**20
    assert teller.push(bomb, 413, **{"Content-Encoding": "gzip"})["code"] == "body_too_large"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "malformed_json"),
        (b"{", {}, 400, "malformed_json"),
        (b"\xff\xfe", {}, 400, "malformed_json"),
        (b"7", {}, 422, "validation_failed"),
        (b"{}", {}, 422, "validation_failed"),
        (b'{"source": "", "events": []}', {}, 422, "validation_failed"),
        (b'{"source": "x\\u0000", "events": []}', {}, 422, "validation_failed"),
        (b'{"source": "x", "batch_id": "\\u0000", "events": []}', {}, 422, "validation_failed"),
        (b'{"source": "x", "events": 7}', {}, 422, "validation_failed"),
        (b'{"source": "x", "epoch": -1, "events": []}', {}, 422, "validation_failed"),
        (b'{"source": "x", "last_seq": 99999999999999999999, "events": []}', {}, 422, "validation_failed"),
        (b"[" * 100_000, {}, 400, "malformed_json"),
        (b"[]", {"Content-Encoding": "br"}, 415, "unsupported_media_type"),
        (b"[]", {"Content-Encoding": "gzip"}, 400, "malformed_request"),
        (b"[" + b" " * 2**20 + b"]", {}, 413, "body_too_large"),
    ],
)
def test_a_body_that_is_no_batch_is_refused_whole(
    teller: Teller, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    assert teller.push(body, status, **headers)["code"] == code


def test_an_empty_batch_says_nothing(teller: Teller) -> None:
    assert teller.push([])["results"] == []


def test_five_hundred_events_are_taken_and_one_more_is_not(teller: Teller) -> None:
    events = teller.numbered(*range(1, BATCH_MAX + 2))
    answer = teller.push(teller.batch(events), 413)
    assert (answer["code"], answer["max_batch"], SourceEvent.objects.exists()) == ("batch_too_large", BATCH_MAX, False)
    assert teller.push(teller.batch(events[:BATCH_MAX]))["ack_seq"] == BATCH_MAX
    assert teller.on_hand() == -BATCH_MAX
