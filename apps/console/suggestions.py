"""Which product a listing without one probably sells, why, and how sure that is.

In this order: what a person mapped the listing's SKU to, the product with that very SKU, the one with the same GTIN, a
SKU that is only spelt differently, a name that is like the title. **Certain** is only what one code says and no other
contradicts: that may be confirmed in bulk. Everything else is for a person to look at. Nothing is written here.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from django.db import connection
from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.connectors import mappings
from apps.connectors.models import Listing
from apps.console.badges import Badge
from apps.inventory.models import Product
from apps.tenants.access import of_tenant
from apps.tenants.models import Tenant

CHANNEL = "ML"

PER_LISTING = 3
"""Suggestions that one listing shows."""

CHUNK = 1000

NAMES_MAX = 5000
"""Products whose names are compared word by word where the database cannot compare them."""

LIKELY_FROM = 0.6
"""Names at least so alike are likely the same thing; at ALIKE_FROM, worth a look."""

ALIKE_FROM = 0.3


class Reason(StrEnum):
    """Why a product is suggested, the strongest first. The values are kept with mapping jobs."""

    MAPPED = "MAPEADO"
    SKU = "SKU"
    GTIN = "GTIN"
    SPELLING = "GRAFIA"
    TITLE = "TITULO"
    CHOSEN = "ESCOLHIDO"
    FILE = "ARQUIVO"


WHY: dict[str, str | Promise] = {
    Reason.MAPPED: _("Somebody mapped this seller SKU to it"),
    Reason.SKU: _("The seller SKU is this product's SKU"),
    Reason.GTIN: _("The same GTIN (bar code)"),
    Reason.SPELLING: _("The same SKU, spelt differently"),
    Reason.TITLE: _("The title is like its name"),
    Reason.CHOSEN: _("Chosen by a person"),
    Reason.FILE: _("Said by the file"),
}

CERTAIN = Badge(_("Certain"), "ok", "check")
LIKELY = Badge(_("Likely"), "info", "question")
POSSIBLE = Badge(_("Possible: look at it"), "warn", "question")
CONTRADICTED = Badge(_("Codes disagree: look at it"), "warn", "alert")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One product that a listing may sell. is_certain: may be confirmed without looking at it singly."""

    product: Product
    reason: Reason
    badge: Badge
    is_certain: bool = False

    @property
    def why(self) -> str:
        """Return the reason in words."""
        return str(WHY[self.reason])


def suggest(tenant: Tenant, listings: Sequence[Listing]) -> dict[int, list[Suggestion]]:
    """Return, per listing id, the products it may sell, the best first; at most PER_LISTING each.

    A handful of queries, however many listings there are.
    """
    found = _by_codes(tenant, listings)
    rest = [row for row in listings if row.pk not in found]
    by_spelling = _by_spelling(tenant, rest)
    found |= {pk: [Suggestion(one, Reason.SPELLING, LIKELY) for one in rows] for pk, rows in by_spelling.items()}
    by_title = _by_title(tenant, [row for row in rest if row.title and len(found.get(row.pk, ())) < PER_LISTING])
    for pk, rows in by_title.items():
        known = {one.product.pk for one in found.get(pk, ())}
        alike = [
            Suggestion(one.product, Reason.TITLE, LIKELY if one.likeness >= LIKELY_FROM else POSSIBLE)
            for one in rows
            if one.product.pk not in known
        ]
        found[pk] = [*found.get(pk, ()), *alike][:PER_LISTING]
    return {pk: rows[:PER_LISTING] for pk, rows in found.items() if rows}


def certain(tenant: Tenant, listings: QuerySet[Listing], *, most: int) -> Iterator[tuple[Listing, Suggestion]]:
    """Yield the first `most` of the unmapped listings for which a code says the product and none contradicts it."""
    rows = of_tenant(tenant, listings.filter(product__isnull=True)).order_by("id")
    chunk: list[Listing] = []
    given = 0
    for row in rows.iterator(chunk_size=CHUNK):
        chunk.append(row)
        if len(chunk) == CHUNK:
            for pair in _certain_of(tenant, chunk):
                yield pair
                given += 1
                if given == most:
                    return
            chunk = []
    for pair in list(_certain_of(tenant, chunk))[: most - given]:
        yield pair


def _certain_of(tenant: Tenant, listings: Sequence[Listing]) -> Iterator[tuple[Listing, Suggestion]]:
    found = _by_codes(tenant, listings)
    for row in listings:
        best = next(iter(found.get(row.pk, ())), None)
        if best is not None and best.is_certain:
            yield row, best


def certain_products(tenant: Tenant, listings: Sequence[Listing]) -> dict[int, Product]:
    """Return {listing id: the product that is certainly the one}."""
    return {row.pk: best.product for row, best in _certain_of(tenant, listings)}


# --- By codes --------------------------------------------------------------------------------------------------------


def _by_codes(tenant: Tenant, listings: Sequence[Listing]) -> dict[int, list[Suggestion]]:
    """Return what SKU and GTIN say. When they name different products, each is shown and neither is certain."""
    skus = {row.seller_sku for row in listings if row.seller_sku}
    gtins = {_gtin(row.gtin) for row in listings if _gtin(row.gtin)}
    mapped = mappings.products_of(tenant.pk, CHANNEL, skus) if skus else {}
    by_sku = {one.sku: one for one in of_tenant(tenant, Product.objects.filter(sku__in=skus))} if skus else {}
    by_id = of_tenant(tenant, Product.objects.all()).in_bulk(set(mapped.values())) if mapped else {}
    by_gtin = _products_by_gtin(tenant, gtins) if gtins else {}
    found: dict[int, list[Suggestion]] = {}
    for row in listings:
        said: list[tuple[Reason, Product]] = []
        if row.seller_sku in mapped:
            said.append((Reason.MAPPED, by_id[mapped[row.seller_sku]]))
        elif row.seller_sku in by_sku:
            said.append((Reason.SKU, by_sku[row.seller_sku]))
        said += [(Reason.GTIN, one) for one in by_gtin.get(_gtin(row.gtin), ())]
        if not said:
            continue
        strongest: dict[int, tuple[Reason, Product]] = {}
        for reason, one in said:
            strongest.setdefault(one.pk, (reason, one))
        is_one = len(strongest) == 1
        badge = CERTAIN if is_one else CONTRADICTED
        found[row.pk] = [Suggestion(one, reason, badge, is_certain=is_one) for reason, one in strongest.values()]
    return found


def _gtin(text: str) -> str:
    """Return a GTIN with 14 digits: 8, 12, 13 and 14 digits of one code are the same code; "" for what is none."""
    digits = text.strip()
    return digits.zfill(14) if digits.isdecimal() and len(digits) in (8, 12, 13, 14) and int(digits) else ""


def _products_by_gtin(tenant: Tenant, gtins: set[str]) -> dict[str, list[Product]]:
    spelt = {form for code in gtins for form in (code, *(code[-n:] for n in (13, 12, 8) if not int(code[:-n] or 0)))}
    found: dict[str, list[Product]] = defaultdict(list)
    for one in of_tenant(tenant, Product.objects.filter(gtin__in=spelt)).order_by("pk"):
        found[_gtin(one.gtin)].append(one)
    return found


# --- By spelling and likeness ----------------------------------------------------------------------------------------

SPELT = """
SELECT p.id, upper(regexp_replace(p.sku, '[^[:alnum:]]', '', 'g')) FROM inventory_products p
 WHERE p.tenant_id = %s AND upper(regexp_replace(p.sku, '[^[:alnum:]]', '', 'g')) = ANY (%s)
"""


def _bare(sku: str) -> str:
    return re.sub(r"[\W_]+", "", sku).upper()


def _by_spelling(tenant: Tenant, listings: Sequence[Listing]) -> dict[int, list[Product]]:
    bare = {row.pk: _bare(row.seller_sku) for row in listings if len(_bare(row.seller_sku)) > 1}
    if not bare:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(SPELT, [tenant.pk, list(set(bare.values()))])
        rows = cursor.fetchall()
    products = of_tenant(tenant, Product.objects.all()).in_bulk([pk for pk, _sku in rows])
    found: dict[str, list[Product]] = defaultdict(list)
    for pk, sku in rows:
        found[sku].append(products[pk])
    return {pk: found[sku] for pk, sku in bare.items() if sku in found}


ALIKE = """
SELECT wanted.id, p.id, p.alike
  FROM unnest(%s::bigint[], %s::text[]) AS wanted (id, title)
 CROSS JOIN LATERAL (
       SELECT p.id, similarity(upper(p.name), upper(wanted.title)) AS alike FROM inventory_products p
        WHERE p.tenant_id = %s AND upper(p.name) %% upper(wanted.title)
        ORDER BY alike DESC, p.id LIMIT %s) p
"""
# in capitals, as the index on names has them


class Alike(NamedTuple):
    """A product whose name is like a title; likeness from 0 to 1."""

    product: Product
    likeness: float


def _by_title(tenant: Tenant, listings: Sequence[Listing]) -> dict[int, list[Alike]]:
    if not listings:
        return {}
    if not _compares_texts():
        return _by_words(tenant, listings)
    with connection.cursor() as cursor:
        cursor.execute(ALIKE, [[row.pk for row in listings], [row.title for row in listings], tenant.pk, PER_LISTING])
        rows = cursor.fetchall()
    products = of_tenant(tenant, Product.objects.all()).in_bulk({pk for _listing, pk, _alike in rows})
    found: dict[int, list[Alike]] = defaultdict(list)
    for listing_id, pk, alike in rows:
        found[listing_id].append(Alike(products[pk], alike))
    return found


def _compares_texts() -> bool:
    """Tell whether the database has pg_trgm; a database of somebody else's may not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')")
        return bool(cursor.fetchone()[0])


def _by_words(tenant: Tenant, listings: Sequence[Listing]) -> dict[int, list[Alike]]:
    """Compare titles with names by the words they share."""
    rows = list(of_tenant(tenant, Product.objects.all()).order_by("pk")[:NAMES_MAX])
    names = [(one, _words(one.name)) for one in rows]
    found: dict[int, list[Alike]] = {}
    for row in listings:
        title = _words(row.title)
        alike = [Alike(one, len(title & words) / len(title | words)) for one, words in names if title & words]
        best = sorted((one for one in alike if one.likeness >= ALIKE_FROM), key=lambda one: -one.likeness)
        if best:
            found[row.pk] = best[:PER_LISTING]
    return found


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))
