"""Every list of the console with millions of rows behind it, through the web server: p50 and p95 of each way to ask.

`.venv/bin/python -m benchmarks.lists [--rows 5000000] [--times 20] [--limit-ms 300]`: so many events, tries and
movements each, a twenty-fifth of that of what there is one of an order (reservations, deeds, …), a hundredth of
products, batches and oversells, of one shop; benchmarks/lists.sql writes them. Then a signed-in person asks for the
first page, a page in the middle, the last page, each filter, each filter together with a product or a period, and for
the pages that list something inside: six times, and as often as `--times` says where the slowest of the six was over
the limit. Exits 1 when any way's p95 is over it.
"""

import argparse
import base64
import http.client
import json
import math
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.report import Report
from benchmarks.service import Service, binary, running_service

SHOP = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from apps.connectors.models import Connector
from apps.tenants.models import Membership, Tenant
tenant = Tenant.objects.create(slug="bench", name="Bench")
user = User.objects.create_user("bench")
Membership.objects.create(tenant=tenant, user=user, role=Membership.Role.ADMIN)
connector = Connector.objects.create(tenant=tenant, name="Bench")
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.create()
print(tenant.pk, connector.pk, session.session_key)
"""
SKUS_PART, OTHERS_PART = 100, 25
"""Events for each product, and for each row of the smaller lists."""

HOT, COLD = "SKU-000001", "SKU-{cold}"
"""The product that sells most, and one by chance."""
OF_HOT = "product_id = {hot}"

FEW = 6
"""Times that each way is asked: when the slowest is under the limit, p95 is."""

WARM_UP, WARM_UP_LIST = 60, 4
"""Requests that do not count: each thread of the web server connects once in its life, each process reads a page's
templates once."""

LONG_AGO, MIDDLE = 50, 30
"""Days before now: almost the oldest rows, and half of them."""


@dataclass(frozen=True, slots=True)
class Ways:
    """One list: its address, what its pages are ordered by (SQL), and the filters to try."""

    path: str
    table: str = ""  # with a `tenant_id`; "" when there is no second page
    order: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    together: tuple[str, ...] = field(default=())
    """Filters that each of the others is tried with."""
    where: str = ""
    """What the list leaves out, whatever the filters (SQL)."""
    is_rising: bool = False


PRODUCTS = (f"product={HOT}", f"product={COLD}", "product=caneca", "product=luminária+azul", "product=nothing")
DAYS = ("since={long_ago}", "until={long_ago}", "since={middle}", "until={middle}", "since={middle}&until={middle}")
ORDERS = ("document=2000000000{order}", "document=nothing")
JOB = "00000000-0000-4000-8000-00000000000{number}"
"""The ids of jobs in lists.sql."""

LISTS = {
    "events": Ways(
        "/console/eventos/",
        "integracao_evento",
        ("received_at", "id"),
        (
            *(f"status={status}" for status in ("attention", "used", "ERRO", "QUARENTENA", "MAPEAMENTO", "DUPLICADO")),
            *("status=PROCESSADO", "status=IGNORADO", "topic=messages", "topic=ORDERS_V2", "topic=nothing"),
            *("resource=2000000000{order}", "resource=2000", "resource=nothing", "period=1h", "period=30d"),
            *("status=ERRO&code=order_not_found&connector={connector}", "status=ERRO&code=nothing"),
        ),
        ("period=24h", "period=30d", "resource=2000000000{order}"),
    ),
    "event": Ways("/console/eventos/{event}/"),
    "syncs": Ways(
        "/console/sincronizacoes/",
        "marketplace_sync_logs",
        ('"timestamp"', "id"),
        (
            *("status=ERROR", "status=UNKNOWN", "status=PENDING", "status=SUCCESS", "period=24h", "at={day}", *DAYS),
            *(*PRODUCTS, "product=MLB40000{cold}", "product=SKU", "listing={listing}"),
        ),
        ("period=30d", f"product={HOT}", f"product={COLD}"),
    ),
    "orders": Ways(
        "/console/pedidos/",
        "pedido",
        ("created_at", "id"),
        (
            *("status=CANCELADO", "status=PRONTO", "text=2000000000{order}", "text=2000", f"text={HOT}"),
            *(f"text={COLD}", "text=caneca", "text=nothing", "period=24h", "at={day}"),
        ),
        ("period=30d", "status=CANCELADO"),
    ),
    "order": Ways("/console/pedidos/{order_id}/"),
    "stock": Ways(
        "/console/estoque/",
        "inventory_products",
        ("sku", "id"),
        (
            *(*PRODUCTS, "product=MLB40000{cold}", "product=7890000{cold}", "location={location}"),
            *("connector={connector}", "state=difference", "state=oversold", "state=none", "at_most=0", "at_most=-1"),
        ),
        ("product=luminária", "location={location}"),
        is_rising=True,
    ),
    "a product's movements": Ways("/console/estoque/{hot}/", "inventory_ledger", ("recorded_at", "id"), where=OF_HOT),
    "a product's reservations": Ways(
        "/console/estoque/{hot}/?aba=reservas", "inventory_reservations", ("id",), where=OF_HOT
    ),
    "a product's batches": Ways("/console/estoque/{hot}/?aba=lotes"),
    "a product's balance at a moment": Ways(
        "/console/estoque/{hot}/?aba=saldo",
        filters=tuple(f"day={{{day}}}&clock=13:37" for day in ("long_ago", "middle", "day")),
    ),
    "movements": Ways(
        "/console/movimentacoes/",
        "inventory_ledger",
        ("transaction_id", "id"),
        (
            *(*PRODUCTS, *ORDERS, "document=NF-1007", "location={location}", "source=ml", "source=console"),
            *(f"kind={kind}" for kind in ("SALE", "RECEIPT", "ADJUSTMENT", "LOSS", "BLOCK")),
            *("who=people", "who=saldo", "who=programs", "who=user:{person}", "who=user:0", "source=pdv"),
            *("source=nothing", "period=1h", "period=24h", "period=30d", *DAYS, "since={middle}&until={day}"),
            *("reservation={reservation}", "batch={batch}", "trace={trace}"),
        ),
        ("period=30d", f"product={HOT}", f"product={COLD}", "until={middle}"),
    ),
    "movement": Ways("/console/movimentacoes/{movement}/"),
    "reservations": Ways(
        "/console/reservas/",
        "inventory_reservations",
        ("id",),
        (
            *(*PRODUCTS, *ORDERS, "location={location}", "state=open", "state=due", "state=CONFIRMED"),
            *("state=RELEASED", "state=EXPIRED", "period=24h", "period=30d"),
        ),
        ("period=30d", f"product={HOT}", f"product={COLD}"),
    ),
    "batches": Ways(
        "/console/lotes/",
        "inventory_batches",
        ("coalesce(expiry_date, '9999-12-31 00:00:00+00')", "id"),
        (
            *PRODUCTS,
            "product=L0{order}",
            "location={location}",
            "state=expired",
            "state=soon",
            "state=blocked",
            "state=all",
        ),
        ("state=all", "product=luminária"),
        where="NOT (quantity = 0 AND reserved = 0)",
        is_rising=True,
    ),
    "batch": Ways("/console/lotes/{batch}/"),
    "oversells": Ways(
        "/console/oversell/",
        "inventory_oversells",
        ("id",),
        (*PRODUCTS, "location={location}", "state=closed", "state=all", "period=24h", "period=30d"),
        ("state=closed", "state=all", "period=30d"),
        where="closed_at IS NULL",
    ),
    "oversell": Ways("/console/oversell/{oversell}/"),
    "listings": Ways(
        "/console/anuncios/",
        "integracao_anuncio",
        ("product_id IS NULL", "id"),
        (
            *("state=unmapped", "state=error", "state=waiting", "state=done", "text=MLB40000{cold}", f"text={COLD}"),
            *(f"text={HOT}", "text=caneca", "text=nothing", "state=error&code=item_closed&connector={connector}"),
            *("state=error&code=nothing&connector={connector}",),
        ),
        ("text=luminária", f"text={COLD}"),
    ),
    "listing": Ways("/console/anuncios/{listing}/"),
    "mapping of many": Ways(
        "/console/anuncios/mapear/",
        "integracao_anuncio",
        ("id",),
        ("connector={connector}",),
        where="product_id IS NULL",
    ),
    "a job of mapping": Ways(
        f"/console/anuncios/mapear/{JOB.format(number=2)}/",
        filters=("state=FEITO", "state=FALHOU", "state=AGUARDA"),
    ),
    "a plan of mapping": Ways(f"/console/anuncios/mapear/{JOB.format(number=1)}/"),
    "divergences": Ways(
        "/console/divergencias/",
        "divergencia",
        ("first_seen_at", "id"),
        (
            *("state=ignored", "state=resolved", "state=all", "kind=ENCERRADO", "kind=BLOQUEADO"),
            *("text=MLB40000{cold}", f"text={COLD}", "text=caneca", "text=nothing", "period=7d"),
            *("kind=BLOQUEADO&state=all", "connector={connector}"),
        ),
        ("period=30d", "state=all"),
        where="resolved_at IS NULL AND ignored_at IS NULL",
    ),
    "mappings": Ways("/console/mapeamentos/", "mapeamento_sku", ("made_at", "id")),
    "pending matters": Ways(
        "/console/pendencias/",
        "pendencia",
        ("since_at", "id"),
        (
            *(f"state={state}" for state in ("open", "seen", "quiet", "solved", "all")),
            *("kind=EVENTOS", "kind=limite", "connector={connector}"),
        ),
        ("state=all",),
        where="resolved_at IS NULL",
    ),
    "a pending matter": Ways("/console/pendencias/{trouble}/"),
    "reprocessings": Ways("/console/reprocessamentos/", "reprocessamento", ("created_at", "reprocess_id")),
    "a reprocessing": Ways(
        f"/console/reprocessamentos/{JOB.format(number=0)}/",
        filters=("state=FEITO", "state=FALHOU", "state=AGUARDA"),
    ),
    "trail": Ways(
        "/console/auditoria/",
        "auditoria",
        ("id",),
        (
            *(f"who={who}" for who in ("user:{person}", "user:0", "key", "command", "worker", "address")),
            *(f"action={deed}" for deed in ("recipient_shown", "listing.mapped", "flag.switched", "user.removed")),
            *("subject=order:{order_id}", "subject={order_id}", "subject=nothing", "period=24h", "period=30d"),
        ),
        ("period=30d", "who=key", "who=command"),
    ),
    "exports": Ways("/console/exportacoes/", "exportacao", ("id",)),
    "views": Ways("/console/visoes/"),
    "search": Ways(
        "/console/busca/",
        filters=(
            *("q=SKU", f"q={HOT}&all", f"q={COLD}&all", "q=2000&all", "q=2000000000{order}&all", "q=MLB4&all"),
            *("q=MLB40000{cold}&all", "q={trace}&all", "q={event}&all", "q=nothing"),
        ),
    ),
    "start page": Ways("/console/"),
    "health": Ways("/console/saude/"),
}
"""Every list, and the pages that list something inside. tests/console/test_lists_are_measured.py misses none."""


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="events, tries and movements each")
    parser.add_argument("--times", type=int, default=20, help="how often a way is asked that was over the limit")
    parser.add_argument("--limit-ms", type=float, default=300.0, help="what p95 must be under")
    options = parser.parse_args()
    report = Report("lists", "The console's lists with millions of rows behind them", __doc__ or "")
    with running_service() as service:
        tenant, connector, session = service.manage("shell", "--verbosity", "0", "-c", SHOP).split()
        began = time.monotonic()
        fill(service, tenant=int(tenant), connector=int(connector), rows=options.rows)
        size = service.sql("SELECT pg_size_pretty(pg_database_size(current_database()))")
        print(f"{options.rows:,} rows thrice: {size} in {time.monotonic() - began:.0f} s", flush=True)
        ask_all(Asking(service, session, int(tenant), options.rows), report, options.times, options.limit_ms)
    return report.write()


def ask_all(asking: "Asking", report: Report, times: int, limit_ms: float) -> None:
    """Ask for every list in every way and report what each took."""
    asking.warm_up()
    rows = [line for name, ways in LISTS.items() for line in asking.measure(name, ways, times, limit_ms)]
    report.table(["list", "how it is asked", "asked", "p50 ms", "p95 ms", "answer"], rows)
    slow = [f"{name} {how}" for name, how, _asked, _p50, p95, _answer in rows if p95 >= limit_ms]
    report.goal(f"{asking.rows:,} rows: p95 of every way under {limit_ms:g} ms; over: {slow or 'none'}", not slow)
    report.goal("every answer is a page", all(answer == 200 for *_rest, answer in rows))


def fill(service: Service, *, tenant: int, connector: int, rows: int) -> None:
    """Write the history."""
    facts = {"tenant": tenant, "connector": connector, "rows": rows, "half": rows // SKUS_PART}
    command = [str(binary("psql")), "-h", str(service.servers.postgres.socket_folder), "-U", "saldo", "-d", "saldo"]
    command += ["-X", "-q", *(f"--set={name}={value}" for name, value in facts.items())]
    command += ["-f", str(Path(__file__).with_suffix(".sql"))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Asking:
    """A signed-in person who asks for pages of lists."""

    def __init__(self, service: Service, session: str, tenant: int, rows: int) -> None:
        self.service = service
        self.port = service.port
        self.headers = {"Cookie": f"sessionid={session}", "Accept-Language": "pt-BR"}
        self.tenant = tenant
        self.rows = rows
        now = datetime.now(UTC)
        self.days = {
            "long_ago": now - timedelta(days=LONG_AGO),
            "middle": now - timedelta(days=MIDDLE),
            "day": now - timedelta(days=2),
        }
        hot = self._one("id", "inventory_products", f"sku = '{HOT}'")
        self.facts = {
            "hot": hot,
            "location": self._one("min(id)", "inventory_locations"),
            "connector": self._one("min(id)", "integracao_conector"),
            "listing": self._one("min(id)", "integracao_anuncio"),
            "person": self._one("min(user_id)", "tenant_membership"),
            "event": self._one("max(id) - 1000", "integracao_evento"),
            "trace": self._one("trace_id", "inventory_ledger", "transaction_id = 2007"),
            "movement": self._one("id", "inventory_ledger", "transaction_id = 2007"),
            "reservation": self._one("id", "inventory_reservations", f"status = 'PENDING' AND product_id = {hot}"),
            "batch": self._one("min(id::text)", "inventory_batches"),
            "oversell": self._one("max(id)", "inventory_oversells"),
            "trouble": self._one("min(id)", "pendencia"),
        }
        self.order0 = int(self._one("min(id)", "pedido"))

    def _one(self, what: str, table: str, where: str = "true") -> str:
        found = self.service.sql(f"SELECT {what} FROM {table} WHERE tenant_id = {self.tenant} AND {where} LIMIT 1")
        if not found:
            raise LookupError(f"no {what} of {table} where {where}: lists.sql and LISTS disagree")
        return found

    def warm_up(self) -> None:
        """Ask for the start page until every thread has."""
        for _ in range(WARM_UP):
            self._ask("/console/")

    def measure(
        self, name: str, ways: Ways, times: int, limit_ms: float
    ) -> Iterator[tuple[str, str, int, float, float, int]]:
        """Ask for a list in each way and yield how often, what it took and the worst answer."""
        for _ in range(WARM_UP_LIST):
            self._ask(self._filled(ways.path))
        join = "&" if "?" in ways.path else "?"
        for how, query in self._ways(ways):
            address = f"{ways.path}{join}{query}" if query else ways.path
            asked = [self._ask(self._filled(address)) for _ in range(min(FEW, times))]
            if max(asked)[0] >= limit_ms:
                asked += [self._ask(self._filled(address)) for _ in range(times - len(asked))]
            taken = sorted(milliseconds for milliseconds, _answer in asked)
            p50, p95 = taken[len(taken) // 2], taken[math.ceil(0.95 * len(taken)) - 1]
            worst = max(answer for _milliseconds, answer in asked)
            print(f"{name:31} {how:55} p50 {p50:8.1f} p95 {p95:8.1f} {worst}", flush=True)
            yield name, how, len(asked), p50, p95, worst

    def _ways(self, ways: Ways) -> Iterator[tuple[str, str]]:
        yield "first page", ""
        if ways.order:
            yield "a page in the middle", urlencode({"before": self._cursor(ways, 0.5)})
            yield "the last page", urlencode({"after": self._cursor(ways, 1.0)})
        for one in ways.filters:
            yield one, one
        for other in ways.together:
            for one in ways.filters:
                if one.partition("=")[0] != other.partition("=")[0]:
                    yield f"{one}&{other}", f"{one}&{other}"

    def _cursor(self, ways: Ways, share: float) -> str:
        """Return the cursor of the row so far down the list."""
        columns = ", ".join(ways.order)
        order = ", ".join(column if ways.is_rising else f"{column} DESC" for column in ways.order)
        where = ways.where.format(**self.facts) or "true"
        rows = f"FROM {ways.table} WHERE tenant_id = {self.tenant} AND {where}"
        text = self.service.sql(
            f"SELECT json_build_array({columns}) {rows} ORDER BY {order}"
            f" OFFSET (SELECT floor(greatest(count(*) - 1, 0) * {share}) {rows}) LIMIT 1"
        )
        return base64.urlsafe_b64encode(json.dumps(json.loads(text)).encode()).decode().rstrip("=")

    def _filled(self, path: str) -> str:
        products, orders = self.rows // SKUS_PART, self.rows // OTHERS_PART
        order = random.randint(1, orders)
        parts = {
            "cold": f"{random.randint(products // 2, products):06d}",
            "order": f"{order:06d}",
            "order_id": str(self.order0 + order - 1),
            **{name: f"{day:%Y-%m-%d}" for name, day in self.days.items()},
            **self.facts,
        }
        for name, value in parts.items():
            path = path.replace(f"{{{name}}}", value)
        return re.sub(r"[^\x00-\x7f]", lambda found: urlencode({"": found[0]})[1:], path)

    def _ask(self, path: str) -> tuple[float, int]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            began = time.perf_counter()
            connection.request("GET", path, headers=self.headers)
            answer = connection.getresponse()
            answer.read()
            return (time.perf_counter() - began) * 1000, answer.status


if __name__ == "__main__":
    sys.exit(main())
