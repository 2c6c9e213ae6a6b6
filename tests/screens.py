"""Every screen there is, with a shop that has one of everything: for tests that must forget no page.

A **screen** is one page as a person sees it: an address that is opened, or a form that is sent and answers with a page.
The pages that are opened come from the routes' own table (tests/console/test_everybody.py), so a new route is a new
screen; those that answer a form stand here. `test_no_screen_is_forgotten` holds both against the templates.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta

from django.contrib.auth.tokens import default_token_generator
from django.db import connection, transaction
from django.db.models import Model
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from apps.connectors.models import Connector, Errand, Listing, SkuMapping, StatusMapping
from apps.events import bulk
from apps.events.models import IntegrationEvent, Reprocess, SilentTopic
from apps.inventory.models import Batch, Location, Movement
from apps.notifications import troubles
from apps.notifications.models import Medium, Notification, PickupCounter, Trouble
from apps.sync.models import Divergence, SyncLog
from apps.tenants import second_factor
from apps.tenants.models import Membership
from tests import factories
from tests.console import test_everybody as everybody
from tests.console.test_login import SECRET, code_now
from tests.console.test_pages import Shop, open_shop

CODES = ("server_error", "rate_limited", "closed_listing", "unknown_account", "timeout")
DOWNLOADS = {"export", "listings-csv", "mapping-report", "mappings-csv", "reprocessing-csv"}
"""Routes that answer a file."""


@dataclass(frozen=True)
class Screen:
    """One page. form: what is sent to get it, a `bytes` value as a file. who: whose session; see `Cast`.

    leaves: it goes on to another site by itself. trouble: what goes wrong while it is asked for; only a server in a
    thread of its own, with its own connection, meets that.
    """

    name: str
    address: str
    form: dict[str, str | bytes] | None = None
    who: str = "admin"
    status: int = 200
    leaves: bool = False
    trouble: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass
class Cast:
    """The shop's people, each with the cookies of a session, and the screens they see."""

    shop: Shop
    sessions: dict[str, dict[str, str]]
    screens: list[Screen] = field(default_factory=list)


def build() -> Cast:
    """Fill a shop, sign its people in and list the screens."""
    shop = _furnish()
    admin = factories.member(shop.tenant, Membership.Role.ADMIN, first_name="Ada", last_name="Reis")
    analyst = factories.member(shop.tenant, Membership.Role.ANALYST, first_name="Anna")
    guarded = factories.member(shop.tenant, Membership.Role.MANAGER, first_name="Gil")
    second_factor.turn_on(guarded, SECRET, code_now(steps=-1))
    newcomer = factories.member(factories.TenantFactory(name="Loja nova"), Membership.Role.ADMIN)
    platform = factories.UserFactory(is_staff=True, is_superuser=True)
    people = {"admin": admin, "analyst": analyst, "guarded": guarded, "newcomer": newcomer, "platform": platform}
    people["nobody"] = None
    sessions = {who: _session(user) for who, user in people.items()}
    sessions["halfway"] = _halfway(guarded)
    with override_settings(STAFF_SECOND_FACTOR=True):
        sessions["staff"] = _halfway(factories.UserFactory(is_staff=True))
    sessions["lost"] = _session(factories.UserFactory())
    cast = Cast(shop, sessions)
    cast.screens = [*_of_the_routes(shop)]  # which oversells, too
    troubles.look()
    seen = Trouble.objects.filter(tenant=shop.tenant).earliest("pk")
    troubles.acknowledge(seen, actor=f"user:{admin.pk}", note="Falei com o canal")
    cast.screens += [*_answers(shop), *_outside(shop, admin), *_empty()]
    return cast


def _session(user: object) -> dict[str, str]:
    client = Client()
    if user is not None:
        client.force_login(user)  # type: ignore[arg-type]
    return {name: morsel.value for name, morsel in client.cookies.items()}


def _halfway(user: object) -> dict[str, str]:
    """A session that has passed the password and waits for the code, or for a second factor to be set up."""
    client = Client()
    client.post(reverse("login"), {"username": user.get_username(), "password": factories.PASSWORD})  # type: ignore[attr-defined]
    return {name: morsel.value for name, morsel in client.cookies.items()}


# --- The shop -------------------------------------------------------------------------------------------------------


def _furnish() -> Shop:
    """One of everything that a page can show: each state of each thing, something to decide, something that failed."""
    shop = open_shop("Alice")
    tenant, connector = shop.tenant, shop.connector
    factories.ready(shop.order)
    for make in (everybody.key, everybody.secret, everybody.colleague, everybody.transfer, everybody.batch):
        make(shop)
    _events(shop)
    _channel(shop)
    PickupCounter.objects.create(connector=connector, name="Balcão", address="Rua 1", hours="9h às 18h", media=[])
    for number, status in enumerate(Notification.Status.values):
        Notification.objects.create(
            tenant=tenant,
            order=shop.order,
            medium=Medium.WHATSAPP,
            round=number,
            requested_by="user:1" if number else "",
            status=status,
            due_at=timezone.now() if status == "PENDENTE" else None,
            error_code="timeout" if status == "FALHOU" else "",
        )
    return shop


def _events(shop: Shop) -> None:
    same = {"tenant": shop.tenant, "connector": shop.connector}
    for number, status in enumerate(IntegrationEvent.Status.values):
        failed = status in ("ERRO", "QUARENTENA", "NOVA_TENTATIVA", "MAPEAMENTO")
        code = CODES[number % len(CODES)] if failed else ""
        factories.EventFactory.create_batch(2, **same, status=status, error_code=code, attempts=number)


def _channel(shop: Shop) -> None:
    """Listings and their syncs in every state, another account that is paused, errands, mappings."""
    tenant, connector = shop.tenant, shop.connector
    for number, status in enumerate(SyncLog.Status.values):
        listing = factories.ListingFactory(tenant=tenant, connector=connector, accepted_quantity=number)
        factories.stocked(listing.product, Location.objects.filter(tenant=tenant).earliest("pk"), number + 1)
        failed = status in ("ERROR", "UNKNOWN")
        factories.SyncLogFactory(
            listing=listing,
            status=status,
            error_code=CODES[number % len(CODES)] if failed else "",
            http_status=500 if failed else None,
            finished_at=None if status == "PENDING" else timezone.now(),
        )
        factories.DivergenceFactory(listing=listing, kind=Divergence.Kind.values[number], hub_quantity=5)
        if failed:
            Listing.objects.filter(pk=listing.pk).update(sync_state="ERROR", last_error_code="rate_limited")
        if status == "PENDING":
            lease = {"lease_id": uuid.uuid4(), "lease_expires_at": timezone.now() + timedelta(hours=1)}
            Listing.objects.filter(pk=listing.pk).update(**lease)
    paused = factories.ConnectorFactory(tenant=tenant, status=Connector.Status.PAUSED, name="Conta em pausa")
    factories.ConnectorFactory(tenant=tenant, status=Connector.Status.REAUTHORIZE, name="Conta sem autorização")
    Errand.objects.create(
        tenant=tenant, connector=connector, kind=Errand.Kind.IMPORT, status=Errand.Status.RUNNING, asked_by="user:1"
    )
    Errand.objects.create(
        tenant=tenant,
        connector=paused,
        kind=Errand.Kind.RECONCILE,
        status=Errand.Status.FAILED,
        error_code="server_error",
        asked_by="user:1",
        finished_at=timezone.now(),
    )
    SilentTopic.objects.create(
        connector=connector, topic="orders_v2", last_heard_at=timezone.now() - timedelta(hours=30)
    )
    SkuMapping.objects.create(
        tenant=tenant, channel="ML", external_sku="VASO-AZUL", product_id=shop.log.product_id, made_by="user:1"
    )
    StatusMapping.objects.create(
        tenant=tenant, channel="ML", external_status="on_hold", meaning="AGUARDANDO", made_by="user:1"
    )


# --- The screens ----------------------------------------------------------------------------------------------------


def _of_the_routes(shop: Shop) -> Iterator[Screen]:
    for name, asks in everybody.ROUTES.items():
        for ask in asks:
            if ask.method == "GET" and name not in DOWNLOADS | {"authorized"}:
                yield Screen(name, reverse(f"console:{name}", kwargs=ask.of(shop) if ask.of else {}))


def _job(shop: Shop, step: str) -> Reprocess:
    """A job over the failed events, that far."""
    events = IntegrationEvent.objects.filter(tenant=shop.tenant, status__in=["ERRO", "QUARENTENA"])
    job = bulk.plan_events(shop.tenant, events, actor="user:1")
    if step != "planned":
        bulk.confirm(job, actor="user:1", plan_hash=job.plan_hash, reason="o canal caiu")
    if step == "paused":
        bulk.pause(job, actor="user:1")
    if step == "cancelled":
        bulk.cancel(job, actor="user:1")
    return job


def _answers(shop: Shop) -> Iterator[Screen]:
    """Pages that only a form's answer shows, and forms that come back with what was wrong."""

    def to(name: str, of: Callable[[Shop], dict[str, object]] | None = None) -> str:
        return reverse(f"console:{name}", kwargs=of(shop) if of else {})

    shelf = {"pk": shop.log.product_id}
    for step in ("planned", "running", "paused", "cancelled"):
        yield Screen(f"reprocessing {step}", reverse("console:reprocessing", args=[_job(shop, step).pk]))
    for number, matter in enumerate(Trouble.objects.filter(tenant=shop.tenant).order_by("pk")):
        yield Screen(f"trouble {number}", reverse("console:trouble", args=[matter.pk]))
    for event in IntegrationEvent.objects.filter(tenant=shop.tenant).distinct("status").order_by("status"):
        yield Screen(f"event {event.status}", reverse("console:event", args=[event.pk]))
    for log in SyncLog.objects.filter(tenant=shop.tenant).order_by("pk"):
        yield Screen(f"told {log.status}", reverse("console:told", args=[log.pk]))
    for account in Connector.objects.filter(tenant=shop.tenant).order_by("pk"):
        yield Screen(f"connector {account.status}", reverse("console:connector", args=[account.pk]))
    yield Screen("listing unmapped", reverse("console:listing", args=[shop.unmapped.pk]))
    yield Screen("confirm", reverse("console:confirm"))
    yield Screen("profile", reverse("console:profile"))
    yield Screen("profile guarded", reverse("console:profile"), who="guarded")
    yield Screen("second-factor", reverse("console:second-factor"))
    yield Screen("reader's stock", reverse("console:stock"), who="analyst")
    yield Screen("nothing found", reverse("console:events") + "?event=nothing-like-this")
    yield Screen("nonsense in a filter", reverse("console:syncs") + "?since=yesterday")
    yield Screen("recovery codes", reverse("console:recovery-codes"), {}, who="guarded")
    yield Screen("content shown", to("show-content", everybody.event), {"reason": "o comprador reclamou"})
    yield Screen("key made", to("make-key"), {"name": "PDV 3", "scopes": "stock:read", "days": "365"})
    yield Screen("key refused", to("make-key"), {"name": ""}, status=422)
    yield Screen("person added", to("add-user"), {"username": "bia", "first_name": "Bia", "role": "OPERADOR"})
    yield Screen("person refused", to("add-user"), {"username": ""}, status=422)
    yield Screen("password refused", reverse("console:change-password"), {"old_password": "x"}, status=422)
    yield Screen("mapping preview", to("map", everybody.pk("unmapped")), {"sku": shop.log.product.sku})
    yield Screen("mapping refused", to("map", everybody.pk("unmapped")), {"sku": "?"}, status=422)
    lines = f"canal;sku_externo;sku_interno\nML;NOVO-1;{shop.log.product.sku}\nML;NOVO-2;NAO-EXISTE\n"
    yield Screen("mappings preview", to("mappings-upload"), {"file": lines.encode()})
    yield Screen("leaving", to("authorize", everybody.connector), {}, leaves=True)
    yield Screen("adjustment refused", reverse("console:adjust", kwargs=shelf), {"quantity": "x"}, status=422)
    yield Screen("connector refused", to("new-connector"), {"name": ""}, status=422)
    yield Screen(
        "job refused", reverse("console:confirm-reprocessing", args=[_job(shop, "planned").pk]), {}, status=409
    )


def _outside(shop: Shop, admin: object) -> Iterator[Screen]:
    """The way in, the descriptions of the API, and the pages for what went wrong."""
    uid = urlsafe_base64_encode(force_bytes(admin.pk))  # type: ignore[attr-defined]
    token = default_token_generator.make_token(admin)  # type: ignore[arg-type]
    yield Screen("login", reverse("login"), who="nobody")
    yield Screen("login refused", reverse("login"), {"username": "ninguem", "password": "x"}, who="nobody")
    yield Screen("login code", reverse("login-code"), who="halfway")
    yield Screen("login set up", reverse("login-setup"), who="staff")
    yield Screen("choose a password", reverse("choose-password", args=[uid, token]), who="nobody")
    yield Screen("link used up", reverse("choose-password", args=["MQ", "x-y"]), who="nobody")
    yield Screen("problem", reverse("problem", args=["not_found"]), who="nobody")
    yield Screen("api docs", reverse("api-docs"), who="nobody")
    yield Screen("not found", reverse("console:event", args=[10**9]), status=404)
    yield Screen("not for this role", reverse("console:users"), who="analyst", status=403)
    yield Screen("no company", reverse("console:events"), who="lost", status=404)
    yield Screen("forged form", reverse("login"), {"csrfmiddlewaretoken": "x"}, who="nobody", status=403)
    much = {f"field{number}": "x" for number in range(1001)}
    yield Screen("too much for a form", reverse("login"), much, who="nobody", status=413)
    yield Screen("too long", reverse("console:all-movements") + "?sku=A", status=503, trouble=a_table_is_held)
    yield Screen("failure", reverse("console:batches"), status=500, trouble=a_table_is_gone)


@contextmanager
def a_table_is_held() -> Iterator[None]:
    """Keep the movements from everybody else, so that a page of them waits until its time is over."""
    with override_settings(CONSOLE_STATEMENT_SECONDS=1), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {_table(Movement)} IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def a_table_is_gone() -> Iterator[None]:
    """Take the batches' table away, as a migration that was not run would."""
    table = _table(Batch)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO gone")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE gone RENAME TO {table}")


def _table(model: type[Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _empty() -> Iterator[Screen]:
    """Each list of a shop that has nothing yet."""
    for name, asks in everybody.ROUTES.items():
        if asks[0].method == "GET" and asks[0].of is None and name not in DOWNLOADS | {"authorized", "new-connector"}:
            yield Screen(f"{name}, empty", reverse(f"console:{name}"), who="newcomer")
