"""Every address, asked as everybody. A route that is not in the tables below fails, and so does a method it takes.

The table says what each route of the console needs; `tenants/permissions.py` says who holds it.
"""

import dataclasses
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from apps.connectors.models import Listing
from apps.console import mapping_jobs
from apps.events import bulk
from apps.events.models import Reprocess
from apps.inventory import ledger
from apps.inventory.models import Batch, Location, Movement, Oversell, Reservation, Transfer
from apps.notifications.models import Trouble
from apps.tenants import permissions, signatures
from apps.tenants.models import ApiKey, Membership, WebhookSecret
from tests import factories
from tests.console.test_pages import Shop, open_shop, signed_in

pytestmark = pytest.mark.django_db

ROLES = [str(role) for role in Membership.Role]
FINE = {200, 302, 303, 409, 422}
"""What a page answers whoever may ask it: shown, done, or refused for what the form said."""


@dataclass(frozen=True)
class Ask:
    """One way to ask a route. of: the keyword arguments of its address, from a shop; a stranger's must be a 404.

    field: the field of the form that names the row, where the address does not.
    """

    method: str
    needs: str | None = None
    of: Callable[[Shop], dict[str, Any]] | None = None
    data: dict[str, str] = dataclasses.field(default_factory=dict)
    field: str = ""


def plan_of(shop: Shop) -> dict[str, Any]:
    row = Reprocess.objects.create(
        tenant=shop.tenant, actor="user:1", status=Reprocess.Status.PLANNED, count=1, plan={"changes": []}
    )
    return {"pk": row.pk}


def job(shop: Shop) -> dict[str, Any]:
    return {"pk": bulk.plan_listings(shop.tenant, Listing.objects.filter(pk=shop.listing.pk), actor="user:1").pk}


def matter(shop: Shop) -> dict[str, Any]:
    about = {"tenant": shop.tenant, "connector": shop.connector, "kind": Trouble.Kind.LISTINGS}
    return {"pk": Trouble.objects.create(**about, cause=uuid.uuid4().hex, count=1).pk}


def pk(name: str) -> Callable[[Shop], dict[str, Any]]:
    return lambda shop: {"pk": getattr(shop, name).pk}


event, listing, connector, order = pk("event"), pk("listing"), pk("connector"), pk("order")
divergence, log = pk("divergence"), pk("log")


def product(shop: Shop) -> dict[str, Any]:
    return {"pk": shop.log.product_id}


def colleague(shop: Shop) -> dict[str, Any]:
    return {"pk": factories.MembershipFactory(tenant=shop.tenant, user__first_name="Alice").pk}


def key(shop: Shop) -> dict[str, Any]:
    return {"pk": ApiKey.issue(shop.tenant, name="Alice", scopes=["stock:read"])[0].pk}


def secret(shop: Shop) -> dict[str, Any]:
    WebhookSecret.objects.filter(tenant=shop.tenant).delete()  # a company has two at most
    return {"pk": signatures.issue(shop.tenant, name="Alice")[0].pk}


def hold(shop: Shop) -> dict[str, Any]:
    return {"pk": Reservation.objects.get(tenant=shop.tenant).pk}


def oversell(shop: Shop) -> dict[str, Any]:
    place = Location.objects.filter(tenant=shop.tenant).earliest("pk")
    line = ledger.Line(shop.log.product_id, 99, place.pk)
    ledger.reserve(shop.tenant, [line], key=uuid.uuid4().hex, cause=ledger.Cause(actor="test"), is_fact=True)
    return {"pk": Oversell.objects.get(tenant=shop.tenant, closed_at=None).pk}


def _moved(shop: Shop, kind: Movement.Kind, **more: Any) -> None:
    place = Location.objects.filter(tenant=shop.tenant).earliest("pk")
    cause = ledger.Cause(actor="test")
    parts: dict[str, Any] = {"product_id": shop.log.product_id, "location_id": place.pk, "quantity": 2, "cause": cause}
    ledger.post_one(shop.tenant, ledger.Move(kind=kind, **parts, **more))


def batch(shop: Shop) -> dict[str, Any]:
    _moved(shop, Movement.Kind.RECEIPT, batch_number=uuid.uuid4().hex)
    return {"pk": Batch.objects.filter(tenant=shop.tenant).exclude(batch_number="").latest("pk").pk}


def transfer(shop: Shop) -> dict[str, Any]:
    there = factories.LocationFactory(tenant=shop.tenant)
    _moved(shop, Movement.Kind.TRANSFER_OUT, transfer_code=uuid.uuid4().hex, other_location_id=there.pk)
    return {"pk": Transfer.objects.filter(tenant=shop.tenant).latest("pk").pk}


def mapping_job(shop: Shop) -> dict[str, Any]:
    product = factories.ProductFactory(tenant=shop.tenant)
    job = mapping_jobs.plan_chosen(shop.tenant, [(shop.unmapped.pk, product.pk)], actor="user:1")
    return {"pk": job.pk}


unmapped = pk("unmapped")


def by_hand(of: Callable[[Shop], dict[str, Any]]) -> list[Ask]:
    """A form that only those who may move stock by hand see and send."""
    return [Ask("GET", "stock:adjust", of), Ask("POST", "stock:adjust", of)]


ROUTES: dict[str, list[Ask]] = {
    "events": [Ask("GET")],
    "event": [Ask("GET", of=event)],
    "reprocess": [Ask("POST", "events:reprocess", event)],
    "simulate": [Ask("POST", "events:reprocess", event)],
    "plan": [Ask("GET", of=plan_of)],
    "apply-plan": [Ask("POST", "events:reprocess", plan_of)],
    "simulate-again": [Ask("POST", "events:reprocess", plan_of)],
    "syncs": [Ask("GET")],
    "told": [Ask("GET", of=log)],
    "troubles": [Ask("GET")],
    "trouble": [Ask("GET", of=matter)],
    "acknowledge-trouble": [Ask("POST", "troubles:acknowledge", matter)],
    "unacknowledge-trouble": [Ask("POST", "troubles:acknowledge", matter)],
    "plan-trouble": [Ask("POST", "reprocessings:write", matter)],
    "show-content": [Ask("POST", "payloads:read", event)],
    "reprocessings": [Ask("GET")],
    "plan-events": [
        Ask("POST", "reprocessings:write"),
        Ask("POST", "reprocessings:all", data={"includes_done": "1"}),
    ],
    "plan-syncs": [Ask("POST", "reprocessings:write")],
    "plan-all-numbers": [Ask("POST", "listings:resend", connector, field="connector")],
    "look-back": [Ask("POST", "reprocessings:write", connector, {"days": "1"}, "connector")],
    "reprocessing": [Ask("GET", of=job)],
    "reprocessing-csv": [Ask("GET", of=job)],
    **{
        name: [Ask("POST", "reprocessings:write", job)]
        for name in (
            *("confirm-reprocessing", "approve-reprocessing", "pause-reprocessing"),
            *("resume-reprocessing", "cancel-reprocessing", "repeat-failures"),
        )
    },
    "orders": [Ask("GET")],
    "order": [Ask("GET", of=order)],
    "recipient": [Ask("POST", "orders:recipient", order)],
    "label": [Ask("POST", "orders:recipient", order)],
    "notify": [Ask("POST", "notifications:send", order)],
    "stock": [Ask("GET")],
    "movements": [Ask("GET", of=product)],
    "adjust": by_hand(product),
    "receive": by_hand(product),
    "transfer": by_hand(product),
    "arrive": by_hand(transfer),
    "all-movements": [Ask("GET")],
    "movement": [Ask("GET", of=pk("movement"))],
    "reservations": [Ask("GET")],
    "release": by_hand(hold),
    "batches": [Ask("GET")],
    "batch": [Ask("GET", of=batch)],
    "block-batch": [Ask("POST", "stock:adjust", batch)],
    "unblock-batch": [Ask("POST", "stock:adjust", batch)],
    "oversells": [Ask("GET")],
    "oversell": [Ask("GET", of=oversell)],
    "sync-product": [Ask("POST", "listings:sync", product)],
    "listings": [Ask("GET")],
    "listing": [Ask("GET", of=listing)],
    "why": [Ask("GET", of=listing)],
    "map": [Ask("POST", "mappings:write", listing)],
    "sync-now": [Ask("POST", "listings:sync", listing)],
    "divergences": [Ask("GET")],
    "send-ours": [Ask("POST", "divergences:settle", divergence)],
    "ignore-divergence": [Ask("POST", "divergences:settle", divergence)],
    "heed-divergence": [Ask("POST", "divergences:settle", divergence)],
    "listing-rule": [Ask("GET", of=listing), Ask("POST", "publication:write", listing)],
    "mappings": [Ask("GET")],
    "map-sku": [Ask("POST", "mappings:write")],
    "map-listings": [Ask("GET")],
    "plan-mapping": [Ask("POST", "mappings:import")],
    "plan-certain": [Ask("POST", "mappings:import")],
    "listings-csv": [Ask("GET")],
    "listings-upload": [Ask("POST", "mappings:import")],
    "mapping-job": [Ask("GET", of=mapping_job)],
    "confirm-mapping": [Ask("POST", "mappings:import", mapping_job)],
    "pause-mapping": [Ask("POST", "mappings:import", mapping_job)],
    "resume-mapping": [Ask("POST", "mappings:import", mapping_job)],
    "cancel-mapping": [Ask("POST", "mappings:import", mapping_job)],
    "mapping-report": [Ask("GET", of=mapping_job)],
    "unmap": [Ask("GET", "mappings:write", listing), Ask("POST", "mappings:write", listing)],
    "new-product": [Ask("GET", "listings:import", unmapped), Ask("POST", "listings:import", unmapped)],
    "map-status": [Ask("POST", "mappings:write")],
    "mappings-csv": [Ask("GET")],
    "mappings-upload": [Ask("POST", "mappings:import")],
    "connectors": [Ask("GET")],
    "new-connector": [Ask("GET", "connectors:write"), Ask("POST", "connectors:write")],
    "authorized": [Ask("GET", "connectors:write")],
    "connector": [Ask("GET", of=connector)],
    "assistant": [Ask("GET", of=connector)],
    "simulation": [Ask("GET", of=connector)],
    "describe-connector": [Ask("POST", "publication:write", connector)],
    "activate-connector": [Ask("POST", "connectors:pause", connector)],
    "replace-secrets": [Ask("POST", "connectors:write", connector)],
    "authorize": [Ask("POST", "connectors:write", connector)],
    "test-connector": [Ask("POST", "connectors:check", connector)],
    "sync-connector": [Ask("POST", "listings:sync", connector)],
    "import-listings": [Ask("POST", "listings:import", connector)],
    "cancel-import": [Ask("POST", "listings:import", connector)],
    "depots": [Ask("GET", of=connector), Ask("POST", "publication:write", connector)],
    "price": [Ask("GET", of=listing), Ask("POST", "prices:write", listing)],
    "compare-connector": [Ask("POST", "connectors:check", connector)],
    "cancel-compare": [Ask("POST", "connectors:check", connector)],
    "pause-connector": [Ask("POST", "connectors:pause", connector)],
    "resume-connector": [Ask("POST", "connectors:pause", connector)],
    "enter-shadow": [Ask("POST", "connectors:pause", connector)],
    "leave-shadow": [Ask("POST", "connectors:pause", connector)],
    "connector-rule": [Ask("GET", of=connector), Ask("POST", "publication:write", connector)],
    "let-zeros-through": [Ask("POST", "zeros:release", connector)],
    "users": [Ask("GET", "users:read")],
    "add-user": [Ask("POST", "users:write")],
    "change-role": [Ask("POST", "users:write", colleague)],
    "remove-user": [Ask("POST", "users:write", colleague)],
    "user-link": [Ask("POST", "users:write", colleague)],
    "user-second-factor-off": [Ask("POST", "users:write", colleague)],
    "keys": [Ask("GET", "keys:write")],
    "make-key": [Ask("POST", "keys:write")],
    "rotate-key": [Ask("POST", "keys:write", key)],
    "revoke-key": [Ask("POST", "keys:write", key)],
    "make-webhook-secret": [Ask("POST", "keys:write")],
    "rotate-webhook-secret": [Ask("POST", "keys:write", secret)],
    "revoke-webhook-secret": [Ask("POST", "keys:write", secret)],
    "trail": [Ask("GET", "audit:read")],
    "home": [Ask("GET")],
    "health": [Ask("GET")],
    "search": [Ask("GET", data={"q": "VASO"})],
    "exports": [Ask("GET")],
    "ask-export": [Ask("POST", data={"list": "stock", "profile": "PLANILHA"})],
    "views": [Ask("GET")],
    "save-view": [
        Ask("POST", data={"list": "stock", "name": "Minha"}),
        Ask("POST", "views:share", data={"list": "stock", "name": "Nossa", "is_shared": "on"}),
    ],
}

HOMELESS = {
    *("tenant", "language", "confirm", "profile", "change-password"),
    *("second-factor", "second-factor-off", "recovery-codes"),
}
"""Routes of the console that also serve people without a company: the frame's own forms, and one's own account."""

OWN = {"export", "cancel-export", "change-view", "delete-view"}
"""Routes to a person's own rows, a 404 for everybody else: test_exports.py, test_saved_views_and_search.py."""

OPEN = {
    *("home", "login", "logout", "openapi-json", "openapi-yaml", "api-docs", "swagger", "problem"),
    *("login-code", "login-setup", "choose-password"),
    *("healthz", "readyz", "metrics"),
}
"""Routes outside the console and the API that ask for no company; each has tests of its own."""

OPEN_API = {"event-schemas", "event-schema", "ml-notification"}
"""Routes of the API that take no credential: descriptions, and the door whose address is the secret."""

API = ("v1/", "api/", "internal/")
SAMPLES = {
    "int": "1",
    "uuid": str(uuid.UUID(int=7)),
    "str": "um",
    "slug": "um",
    "path": "um",
    "store": "um",
    "sku": "um",
}


def routes(resolver: URLResolver | None = None, prefix: str = "", space: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every route there is: the pattern of its address, its name with the namespace, its view."""
    for found in (resolver or get_resolver()).url_patterns:
        pattern = prefix + str(found.pattern)
        if isinstance(found, URLResolver):
            inner = f"{space}{found.namespace}:" if found.namespace else space
            yield from routes(found, pattern, inner)
        elif isinstance(found, URLPattern):
            yield pattern, f"{space}{found.name or ''}", found.callback


def address_of(pattern: str) -> str:
    """An address that the pattern matches."""
    return "/" + re.sub(r"<(?:(\w+):)?\w+>", lambda part: SAMPLES[part[1] or "str"], pattern)


ALL = list(routes())
CONSOLE = sorted(name.removeprefix("console:") for _pattern, name, _view in ALL if name.startswith("console:"))
ADMIN = sorted({pattern for pattern, name, _view in ALL if pattern.startswith("admin/")})
DOORS = sorted((pattern, name) for pattern, name, _view in ALL if pattern.startswith(API) and name not in OPEN)
ASKS = [(name, ask) for name, asks in ROUTES.items() for ask in asks]
IDS = [f"{ask.method} {name}" for name, ask in ASKS]


def test_no_route_is_forgotten() -> None:
    assert set(CONSOLE) == set(ROUTES) | HOMELESS | OWN
    elsewhere = {
        name
        for pattern, name, _view in ALL
        if not pattern.startswith((*API, "admin/")) and not name.startswith("console:")
    }
    assert elsewhere - OPEN == set()
    assert {name for _pattern, name in DOORS} >= OPEN_API


def test_every_permission_of_the_tables_is_known_and_every_known_one_is_asked_for() -> None:
    asked = {ask.needs for _name, ask in ASKS} - {None}
    assert asked <= set(permissions.HOLDERS)
    assert set(permissions.PAGES) <= asked


def at(name: str, ask: Ask, shop: Shop) -> str:
    return reverse(f"console:{name}", kwargs=ask.of(shop) if ask.of and not ask.field else {})


def send(client: Client, name: str, ask: Ask, shop: Shop) -> Any:
    address, data = at(name, ask, shop), ask.data
    if ask.field and ask.of:
        data = data | {ask.field: str(ask.of(shop)["pk"])}
    return client.get(address, data) if ask.method == "GET" else client.post(address, data)


@pytest.fixture
def shop() -> Shop:
    return factories_shop("Alice")


def factories_shop(name: str) -> Shop:
    """A shop whose order is ready and has a label, so that each button has something to do."""
    made = open_shop(name)
    factories.ready(made.order)
    return made


@pytest.mark.parametrize(("name", "ask"), ASKS, ids=IDS)
def test_whoever_is_not_signed_in_is_sent_to_the_login(name: str, ask: Ask, shop: Shop, client: Client) -> None:
    answer = send(client, name, ask, shop)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/entrar/?next=")


@pytest.mark.parametrize(("name", "ask"), ASKS, ids=IDS)
def test_who_belongs_elsewhere_or_nowhere_finds_nothing(name: str, ask: Ask, shop: Shop) -> None:
    nobody, platform = factories.UserFactory(), factories.UserFactory(is_staff=True, is_superuser=True)
    assert [send(signed_in(user), name, ask, shop).status_code for user in (nobody, platform)] == [404, 404]
    stranger = factories.member(factories.TenantFactory(), Membership.Role.ADMIN)
    found = send(signed_in(stranger), name, ask, shop)
    assert found.status_code == 404 if ask.of else found.status_code in FINE
    assert "Alice" not in found.content.decode() if not found.streaming else True


@pytest.mark.parametrize(("name", "ask"), ASKS, ids=IDS)
def test_each_role_may_what_the_table_says(name: str, ask: Ask, shop: Shop) -> None:
    for role in ROLES:
        answer = send(signed_in(factories.member(shop.tenant, role)), name, ask, shop)
        if ask.needs is None or role in permissions.HOLDERS[ask.needs]:
            # a label and a recipient are not there for each order: then the person in whose right it is gets 404
            fine = FINE | ({404} if ask.needs == "orders:recipient" else set())
            assert answer.status_code in fine, (role, answer.status_code)
        else:
            assert answer.status_code == 403, (role, answer.status_code)
            assert str(Membership.Role(permissions.HOLDERS[ask.needs][-1]).label)[:5] in answer.content.decode()


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_a_route_takes_only_the_methods_of_its_table(name: str, shop: Shop) -> None:
    admin = signed_in(factories.member(shop.tenant, Membership.Role.ADMIN))
    answer = admin.generic("PATCH", at(name, ROUTES[name][0], shop))
    assert answer.status_code == 405
    assert set(answer["Allow"].split(", ")) - {"HEAD"} == {ask.method for ask in ROUTES[name]}


@pytest.mark.parametrize(
    ("name", "ask"), [one for one in ASKS if one[1].method == "POST"], ids=[i for i in IDS if i.startswith("POST")]
)
def test_a_change_needs_the_forms_token(name: str, ask: Ask, shop: Shop) -> None:
    admin = Client(enforce_csrf_checks=True)
    admin.force_login(factories.member(shop.tenant, Membership.Role.ADMIN))
    assert admin.post(at(name, ask, shop), ask.data).status_code == 403


# --- The administration ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ADMIN)
def test_the_administration_is_for_staff(pattern: str, shop: Shop) -> None:
    address = address_of(pattern).replace("(?P<app_label>auth|tenants)/$", "auth/")
    everybody = [Client(), *(signed_in(factories.member(shop.tenant, role)) for role in ROLES)]
    if pattern in ("admin/login/", "admin/logout/", "admin/jsi18n/"):
        return  # the way in, the way out, and words
    for person in everybody:
        answer = person.get(address)
        assert answer.status_code in (302, 404, 405), address
        if answer.status_code == 302:
            assert "/login/" in answer["Location"] or answer["Location"].startswith("/entrar/")


# --- The API --------------------------------------------------------------------------------------------------------


def methods_of(pattern: str) -> list[str]:
    """Return the methods that a route of the API takes."""
    view = next(view for found, _name, view in ALL if found == pattern)
    told = getattr(view, "endpoints", None) or [view.endpoint] if hasattr(view, "endpoint") else None
    if hasattr(view, "endpoints"):
        told = view.endpoints
    if told:
        return [about.method for about in told]
    return [method for method in ("GET", "POST") if hasattr(getattr(view, "cls", object), method.lower())] or ["POST"]


CALLS = [(pattern, method) for pattern, name in DOORS if name not in OPEN_API for method in methods_of(pattern)]


@pytest.mark.parametrize(("pattern", "method"), CALLS)
def test_no_door_of_the_api_opens_without_a_credential(pattern: str, method: str) -> None:
    answer = Client().generic(method, address_of(pattern), b"{}", content_type="application/json")
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
