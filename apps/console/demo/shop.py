"""The demo shop: a tenant, a person, and an account at the sandbox that sells what the hub keeps.

Loaded once; loading again mends what is missing (a sandbox that lost its data, a new port) and doubles nothing.
The README's curl lines speak of SKU-001 at the store S1 and need an API key: both are made here, too.
"""

import hmac
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction

from apps.connectors import credentials
from apps.connectors.connecting import connect
from apps.connectors.importing import import_listings
from apps.connectors.models import Connector
from apps.console.demo.past import begin_balances, past
from apps.inventory import ledger
from apps.inventory.models import Balance, Location, Product
from apps.notifications.models import Medium, PickupCounter
from apps.sandbox.client import Control
from apps.tenants.models import ApiKey, Membership, Tenant, hash_key
from apps.tenants.scopes import SCOPES

SLUG = "demo"
LOGIN = "demo"
PASSWORD = "saldo-demo"  # noqa: S105  printed on the screen at every start; the demo never runs in production
CLIENT_ID = "7112265490831047"
SELLER = "1480021375"
STORE, DEPOT = "LOJA1", "CD1"
EXAMPLE_SKU, EXAMPLE_STORE, EXAMPLE_UNITS = "SKU-001", "S1", 10
KEY_NAME = "demo"

#: (SKU, title, price, units at the shop, units at the depot, variations as (SKU suffix, colour))
CATALOGUE: list[tuple[str, str, float, int, int, list[tuple[str, str]]]] = [
    ("CAF-MOKA-6", "Cafeteira Italiana Moka Alumínio 6 Xícaras", 89.9, 4, 26, []),
    ("CAF-PRENSA", "Prensa Francesa Inox 600 ml", 119.0, 3, 12, []),
    ("CHA-BULE-ESM", "Bule Esmaltado 1 Litro", 74.5, 2, 18, []),
    ("CAN-AGATA", "Caneca de Ágata 350 ml", 32.9, 20, 140, [("AZUL", "Azul"), ("VERDE", "Verde"), ("BCA", "Branco")]),
    ("PAN-FERRO-26", "Frigideira de Ferro Fundido 26 cm", 139.9, 5, 33, []),
    ("PAN-PRES-45", "Panela de Pressão 4,5 Litros Polida", 159.0, 2, 21, []),
    ("FAC-CHEF-8", "Faca do Chef 8 Polegadas Aço Inox", 99.0, 6, 40, []),
    ("TAB-BAMBU", "Tábua de Corte Bambu com Canaleta", 59.9, 8, 55, []),
    ("AVE-JEANS", "Avental Jeans com Bolso", 64.9, 7, 24, [("P", "Azul claro"), ("G", "Azul escuro")]),
    ("PAN-PRATO-5", "Kit 5 Panos de Prato Algodão", 42.0, 12, 88, []),
    ("POT-VIDRO-10", "Conjunto 10 Potes de Vidro Herméticos", 189.9, 3, 17, []),
    ("GAR-TERM-1L", "Garrafa Térmica Inox 1 Litro", 109.9, 9, 61, [("PRETA", "Preto"), ("ROSA", "Rosa")]),
    ("LUM-MESA", "Luminária de Mesa Articulada", 129.0, 2, 9, []),
    ("VAS-BARRO-3", "Trio de Vasos de Barro", 79.0, 4, 14, []),
    ("REL-PAREDE", "Relógio de Parede Madeira 30 cm", 94.9, 1, 6, []),
    ("EDR-QUEEN", "Edredom Queen Dupla Face", 249.0, 2, 11, []),
]


@dataclass(frozen=True, slots=True)
class Demo:
    """What was loaded, for the greeting."""

    tenant: Tenant
    connector: Connector
    products: int


def load(sandbox_url: str, key_file: Path | None = None, *, opened_ago: timedelta = timedelta()) -> Demo:
    """Make or mend the demo tenant and its account at the sandbox; return what there is now.

    key_file: where the tenant's API key is kept for the person at this machine; None for no key.
    opened_ago: a new shop's first stock arrived so long ago, which leaves room for a history (whole.py).
    """
    market = Control(sandbox_url)
    tenant = _tenant()
    connector = _connector(tenant, market)
    market.application(client_id=CLIENT_ID, notification_url=connector.notification_url)
    _counter(connector)
    if not _is_imported(connector):
        import_listings(connector, create_products=True)
    if opened_ago and not Balance.objects.filter(tenant=tenant).exists():
        opened_at = tenant.created_at - opened_ago
        ids = Product.objects.filter(tenant=tenant).values_list("pk", flat=True)
        begin_balances(tenant, ids, [place.pk for place in _places(tenant).values()], opened_at)
        with past() as move_to:
            move_to(opened_at)
            _receive_stock(tenant)
    _receive_stock(tenant)
    _receive_example(tenant)
    if key_file is not None:
        _keep_key(tenant, key_file)
    return Demo(tenant, connector, Product.objects.filter(tenant=tenant).count())


@transaction.atomic
def _tenant() -> Tenant:
    tenant, _ = Tenant.objects.get_or_create(slug=SLUG, defaults={"name": "Casa Aroeira (demonstração)"})
    user, is_new = User.objects.get_or_create(
        username=LOGIN, defaults={"is_staff": True, "is_superuser": True, "first_name": "Demonstração"}
    )
    if is_new:
        user.set_password(PASSWORD)
        user.save()
    Membership.objects.get_or_create(tenant=tenant, user=user, defaults={"role": Membership.Role.ADMIN})
    return tenant


def _connector(tenant: Tenant, market: Control) -> Connector:
    state = market.state()
    secret = market.application(client_id=CLIENT_ID)["client_secret"]
    connector = Connector.objects.filter(tenant=tenant, client_id=CLIENT_ID).first()
    if not any(str(account["user_id"]) == SELLER for account in state["accounts"]):
        account = market.account(user_id=int(SELLER), nickname="CASA AROEIRA", client_id=CLIENT_ID)
        market.create_items(
            int(SELLER),
            [item(sku, title, price, store + depot, more) for sku, title, price, store, depot, more in CATALOGUE],
        )
    elif connector is None or connector.status == Connector.Status.REAUTHORIZE:
        account = market.grant(int(SELLER), client_id=CLIENT_ID)
    else:
        return connector
    token = account["refresh_token"]
    if connector is None:
        return connect(
            tenant,
            kind=Connector.Kind.MERCADO_LIVRE,
            client_id=CLIENT_ID,
            client_secret=secret,
            refresh_token=token,
            name="Mercado Livre · Casa Aroeira",
        )
    connector.status, connector.status_reason, connector.access_token_expires_at = Connector.Status.ACTIVE, "", None
    connector.save()
    credentials.store(connector, client_secret=secret, refresh_token=token)
    return connector


def _is_imported(connector: Connector) -> bool:
    """Tell whether the account's listings are here already: reading them again takes as long as all the rest."""
    here = connector.listings.filter(product__isnull=False).values_list("product__sku", flat=True)
    return {name for sku, *_rest, variations in CATALOGUE for name in _names(sku, variations)} <= set(here)


def _names(sku: str, variations: list[tuple[str, str]]) -> list[str]:
    return [f"{sku}-{suffix}" for suffix, _colour in variations] or [sku]


def _counter(connector: Connector) -> None:
    """Give the account a pick-up counter. Under `scripts/up` nothing leaves the machine: drivers write to a file."""
    PickupCounter.objects.get_or_create(
        connector=connector,
        defaults={
            "name": "Casa Aroeira · Vila Madalena",
            "address": "Rua Harmonia, 123\nVila Madalena, São Paulo - SP",
            "hours": "segunda a sexta, das 9h às 18h; sábado, das 9h às 13h",
            "media": [Medium.EMAIL, Medium.WHATSAPP],
            "email": "retirada@casa-aroeira.example",
        },
    )


def item(sku: str, title: str, price: float, units: int, variations: list[tuple[str, str]]) -> dict[str, object]:
    """Return a listing as the sandbox makes it, each variation with so many units."""
    if not variations:
        return {"title": title, "price": price, "seller_sku": sku, "available_quantity": units}
    return {
        "title": title,
        "price": price,
        "available_quantity": units * len(variations),
        "variations": [
            {
                "seller_sku": f"{sku}-{suffix}",
                "available_quantity": units,
                "attribute_combinations": [{"id": "COLOR", "name": "Cor", "value_name": colour}],
            }
            for suffix, colour in variations
        ],
    }


def _receive_stock(tenant: Tenant) -> None:
    """Receive the opening stock, once: where a product has a balance it has arrived (keys are forgotten in time)."""
    places = _places(tenant)
    products = dict(Product.objects.filter(tenant=tenant).values_list("sku", "pk"))
    known = Balance.objects.filter(tenant=tenant, counted_at__isnull=False)
    arrived = set(known.values_list("product_id", "location_id"))
    cause = ledger.Cause(actor="command:load_demo", reason="estoque inicial", source="demo")
    for sku, _title, _price, store, depot, variations in CATALOGUE:
        for name in _names(sku, variations):
            for code, units in ((STORE, store), (DEPOT, depot)):
                if (products[name], places[code].pk) in arrived:
                    continue
                ledger.receive(tenant, products[name], places[code].pk, units, key=f"demo:{name}:{code}", cause=cause)


def _places(tenant: Tenant) -> dict[str, Location]:
    names = ((STORE, "Loja da Vila Madalena"), (DEPOT, "Centro de distribuição"))
    make = Location.objects.get_or_create
    return {code: make(tenant=tenant, code=code, defaults={"name": name})[0] for code, name in names}


def _receive_example(tenant: Tenant) -> None:
    """Receive what the README's curl lines ask for, once: with a balance it has arrived. No channel sells it."""
    store, _ = Location.objects.get_or_create(tenant=tenant, code=EXAMPLE_STORE, defaults={"name": "Loja de exemplo"})
    product, _ = Product.objects.get_or_create(
        tenant=tenant, sku=EXAMPLE_SKU, defaults={"name": "Produto de exemplo da API"}
    )
    if Balance.objects.filter(tenant=tenant, product=product, location=store).exists():
        return
    cause = ledger.Cause(actor="command:load_demo", reason="estoque inicial", source="demo")
    key = f"demo:{EXAMPLE_SKU}:{EXAMPLE_STORE}"
    ledger.receive(tenant, product.pk, store.pk, EXAMPLE_UNITS, key=key, cause=cause)


def _keep_key(tenant: Tenant, file: Path) -> None:
    """See to it that `file` holds a key that opens every door of the demo tenant.

    The text is nowhere else, and only the owner may read it. When it is lost or opens nothing any more, another key is
    made and the lost one revoked, so that no key lives on that nobody knows.
    """
    text = file.read_text().strip() if file.exists() else ""
    keys = ApiKey.objects.filter(tenant=tenant, name=KEY_NAME, revoked_at=None)
    if any(key.is_usable and hmac.compare_digest(key.key_hash, hash_key(text)) for key in keys):
        return
    for key in keys:
        key.revoke()
    _, text = ApiKey.issue(tenant, name=KEY_NAME, scopes=list(SCOPES))
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as private:
        private.write(f"{text}\n")
    unfinished.replace(file)
