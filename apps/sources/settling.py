"""What comes of each event that a source told: decided, posted to the ledger and written down, in one transaction.

The caller holds the locks of the events' sources (`ingest.py`, `retry.py`). From there locks are taken in one order,
so that transactions wait for each other but never in a circle: events that are taken back in the order of their ids,
claims in the order of their keys, then the ledger's balances.

Every event ends in exactly one state: APPLIED (the ledger moved), DUPLICATE (the fact was told before), RECORDED
(right, but without effect), QUARANTINED (too old: a person decides), PENDING (something here must be mended first),
REJECTED (the sender must mend it).
"""

import hashlib
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.inventory import ledger
from apps.inventory.models import Movement
from apps.inventory.refusals import LedgerError
from apps.sources import places, timing
from apps.sources.decoding import Arrival, MovementData, MovementEvent
from apps.sources.models import MovementType, Source, SourceAuthority, SourceEvent
from apps.sources.taxonomy import Meaning, Untranslatable, meaning
from apps.tenants.models import Tenant

Status = SourceEvent.Status
Kind = Movement.Kind

GOING = frozenset({Kind.SALE, Kind.LOSS, Kind.TRANSFER_OUT})
"""Kinds whose quantity is told without a sign, and leaves."""

REVERSAL = "REVERSAL"
"""The claim of a correction is its own: the sale and its reversal may carry the same business key."""


@dataclass(frozen=True, slots=True)
class Target:
    """The event that a reversal takes back, as it stands."""

    row_id: int
    status: str
    movement_type: str
    product_id: int | None
    location_id: int | None
    quantity: int
    occurred_at: datetime | None
    movement_ids: list[int]
    batch_number: str | None

    @property
    def is_applied(self) -> bool:
        """Tell whether it moved stock."""
        return self.status == Status.APPLIED


@dataclass(slots=True)
class Item:
    """One event on its way through: what arrived, and what is decided about it so far."""

    arrival: Arrival
    source: Source
    arrived_at: datetime
    row_id: int = 0
    is_stored: bool = False  # it has a row already, to be written anew
    approved_by: str = ""
    batch_id: str = ""
    clock_offset_ms: int | None = None  # how far the source's clock ran ahead when it arrived; None: as it does now
    status: str = ""
    code: str = ""
    detail: str = ""
    clock_note: str = ""
    meaning: Meaning | None = None
    product_id: int | None = None
    location_id: int | None = None
    other_location_id: int | None = None
    occurred_at: datetime | None = None
    same_as_id: int | None = None
    reverses: Target | None = None
    movement_ids: list[int] = field(default_factory=list)
    quantity: int | None = None  # the change on hand; of a count, what was counted

    @property
    def event(self) -> MovementEvent:
        """The event, for an item that could be read."""
        assert self.arrival.event is not None  # noqa: S101  # unreadable ones are decided before anybody asks
        return self.arrival.event

    @property
    def data(self) -> MovementData:
        """What moved, for an item that could be read."""
        return self.event.data

    def end(self, status: str, code: str, detail: str) -> None:
        """Decide the item."""
        self.status, self.code, self.detail = status, code, detail


def lock_sources(tenant: Tenant, *, names: Iterable[str] = (), ids: Iterable[int] = ()) -> dict[str, Source]:
    """Lock sources of a tenant, by name or id, in one order, and return them by name. Inside a transaction."""
    rows = Source.objects.filter(tenant=tenant).select_for_update(no_key=True).order_by("name")
    ids = list(ids)
    rows = rows.filter(pk__in=ids) if ids else rows.filter(name__in=list(names))
    return {source.name: source for source in rows}


def settle(tenant: Tenant, items: Sequence[Item], *, now: datetime, trace_id: uuid.UUID) -> None:
    """Decide every item, post what has an effect, and write every event's row. Inside the caller's transaction.

    now: when the rows are written; each item is judged as of when it arrived.
    trace_id: of movements whose event names no trace of its own.

    Afterwards each item's `status`, `code`, `detail` and `movement_ids` say what came of it. Never raises for what an
    event holds.
    """
    if not items:
        return
    _give_ids(items)
    for item in items:
        if item.arrival.event is None:
            item.end(Status.REJECTED, item.arrival.code, item.arrival.detail)
    _date(_open(items))
    _translate(_open(items))
    _find_places(tenant, _open(items))
    _quarantine_old(_open(items))
    _ask_authority(tenant, _open(items))
    _find_reversed(tenant, [item for item in _open(items) if item.data.reverses_event_id])
    _claim(tenant, _open(items))
    _post(tenant, _open(items), trace_id)
    _write(tenant, items, now)


def _open(items: Iterable[Item]) -> list[Item]:
    """Return the items that nothing has decided yet."""
    return [item for item in items if not item.status]


def _give_ids(items: Sequence[Item]) -> None:
    """Give new events the ids of their rows, so that one may name another before both are written."""
    new = [item for item in items if not item.row_id]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('source_event', 'id')) FROM generate_series(1, %s)", [len(new)]
        )
        for item, (row_id,) in zip(new, cursor.fetchall(), strict=True):
            item.row_id = row_id


# --- deciding, in the order of `settle` ---------------------------------------------------------------------------


def _date(items: Sequence[Item]) -> None:
    """Put each event on the hub's clock, as it stood when the event arrived: a retry changes nothing about when."""
    for item in items:
        told = item.data.count.as_of if item.data.count else item.event.time
        if item.clock_offset_ms is None:
            device_ms = item.data.device_clock_offset_ms
            item.clock_offset_ms = item.source.clock_offset_ms if device_ms is None else device_ms
        ahead = timedelta(milliseconds=item.clock_offset_ms)
        item.occurred_at, item.clock_note = timing.by_our_clock(told, now=item.arrived_at, ahead=ahead)


def _translate(items: Sequence[Item]) -> None:
    """Put each event into the ledger's words."""
    for item in items:
        try:
            item.meaning = meaning(item.data)
            item.quantity = -item.meaning.quantity if item.meaning.kind in GOING else item.meaning.quantity
        except Untranslatable as reason:
            item.end(Status.RECORDED if reason.is_recorded else Status.REJECTED, reason.code, str(reason))


def _find_places(tenant: Tenant, items: Sequence[Item]) -> None:
    """Find each event's product and locations. What is not known waits until it is."""
    names = [(item, _names(item.data)) for item in items]
    found = places.find(tenant, (name for _item, name in names))
    for item, name in names:
        behind = found[name]
        item.product_id, item.location_id = behind.product_id, behind.location_id
        item.other_location_id = behind.other_location_id
        if behind.missing == places.UNKNOWN_SKU:
            detail = _(
                "There is no product with the SKU “%(sku)s”; the movement waits and is applied when there is one."
            )
            item.end(Status.PENDING, places.UNKNOWN_SKU, detail % {"sku": name.sku or name.gtin})
        elif behind.missing == places.UNKNOWN_LOCATION:
            detail = _("There is no location “%(code)s”; the movement waits and is applied once there is one.")
            code = name.location if behind.location_id is None else name.other_location
            item.end(Status.PENDING, places.UNKNOWN_LOCATION, detail % {"code": code})
        elif item.data.movement_type == MovementType.TRANSFER and item.other_location_id in {None, item.location_id}:
            detail = _("A TRANSFER names two places: location and another to_location. Nothing was changed.")
            item.end(Status.REJECTED, "transfer_needs_two_places", detail)


def _names(data: MovementData) -> places.Named:
    return places.named(data.movement_type, data.sku, data.gtin, data.location, data.to_location, data.from_location)


def _quarantine_old(items: Sequence[Item]) -> None:
    """Let what was too old when it arrived wait for approval. How long it waited here since is not its fault."""
    for item in items:
        assert item.occurred_at is not None  # noqa: S101  # every event that can be read was dated
        if timing.needs_approval(item.occurred_at, now=item.arrived_at) and not item.approved_by:
            detail = _(
                "It happened more than %(days)d days ago; no stock was moved. It is applied once a person approves it."
            )
            item.end(Status.QUARANTINED, "too_old", detail % {"days": timing.APPLIED_UNTIL.days})


def _ask_authority(tenant: Tenant, items: Sequence[Item]) -> None:
    """Leave without effect what a source tells of a place and type for which another one's word counts."""
    rules: dict[tuple[str, int | None], list[SourceAuthority]] = {}
    for rule in SourceAuthority.objects.filter(tenant=tenant):
        rules.setdefault((rule.movement_type, rule.location_id), []).append(rule)
    if not rules:
        return
    for item in items:
        wanted = item.data.movement_type
        levels = ((wanted, item.location_id), ("", item.location_id), (wanted, None), ("", None))
        ruling = next((rules[level] for level in levels if level in rules), [])
        if ruling and not any(rule.names(item.source.name) for rule in ruling):
            detail = _("Another source's word counts for %(type)s at %(place)s; this was noted and moved no stock.")
            item.end(
                Status.RECORDED,
                "not_authoritative",
                detail % {"type": item.data.movement_type, "place": item.data.location},
            )


def _claim_key(item: Item) -> tuple[str, str] | None:
    """Return (business key, type) of the fact that an event tells, when it says which."""
    if not item.data.business_key:
        return None
    return item.data.business_key, REVERSAL if item.data.reverses_event_id else item.data.movement_type


def _claim(tenant: Tenant, items: Sequence[Item]) -> None:
    """Let one event be the one that a fact comes in by; the others are duplicates, of whatever source."""
    wanted: dict[tuple[str, str], Item] = {}
    later: list[tuple[tuple[str, str], Item]] = []
    for item in items:
        key = _claim_key(item)
        if key is None:
            continue
        if key in wanted:
            later.append((key, item))
        else:
            wanted[key] = item
    if not wanted:
        return
    taken = _take_claims(tenant, wanted)
    firsts = _holders(tenant, [key for key in wanted if key not in taken])
    for key, item in wanted.items():
        if key not in taken and key in firsts and firsts[key].row_id != item.row_id:
            _end_as_told_before(item, firsts[key])
    for key, item in later:
        first = wanted[key]
        _end_as_told_before(item, firsts[key] if first.status else _as_told(first))


def _take_claims(tenant: Tenant, wanted: dict[tuple[str, str], Item]) -> set[tuple[str, str]]:
    """Write the claims, in the order of their keys; return those that were free. A rival's is waited for."""
    rows = sorted((key, item.source.pk, item.arrival.event_id) for key, item in wanted.items())
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO source_claim (tenant_id, business_key, movement_type, source_id, event_id)
               SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[])
               ON CONFLICT DO NOTHING RETURNING business_key, movement_type""",
            [
                tenant.pk,
                [key[0] for key, _source, _event in rows],
                [key[1] for key, _source, _event in rows],
                [source for _key, source, _event in rows],
                [event for _key, _source, event in rows],
            ],
        )
        return set(cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Told:
    """What the first event of a fact said, to compare a later one with."""

    row_id: int
    product_id: int | None
    location_id: int | None
    units: int | None


def _as_told(item: Item) -> Told:
    return Told(item.row_id, item.product_id, item.location_id, abs(item.meaning.quantity) if item.meaning else None)


def _holders(tenant: Tenant, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Told]:
    """Return the event that holds each claim."""
    if not keys:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT c.business_key, c.movement_type, e.id, e.product_id, e.location_id, abs(e.quantity)
                 FROM unnest(%s::text[], %s::text[]) AS k (business_key, movement_type)
                 JOIN source_claim c ON c.tenant_id = %s
                  AND (c.business_key, c.movement_type) = (k.business_key, k.movement_type)
                 JOIN source_event e
                   ON (e.tenant_id, e.event_id, e.source_id) = (c.tenant_id, c.event_id, c.source_id)""",
            [[key[0] for key in keys], [key[1] for key in keys], tenant.pk],
        )
        return {(row[0], row[1]): Told(*row[2:]) for row in cursor.fetchall()}


def _end_as_told_before(item: Item, first: Told) -> None:
    mine = _as_told(item)
    item.same_as_id = first.row_id
    if replace(mine, row_id=first.row_id) == first:
        detail = _("Another event told this fact first (business key “%(key)s”); nothing was moved twice.")
        item.end(Status.DUPLICATE, "told_before", detail % {"key": item.data.business_key})
    else:
        detail = _(
            "Another event told this fact first (business key “%(key)s”), with another product, place or quantity; "
            "only the first moved stock. Compare the two documents."
        )
        item.end(Status.DUPLICATE, "told_differently", detail % {"key": item.data.business_key})


# --- reversals ----------------------------------------------------------------------------------------------------

REVERSIBLE = frozenset(MovementType) - {
    MovementType.COUNT,
    MovementType.TRANSFER,
    MovementType.TRANSFER_OUT,
    MovementType.TRANSFER_IN,
}
"""A count is answered by a newer count, and goods under way by the transfer back."""


def _find_reversed(tenant: Tenant, items: Sequence[Item]) -> None:
    """Find the event that each reversal takes back, and make sure that it is taken back once."""
    if not items:
        return
    found = _named(tenant, {str(item.data.reverses_event_id) for item in items})
    targets = {item.row_id: _target(item, found) for item in items}
    reversed_by = _reversed_by([target.row_id for target in targets.values() if target and target.is_applied])
    for item in items:
        target = targets[item.row_id]
        if target is None or not target.is_applied:
            _end_without_target(item, target)
        elif target.row_id in reversed_by:
            item.same_as_id = reversed_by[target.row_id]
            detail = _("The event “%(id)s” was taken back before; nothing was moved twice.")
            item.end(Status.DUPLICATE, "already_reversed", detail % {"id": item.data.reverses_event_id})
        elif target.movement_type not in REVERSIBLE or not target.movement_ids:
            detail = _("A %(type)s cannot be taken back; nothing was changed. Send a new count, or the transfer back.")
            item.end(Status.REJECTED, "not_reversible", detail % {"type": target.movement_type})
        elif (item.product_id, item.location_id, _units(item)) != (
            target.product_id,
            target.location_id,
            abs(target.quantity),
        ):
            detail = _("A reversal takes all of “%(id)s” back, where it was; nothing was changed. Else send a RETURN.")
            item.end(Status.REJECTED, "reversal_differs", detail % {"id": item.data.reverses_event_id})
        else:
            item.reverses = target
            reversed_by[target.row_id] = item.row_id


def _units(item: Item) -> int:
    return abs(item.meaning.quantity) if item.meaning else 0


def _named(tenant: Tenant, event_ids: set[str]) -> dict[str, list[tuple[int, Target]]]:
    """Return, by event id, the events of that name: (source, what it did). A duplicate did what its first did."""
    found: dict[str, list[tuple[int, Target]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT e.event_id, e.source_id, t.id, t.status, t.movement_type, t.product_id, t.location_id, t.quantity,
                      t.occurred_at, t.movement_ids, t.payload #>> '{data,batch,number}'
                 FROM source_event e JOIN source_event t ON t.id = coalesce(e.same_as_id, e.id)
                WHERE e.tenant_id = %s AND e.event_id = ANY(%s)""",
            [tenant.pk, sorted(event_ids)],
        )
        for event_id, source_id, *what in cursor.fetchall():
            found.setdefault(event_id, []).append((source_id, Target(*what)))
    return found


def _target(item: Item, found: dict[str, list[tuple[int, Target]]]) -> Target | None:
    """Return the event of that id: the source's own, or the one there is of another source."""
    named = found.get(str(item.data.reverses_event_id), [])
    own = [target for source_id, target in named if source_id == item.source.pk]
    others = [target for _source_id, target in named]
    return own[0] if own else others[0] if len(others) == 1 else None


def _reversed_by(row_ids: Sequence[int]) -> dict[int, int]:
    """Return which of the events were taken back, and by which. Two reversals of one event wait for each other here."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM source_event WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [sorted(set(row_ids))]
        )
        cursor.execute(
            "SELECT reverses_id, id FROM source_event WHERE reverses_id = ANY(%s) AND status = 'APPLIED'",
            [list(row_ids)],
        )
        return dict(cursor.fetchall())


def _end_without_target(item: Item, target: Target | None) -> None:
    if target is not None and target.status == Status.RECORDED:
        detail = _("The event “%(id)s” had no effect, so its reversal has none; it was noted.")
        item.end(Status.RECORDED, "reverses_nothing", detail % {"id": item.data.reverses_event_id})
    else:
        detail = _("The event “%(id)s” has not moved stock yet; its reversal waits and is applied after it.")
        item.end(Status.PENDING, "unknown_event", detail % {"id": item.data.reverses_event_id})


# --- posting and writing ------------------------------------------------------------------------------------------


def _post(tenant: Tenant, items: Sequence[Item], trace_id: uuid.UUID) -> None:
    """Let the ledger make the movements of all items at once, and take its verdicts in."""
    answers = _verdicts(tenant, items, trace_id)
    # a transfer is made whole or not at all: what the ledger refused one end of is taken out, and the rest made anew
    while torn := [item for item in items if _is_torn(answers.get(item.row_id, []))]:
        for item in torn:
            _take_verdict(item, [verdict for verdict in answers[item.row_id] if isinstance(verdict, LedgerError)])
        answers.update(_verdicts(tenant, [item for item in items if not item.status], trace_id))
        for item in torn:
            del answers[item.row_id]
    for item in items:
        if item.row_id in answers:
            _take_verdict(item, answers[item.row_id])
    _give_claims_back(tenant, [item for item in items if item.status != Status.APPLIED])


Verdicts = dict[int, list[ledger.Posted | LedgerError]]  # by the item's row


def _verdicts(tenant: Tenant, items: Sequence[Item], trace_id: uuid.UUID) -> Verdicts:
    """Return what the ledger said of each item.

    When it took one end of a transfer and refused the other, nothing of the call stays done.
    """
    moves = [(item, move) for item in items for move in _moves(item, trace_id)]
    # the ledger also keeps what is under way, by code and product: touched in one order by everybody
    moves.sort(key=lambda pair: (pair[1].product_id, pair[1].transfer_code or ""))
    answers: Verdicts = {item.row_id: [] for item in items}
    with transaction.atomic():
        verdicts = ledger.post(tenant, [move for _item, move in moves]) if moves else []
        for (item, _move), verdict in zip(moves, verdicts, strict=True):
            answers[item.row_id].append(verdict)
        if any(_is_torn(said) for said in answers.values()):
            transaction.set_rollback(True)
    return answers


def _is_torn(verdicts: Sequence[ledger.Posted | LedgerError]) -> bool:
    return len({isinstance(verdict, LedgerError) for verdict in verdicts}) > 1


SENDERS_TO_MEND = frozenset({"count_of_batch"})
"""Refusals that nothing here can mend: the sender said what no ledger takes."""


def _take_verdict(item: Item, verdicts: Sequence[ledger.Posted | LedgerError]) -> None:
    refused = next((verdict for verdict in verdicts if isinstance(verdict, LedgerError)), None)
    if refused is None:
        item.status = Status.APPLIED
        item.movement_ids = [
            movement_id
            for verdict in verdicts
            if isinstance(verdict, ledger.Posted)
            for movement_id in verdict.movement_ids
        ]
    elif refused.code in SENDERS_TO_MEND:
        item.end(Status.REJECTED, refused.code, refused.detail)
    else:
        detail = _("The ledger refused it (%(why)s); nothing was changed. It waits, and can be retried.")
        item.end(Status.PENDING, refused.code, detail % {"why": refused.detail})


def _moves(item: Item, trace_id: uuid.UUID) -> list[ledger.Move]:
    """Return the item in the ledger's words: one move, or two for a transfer that tells both its ends."""
    assert item.meaning is not None  # noqa: S101  # whoever is posted was translated
    assert item.product_id is not None and item.location_id is not None  # noqa: S101, PT018
    kind, quantity = item.meaning.kind, item.meaning.quantity
    if item.reverses is not None:
        kind, quantity = Kind.ADJUSTMENT, -item.reverses.quantity
        item.quantity, item.occurred_at = quantity, item.reverses.occurred_at
    batch = item.data.batch
    move = ledger.Move(
        kind=kind,
        product_id=item.product_id,
        location_id=item.location_id,
        quantity=quantity,
        cause=_cause(item, trace_id),
        is_fact=True,
        unit_cost=None if item.data.unit_cost is None else Decimal(item.data.unit_cost),
        batch_number=item.reverses.batch_number if item.reverses else batch.number if batch else None,
        batch_expires_at=batch.expires_at if batch else None,
        reverses_id=item.reverses.movement_ids[0] if item.reverses else None,
        count_order=_count_order(item) if kind == Kind.COUNT else "",
    )
    if kind not in {Kind.TRANSFER_OUT, Kind.TRANSFER_IN}:
        return [move]
    move = replace(move, transfer_code=_transfer_code(item), other_location_id=item.other_location_id)
    if item.data.movement_type != MovementType.TRANSFER:
        return [move]
    assert item.other_location_id is not None  # noqa: S101  # a TRANSFER without it was rejected
    there = replace(move, kind=Kind.TRANSFER_IN, location_id=item.other_location_id, other_location_id=item.location_id)
    return [move, there]


def _cause(item: Item, trace_id: uuid.UUID) -> ledger.Cause:
    document, actor = item.data.document, item.data.actor
    who = f":{actor.kind}:{actor.id}" if actor and actor.id != "" else ""
    return ledger.Cause(
        actor=f"source:{item.source.pk}{who}",
        reason=item.data.reason or item.data.movement_type.lower(),
        reference_type=document.type if document and document.key else "event",
        reference_id=document.key if document and document.key else item.arrival.event_id[:128],
        reference_line="" if document is None or document.line is None else str(document.line),
        source=item.source.name,
        source_key=item.arrival.event_id,
        trace_id=_trace_id(item.event.traceparent) or trace_id,
        occurred_at=item.occurred_at,
    )


TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def _trace_id(traceparent: str) -> uuid.UUID | None:
    """Return the trace of a W3C traceparent; None without one."""
    told = TRACEPARENT.fullmatch(traceparent)
    return uuid.UUID(told[1]) if told else None


def _count_order(item: Item) -> str:
    """Return which of two counts of one moment is the newer: the later number, and any fixed order between sources."""
    name = f"{item.source.name} {item.arrival.event_id}".encode()
    return f"{item.arrival.epoch:010}.{item.arrival.sequence or 0:019}.{hashlib.sha256(name).hexdigest()[:32]}"


def _transfer_code(item: Item) -> str:
    """Return what joins the two ends of a transfer: its own code, else its document, else the event itself."""
    document = item.data.document
    return item.data.transfer_id or (document.key if document else "") or item.arrival.event_id[:128]


def _give_claims_back(tenant: Tenant, items: Sequence[Item]) -> None:
    """Free what items claimed that the ledger refused: another source may tell the fact better."""
    mine = [item for item in items if _claim_key(item)]
    if mine:
        with connection.cursor() as cursor:
            cursor.execute(
                """DELETE FROM source_claim WHERE tenant_id = %s AND (source_id, event_id) IN (
                       SELECT * FROM unnest(%s::bigint[], %s::text[]))""",
                [tenant.pk, [item.source.pk for item in mine], [item.arrival.event_id for item in mine]],
            )


ROWS = """
SELECT * FROM json_to_recordset(%s) AS r (
    id bigint, source_id bigint, event_id text, epoch integer, sequence bigint, payload_hash bytea, payload jsonb,
    movement_type text, business_key text, status text, code text, detail text, clock_note text, product_id bigint,
    location_id bigint, quantity integer, movement_ids bigint[], same_as_id bigint, reverses_id bigint, batch_id text,
    occurred_at timestamptz, approved_by text, received_at timestamptz, clock_offset_ms integer)
"""
"""The rows that `_row` makes, as one JSON text: by far the fastest way to hand many over."""

INSERT = (
    "WITH r AS ("
    + ROWS
    + """)
INSERT INTO source_event (
    id, tenant_id, source_id, event_id, epoch, sequence, payload_hash, payload, movement_type, business_key, status,
    code, detail, clock_note, product_id, location_id, quantity, movement_ids, same_as_id, reverses_id, batch_id,
    occurred_at, approved_by, received_at, clock_offset_ms, applied_at)
SELECT id, %s, source_id, event_id, epoch, sequence, payload_hash, payload, movement_type, business_key, status,
       code, detail, clock_note, product_id, location_id, quantity, movement_ids, same_as_id, reverses_id, batch_id,
       occurred_at, approved_by, received_at, clock_offset_ms, CASE WHEN status = 'APPLIED' THEN %s::timestamptz END
  FROM r
"""
)
REWRITE = (
    "WITH r AS ("
    + ROWS
    + """)
UPDATE source_event AS e
   SET epoch = r.epoch, sequence = r.sequence, payload_hash = r.payload_hash, payload = r.payload,
       movement_type = r.movement_type, business_key = r.business_key, status = r.status, code = r.code,
       detail = r.detail, clock_note = r.clock_note, product_id = r.product_id, location_id = r.location_id,
       quantity = r.quantity, movement_ids = r.movement_ids, same_as_id = r.same_as_id,
       reverses_id = r.reverses_id, batch_id = r.batch_id, occurred_at = r.occurred_at, approved_by = r.approved_by,
       received_at = r.received_at, clock_offset_ms = r.clock_offset_ms,
       applied_at = CASE WHEN r.status = 'APPLIED' THEN %s::timestamptz END
  FROM r WHERE e.id = r.id AND e.tenant_id = %s
"""
)


def _write(tenant: Tenant, items: Sequence[Item], now: datetime) -> None:
    """Write the events' rows: new ones in the order of their key, known ones anew."""
    new = sorted(
        (item for item in items if not item.is_stored), key=lambda item: (item.arrival.event_id, item.source.pk)
    )
    known = [item for item in items if item.is_stored]
    with connection.cursor() as cursor:
        if new:
            cursor.execute(INSERT, [_rows(new), tenant.pk, now])
        if known:
            cursor.execute(REWRITE, [_rows(known), now, tenant.pk])


def _rows(items: Sequence[Item]) -> str:
    return msgspec.json.encode([_row(item) for item in items]).decode()


def _row(item: Item) -> dict[str, object]:
    arrival = item.arrival
    data = arrival.event.data if arrival.event else None
    return {
        "id": item.row_id,
        "source_id": item.source.pk,
        "event_id": arrival.event_id,
        "epoch": arrival.epoch,
        "sequence": arrival.sequence,
        "payload_hash": f"\\x{arrival.digest.hex()}",
        "payload": arrival.event,
        "movement_type": data.movement_type if data else "",
        "business_key": data.business_key or "" if data else "",
        "status": item.status,
        "code": item.code,
        "detail": item.detail[:500],
        "clock_note": item.clock_note,
        "product_id": item.product_id,
        "location_id": item.location_id,
        "quantity": item.quantity,
        "movement_ids": item.movement_ids,
        "same_as_id": item.same_as_id,
        "reverses_id": item.reverses.row_id if item.reverses and item.status == Status.APPLIED else None,
        "batch_id": item.batch_id,
        "occurred_at": item.occurred_at,
        "approved_by": item.approved_by,
        "received_at": item.arrived_at,
        "clock_offset_ms": item.clock_offset_ms,
    }
