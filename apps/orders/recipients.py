"""Who orders are for: kept sealed, read on purpose, forgotten on request (LGPD, requirement 001).

Every value is sealed for its own row and field. People are found by a keyed hash of their document, so that none has to
be opened to find all orders of one person.
"""

import base64
import hashlib
import hmac
from dataclasses import asdict, dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from apps.common import crypto
from apps.connectors.channel import Label
from apps.orders.models import Order, Package, Recipient
from apps.tenants import audit
from apps.tenants.models import Tenant

FIELDS = ("name", "document", "phone")
DOTS = "•••"


@dataclass(frozen=True, slots=True)
class Person:
    """A recipient, opened. Its repr shows nothing."""

    name: str = field(repr=False)
    document: str = field(repr=False)
    phone: str = field(repr=False)


def keep(order: Order, *, name: str, document: str, phone: str) -> None:
    """Keep who an order is for, sealed; once: what is kept, or was forgotten, stays so."""
    if Recipient.objects.filter(order=order).exists():
        return
    values = {"name": name, "document": document, "phone": phone}
    sealed = {
        f"{part}_enc": crypto.seal(value, owner=_owner(order.pk, part)) for part, value in values.items() if value
    }
    Recipient.objects.create(order=order, document_digest=digest(document) if document else "", **sealed)


def read(recipient: Recipient) -> Person:
    """Open what is kept, for the hub's own use; `show` is for people. Raises SealBroken."""
    opened = {
        part: crypto.unseal(sealed, owner=_owner(recipient.order_id, part))
        if (sealed := getattr(recipient, f"{part}_enc"))
        else ""
        for part in FIELDS
    }
    return Person(**opened)


def masked(recipient: Recipient) -> Person:
    """Return a person as anybody of the tenant may see them: enough to tell two apart. Raises SealBroken."""
    person = read(recipient)
    name = " ".join(f"{word[0]}{DOTS}" for word in person.name.split())
    return Person(name=name, document=_tail(person.document), phone=_tail(person.phone))


@transaction.atomic
def show(recipient: Recipient, *, actor: str) -> Person:
    """Open what is kept for somebody who may see it; that they did is written down. Raises SealBroken."""
    audit.record(recipient.order.tenant, actor, "recipient_shown", f"order:{recipient.order_id}")
    return read(recipient)


def orders_of(tenant: Tenant, document: str) -> QuerySet[Order]:
    """Return a person's orders, by CPF or CNPJ (digits, or written with dots)."""
    digits = "".join(sign for sign in document if sign.isdigit())
    return Order.objects.filter(tenant=tenant, recipient__document_digest__in=_digests(digits)).order_by("pk")


@transaction.atomic
def export(tenant: Tenant, document: str, *, actor: str) -> list[dict[str, Any]]:
    """Return all that is kept about a person, an entry an order, for them to have (LGPD art. 18). Written down."""
    orders = list(orders_of(tenant, document).select_related("recipient").prefetch_related("items"))
    for order in orders:
        audit.record(tenant, actor, "recipient_exported", f"order:{order.pk}")
    return [
        {
            "channel": order.channel,
            "order": order.external_id,
            "ordered_at": order.ordered_at,
            "status": order.status,
            **asdict(read(order.recipient)),
            "items": [{"title": item.title, "quantity": item.quantity} for item in order.items.all()],
        }
        for order in orders
    ]


@transaction.atomic
def forget(tenant: Tenant, document: str, *, actor: str) -> int:
    """Erase a person from all their orders and labels; the sales stay. Returns how many orders that were."""
    orders = list(orders_of(tenant, document).select_for_update(of=["self"]))
    packages = [order.package_id for order in orders if order.package_id is not None]
    Package.objects.filter(tenant=tenant, pk__in=packages).update(label_enc="")  # that there was one is no secret
    Recipient.objects.filter(order__in=orders).update(name_enc="", document_enc="", phone_enc="", document_digest="")
    for order in orders:
        audit.record(tenant, actor, "recipient_forgotten", f"order:{order.pk}")
    return len(orders)


def keep_label(package: Package, label: Label) -> None:
    """Keep a parcel's label, which shows an address, sealed. A parcel that waited for it is ready."""
    package.label_enc = crypto.seal(base64.b64encode(label.content).decode(), owner=f"volume:{package.pk}:label")
    package.label_format = label.format
    if package.status == Package.Status.WAITING:
        package.status = Package.Status.READY
    package.save(update_fields=["label_enc", "label_format", "status", "updated_at"])


@transaction.atomic
def show_label(package: Package, *, actor: str) -> Label | None:
    """Open a parcel's label to be printed; that somebody did is written down. None when there is none."""
    if label := read_label(package):
        audit.record(package.tenant, actor, "label_shown", f"package:{package.pk}")
    return label


def read_label(package: Package) -> Label | None:
    """Open a parcel's label; None when there is none. Raises SealBroken."""
    if not package.label_enc:
        return None
    sealed = crypto.unseal(package.label_enc, owner=f"volume:{package.pk}:label")
    return Label(package.label_format, base64.b64decode(sealed))


def _tail(digits: str) -> str:
    return DOTS + digits[-2:] if digits else ""


def digest(document: str) -> str:
    """Return the keyed hash by which a document is found, made with the newest key."""
    return _digests(document)[0]


def _digests(document: str) -> list[str]:
    """One for each key, for rows that were written before the keys were rotated."""
    return [
        hmac.new(key.encode(), b"recipient:" + document.encode(), hashlib.sha256).hexdigest()
        for key in settings.FIELD_ENCRYPTION_KEYS
    ]


def _owner(order_id: int, part: str) -> str:
    return f"pedido_destinatario:{order_id}:{part}"
