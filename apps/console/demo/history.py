"""Two weeks of a shop's life: what was received, sold, sent about, counted, lost, ordered and promised.

Everything goes through the house's own verbs, in the order of time, with the clock of `past.py`; orders are really made
at the sandbox, read there and taken in as any other. Only what a table keeps of its own making (an event's arrival, an
order's creation) is put at the same moment afterwards, and the log of synchronisations is written as the ledger's rows
ask for it (`told.py`): calls of two weeks cannot be made again in a minute.

The plan is the same however often it is made: a dice with a fixed seed, counted from the day the shop opened. How far
it is, is a sign of life of its own (`DONE`), so a loader that was killed goes on where it stood, and the verbs' keys
keep what was done twice from happening twice.

Invariant: no step touches a product that has moved later than the step's moment.
"""

import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from apps.connectors import credentials
from apps.connectors.channel import Channel
from apps.connectors.models import Connector, Listing
from apps.console import pulse
from apps.console.demo import catalogue
from apps.console.demo.past import MoveTo
from apps.console.demo.shop import DEPOT, STORE
from apps.events import inbox
from apps.events.models import IntegrationEvent
from apps.inventory import ledger
from apps.inventory.ledger import Cause, Line, Move
from apps.inventory.models import Location, Movement, Product
from apps.orders import intake, reading
from apps.orders.models import Order, Package
from apps.sandbox.client import Control
from apps.tenants.models import Tenant

Kind = Movement.Kind

DAYS = 14
OPENED = timedelta(days=DAYS + 1)
"""How long before it was loaded the shop opened its doors: its first stock is a day older than its first sale."""

STORE_2, STORE_3 = "LOJA2", "LOJA3"
PLACES = {
    STORE: "Loja da Vila Madalena",
    STORE_2: "Loja de Moema",
    STORE_3: "Loja de Campinas",
    DEPOT: "Centro de distribuição",
}
STORES = (STORE, STORE_2, STORE_3)
SEED = 20_261_108
DONE = "demo-history"
HOURS_OPEN = (9, 19)
ZONE = timedelta(hours=-3)  # São Paulo: shops sell by day
COUNTER_SALES, ORDERS, WEEKEND = (16, 26), (6, 11), 1.5
REASONS_UP = ("found: estava na prateleira errada", "correction: nota digitada duas vezes")
REASONS_DOWN = (
    "damage: caiu da prateleira",
    "damage: caixa amassada no transporte",
    "loss: não localizado",
    "correction",
)
LATEST = timedelta(minutes=20)
"""No step is nearer to the opening of the doors than this: what happens then happens by itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. `number` names it, in keys too."""

    number: int
    moment: datetime
    what: Callable[["Shop", "Step"], None]

    def key(self, part: str = "") -> str:
        """Return the ledger's key of (a part of) the step."""
        return f"demo:history:{self.number}{part and ':' + part}"


@dataclass(slots=True)
class Shop:
    """What the steps work with."""

    tenant: Tenant
    connector: Connector
    channel: Channel
    market: Control
    move_to: MoveTo
    products: dict[str, int]
    places: dict[str, int]
    people: list[str]  # actors
    listings: list[tuple[str, str, int]]  # item, variation, product

    def cause(self, step: Step, actor: str, reason: str, document: tuple[str, str] = ("", "")) -> Cause:
        """Return the cause of what a step does."""
        kind, number = document
        trace = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.tenant.slug}:{step.number}:{step.moment:%s}")
        return Cause(
            actor=actor, reason=reason, reference_type=kind, reference_id=number, source="demo", trace_id=trace
        )

    def is_free(self, product_id: int, moment: datetime) -> bool:
        """Tell whether nothing has moved the product since the moment."""
        rows = Movement.objects.filter(tenant=self.tenant, product_id=product_id, recorded_at__gt=moment)
        return not rows.exists()


def open_shop(tenant: Tenant, connector: Connector, market: Control, move_to: MoveTo) -> Shop:
    """Make the shop's places and return what the steps work with; the listings must have been imported."""
    places = {
        code: Location.objects.get_or_create(tenant=tenant, code=code, defaults={"name": name})[0].pk
        for code, name in PLACES.items()
    }
    users = User.objects.filter(memberships__tenant=tenant).exclude(memberships__role="ANALISTA").order_by("pk")
    listings = Listing.objects.filter(connector=connector, product__isnull=False).order_by("item_id", "variation_id")
    return Shop(
        tenant=tenant,
        connector=connector,
        channel=credentials.open_connector(connector),
        market=market,
        move_to=move_to,
        products=dict(Product.objects.filter(tenant=tenant).values_list("sku", "pk")),
        places=places,
        people=[f"user:{pk}" for pk in users.values_list("pk", flat=True)],
        listings=[(one.item_id, one.variation_id, one.product_id or 0) for one in listings],
    )


def opening_units(sku: str) -> dict[str, int]:
    """Return what a product of the assortment begins with, by place: the same every time it is asked."""
    dice = random.Random(f"{SEED}:{sku}")  # noqa: S311  no secret
    return {code: dice.randint(4, 18) for code in STORES} | {DEPOT: dice.randint(25, 160)}


def play(shop: Shop, on_progress: Callable[[int, int], None]) -> None:
    """Do what is left of the plan, the oldest step first."""
    steps = plan(shop)
    done = int(progress().get("steps", 0))
    for step in steps[done:]:
        shop.move_to(step.moment)
        shop.market.at_seconds = step.moment.timestamp()
        step.what(shop, step)
        done += 1
        if done % 10 == 0 or done == len(steps):
            pulse.note(DONE, steps=done, of=len(steps))
            on_progress(done, len(steps))
    shop.market.at_seconds = None


def progress() -> dict[str, Any]:
    """Return how far the plan is: `steps`, `of`, and `told` once all of it is done."""
    return next((sign.detail for sign in pulse.signs() if sign.name == DONE), {})


def plan(shop: Shop) -> list[Step]:
    """Return every step, the oldest first."""
    dice = random.Random(SEED)  # noqa: S311  no secret
    end = shop.tenant.created_at - LATEST
    begin = shop.tenant.created_at - timedelta(days=DAYS)
    happenings: list[tuple[datetime, Callable[[Shop, Step], None]]] = [
        (begin - timedelta(hours=20), _stock_up),
        (begin - timedelta(hours=19), _batches_arrive),
        (end - timedelta(days=2), _batch_spoils),
    ]
    for number in range(DAYS + 1):
        day = (begin + ZONE + timedelta(days=number)).replace(hour=0, minute=0, second=0, microsecond=0) - ZONE
        happenings += _day(dice, shop, day, number)
    in_time = [(moment, what) for moment, what in happenings if moment < end]
    in_time.sort(key=lambda one: one[0])
    return [Step(number, moment, what) for number, (moment, what) in enumerate(in_time)]


def _day(
    dice: random.Random, shop: Shop, day: datetime, number: int
) -> list[tuple[datetime, Callable[[Shop, Step], None]]]:
    busy = WEEKEND if (day + ZONE).weekday() >= 5 else 1.0
    skus = sorted(sku for sku in shop.products if sku != "SKU-001")
    some: list[tuple[datetime, Callable[[Shop, Step], None]]] = []

    def hour(first: int = HOURS_OPEN[0], last: int = HOURS_OPEN[1]) -> datetime:
        return day + timedelta(seconds=dice.randint(first * 3600, last * 3600))

    some += [
        (hour(), _counter_sale(dice.choice(STORES), dice.sample(skus, dice.choice((1, 1, 1, 2, 3))), dice))
        for _ in range(int(dice.randint(*COUNTER_SALES) * busy))
    ]
    for _ in range(int(dice.randint(*ORDERS) * busy)):
        some += _order(dice, shop, hour(7, 23))
    if number % 3 == 0:
        some.append((hour(8, 10), _receipt(dice.sample(skus, 14), dice.randint(1000, 9999))))
    if number % 2 == 1:
        some += _transfer(dice, skus, hour(10, 12), number)
    some += [(hour(), _adjustment(dice.choice(list(PLACES)), dice.choice(skus), dice)) for _ in range(2)]
    if number % 4 == 2:
        some.append((hour(19, 20), _count(dice.choice(STORES), dice.sample(skus, 8), dice)))
    some += [(hour(), _hold(dice.choice(skus), dice.choice(("expire", "confirm", "release")))) for _ in range(2)]
    if number % 3 == 1:
        some.append((hour(), _goods_back(dice.choice(STORES), dice.choice(skus))))
    return some


# --- goods ----------------------------------------------------------------------------------------------------------


def _stock_up(shop: Shop, step: Step) -> None:
    cause = shop.cause(step, "command:load_demo", "receipt", ("nota", "NF-e 000.104.882"))
    moves = [
        _move(shop, step, Kind.RECEIPT, sku, code, units, cause, unit_cost=Decimal(str(round(price * 0.48, 2))))
        for sku, price in catalogue.products(catalogue.ASSORTMENT)
        for code, units in opening_units(sku).items()
        if sku not in catalogue.PERISHABLE  # kept by batch
    ]
    _post(shop, [move for move in moves if shop.is_free(move.product_id, step.moment)])


def _batches_arrive(shop: Shop, step: Step) -> None:
    """What spoils comes in two batches: one for long, and one whose date is near."""
    cause = shop.cause(step, "command:load_demo", "receipt", ("nota", "NF-e 000.104.883"))
    for number, sku in enumerate(sorted(catalogue.PERISHABLE)):
        near, far = (shop.tenant.created_at + timedelta(days=days) for days in (3 + 4 * number, 150 + 9 * number))
        for code in (DEPOT, STORE):
            batches = ((f"L{2600 + number}-A", near, 14), (f"L{2640 + number}-B", far, 40))
            for name, expires_at, units in batches:
                more = {"batch_number": name, "batch_expires_at": expires_at, "unit_cost": Decimal("9.50")}
                _post(shop, [_move(shop, step, Kind.RECEIPT, sku, code, units, cause, name, **more)])


def _batch_spoils(shop: Shop, step: Step) -> None:
    """A batch whose date passed: in one transaction, or the sweeper would end it at its own clock."""
    for number, sku in enumerate(_free(shop, step, sorted(catalogue.PERISHABLE)[:2])):
        cause = shop.cause(step, shop.people[0], "receipt: devolução de cliente", ("nota", "NF-e 000.104.97"))
        expires_at = step.moment + timedelta(hours=6)
        more = {"batch_number": f"L25{number}9-V", "batch_expires_at": expires_at}
        with transaction.atomic():
            shop.move_to(step.moment)
            _post(shop, [_move(shop, step, Kind.RECEIPT, sku, DEPOT, 5, cause, "spoils", **more)])
            shop.move_to(expires_at + timedelta(seconds=3))
            ledger.expire_due()


def _move(
    shop: Shop,
    step: Step,
    kind: Movement.Kind,
    sku: str,
    code: str,
    units: int,
    cause: Cause,
    part: str = "",
    **more: Any,
) -> Move:
    return Move(
        kind=kind,
        product_id=shop.products[sku],
        location_id=shop.places[code],
        quantity=units,
        cause=cause,
        key=step.key(f"{kind}:{sku}:{code}{part}"),
        **more,  # Move's own fields
    )


def _post(shop: Shop, moves: list[Move]) -> None:
    """Post what may be posted; a request that stock refuses did not happen."""
    for begin in range(0, len(moves), 200):
        ledger.post(shop.tenant, moves[begin : begin + 200])


def _free(shop: Shop, step: Step, skus: list[str]) -> list[str]:
    return [sku for sku in skus if shop.is_free(shop.products[sku], step.moment)]


def _on_hand(shop: Shop, sku: str, code: str) -> int:
    rows = Movement.objects.filter(tenant=shop.tenant, product_id=shop.products[sku], location_id=shop.places[code])
    newest = rows.order_by("-version").values_list("on_hand_after", "reserved_after").first()
    return newest[0] - newest[1] if newest else 0


def _counter_sale(code: str, skus: list[str], dice: random.Random) -> Callable[[Shop, Step], None]:
    units = {sku: dice.choice((1, 1, 1, 2)) for sku in skus}
    coupon = f"{dice.randint(10_000, 99_999)}"

    def do(shop: Shop, step: Step) -> None:
        cause = shop.cause(step, f"pdv:{code.lower()}", "sale", ("cupom", coupon))
        there = [sku for sku in _free(shop, step, skus) if _on_hand(shop, sku, code) > units[sku] + 1]
        _post(shop, [_move(shop, step, Kind.SALE, sku, code, units[sku], cause) for sku in there])

    return do


def _receipt(skus: list[str], invoice: int) -> Callable[[Shop, Step], None]:
    number = f"NF-e 000.10{invoice % 10}.{invoice % 1000:03d}"

    def do(shop: Shop, step: Step) -> None:
        cause = shop.cause(step, shop.people[0], "receipt", ("nota", number))
        moves = [_move(shop, step, Kind.RECEIPT, sku, DEPOT, 12 + len(sku) % 9 * 3, cause) for sku in skus]
        _post(shop, [move for move, sku in zip(moves, skus, strict=True) if _free(shop, step, [sku])])

    return do


def _transfer(
    dice: random.Random, skus: list[str], at: datetime, number: int
) -> list[tuple[datetime, Callable[[Shop, Step], None]]]:
    chosen, code = dice.sample(skus, 5), dice.choice(STORES)
    name = f"TR-{1040 + number}"

    def send(shop: Shop, step: Step) -> None:
        cause = shop.cause(step, shop.people[-1], "transfer", ("transfer", name))
        for sku in _free(shop, step, chosen):
            if _on_hand(shop, sku, DEPOT) > 8:
                other: dict[str, Any] = {"transfer_code": name, "other_location_id": shop.places[code]}
                _post(shop, [_move(shop, step, Kind.TRANSFER_OUT, sku, DEPOT, 6, cause, **other)])

    def arrive(shop: Shop, step: Step) -> None:
        sent = Movement.objects.filter(tenant=shop.tenant, kind=Kind.TRANSFER_OUT, reference_id=name)
        cause = shop.cause(step, f"pdv:{code.lower()}", "transfer", ("transfer", name))
        known = set(sent.values_list("product_id", flat=True))
        other: dict[str, Any] = {"transfer_code": name, "other_location_id": shop.places[DEPOT]}
        there = [sku for sku in _free(shop, step, chosen) if shop.products[sku] in known]
        _post(shop, [_move(shop, step, Kind.TRANSFER_IN, sku, code, 6, cause, **other) for sku in there])

    return [(at, send), (at + timedelta(hours=dice.randint(20, 30)), arrive)]


def _adjustment(code: str, sku: str, dice: random.Random) -> Callable[[Shop, Step], None]:
    delta = dice.choice((-2, -1, -1, 1, 2))
    reason = dice.choice(REASONS_UP if delta > 0 else REASONS_DOWN)
    who = dice.random()

    def do(shop: Shop, step: Step) -> None:
        cause = shop.cause(step, shop.people[int(who * len(shop.people))], reason)
        if _free(shop, step, [sku]):
            _post(shop, [_move(shop, step, Kind.ADJUSTMENT, sku, code, delta, cause)])

    return do


def _count(code: str, skus: list[str], dice: random.Random) -> Callable[[Shop, Step], None]:
    off_by = {sku: dice.choice((0, 0, 0, 0, -1, 1)) for sku in skus}

    def do(shop: Shop, step: Step) -> None:
        cause = shop.cause(step, shop.people[-1], "count", ("inventário", f"INV-{step.moment:%m%d}-{code}"))
        moves = [
            _move(shop, step, Kind.COUNT, sku, code, max(0, _physical(shop, sku, code) + off_by[sku]), cause)
            for sku in _free(shop, step, skus)
        ]
        _post(shop, moves)

    return do


def _physical(shop: Shop, sku: str, code: str) -> int:
    rows = Movement.objects.filter(tenant=shop.tenant, product_id=shop.products[sku], location_id=shop.places[code])
    return rows.order_by("-version").values_list("on_hand_after", flat=True).first() or 0


def _goods_back(code: str, sku: str) -> Callable[[Shop, Step], None]:
    def do(shop: Shop, step: Step) -> None:
        cause = shop.cause(step, f"pdv:{code.lower()}", "returned: troca de cor", ("cupom", f"D-{step.number}"))
        if _free(shop, step, [sku]):
            _post(shop, [_move(shop, step, Kind.RETURN, sku, code, 1, cause)])

    return do


# --- promises -------------------------------------------------------------------------------------------------------


def _hold(sku: str, ending: str) -> Callable[[Shop, Step], None]:
    """A checkout holds units. Its end is in the same transaction, or the sweeper would end it at its own clock."""

    def do(shop: Shop, step: Step) -> None:
        if not _free(shop, step, [sku]) or _on_hand(shop, sku, STORE) < 3:
            return
        cause = shop.cause(step, "key:checkout", "checkout", ("carrinho", f"C-{step.number:05d}"))
        line = Line(product_id=shop.products[sku], quantity=1, location_id=shop.places[STORE])
        with transaction.atomic():
            held = ledger.reserve(shop.tenant, [line], key=step.key("hold"), cause=cause, ttl_seconds=900)
            later = step.moment + timedelta(minutes=15, seconds=4) if ending == "expire" else step.moment
            shop.move_to(later + timedelta(seconds=95))
            if ending == "expire":
                ledger.expire_due()
            elif ending == "confirm":
                ledger.confirm(shop.tenant, held[0].reservation_id, key=step.key("end"), cause=cause)
            else:
                ledger.release(shop.tenant, held[0].reservation_id, key=step.key("end"), cause=cause)

    return do


# --- orders ---------------------------------------------------------------------------------------------------------


def _order(dice: random.Random, shop: Shop, at: datetime) -> list[tuple[datetime, Callable[[Shop, Step], None]]]:
    """A sale on the channel, and what became of it."""
    listing = dice.choice(shop.listings)
    units, fate = dice.choice((1, 1, 1, 2)), dice.random()
    age = shop.tenant.created_at - at
    is_ready = fate < 0.6 or age > timedelta(hours=20)
    sold: dict[str, int] = {}

    def sell(shop: Shop, step: Step) -> None:
        if not shop.is_free(listing[2], step.moment):
            return
        substatus = "ready_to_print" if is_ready else "invoice_pending"
        variation = {"variation_id": int(listing[1])} if listing[1] else {}
        shipment = {"substatus": substatus}
        answer = shop.market.sell(listing[0], units, notify=False, shipment=shipment, force=True, **variation)
        sold["order"] = answer["order_id"]
        take(shop, step, sold["order"])

    def after(**change: str) -> Callable[[Shop, Step], None]:
        def do(shop: Shop, step: Step) -> None:
            number = sold.get("order")  # a loader that was killed in between leaves the order as it is
            if number is None or not shop.is_free(listing[2], step.moment):
                return
            if change:
                shop.market.edit_order(number, notify=False, **change)
            else:
                shop.market.cancel(number, notify=False)
            take(shop, step, number)

        return do

    if fate < 0.12:
        return [(at, sell), (at + timedelta(minutes=dice.randint(20, 300)), after())]
    sent = at + timedelta(hours=dice.randint(14, 30))
    there = sent + timedelta(hours=dice.randint(30, 90))
    back = there + timedelta(hours=dice.randint(30, 60))
    road = [(at, sell), (sent, after(shipment_status="shipped", tracking_number=f"MEL{dice.randint(10**9, 10**10)}"))]
    if fate > 0.95:
        return [*road, (back, after(shipment_status="not_delivered", shipment_substatus="returned"))]
    return [*road, (there, after(shipment_status="delivered"))]


def take(shop: Shop, step: Step, order_id: int) -> None:
    """Take an order's notification in, on the road that every other goes, and put what it left at the step's moment."""
    at = step.moment
    body = {
        "_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{order_id}:{step.number}")),
        "resource": f"/orders/{order_id}",
        "user_id": int(shop.connector.user_id),
        "topic": "orders_v2",
        "application_id": int(shop.connector.client_id),
        "attempts": 1,
        "sent": _zulu(at),
        "received": _zulu(at),
    }
    event = inbox.store(shop.connector, json.dumps(body).encode())
    read = reading.read(shop.channel, shop.connector, str(order_id))
    inbox.take_in(shop.connector, read, trace_id=event.trace_id)
    intake.add_details(shop.connector, read, reading.read_details(shop.channel, shop.connector, read))
    arrived, done = at + timedelta(seconds=1), at + timedelta(seconds=2, milliseconds=order_id % 900)
    IntegrationEvent.objects.filter(pk=event.pk).update(
        status=IntegrationEvent.Status.PROCESSED,
        attempts=1,
        next_attempt_at=None,
        received_at=arrived,
        processed_at=done,
    )
    orders = Order.objects.filter(tenant=shop.tenant, external_id=str(order_id))
    is_first = not IntegrationEvent.objects.filter(
        tenant=shop.tenant, external_id=str(order_id), pk__lt=event.pk
    ).exists()
    if is_first:
        orders.update(created_at=done)
        orders.filter(ready_at__isnull=False).update(ready_at=done)
        Package.objects.filter(orders__in=orders).update(created_at=done)
    orders.update(updated_at=done)
    Package.objects.filter(orders__in=orders).update(updated_at=done)


def _zulu(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
