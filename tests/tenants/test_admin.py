"""API keys in the admin: limited to known scopes, ended, never shown."""

import pytest
from django.test import Client
from django.urls import reverse

from apps.tenants.models import ApiKey
from tests.factories import TenantFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


def test_chosen_keys_are_revoked_and_others_are_not(admin: Client) -> None:
    tenant = TenantFactory()
    ended, text = ApiKey.issue(tenant, name="POS 3", scopes=["stock:read"])
    kept, _text = ApiKey.issue(tenant, name="POS 4", scopes=["stock:read"])
    url = reverse("admin:tenants_apikey_changelist")
    page = admin.post(url, {"action": "revoke", "_selected_action": [ended.pk]}, follow=True)
    assert text[15:] not in page.content.decode()
    ended.refresh_from_db()
    kept.refresh_from_db()
    assert (ended.is_usable, kept.is_usable) == (False, True)


def test_a_scope_that_nothing_asks_for_is_refused(admin: Client) -> None:
    key, _text = ApiKey.issue(TenantFactory(), name="POS 3", scopes=["stock:read"])
    url = reverse("admin:tenants_apikey_change", args=[key.pk])
    page = admin.post(url, {"name": "POS 3", "scopes": "stock:read,stock:reed", "expires_at_0": "", "expires_at_1": ""})
    key.refresh_from_db()
    assert key.scopes == ["stock:read"]
    assert "stock:reed" in page.content.decode()
