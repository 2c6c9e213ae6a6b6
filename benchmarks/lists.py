"""Every list of the console with millions of rows behind it, through the web server: p50 and p95 of each way to ask.

`.venv/bin/python -m benchmarks.lists [--rows 5000000] [--times 20] [--limit-ms 300]`: so many events, tries and
movements each, and a twenty-fifth of that of everything else (orders, listings, balances, reservations, divergences),
of one shop; benchmarks/lists.sql writes them. Then a signed-in person asks for the first page, a page in the middle,
the last page, each filter, and each filter together with a product or a period. Exits 1 when any way's p95 is over the
limit.
"""

import argparse
import base64
import http.client
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Ways:
    """One list: its address, what its pages are ordered by (SQL), and the filters to try."""

    path: str
    table: str = ""
    order: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    together: tuple[str, ...] = field(default=())
    """Filters that each of the others is tried with."""


LISTS = {
    "events": Ways(
        "/console/eventos/",
        "integracao_evento",
        ("received_at", "id"),
        (
            *(f"status={status}" for status in ("attention", "used", "ERRO", "QUARENTENA", "MAPEAMENTO", "DUPLICADO")),
            *("status=PROCESSADO", "status=IGNORADO", "topic=messages", "topic=ORDERS_V2", "topic=nothing"),
            *("resource=2000000000{order}", "resource=2000", "resource=nothing", "period=1h", "period=30d"),
        ),
        ("period=24h", "period=30d", "resource=2000000000{order}"),
    ),
    "syncs": Ways(
        "/console/sincronizacoes/",
        "marketplace_sync_logs",
        ('"timestamp"', "id"),
        (
            *("status=ERROR", "status=UNKNOWN", "status=PENDING", "status=SUCCESS", "period=24h", "since=2026-01-01"),
            *(
                f"product={HOT}",
                f"product={COLD}",
                "product=MLB40000{cold}",
                "product=luminária+azul",
                "product=caneca",
            ),
            *("product=nothing", "product=SKU", "listing={listing}"),
        ),
        ("period=30d", f"product={HOT}", f"product={COLD}"),
    ),
    "orders": Ways(
        "/console/pedidos/",
        "pedido",
        ("created_at", "id"),
        (
            *(
                "status=CANCELADO",
                "status=PRONTO",
                "text=2000000000{order}",
                "text=2000",
                f"text={HOT}",
                f"text={COLD}",
            ),
            *("text=caneca", "text=nothing", "period=24h"),
        ),
        ("period=30d", "status=CANCELADO"),
    ),
    "stock": Ways(
        "/console/estoque/",
        "inventory_balances b JOIN inventory_products p ON p.id = b.product_id"
        " JOIN inventory_locations l ON l.id = b.location_id",
        ("p.sku", "l.code", "b.id"),
        (f"product={HOT}", f"product={COLD}", "product=caneca", "product=nothing", "state=oversold", "state=none"),
        ("product=luminária", "location={location}"),
    ),
    "listings": Ways(
        "/console/anuncios/",
        "integracao_anuncio",
        ("product_id IS NULL", "id"),
        (
            *("state=unmapped", "state=error", "state=waiting", "state=done", "text=MLB40000{cold}", f"text={COLD}"),
            *("text=caneca", "text=nothing"),
        ),
        ("text=luminária",),
    ),
    "divergences": Ways(
        "/console/divergencias/",
        "divergencia",
        ("first_seen_at", "id"),
        (
            *(
                "state=ignored",
                "state=resolved",
                "state=all",
                "kind=ENCERRADO",
                "kind=BLOQUEADO",
                "text=MLB40000{cold}",
            ),
            *(f"text={COLD}", "text=caneca", "text=nothing", "period=7d", "kind=BLOQUEADO&state=all"),
        ),
        ("period=30d", "state=all"),
    ),
    "movements of a product": Ways("/console/estoque/{hot}/", "inventory_ledger", ("recorded_at", "id")),
    "mappings": Ways("/console/mapeamentos/", "mapeamento_sku", ("made_at", "id")),
    "pending matters": Ways("/console/pendencias/"),
}


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="events, tries and movements each")
    parser.add_argument("--times", type=int, default=20, help="how often each way is asked")
    parser.add_argument("--limit-ms", type=float, default=300.0, help="what p95 must be under")
    options = parser.parse_args()
    report = Report("lists", "The console's lists with millions of rows behind them", __doc__ or "")
    with running_service() as service:
        tenant, connector, session = service.manage("shell", "--verbosity", "0", "-c", SHOP).split()
        began = time.monotonic()
        fill(service, tenant=int(tenant), connector=int(connector), rows=options.rows)
        size = service.sql("SELECT pg_size_pretty(pg_database_size(current_database()))")
        print(f"{options.rows:,} rows thrice: {size} in {time.monotonic() - began:.0f} s", flush=True)
        asking = Asking(service, session, int(tenant), options.rows)
        rows = [line for name, ways in LISTS.items() for line in asking.measure(name, ways, options.times)]
    report.table(["list", "how it is asked", "p50 ms", "p95 ms", "answer"], rows)
    slow = [f"{name} {how}" for name, how, _p50, p95, _answer in rows if p95 >= options.limit_ms]
    report.goal(
        f"{options.rows:,} rows: p95 of every way under {options.limit_ms:g} ms; over: {slow or 'none'}", not slow
    )
    report.goal("every answer is a page", all(answer == 200 for *_rest, answer in rows))
    return report.write()


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
        products = f"FROM inventory_products WHERE tenant_id = {tenant}"
        self.hot = service.sql(f"SELECT id {products} AND sku = '{HOT}'")
        self.location = service.sql(f"SELECT min(id) FROM inventory_locations WHERE tenant_id = {tenant}")
        self.listing = service.sql(f"SELECT min(id) FROM integracao_anuncio WHERE tenant_id = {tenant}")

    def measure(self, name: str, ways: Ways, times: int) -> Iterator[tuple[str, str, float, float, int]]:
        """Ask for a list in each way and yield what each took."""
        for how, query in self._ways(ways):
            taken, answers = [], set()
            for _ in range(times):
                milliseconds, answer = self._ask(self._filled(f"{ways.path}?{query}"))
                taken.append(milliseconds)
                answers.add(answer)
            taken.sort()
            p50, p95 = taken[len(taken) // 2], taken[max(int(0.95 * len(taken)) - 1, 0)]
            print(f"{name:24} {how:50} p50 {p50:8.1f} p95 {p95:8.1f} {max(answers)}", flush=True)
            yield name, how, p50, p95, max(answers)

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
        falling = ", ".join(f"{column} DESC" for column in ways.order)
        table = ways.table.partition(" ")
        tenant = f"{table[2].partition(' ')[0]}.tenant_id" if table[2] else "tenant_id"
        of_product = f" AND product_id = {self.hot}" if "{hot}" in ways.path else ""
        if table[2] or ways.order[0] == "product_id IS NULL":  # lists that rise, or nearly
            falling = falling if ways.order[0] == "product_id IS NULL" else columns
        text = self.service.sql(
            f"SELECT json_build_array({columns}) FROM {ways.table} WHERE {tenant} = {self.tenant}{of_product}"
            f" ORDER BY {falling} OFFSET (SELECT floor(greatest(count(*) - 1, 0) * {share}) FROM {ways.table}"
            f" WHERE {tenant} = {self.tenant}{of_product}) LIMIT 1"
        )
        return base64.urlsafe_b64encode(json.dumps(json.loads(text)).encode()).decode().rstrip("=")

    def _filled(self, path: str) -> str:
        products = self.rows // SKUS_PART
        parts = {
            "{cold}": f"{random.randint(products // 2, products):06d}",
            "{order}": f"{random.randint(1, self.rows // OTHERS_PART):06d}",
            "{hot}": self.hot,
            "{location}": self.location,
            "{listing}": self.listing,
        }
        for name, value in parts.items():
            path = path.replace(name, value)
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
