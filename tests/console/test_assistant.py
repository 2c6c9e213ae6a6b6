"""The connector's assistant: where it stands is read from the data, what blocks is said, activation is gradual."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.connectors import connecting
from apps.connectors.models import Connector, Errand, Listing
from apps.console import assistant
from apps.inventory.models import Product
from apps.sync import pausing, queue, simulating
from apps.tenants import flags
from apps.tenants.models import AuditEntry, Membership, Tenant
from tests import factories
from tests.console.test_pages import signed_in

pytestmark = pytest.mark.django_db

ACTOR = "user:1"


@pytest.fixture
def tenant() -> Tenant:
    row: Tenant = factories.TenantFactory()
    return row


@pytest.fixture
def connector(tenant: Tenant) -> Connector:
    """An account that was just entered."""
    return connecting.register(tenant, kind="ML", name="Loja", client_id="1", client_secret="s", actor=ACTOR)


@pytest.fixture
def alice(tenant: Tenant) -> Client:
    return signed_in(factories.member(tenant, Membership.Role.MANAGER))


@pytest.fixture
def anna(tenant: Tenant) -> Client:
    return signed_in(factories.member(tenant, Membership.Role.ANALYST))


def authorise(connector: Connector) -> None:
    Connector.objects.filter(pk=connector.pk).update(user_id="400", status="ATIVO")
    connector.refresh_from_db()


def errand(connector: Connector, kind: Errand.Kind, **values: Any) -> Errand:
    ended: dict[str, Any] = {"status": Errand.Status.DONE, "finished_at": timezone.now()}
    return Errand.objects.create(
        tenant=connector.tenant, connector=connector, kind=kind, asked_by=ACTOR, **ended | values
    )


def stock(connector: Connector, count: int, *, shown: int = 10, units: int = 12) -> list[Listing]:
    place = factories.LocationFactory(tenant=connector.tenant)
    rows = []
    for _n in range(count):
        one: Product = factories.ProductFactory(tenant=connector.tenant)
        factories.stocked(one, place, units)
        same = {"tenant": connector.tenant, "connector": connector, "product": one}
        rows.append(factories.ListingFactory(accepted_quantity=shown, channel_status="active", **same))
    return rows


def badges(connector: Connector) -> dict[str, Any]:
    connector.refresh_from_db()
    return {step.key: step.badge for step in assistant.steps_of(assistant.standing_of(connector))}


def test_each_step_follows_from_the_data(connector: Connector) -> None:
    done, now, blocked = assistant.DONE, assistant.NEXT, assistant.BLOCKED
    assert list(badges(connector).values()) == [done, now, *[blocked] * 5]
    authorise(connector)
    assert list(badges(connector).values()) == [done, done, now, assistant.OPEN, *[blocked] * 3]
    errand(connector, Errand.Kind.TEST, report={"steps": [{"name": "token", "outcome": "failed", "code": "timeout"}]})
    assert badges(connector)["test"] is now
    errand(connector, Errand.Kind.TEST, report={"steps": [{"name": "token", "outcome": "ok", "facts": {"until": ""}}]})
    assert badges(connector)["test"] is done
    working = errand(connector, Errand.Kind.IMPORT, status=Errand.Status.RUNNING, finished_at=None)
    assert badges(connector)["import"] is assistant.BUSY
    Errand.objects.filter(pk=working.pk).update(status=Errand.Status.DONE, finished_at=timezone.now())
    factories.ListingFactory(tenant=connector.tenant, connector=connector, product=None)
    assert list(badges(connector).values()) == [done, done, done, done, now, blocked, blocked]
    stock(connector, 2)
    found = badges(connector)
    assert (found["map"], found["simulate"], found["activate"]) == (assistant.PART, now, assistant.OPEN)
    Listing.objects.filter(product=None).delete()
    assert badges(connector)["map"] is done


def test_a_mapped_listing_without_stock_says_what_is_missing(connector: Connector, alice: Client) -> None:
    authorise(connector)
    factories.ListingFactory(tenant=connector.tenant, connector=connector)
    found = assistant.steps_of(assistant.standing_of(connector))
    assert [step.key for step in found if step.is_blocked] == ["simulate", "activate"]
    assert alice.get(reverse("console:assistant", args=[connector.pk])).status_code == 200


def test_what_is_switched_off_or_stopped_cannot_be_activated(connector: Connector, alice: Client) -> None:
    authorise(connector)
    rows = stock(connector, 1)
    flags.switch(connector.tenant, "integracao.ml.enabled", is_enabled=False, actor=ACTOR)
    assert badges(connector)["activate"] is assistant.BLOCKED
    alice.post(reverse("console:activate-connector", args=[connector.pk]))
    assert Listing.objects.get(pk=rows[0].pk).live_since is None
    flags.switch(connector.tenant, "integracao.ml.enabled", is_enabled=True, actor=ACTOR)
    pausing.pause(connector, reason="x", actor=ACTOR)
    assert badges(connector)["activate"] is assistant.BLOCKED


def test_it_says_that_all_numbers_are_told_only_while_they_are(connector: Connector, alice: Client) -> None:
    authorise(connector)
    stock(connector, 1)
    address = reverse("console:assistant", args=[connector.pk])

    def says() -> str:
        page = alice.get(address, headers={"accept-language": "en"}).content.decode()
        return page.partition('<p class="lead">')[2].partition("</p>")[0]

    assert says().startswith("No number is sent to the channel before the last step.")
    pausing.leave_shadow(connector, actor=ACTOR)
    assert says().startswith("All numbers of this account are told.")
    for status in ("REAUTORIZAR", "PAUSADO", "ERROR"):
        Connector.objects.update(status=status)
        assert says().startswith("No number of this account is told now;"), status
    Connector.objects.update(status="ATIVO")
    flags.switch(connector.tenant, "integracao.ml.enabled", is_enabled=False, actor=ACTOR)
    assert says().startswith("No number of this account is told now;")


def test_ten_are_told_first_then_all_and_back(connector: Connector, alice: Client, anna: Client) -> None:
    authorise(connector)
    rows = stock(connector, 12)
    address = reverse("console:activate-connector", args=[connector.pk])
    assert anna.post(address).status_code == 403
    alice.post(address, {"all": "1"})  # not before the first ones
    connector.refresh_from_db()
    assert connector.is_shadow
    alice.post(address)
    live = Listing.objects.filter(live_since__isnull=False)
    assert (live.count(), live.filter(due_trigger="manual", due_at__isnull=False).count()) == (10, 10)
    alice.post(address)
    assert live.count() == 10  # pressed twice
    page = alice.get(reverse("console:assistant", args=[connector.pk])).content.decode()
    assert sum(row.item_id in page for row in rows) == 10
    back = reverse("console:enter-shadow", args=[connector.pk])
    assert alice.post(back).status_code == 302
    assert live.count() == 0
    alice.post(address)
    alice.post(address, {"all": "1"})
    connector.refresh_from_db()
    assert (connector.is_shadow, live.count(), badges(connector)["activate"]) == (False, 0, assistant.DONE)
    actions = AuditEntry.objects.filter(action__startswith="connector.").order_by("pk").values_list("action", flat=True)
    expected = ["registered", "activated", "shadow_entered", "activated", "shadow_left"]
    assert list(actions) == [f"connector.{name}" for name in expected]


def test_listings_of_one_stock_go_live_together(connector: Connector) -> None:
    authorise(connector)
    rows = stock(connector, 3)
    shares: dict[str, Any] = {"user_product_id": "U1", "capability": Listing.Capability.USER_PRODUCT}
    Listing.objects.filter(pk__in=[rows[0].pk, rows[2].pk]).update(product=rows[0].product, **shares)
    assert pausing.activate(connector, [rows[2].pk], actor=ACTOR) == 2
    live = Listing.objects.filter(live_since__isnull=False).order_by("pk").values_list("pk", flat=True)
    assert list(live) == [rows[0].pk, rows[2].pk]


def test_the_sweep_compares_a_live_listing_with_what_the_channel_shows(connector: Connector) -> None:
    authorise(connector)
    first, second = stock(connector, 2)
    Listing.objects.update(shadow_quantity=12)
    Listing.objects.filter(pk=first.pk).update(live_since=timezone.now())
    assert queue.sweep() == 1
    assert Listing.objects.get(pk=first.pk).due_at is not None
    assert Listing.objects.get(pk=second.pk).due_at is None


def test_the_simulation_shows_the_largest_differences_first_and_sends_nothing(
    connector: Connector, alice: Client
) -> None:
    authorise(connector)
    Connector.objects.update(margin_percent=50)
    [near] = stock(connector, 1, shown=5, units=12)
    [far] = stock(connector, 1, shown=90, units=12)
    [equal] = stock(connector, 1, shown=6, units=12)
    [gone] = stock(connector, 1, shown=2, units=1)
    found = simulating.simulate(connector)
    assert [(row.listing_id, row.shown, row.number) for row in found.rows] == [
        (far.pk, 90, 6),
        (gone.pk, 2, 0),
        (near.pk, 5, 6),
        (equal.pk, 6, 6),
    ]
    assert (found.raised, found.lowered, found.zeroed, found.equal) == (1, 2, 1, 1)
    assert [row.listing_id for row in found.first_ones(3)] == [near.pk, far.pk, equal.pk]
    page = alice.get(reverse("console:simulation", args=[connector.pk])).content.decode()
    assert page.index(far.item_id) < page.index(gone.item_id) < page.index(equal.item_id)
    assert not Listing.objects.filter(due_at__isnull=False).exists()


def test_name_and_places_are_kept_and_audited(connector: Connector, alice: Client, anna: Client) -> None:
    place = factories.LocationFactory(tenant=connector.tenant, code="CD")
    strange = factories.LocationFactory()
    address = reverse("console:describe-connector", args=[connector.pk])
    assert anna.post(address, {"name": "x"}).status_code == 403
    assert alice.post(address, {"name": "Loja nova", "locations": [str(strange.pk)]}).status_code == 422
    assert alice.post(address, {"name": "Loja nova", "locations": [str(place.pk)]}).status_code == 302
    connector.refresh_from_db()
    assert (connector.name, list(connector.locations.all())) == ("Loja nova", [place])
    entry = AuditEntry.objects.get(action="connector.described")
    assert entry.details == {"changes": {"name": ["Loja", "Loja nova"], "locations": [[], ["CD"]]}}


def test_a_reader_sees_the_steps_and_no_buttons(connector: Connector, anna: Client) -> None:
    authorise(connector)
    stock(connector, 1)
    page = anna.get(reverse("console:assistant", args=[connector.pk])).content.decode()
    assert connector.notification_url in page
    assert "assistente/ativar" not in page
    assert "/importar/" not in page
