"""Reading what a source sent: the batch first, then each event by itself, so that a bad one spoils only itself.

Two envelopes are understood: the batch of the ingest contract, `{source, epoch, batch_id, first_seq, last_seq, sent_at,
events}`, and the CloudEvents batch, an array of structured CloudEvents 1.0. Only the fields named here are read and
kept; a source may send more. Of a person only the kind and the number of the operator are among them.
"""

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from django.conf import settings
from django.utils.translation import gettext as _
from msgspec import Meta, Struct, field

from apps.common.api_shell import too_large
from apps.common.problems import Problem, validation_failed
from apps.sources.models import NAME_MAX

BATCH_MAX = 500
"""Events in one batch: what one transaction should hold locks for."""

SEQUENCE_MAX = 2**62
"""Room to add to it without passing PostgreSQL's bigint."""

OFFSET_MAX = timedelta(hours=16)
"""PostgreSQL reads no time zone that far away, and there is none."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Nothing in this hub happened before; an older moment is a clock that lost its battery."""

Text50 = Annotated[str, Meta(max_length=50)]
Text100 = Annotated[str, Meta(max_length=100)]
Text128 = Annotated[str, Meta(max_length=128)]
Text200 = Annotated[str, Meta(max_length=200)]
Number = Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)]
Epoch = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Moment = Annotated[datetime, Meta(tz=True)]
Quantity = Annotated[str, Meta(pattern=r"^[+-]?\d{1,10}(\.\d{1,6})?$")] | Annotated[int, Meta(ge=-(10**10), le=10**10)]
Money = Annotated[str, Meta(pattern=r"^\d{1,11}(\.\d{1,4})?$")] | Annotated[int, Meta(ge=0, le=10**11 - 1)]


class MovementDocument(Struct, frozen=True, omit_defaults=True):
    """The paper behind a movement: `type` such as NFCE, `key` its number, `line` the item's."""

    type: Text50 = ""
    key: Text128 = ""
    line: Annotated[int, Meta(ge=0, le=10**9)] | Annotated[str, Meta(max_length=16)] | None = None


class MovementActor(Struct, frozen=True, omit_defaults=True):
    """Who moved it, as the source numbers its people. No name: nothing here needs it."""

    kind: Text50 = ""
    id: Annotated[str, Meta(max_length=40)] | int = ""


class CountFacts(Struct, frozen=True, omit_defaults=True):
    """When the units were counted, and (`as_of_sequence`) the last event of the source that the count includes."""

    as_of: Moment
    as_of_sequence: Number | None = None  # the moment rules; this shows where clocks disagree with it (doubts.py)
    session: Text100 = ""


class BatchOfGoods(Struct, frozen=True, omit_defaults=True):
    """The batch number of a lot, and when it expires."""

    number: Text100
    expires_at: Moment | None = None


class MovementData(Struct, frozen=True, omit_defaults=True):
    """What moved: the `data` of the event (channels contract §2.5)."""

    movement_type: Annotated[str, Meta(min_length=1, max_length=24)]
    location: Annotated[str, Meta(min_length=1, max_length=50)]
    quantity: Quantity
    sku: Text100 = ""
    gtin: Annotated[str, Meta(max_length=14)] = ""
    mode: Literal["DELTA", "ABSOLUTE"] = "DELTA"
    to_location: Text50 | None = None
    from_location: Text50 | None = None
    transfer_id: Annotated[str, Meta(max_length=64)] = ""
    stock_status: Annotated[str, Meta(max_length=24)] = "SELLABLE"
    uom: Annotated[str, Meta(max_length=8)] = "UN"
    reason: Annotated[str, Meta(max_length=150)] = ""
    document: MovementDocument | None = None
    business_key: Text200 | None = None
    reverses_event_id: Text200 | None = None
    count: CountFacts | None = None
    unit_cost: Money | None = None
    batch: BatchOfGoods | None = None
    source_sequence: Number | None = None
    source_epoch: Epoch | None = None
    actor: MovementActor | None = None
    device_clock_offset_ms: Annotated[int, Meta(ge=-(10**9), le=10**9)] | None = None

    @property
    def units(self) -> Decimal:
        """The quantity as it was told, with its sign."""
        return Decimal(self.quantity)


class MovementEvent(Struct, frozen=True, omit_defaults=True):
    """One movement in its CloudEvents 1.0 envelope."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    type: Annotated[str, Meta(min_length=1, max_length=200)]
    time: Moment
    data: MovementData
    specversion: Literal["1.0"] = "1.0"
    source: Annotated[str, Meta(max_length=200)] = ""
    sequence: Annotated[str, Meta(max_length=40)] | Number | None = None
    traceparent: Text100 = ""


class Envelope(Struct, frozen=True):
    """The batch of the ingest contract (channels contract §2.2). No events is a heartbeat."""

    source: Annotated[str, Meta(min_length=1)]
    events: list[msgspec.Raw] = field(default_factory=list)
    epoch: Epoch = 0
    batch_id: Text100 = ""
    first_seq: Number | None = None
    last_seq: Number | None = None
    sent_at: Moment | None = None


@dataclass(slots=True)
class Arrival:
    """One event as it arrived: read, or with the reason why it could not be."""

    index: int
    source: str
    event_id: str
    epoch: int
    sequence: int | None
    digest: bytes
    event: MovementEvent | None = None
    code: str = ""
    detail: str = ""

    @property
    def payload(self) -> str | None:
        """What is kept of the event, as JSON text."""
        return None if self.event is None else _encode(self.event).decode()


@dataclass(frozen=True, slots=True)
class Sent:
    """What one request sent: the events, and what the envelope says of its source."""

    arrivals: list[Arrival]
    source: str | None = None
    epoch: int = 0
    batch_id: str = ""
    last_seq: int | None = None
    sent_at: datetime | None = None


_read_request = msgspec.json.Decoder(list[msgspec.Raw] | Envelope).decode
_read_event = msgspec.json.Decoder(MovementEvent).decode
_encode = msgspec.json.Encoder(order="deterministic").encode


class _Salvage(Struct, frozen=True):
    """The fields of an event that name it, read as they come when the event as a whole cannot be."""

    id: object = None
    source: object = None
    sequence: object = None
    data: object = None


_salvage = msgspec.json.Decoder(_Salvage).decode


def unpack(body: bytes, encoding: str) -> bytes:
    """Return the body as it was before Content-Encoding `encoding` (none or gzip).

    Unpacks no more than is taken in, so a small body that unpacks to gigabytes costs nothing. Raises Problem 400, 413
    or 415.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        detail = _("The body may come plain or as gzip, not as %(encoding)s. Nothing was taken in.")
        raise Problem(415, "unsupported_media_type", detail % {"encoding": encoding[:40]})
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(body, settings.API_BODY_MAX_BYTES + 1)
    except zlib.error:
        plain = b""
    if len(plain) > settings.API_BODY_MAX_BYTES:
        raise too_large()
    if not unpacker.eof:
        detail = _("The body is not whole gzip data. Nothing was taken in; pack it and send it again.")
        raise Problem(400, "malformed_request", detail)
    return plain


def read(body: bytes) -> Sent:
    """Read a request's body. Raises Problem 400, 413 or 422 when it is no batch at all, or too large a one."""
    try:
        request = _read_request(body)
    except msgspec.ValidationError as error:
        raise validation_failed([{"pointer": "", "detail": str(error)[:300], "code": "invalid"}]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(400, "malformed_json", _("The body is not JSON in UTF-8. Nothing was taken in.")) from None
    envelope = request if isinstance(request, Envelope) else None
    events = envelope.events if envelope else request
    if len(events) > BATCH_MAX:
        detail = _("A batch is at most %(max)d events, this one has %(count)d. Nothing was taken in; split it.")
        detail %= {"max": BATCH_MAX, "count": len(events)}
        raise Problem(413, "batch_too_large", detail, max_batch=BATCH_MAX)
    if envelope is None:
        return Sent([_arrival(index, bytes(raw), None) for index, raw in enumerate(events)])
    _check_envelope(envelope)
    return Sent(
        [_arrival(index, bytes(raw), envelope) for index, raw in enumerate(events)],
        source=envelope.source,
        epoch=envelope.epoch,
        batch_id=envelope.batch_id,
        last_seq=envelope.last_seq,
        sent_at=envelope.sent_at,
    )


def read_payload(payload: object) -> MovementEvent:
    """Return the event that was kept as `payload` (parsed JSON)."""
    return msgspec.convert(payload, MovementEvent)


def _check_envelope(envelope: Envelope) -> None:
    if bad_name := name_problem(envelope.source):
        raise validation_failed([{"pointer": "/source", "detail": bad_name, "code": "invalid_source"}])
    if "\0" in envelope.batch_id:
        detail = _("A text may not hold a NUL character.")
        raise validation_failed([{"pointer": "/batch_id", "detail": detail, "code": "nul_character"}])


def name_problem(name: str) -> str:
    """Return why a source cannot be called that, or an empty text."""
    if 0 < len(name) <= NAME_MAX and name.isprintable():
        return ""
    detail = _("A source's name is 1 to %(max)d printable characters; nothing of it was taken in. Give it such a name.")
    return detail % {"max": NAME_MAX}


def _arrival(index: int, raw: bytes, envelope: Envelope | None) -> Arrival:
    """Read one event. What cannot be read keeps its name, if it has one, so that its resending is recognised."""
    try:
        event = _read_event(raw)
        _check(event, raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        return _unreadable(index, raw, envelope, str(error))
    source = envelope.source if envelope else event.source
    epoch, sequence = _number(event.sequence, event.data.source_epoch, event.data.source_sequence)
    digest = hashlib.sha256(_encode(event)).digest()
    return _place(
        Arrival(index, source, event.id, epoch if epoch is not None else -1, sequence, digest, event), envelope
    )


def _check(event: MovementEvent, raw: bytes) -> None:
    """Refuse what the types let pass. Raises ValueError with a sentence."""
    if b"\\u0000" in raw and "\0" in _encode_text(event):
        raise ValueError("a text holds a NUL character")
    for moment in (event.time, event.data.count.as_of if event.data.count else event.time):
        if moment < EARLIEST or moment.year > 9000:
            raise ValueError(f"{moment.isoformat()} is not a moment of this century")
    for zone in (event.time.utcoffset(), event.data.count.as_of.utcoffset() if event.data.count else None):
        if zone is not None and abs(zone) >= OFFSET_MAX:
            raise ValueError("no place on earth is as many hours away from UTC")
    if event.sequence is not None and _number(event.sequence, None, None)[1] is None:
        raise ValueError(f"sequence {event.sequence!r} is neither a number nor epoch.number")


def _encode_text(event: MovementEvent) -> str:
    return "".join(_texts(msgspec.to_builtins(event)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)


def _unreadable(index: int, raw: bytes, envelope: Envelope | None, why: str) -> Arrival:
    try:
        named = _salvage(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        named = _Salvage()
    digest = hashlib.sha256(raw).digest()
    event_id = named.id if isinstance(named.id, str) and 0 < len(named.id) <= 200 and "\0" not in named.id else ""
    source = envelope.source if envelope else named.source if isinstance(named.source, str) else ""
    data = named.data if isinstance(named.data, dict) else {}
    epoch, sequence = _number(named.sequence, data.get("source_epoch"), data.get("source_sequence"))
    detail = _("The event cannot be read (%(why)s); it moved no stock. Mend it and send it under the same id.")
    arrival = Arrival(
        index,
        source,
        event_id or f"sha256:{digest.hex()}",
        epoch if epoch is not None else -1,
        sequence,
        digest,
        code="malformed_event",
        detail=detail % {"why": why[:300]},
    )
    return _place(arrival, envelope)


def _place(arrival: Arrival, envelope: Envelope | None) -> Arrival:
    """Fill in what the envelope says of an event: its epoch, and its number when the numbers have no holes."""
    if arrival.epoch < 0:
        arrival.epoch = envelope.epoch if envelope else 0
    if arrival.sequence is None and envelope and _is_dense(envelope):
        arrival.sequence = (envelope.first_seq or 0) + arrival.index
    bad_name = "" if envelope else name_problem(arrival.source)  # the envelope's name was checked
    if bad_name:
        arrival.event, arrival.code, arrival.detail = None, "invalid_source", bad_name
    return arrival


def _is_dense(envelope: Envelope) -> bool:
    if envelope.first_seq is None or envelope.last_seq is None:
        return False
    return envelope.last_seq - envelope.first_seq + 1 == len(envelope.events)


SEQUENCE = re.compile(r"(?:(\d{1,10})\.)?(\d{1,19})")


def _number(sequence: object, epoch: object, number: object) -> tuple[int | None, int | None]:
    """Return (epoch, number) of an event, each None when it is not told.

    `sequence` is a number or "epoch.number" (CloudEvents' sequence extension, lexicographic); else the data's fields.
    """
    told = SEQUENCE.fullmatch(str(sequence)) if isinstance(sequence, str | int) else None
    if told and told[1] is not None:
        epoch = int(told[1])
    number = int(told[2]) if told else number
    is_epoch = isinstance(epoch, int) and not isinstance(epoch, bool) and 0 <= epoch < 2**31
    is_number = isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= SEQUENCE_MAX
    return (epoch if is_epoch else None), (number if is_number else None)  # type: ignore[return-value]
