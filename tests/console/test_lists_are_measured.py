"""No list of the console is forgotten by the benchmark that asks each with millions of rows (benchmarks/lists.py)."""

import re

import pytest
from django.test import Client
from django.urls import Resolver404, resolve, reverse

from apps.console.lists import LISTS as WITH_FILTERS
from apps.console.urls import urlpatterns
from apps.tenants.models import Membership, Tenant
from benchmarks.lists import LISTS
from tests import factories

#: pages that grow with nothing: forms, or as many rows as the company has accounts, people or keys
SMALL = {
    "listings-csv",  # a file, streamed
    "mappings-csv",  # a file, streamed
    "connectors",
    "new-connector",
    "users",
    "keys",
    "profile",
    "change-password",
    "second-factor",
    "recovery-codes",
    "second-factor-off",
    "confirm",
}


def measured() -> set[str]:
    """Return the names of the pages that the benchmark asks for."""
    return {resolve(_any_row(ways.path.partition("?")[0])).url_name for ways in LISTS.values()}


def _any_row(path: str) -> str:
    for value in ("1", "00000000-0000-4000-8000-000000000001"):  # ids are numbers, or UUIDs
        try:
            found = re.sub(r"\{\w+\}", value, path)
            resolve(found)
        except Resolver404:
            continue
        return found
    raise AssertionError(f"{path} is no page")


def test_every_list_with_filters_is_measured() -> None:
    assert set(WITH_FILTERS) <= measured()


@pytest.mark.django_db
def test_every_page_that_opens_without_an_id_is_measured_or_small() -> None:
    tenant: Tenant = factories.TenantFactory()
    client = Client()
    client.force_login(factories.member(tenant, Membership.Role.ADMIN))
    bare = {pattern.name or "" for pattern in urlpatterns if "<" not in str(pattern.pattern)}
    pages = {name for name in bare if client.get(reverse(f"console:{name}")).status_code == 200}
    assert pages == (measured() & bare) | (SMALL & pages)
