"""The admin: every table, only one's own rows, nothing written that only the hub may write, no secret shown."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import CompositePrimaryKey, Model
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from apps.connectors.models import Authorization, Connector, Depot, Errand, Listing, ListingPrice, MappingItem
from apps.console.models import ExportPart
from apps.events.models import IdempotencyKey, IntegrationEvent, ReprocessItem, SilentTopic, Watch
from apps.inventory.models import Balance, FeedCursor, Location, Movement, Product, Reservation
from apps.notifications.models import Notification, NotificationTry, PickupCounter, TroubleNote
from apps.orders.models import Order, OrderItem, Recipient
from apps.sync.models import SyncLog
from apps.tenants import signatures
from apps.tenants.models import ApiKey, AuditEntry, FeatureFlag, Membership, RecoveryCode, Tenant, WebhookSecret
from config.admin import sidebar
from tests import factories

pytestmark = pytest.mark.django_db

READ_ONLY: list[type[Model]] = [
    *(Movement, Balance, Reservation, FeedCursor, SyncLog, IntegrationEvent, IdempotencyKey, Order, Listing),
    *(Notification, NotificationTry, WebhookSecret, Watch, SilentTopic, Authorization, Errand),
]
BIG: list[type[Model]] = [Movement, Balance, Reservation, SyncLog, IntegrationEvent, IdempotencyKey, Order, Listing]
OWNED: list[type[Model]] = [
    *(Tenant, Membership, ApiKey, Product, Location, Balance, Movement, Connector, Listing, SyncLog, Order),
    *(IntegrationEvent, PickupCounter, Notification, NotificationTry, WebhookSecret, FeatureFlag),
    *(Watch, SilentTopic, Authorization, Errand),
]


@pytest.fixture
def rows() -> dict[type[Model], Model]:
    """One row of every table, all of one tenant."""
    log = factories.SyncLogFactory()
    tenant, product = log.tenant, log.product
    location = factories.LocationFactory(tenant=tenant)
    factories.stocked(product, location, 3)
    order = factories.OrderFactory(tenant=tenant, connector=log.connector)
    key, _text = ApiKey.issue(tenant, name="ERP", scopes=["stock:read"])
    counter = PickupCounter.objects.create(connector=log.connector, name="Hub", address="Rua 1", hours="9-18", media=[])
    told = Notification.objects.create(
        tenant=tenant, order=order, medium="SMS", status=Notification.Status.FAILED, error_code="no_phone"
    )
    return {
        Tenant: tenant,
        Membership: factories.MembershipFactory(tenant=tenant),
        ApiKey: key,
        Product: product,
        Location: location,
        Balance: Balance.objects.get(tenant=tenant),
        Movement: Movement.objects.get(tenant=tenant),
        Connector: log.connector,
        Listing: log.listing,
        SyncLog: log,
        Order: order,
        PickupCounter: counter,
        Notification: told,
        NotificationTry: NotificationTry.objects.create(notification=told, number=1, outcome="no_phone"),
        IntegrationEvent: factories.EventFactory(
            tenant=tenant, connector=log.connector, payload={"first_name": "Rosa"}
        ),
        IdempotencyKey: IdempotencyKey.objects.create(key="ML|1|ORDER|1|v1"),
        Watch: Watch.objects.create(connector=log.connector, searched_until=log.finished_at, search_at=log.finished_at),
        SilentTopic: SilentTopic.objects.create(
            connector=log.connector, topic="orders_v2", last_heard_at=log.finished_at
        ),
        WebhookSecret: signatures.issue(tenant, name="ERP")[0],
        FeatureFlag: FeatureFlag.objects.create(tenant=tenant, name=FeatureFlag.Name.MERCADO_LIVRE),
        Authorization: Authorization.objects.create(
            tenant=tenant, connector=log.connector, user=factories.UserFactory(), state_hash="a", expires_at=Now()
        ),
        Depot: Depot.objects.create(tenant=tenant, connector=log.connector, store_id="1", location=location),
        ListingPrice: ListingPrice.objects.create(listing=log.listing, price=10, asked_by="user:1", asked_at=Now()),
        Errand: Errand.objects.create(tenant=tenant, connector=log.connector, kind=Errand.Kind.TEST),
        FeedCursor: FeedCursor.objects.get_or_create(consumer="sync")[0],
    }


def signed_in(user: User) -> Client:
    client = Client(headers={"accept-language": "pt-BR"})
    client.force_login(user)
    return client


@pytest.fixture
def root() -> Client:
    """The platform's own staff."""
    return signed_in(factories.UserFactory(is_staff=True, is_superuser=True))


def staff_of(tenant: Tenant) -> Client:
    """A tenant's person with every permission of the admin, who is not the platform's."""
    user = factories.member(tenant, Membership.Role.ADMIN, is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    return signed_in(user)


def page(model: type[Model], name: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def test_every_table_of_every_room_is_there() -> None:
    rooms = [config for config in apps.get_app_configs() if config.name.startswith("apps.")]
    tables = {model for room in rooms for model in room.get_models()}
    composite = {model for model in tables if isinstance(model._meta.pk, CompositePrimaryKey)}
    inline = {OrderItem, ReprocessItem, TroubleNote, MappingItem, ExportPart}  # parts of what is there
    personal = {Recipient}  # shown on purpose only, and that is written down
    hashes = {RecoveryCode}  # nothing to see
    assert tables - composite - inline - personal - hashes - set(admin.site._registry) == set()


def test_every_admin_is_dressed_alike() -> None:
    plain = [model.__name__ for model, shown in admin.site._registry.items() if not isinstance(shown, ModelAdmin)]
    assert plain == []


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model.__name__)
def test_each_list_and_search_opens(model: type[Model], root: Client, rows: dict[type[Model], Model]) -> None:
    assert root.get(page(model, "changelist")).status_code == 200
    if admin.site._registry[model].search_fields:
        assert root.get(page(model, "changelist"), {"q": "1"}).status_code == 200


@pytest.mark.parametrize("model", [*OWNED, IdempotencyKey, FeedCursor], ids=lambda model: model.__name__)
def test_each_form_opens(model: type[Model], root: Client, rows: dict[type[Model], Model]) -> None:
    assert root.get(page(model, "change", rows[model].pk)).status_code == 200


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_what_only_the_hub_writes_is_not_written_here(
    model: type[Model], root: Client, rows: dict[type[Model], Model]
) -> None:
    assert root.get(page(model, "add")).status_code == 403
    if model in rows:
        before = list(model._default_manager.values())
        assert root.post(page(model, "change", rows[model].pk), {"reason": "mine"}).status_code == 403
        assert root.post(page(model, "delete", rows[model].pk), {"post": "yes"}).status_code == 403
        action = {"action": "delete_selected", "_selected_action": rows[model].pk, "post": "yes"}
        root.post(page(model, "changelist"), action)
        assert list(model._default_manager.values()) == before


@pytest.mark.parametrize("model", OWNED, ids=lambda model: model.__name__)
def test_a_tenants_staff_see_their_rows_and_no_strangers(model: type[Model], rows: dict[type[Model], Model]) -> None:
    own = staff_of(rows[Tenant])
    stranger = staff_of(factories.TenantFactory())
    assert own.get(page(model, "change", rows[model].pk)).status_code == 200
    shown = f"/{rows[model].pk}/change/"
    assert page(model, "change", rows[model].pk) in own.get(page(model, "changelist")).content.decode()
    assert stranger.get(page(model, "change", rows[model].pk)).status_code == 302
    assert page(model, "changelist") + shown.lstrip("/") not in stranger.get(page(model, "changelist")).content.decode()


@pytest.mark.parametrize("model", [IdempotencyKey, FeedCursor], ids=lambda model: model.__name__)
def test_the_hubs_machinery_is_the_platforms_alone(model: type[Model], rows: dict[type[Model], Model]) -> None:
    assert staff_of(rows[Tenant]).get(page(model, "changelist")).status_code == 403


def test_choices_are_of_ones_own_tenants(rows: dict[type[Model], Model]) -> None:
    foreign = factories.TenantFactory(name="Loja Alheia")
    form = staff_of(rows[Tenant]).get(page(Product, "add")).content.decode()
    assert str(rows[Tenant]) in form
    assert foreign.name not in form


def test_a_connector_publishes_only_stock_of_its_own_tenant(root: Client, rows: dict[type[Model], Model]) -> None:
    connector, foreign = rows[Connector], factories.LocationFactory(code="ALHEIO")
    form = root.get(page(Connector, "change", connector.pk)).content.decode()
    assert str(rows[Location]) in form
    assert "ALHEIO" not in form
    values = {"name": "Loja", "status": "PAUSADO", "status_reason": "", "margin_percent": 80, "locations": [foreign.pk]}
    root.post(page(Connector, "change", connector.pk), values)
    connector.refresh_from_db()
    assert connector.status == Connector.Status.ACTIVE
    values["locations"] = [rows[Location].pk]
    assert root.post(page(Connector, "change", connector.pk), values).status_code == 302
    connector.refresh_from_db()
    assert (connector.status, connector.margin_percent) == (Connector.Status.PAUSED, 80)


def test_a_rows_tenant_is_fixed_once_it_exists(root: Client, rows: dict[type[Model], Model]) -> None:
    product, other = rows[Product], factories.TenantFactory()
    values = {"tenant": other.pk, "sku": "NOVO", "name": "Novo nome", "gtin": "", "picking": "FEFO"}
    assert root.post(page(Product, "change", product.pk), values).status_code == 302
    product.refresh_from_db()
    assert product.sku == "NOVO"
    assert product.tenant_id == rows[Tenant].pk


def test_no_secret_and_no_content_is_shown(root: Client, rows: dict[type[Model], Model]) -> None:
    sealed = {"client_secret_enc": "sealed-1", "refresh_token_enc": "sealed-2", "access_token_enc": "sealed-3"}
    Connector.objects.update(**sealed)
    key = ApiKey.objects.get()
    sealed_secret = WebhookSecret.objects.get().secret_enc
    for model in (Connector, IntegrationEvent, ApiKey, WebhookSecret):
        for address in (page(model, "changelist"), page(model, "change", rows[model].pk)):
            with CaptureQueriesContext(connection) as captured:
                shown = root.get(address).content.decode()
            assert "sealed-" not in shown
            assert "Rosa" not in shown
            assert key.key_hash not in shown
            assert sealed_secret not in shown
            asked = " ".join(query["sql"] for query in captured.captured_queries)
            hidden = {
                Connector: r'"client_secret_enc"',
                IntegrationEvent: r'"payload_json"|"body"',
                ApiKey: r"$^",
                WebhookSecret: r'"secret_enc"',
            }
            assert not re.search(hidden[model], asked)


@pytest.mark.parametrize("model", BIG, ids=lambda model: model.__name__)
def test_big_tables_are_never_counted(model: type[Model], root: Client, rows: dict[type[Model], Model]) -> None:
    shown = admin.site._registry[model]
    assert shown.list_per_page == 50
    assert shown.paginator is InfinitePaginator
    with CaptureQueriesContext(connection) as captured:
        root.get(page(model, "changelist"))
    table = f'FROM "{model._meta.db_table}"'
    counted = [
        query["sql"] for query in captured.captured_queries if "COUNT(" in query["sql"] and table in query["sql"]
    ]
    assert counted == []


@pytest.mark.parametrize("model", [SyncLog, Order, Listing, IntegrationEvent], ids=lambda model: model.__name__)
def test_a_list_of_many_rows_costs_no_more_queries(
    model: type[Model], root: Client, rows: dict[type[Model], Model]
) -> None:
    factory = {
        SyncLog: factories.SyncLogFactory,
        Order: factories.OrderFactory,
        Listing: factories.ListingFactory,
        IntegrationEvent: factories.EventFactory,
    }[model]
    root.get(page(model, "changelist"))
    with CaptureQueriesContext(connection) as few:
        root.get(page(model, "changelist"))
    factory.create_batch(12)
    with CaptureQueriesContext(connection) as many:
        root.get(page(model, "changelist"))
    assert len(many) == len(few)


def test_a_flag_is_switched_with_the_persons_name(root: Client, rows: dict[type[Model], Model]) -> None:
    flag = rows[FeatureFlag]
    assert root.post(page(FeatureFlag, "change", flag.pk), {"is_enabled": ""}).status_code == 302
    flag.refresh_from_db()
    assert (flag.is_enabled, flag.changed_by[:5]) == (False, "user:")
    written = AuditEntry.objects.get(action="flag.switched")
    assert (written.actor, written.tenant, written.details) == (flag.changed_by, flag.tenant, {"is_enabled": False})
    other = factories.TenantFactory()
    values = {"tenant": other.pk, "name": FeatureFlag.Name.MERCADO_LIVRE, "is_enabled": ""}
    assert root.post(page(FeatureFlag, "add"), values).status_code == 302
    assert FeatureFlag.objects.filter(tenant=other, is_enabled=False).count() == 1
    assert root.post(page(FeatureFlag, "add"), values).status_code == 200  # it has one: the form says so
    assert FeatureFlag.objects.count() == 2


def test_the_schedule_can_be_changed(root: Client) -> None:
    every_second = IntervalSchedule.objects.create(every=1, period="seconds")
    slower = IntervalSchedule.objects.create(every=5, period="seconds")
    task = PeriodicTask.objects.create(name="inbox", task="apps.events.tasks.work_through_inbox", interval=every_second)
    form = root.get(page(PeriodicTask, "change", task.pk)).content.decode()
    assert "Ritmo" in form
    values = {
        "name": "inbox",
        "regtask": "",
        "task": task.task,
        "enabled": "on",
        "interval": slower.pk,
        "args": "[]",
        "kwargs": "{}",
        "headers": "{}",
    }
    assert root.post(page(PeriodicTask, "change", task.pk), values).status_code == 302
    task.refresh_from_db()
    assert task.interval == slower


def test_the_sidebar_is_the_rooms_in_portuguese(root: Client, rows: dict[type[Model], Model]) -> None:
    request = root.get(reverse("admin:index")).wsgi_request
    titles = [group["title"] for group in sidebar(request) if "title" in group]
    assert titles[:6] == ["Empresas", "Estoque", "Conectores", "Sincronização", "Pedidos", "Notificações"]


def test_a_counter_that_is_told_by_mail_has_an_address(root: Client, rows: dict[type[Model], Model]) -> None:
    counter = rows[PickupCounter]
    values = {"connector": counter.connector_id, "name": "Hub", "address": "Rua 2", "hours": "9-18", "media": "EMAIL"}
    assert root.post(page(PickupCounter, "change", counter.pk), {**values, "email": ""}).status_code == 200
    counter.refresh_from_db()
    assert (counter.address, counter.media) == ("Rua 1", [])
    assert root.post(page(PickupCounter, "change", counter.pk), {**values, "media": "FAX"}).status_code == 200
    changed = {**values, "email": "hub@loja.example", "media": "EMAIL,SMS"}
    assert root.post(page(PickupCounter, "change", counter.pk), changed).status_code == 302
    counter.refresh_from_db()
    assert (counter.address, counter.media, counter.email) == ("Rua 2", ["EMAIL", "SMS"], "hub@loja.example")


def test_a_counter_is_of_ones_own_connector(rows: dict[type[Model], Model]) -> None:
    foreign = factories.ConnectorFactory(name="Conta Alheia")
    form = staff_of(rows[Tenant]).get(page(PickupCounter, "add")).content.decode()
    assert str(rows[Connector]) in form
    assert foreign.name not in form
