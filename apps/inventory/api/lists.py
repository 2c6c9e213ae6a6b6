"""What the lists of the ledger share: their filters by SKU and store, and how a row names both."""

from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

import msgspec
from django.utils.translation import gettext as _

from apps.common.pages import PageQuery
from apps.common.problems import Problem
from apps.inventory.api.calls import Name
from apps.inventory.models import Location, Product
from apps.tenants.identity import Caller

RowId = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
NewestFirst = tuple[UUID]
"""The key of lists whose ids are in the order of making (uuidv7)."""

EXAMPLE_CURSOR = "WyJhZnRlciIsWyIwMTk5ZjdiMi01YzFlLTdhOTAtYjhmNC0zZjJhNmQxYzllNTUiXV0"

NAMES = """
JOIN inventory_products AS p ON p.id = page.product_id
JOIN inventory_locations AS l ON l.id = page.location_id
"""


class PlaceQuery(PageQuery, rename="camel", kw_only=True):
    """A list that can be narrowed to a SKU, a store, or both."""

    sku: Annotated[Name, msgspec.Meta(description="Only of this SKU.")] | None = None
    store_id: Annotated[Name, msgspec.Meta(description="Only at this store.")] | None = None


@dataclass(slots=True)
class Where:
    """Conditions on a list's rows with their values. The tenant is always one of the values."""

    params: dict[str, Any]
    conditions: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, caller: Caller) -> "Where":
        """Return no conditions yet; `%(tenant)s` is the caller's."""
        return cls({"tenant": caller.tenant_id})

    def add(self, condition: str, **values: Any) -> None:
        """Add a condition whose marks are the names of `values`; nothing when a value is None."""
        if None not in values.values():
            self.conditions.append(condition)
            self.params.update(values)

    def add_place(self, caller: Caller, query: PlaceQuery, *, location: str = "location_id") -> None:
        """Narrow the list to the query's SKU and store. Raises Problem 404 for what the tenant does not have."""
        if query.sku is not None:
            self.add("product_id = %(product)s", product=product_id(caller, query.sku))
        if query.store_id is not None:
            self.add(f"{location} = %(location)s", location=location_id(caller, query.store_id))


def product_id(caller: Caller, sku: str) -> int:
    """Return our id of the caller's product. Raises Problem 404 `unknown_sku`."""
    found = Product.objects.filter(tenant_id=caller.tenant_id, sku=sku).values_list("pk", flat=True).first()
    if found is None:
        raise Problem(404, "unknown_sku", _("You have no such product. Nothing was changed."))
    return found


def location_id(caller: Caller, code: str) -> int:
    """Return our id of the caller's location. Raises Problem 404 `unknown_store`."""
    found = Location.objects.filter(tenant_id=caller.tenant_id, code=code).values_list("pk", flat=True).first()
    if found is None:
        raise Problem(404, "unknown_store", _("You have no such store or warehouse. Nothing was changed."))
    return found
