"""What people decided a channel's words mean: its SKUs, and statuses that the hub does not know.

A decision is never written over: a changed one is a new version, and the old one ends then. What waited for it goes on
by itself (`events.inbox.wake_mapped`).
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.connectors.models import WRITABLE, Listing, SkuMapping, StatusMapping
from apps.inventory.models import Product
from apps.tenants import audit
from apps.tenants.models import Tenant

CSV_COLUMNS = ("canal", "sku_externo", "sku_interno")
CSV_LINES_MAX = 5000


def map_sku(tenant: Tenant, channel: str, external_sku: str, product: Product, *, actor: str) -> int:
    """Say which product a channel's SKU is. Returns how many listings without a product got this one.

    A listing that has a product already keeps it: somebody decided that, and its sales were taken in with it.
    """
    with transaction.atomic():
        current = _current_sku(tenant, channel, external_sku)
        if current is None or current.product_id != product.pk:
            version = _end(current)
            SkuMapping.objects.create(
                tenant=tenant,
                channel=channel,
                external_sku=external_sku,
                product=product,
                version=version + 1,
                made_by=actor[:100],
            )
            audit.record(
                tenant,
                actor,
                "sku_mapped",
                f"{channel}:{external_sku}",
                before=current.product.sku if current else None,
                after=product.sku,
            )
        listings = Listing.objects.filter(
            tenant=tenant, connector__kind=channel, seller_sku=external_sku, product__isnull=True
        )
        told = listings.filter(WRITABLE).update(
            product=product, due_at=Now(), due_trigger=Listing.Trigger.MANUAL, updated_at=Now()
        )
        return told + listings.update(product=product, updated_at=Now())


def products_of(tenant_id: int, channel: str, skus: Iterable[str]) -> dict[str, int]:
    """Return {SKU at the channel: product id} for those of the SKUs that a person mapped."""
    rows = SkuMapping.objects.filter(
        tenant_id=tenant_id, channel=channel, external_sku__in=list(skus), replaced_at__isnull=True
    )
    return dict(rows.values_list("external_sku", "product_id"))


def map_status(
    tenant: Tenant, channel: str, word: str, meaning: StatusMapping.Meaning, *, is_terminal: bool, actor: str
) -> StatusMapping:
    """Say what an order's status that the hub does not know means. Returns the version that counts now."""
    word = word.strip().lower()
    with transaction.atomic():
        rows = StatusMapping.objects.select_for_update().filter(tenant=tenant, channel=channel, external_status=word)
        current = rows.filter(replaced_at__isnull=True).first()
        if current and (current.meaning, current.is_terminal) == (meaning, is_terminal):
            return current
        version = _end(current)
        audit.record(
            tenant,
            actor,
            "status_mapped",
            f"{channel}:{word}",
            before=current.meaning if current else None,
            after=str(meaning),
            terminal=is_terminal,
        )
        return StatusMapping.objects.create(
            tenant=tenant,
            channel=channel,
            external_status=word,
            meaning=meaning,
            is_terminal=is_terminal,
            version=version + 1,
            made_by=actor[:100],
        )


def meaning_of(tenant_id: int, channel: str, word: str) -> StatusMapping | None:
    """Return what a person said that a status means, or None."""
    return StatusMapping.objects.filter(
        tenant_id=tenant_id, channel=channel, external_status=word, replaced_at__isnull=True
    ).first()


def terminal_words(tenant_id: int, channel: str, words: Iterable[str]) -> set[str]:
    """Return those of the words that a person said nothing comes after."""
    rows = StatusMapping.objects.filter(
        tenant_id=tenant_id,
        channel=channel,
        external_status__in=list(words),
        is_terminal=True,
        replaced_at__isnull=True,
    )
    return set(rows.values_list("external_status", flat=True))


def _current_sku(tenant: Tenant, channel: str, external_sku: str) -> SkuMapping | None:
    rows = SkuMapping.objects.select_for_update(of=["self"]).select_related("product")
    return rows.filter(tenant=tenant, channel=channel, external_sku=external_sku, replaced_at__isnull=True).first()


def _end(current: SkuMapping | StatusMapping | None) -> int:
    """End the version that counted until now, and return its number; 0 when there was none."""
    if current is None:
        return 0
    type(current)._default_manager.filter(pk=current.pk).update(replaced_at=Now())
    return current.version


# --- CSV ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CsvLine:
    """One line of a file: what it says, or why it cannot be taken (`error`, a whole sentence)."""

    number: int
    channel: str = ""
    external_sku: str = ""
    sku: str = ""
    product: Product | None = None
    error: str = ""
    is_news: bool = True


def write_csv(rows: Iterable[SkuMapping]) -> Iterator[str]:
    """Yield the lines of a CSV of mappings, the header first; cells that a spreadsheet would run are made text."""
    yield ";".join(CSV_COLUMNS) + "\r\n"
    for row in rows:
        out = io.StringIO()
        csv.writer(out, delimiter=";").writerow(map(_harmless, (row.channel, row.external_sku, row.product.sku)))
        yield out.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def read_csv(tenant: Tenant, text: str) -> list[CsvLine]:
    """Read a CSV (`canal;sku_externo;sku_interno`, `;` or `,`) and judge each line; nothing is written."""
    lines = text.lstrip("\ufeff").splitlines()
    delimiter = ";" if lines and ";" in lines[0] else ","
    if not lines or [cell.strip().lower() for cell in lines[0].split(delimiter)] != list(CSV_COLUMNS):
        return [CsvLine(1, error=_("The first line must be: %(columns)s") % {"columns": ";".join(CSV_COLUMNS)})]
    if len(lines) > CSV_LINES_MAX + 1:
        return [CsvLine(1, error=_("The file has more than %(most)s lines; split it.") % {"most": CSV_LINES_MAX})]
    try:
        rows = list(csv.reader(lines[1:], delimiter=delimiter))
    except csv.Error as error:
        return [CsvLine(1, error=_("The file is not a CSV that can be read: %(reason)s") % {"reason": error})]
    products = Product.objects.filter(
        tenant=tenant, sku__in={row[2].strip().lstrip("'") for row in rows if len(row) == 3}
    )
    by_sku = {product.sku: product for product in products}
    known = products_of(tenant.pk, "ML", {row[1].strip().lstrip("'") for row in rows if len(row) == 3})
    return [_judged(number, row, by_sku, known) for number, row in enumerate(rows, 2) if any(row)]


def _judged(number: int, row: list[str], by_sku: dict[str, Product], known: dict[str, int]) -> CsvLine:
    cells = [cell.strip().lstrip("'") for cell in row]
    if len(cells) != len(CSV_COLUMNS):
        return CsvLine(number, error=_("This line has %(count)s columns; three are needed.") % {"count": len(cells)})
    channel, external_sku, sku = cells
    line = CsvLine(number, channel, external_sku, sku)
    if channel != "ML":
        return replace(line, error=_("There is no channel “%(channel)s”.") % {"channel": channel})
    if not 1 <= len(external_sku) <= 100:
        return replace(line, error=_("The SKU at the channel must have 1 to 100 characters."))
    product = by_sku.get(sku)
    if product is None:
        return replace(line, error=_("No product has the SKU “%(sku)s”.") % {"sku": sku})
    return CsvLine(number, channel, external_sku, sku, product, is_news=known.get(external_sku) != product.pk)


def apply_csv(tenant: Tenant, lines: Iterable[CsvLine], *, actor: str) -> tuple[int, int]:
    """Map what the good lines say, all of it or nothing. Returns (mappings made, listings that got a product)."""
    made = listings = 0
    with transaction.atomic():
        for line in lines:
            if line.product is not None and not line.error:
                made += line.is_news
                listings += map_sku(tenant, line.channel, line.external_sku, line.product, actor=actor)
    return made, listings
