"""What people do about movements that wait."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.sources.models import SourceAuthority
from tests.factories import ProductFactory, member
from tests.sources.conftest import Teller, open_teller

pytestmark = pytest.mark.django_db


def staff(teller: Teller, *permissions: str) -> Client:
    """Return the browser of a person of that tenant who may do that in the administration."""
    person = member(teller.tenant, is_staff=True)
    person.user_permissions.add(*Permission.objects.filter(content_type__app_label="sources", codename__in=permissions))
    client = Client()
    client.force_login(person)
    return client


def act(client: Client, action: str, *row_ids: int) -> str:
    response = client.post(
        reverse("admin:sources_sourceevent_changelist"), {"action": action, "_selected_action": row_ids}, follow=True
    )
    assert response.status_code in {200, 403}
    return response.content.decode()


def test_a_person_approves_what_is_too_old(teller: Teller) -> None:
    old = teller.event(time=(timezone.now() - timedelta(days=9)).isoformat())
    teller.tell(old)
    client = staff(teller, "view_sourceevent", "change_sourceevent")
    act(client, "try_again", teller.stored(old).pk)
    assert teller.stored(old).status == "QUARANTINED"
    act(client, "approve", teller.stored(old).pk)
    event = teller.stored(old)
    assert (event.status, event.approved_by[:5], teller.on_hand()) == ("APPLIED", "user:", -1)


def test_a_person_tries_again_what_was_mended(teller: Teller) -> None:
    sale = teller.event(sku="HAT")
    teller.tell(sale)
    ProductFactory(tenant=teller.tenant, sku="HAT")
    act(staff(teller, "view_sourceevent", "change_sourceevent"), "try_again", teller.stored(sale).pk)
    assert teller.stored(sale).status == "APPLIED"


def test_who_may_only_look_and_who_is_a_stranger_changes_nothing(teller: Teller) -> None:
    old = teller.event(time=(timezone.now() - timedelta(days=9)).isoformat())
    teller.tell(old)
    row_id = teller.stored(old).pk
    act(staff(teller, "view_sourceevent"), "approve", row_id)
    act(staff(open_teller(), "view_sourceevent", "change_sourceevent"), "approve", row_id)
    assert teller.stored(old).status == "QUARANTINED"


@pytest.mark.parametrize("table", ["source", "sourceepoch", "sourceauthority", "sourceevent", "sourceconflict"])
def test_every_list_and_page_opens(teller: Teller, table: str) -> None:
    [sale] = teller.numbered(1)
    teller.push(teller.batch([sale, {**sale, "data": {**sale["data"], "quantity": 2}}, *teller.numbered(3)]))
    SourceAuthority.objects.create(tenant=teller.tenant, source_name="/loja-07/", location=teller.store)
    client = staff(teller, f"view_{table}", f"change_{table}")
    page = client.get(reverse(f"admin:sources_{table}_changelist"))
    assert page.status_code == 200
    row = page.context["cl"].result_list[0]
    assert client.get(reverse(f"admin:sources_{table}_change", args=[row.pk])).status_code == 200
