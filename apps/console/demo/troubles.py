"""What a shop's bad days leave behind, made in earnest: the sandbox misbehaves, people do odd things, Saldo notices.

Nothing here writes a state: a listing is closed at the sandbox and the next number fails, a number is edited there and
the comparison finds it, a till sells what is not there and the ledger opens a case. A worker has to run.
"""

import contextlib
import time
from collections.abc import Callable
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from apps.connectors import credentials, errands
from apps.connectors.channel import ChannelError
from apps.connectors.connecting import connect
from apps.connectors.models import Connector, Errand, Listing
from apps.console.demo.history import STORE_2, STORE_3
from apps.console.demo.shop import DEPOT
from apps.inventory import ledger
from apps.inventory.ledger import Cause, Line, Move
from apps.inventory.models import Location, Movement, Product, Transfer
from apps.inventory.refusals import KeyReused
from apps.notifications import troubles
from apps.notifications.models import Trouble
from apps.sandbox.client import Control
from apps.tenants.models import AuditEntry, Tenant

SECOND_CLIENT_ID, SECOND_SELLER = "7112265490831048", "1480021376"
CLOSED, REVIEWED, REFUSED = "UTE-FOUET", "QUA-BOTAN", "FAC-AFIADOR"
DRIFTING = {"TRV-PLUMA": 3, "COP-AGUA-6": -4, "TAL-FAQ-24": 9, "LUM-PISO": -2}
OVERSOLD = (("JAR-VIDRO", STORE_2), ("FOR-PUDIM", STORE_3))
UNMAPPED = "Kit 3 Potes de Cerâmica com Colher"
WAIT_SECONDS = 40.0


def are_made(tenant: Tenant) -> bool:
    """Tell whether all of it was brought about."""
    return AuditEntry.objects.filter(tenant=tenant, action="demo.troubles").exists()


def make(tenant: Tenant, connector: Connector, market: Control) -> None:
    """Bring everything about; what a loader that was killed has done already stays as it is."""
    _stop_second_account(tenant, market)
    _sell_unmapped(connector, market)
    _oversell(tenant)
    _promise(tenant)
    _fail_numbers(tenant, connector, market)
    _drift(connector, market)
    _look_after(tenant, connector)
    AuditEntry.objects.create(tenant=tenant, actor="command:load_demo", action="demo.troubles", subject="demo")


def _listing(connector: Connector, sku: str) -> Listing:
    return Listing.objects.get(connector=connector, seller_sku=sku)


def _stop_second_account(tenant: Tenant, market: Control) -> None:
    """A second account of the shop, whose owner took the consent back at the channel."""
    if Connector.objects.filter(tenant=tenant, client_id=SECOND_CLIENT_ID).exists():
        return
    secret = market.application(client_id=SECOND_CLIENT_ID)["client_secret"]
    account = market.account(user_id=int(SECOND_SELLER), nickname="AROEIRA OUTLET", client_id=SECOND_CLIENT_ID)
    second = connect(
        tenant,
        kind=Connector.Kind.MERCADO_LIVRE,
        client_id=SECOND_CLIENT_ID,
        client_secret=secret,
        refresh_token=account["refresh_token"],
        name="Mercado Livre · Aroeira Outlet",
    )
    market.application(client_id=SECOND_CLIENT_ID, notification_url=second.notification_url)
    market.kill_token(int(SECOND_SELLER), "grant")
    try:
        credentials.open_connector(second).account()
    except ChannelError as refusal:
        credentials.stop(second.pk, refusal)


def _sell_unmapped(connector: Connector, market: Control) -> None:
    """A listing that somebody made at the channel without a SKU is sold."""
    if Listing.objects.filter(connector=connector, title=UNMAPPED).exists():
        return
    [item] = market.create_items(
        int(connector.user_id), [{"title": UNMAPPED, "price": 84.9, "available_quantity": 6, "seller_sku": None}]
    )
    market.sell(item, 1)


def _oversell(tenant: Tenant) -> None:
    """A till sells more than there is: two cases that are open, and one that the next delivery closed."""
    for sku, code in OVERSOLD:
        product, place = _place(tenant, sku, code)
        available = _available(tenant, product, place)
        cause = Cause(actor=f"pdv:{code.lower()}", reason="sale", reference_type="cupom", reference_id="48211")
        sold = Move(
            kind=Movement.Kind.SALE,
            product_id=product,
            location_id=place,
            quantity=max(1, available + 2),
            cause=cause,
            key=f"demo:oversell:{sku}",
        )
        ledger.post(tenant, [sold])  # refused when its key did it before
    product, place = _place(tenant, "TAC-VINHO-6", STORE_2)
    cause = Cause(actor="pdv:loja2", reason="sale", reference_type="cupom", reference_id="48239")
    units = max(1, _available(tenant, product, place) + 1)
    kind = Movement.Kind.SALE
    sold = Move(kind=kind, product_id=product, location_id=place, quantity=units, cause=cause, key="demo:oversell:3")
    ledger.post(tenant, [sold])
    arrived = Cause(actor="pdv:loja2", reason="receipt", reference_type="nota", reference_id="NF-e 000.105.310")
    with contextlib.suppress(KeyReused):
        ledger.receive(tenant, product, place, 12, key="demo:oversell:3:cured", cause=arrived)


def _place(tenant: Tenant, sku: str, code: str) -> tuple[int, int]:
    return Product.objects.get(tenant=tenant, sku=sku).pk, Location.objects.get(tenant=tenant, code=code).pk


def _available(tenant: Tenant, product_id: int, location_id: int) -> int:
    rows = Movement.objects.filter(tenant=tenant, product_id=product_id, location_id=location_id)
    newest = rows.order_by("-version").values_list("on_hand_after", "reserved_after").first()
    return newest[0] - newest[1] if newest else 0


def _promise(tenant: Tenant) -> None:
    """Checkouts that hold units right now, one for days; a transfer that is under way."""
    for number, (sku, units, seconds) in enumerate(
        (("ALM-LINHO-AREIA", 2, 4 * 3600), ("LEN-PERCAL-QUEEN", 1, 26 * 3600), ("MAN-TRICO-CRU", 1, 5 * 86_400))
    ):
        product, place = _place(tenant, sku, DEPOT)
        cause = Cause(
            actor="key:checkout", reason="checkout", reference_type="carrinho", reference_id=f"C-9{number}142"
        )
        line = Line(product_id=product, quantity=units, location_id=place)
        with contextlib.suppress(KeyReused):
            ledger.reserve(tenant, [line], key=f"demo:promise:{sku}", cause=cause, ttl_seconds=seconds)
    product, place = _place(tenant, "CES-ORGAN-M", DEPOT)
    if not Transfer.objects.filter(tenant=tenant, code="TR-1090").exists():
        cause = Cause(actor="pdv:cd1", reason="transfer", reference_type="transfer", reference_id="TR-1090")
        _product, other = _place(tenant, "CES-ORGAN-M", STORE_3)
        sent = Move(
            kind=Movement.Kind.TRANSFER_OUT,
            product_id=product,
            location_id=place,
            quantity=5,
            cause=cause,
            key="demo:transfer",
            transfer_code="TR-1090",
            other_location_id=other,
        )
        ledger.post_one(tenant, sent)


def _fail_numbers(tenant: Tenant, connector: Connector, market: Control) -> None:
    """Listings that refuse their next number, each for a cause of its own; and a minute of 429 for everybody."""
    market.edit_item(_listing(connector, CLOSED).item_id, status="closed", notify=False)
    reviewed = _listing(connector, REVIEWED).item_id
    market.edit_item(reviewed, status="under_review", sub_status=["forbidden"], notify=False)
    refused = _listing(connector, REFUSED)
    path = f"^/(items/{refused.item_id}|user-products/{refused.user_product_id}/stock/type/.*)$"
    market.faults(
        {"action": "status", "status": 400, "method": "PUT", "path": path},
        {"action": "status", "status": 429, "method": "PUT", "percent": 60, "times": 4},
    )
    for sku in (CLOSED, REVIEWED, REFUSED, "PAN-WOK-28", "UTE-PENEIRA", "LUM-CORDAO", "REG-2L-AZUL"):
        product, place = _place(tenant, sku, DEPOT)
        cause = Cause(actor="pdv:cd1", reason="receipt", reference_type="nota", reference_id="NF-e 000.105.298")
        with contextlib.suppress(KeyReused):
            ledger.receive(tenant, product, place, 6, key=f"demo:refused:{sku}", cause=cause)


def _drift(connector: Connector, market: Control) -> None:
    """Somebody typed numbers at the channel, paused a listing, gave one another's SKU; a comparison is asked for."""
    wait(lambda: not Listing.objects.filter(connector=connector, due_at__lte=timezone.now()).exists())
    for sku, delta in DRIFTING.items():
        item = _listing(connector, sku).item_id
        there = market.item(item)["available_quantity"]
        market.edit_item(item, available_quantity=max(0, there + delta), notify=False)
    market.edit_item(_listing(connector, "ESP-REDON-PRETO").item_id, status="paused", notify=False)
    market.edit_item(_listing(connector, "CAP-FIBRA").item_id, seller_sku="TAP-BANHEIRO-CINZA", notify=False)
    errands.ask(connector, Errand.Kind.RECONCILE, actor="command:load_demo")


def _look_after(tenant: Tenant, connector: Connector) -> None:
    """Pending matters as people leave them: one seen, one that was solved, the rest open."""
    wait(lambda: Trouble.objects.filter(tenant=tenant, kind=Trouble.Kind.CONNECTOR, closed_at__isnull=True).exists())
    gestor = User.objects.filter(username="demo-gestor").first()
    seen = Trouble.objects.filter(tenant=tenant, kind=Trouble.Kind.CONNECTOR, closed_at__isnull=True).first()
    if gestor is not None and seen is not None:
        note = "Pedi ao sócio que autorize a conta de novo; volta amanhã."
        troubles.acknowledge(seen, actor=f"user:{gestor.pk}", note=note)
    passed = Trouble.objects.filter(tenant=tenant, connector=connector, cause="rate_limited").first()
    if passed is not None:
        passed.since_at = passed.opened_at = timezone.now() - timedelta(hours=5)
        passed.closed_at = timezone.now() - timedelta(seconds=troubles.QUIET_SECONDS + 60)
        passed.save(update_fields=["since_at", "opened_at", "closed_at"])


def wait(is_so: Callable[[], bool]) -> None:
    """Wait until the worker has done something, and go on without it when there is none."""
    ends_at = time.monotonic() + WAIT_SECONDS
    while not is_so() and time.monotonic() < ends_at:
        time.sleep(0.5)
        with contextlib.suppress(OperationalError, InterfaceError):  # the database is away: the loader says so next
            connection.ensure_connection()
