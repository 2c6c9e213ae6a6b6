"""The listening server, and one call's way through it.

A call of the marketplace API goes: fault that comes first (wait, hold, reset, a canned answer) -> token -> quota ->
handler -> journal -> answer, or what a fault makes of the answer. Calls under ``/sandbox`` skip faults, token and
quota; their writes are journalled too.
"""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, unquote, urlsplit

from . import controls, items, oauth, orders, page, shipments, user_products, users
from .call import Answer, Call, Doc, Json, Refusal, refusal
from .client import AT_HEADER, Control
from .clock import at, now_seconds, set_ahead
from .faults import FaultList, Quota, default_body
from .journal import Journal
from .marketplace import Marketplace
from .notifications import Notifier
from .selling import Selling
from .state import State

MAX_BODY_BYTES = 64 * 1024 * 1024
IDLE_SECONDS = 120
HOLD_DEFAULT_MS = 30_000
DRIP_DEFAULT_MS = 1_000

Handler = Callable[..., Answer]
Socket = Json
"""A socket; the base class also allows for datagrams."""

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", r"/users/me", users.get_me),
    ("GET", r"/users/(\d+)", users.get_user),
    ("GET", r"/users/(\d+)/items/search", items.get_search),
    ("GET", r"/users/(\d+)/stores/search", users.get_stores),
    ("GET", r"/applications/(\d+)", users.get_application),
    ("GET", r"/items", items.get_items_old),
    ("GET", r"/items/bulk", items.get_items_bulk),
    ("GET", r"/items/([^/]+)", items.get_item),
    ("PUT", r"/items/([^/]+)", items.put_item),
    ("GET", r"/items/([^/]+)/variations", items.get_variations),
    ("GET", r"/items/([^/]+)/variations/(\d+)", items.get_variation),
    ("GET", r"/items/([^/]+)/migration_live_listing", items.get_migration),
    ("GET", r"/inventories/([^/]+)/stock/fulfillment", items.get_fulfillment_stock),
    ("GET", r"/user-products/([^/]+)", user_products.get_user_product),
    ("GET", r"/user-products/([^/]+)/stock", user_products.get_stock),
    ("PUT", r"/user-products/([^/]+)/stock/type/seller_warehouse", user_products.put_seller_warehouse),
    ("PUT", r"/user-products/([^/]+)/stock/type/selling_address", user_products.put_selling_address),
    ("GET", r"/orders/search", orders.get_search),
    ("GET", r"/orders/billing-info/([A-Z]{3})/(\d+)", orders.get_billing_info),
    ("GET", r"/orders/([^/]+)", orders.get_order),
    ("GET", r"/orders/([^/]+)/shipments", shipments.get_order_shipments),
    ("GET", r"/packs/(\d+)", orders.get_pack),
    ("GET", r"/collections/(\d+)", orders.get_collection),
    ("GET", r"/shipments/(\d+)", shipments.get_shipment),
    ("GET", r"/shipments/(\d+)/orders", shipments.get_shipment_orders),
    ("GET", r"/shipments/(\d+)/items", shipments.get_shipment_items),
    ("GET", r"/shipments/(\d+)/sla", shipments.get_shipment_sla),
    ("POST", r"/shipments/(\d+)/invoice_data", shipments.post_invoice),
    ("GET", r"/shipment_labels", shipments.get_labels),
    ("GET", r"/missed_feeds", users.get_missed_feeds),
)
"""The marketplace API; each needs a bearer token."""

OPEN_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", r"/oauth/token", oauth.post_token),
    ("GET", r"/authorization", oauth.get_authorization),
    ("POST", r"/authorization", oauth.post_authorization),
)
"""The part of the marketplace that a caller without a token reaches."""

CONTROL_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", r"/sandbox/?", page.get_page),
    ("GET", r"/sandbox/state", controls.get_state),
    ("POST", r"/sandbox/applications", controls.post_application),
    ("POST", r"/sandbox/accounts", controls.post_account),
    ("POST", r"/sandbox/accounts/(\d+)/grant", controls.post_grant),
    ("POST", r"/sandbox/tokens/kill", controls.post_kill),
    ("GET", r"/sandbox/items", controls.get_items),
    ("POST", r"/sandbox/items", controls.post_items),
    ("GET", r"/sandbox/items/([^/]+)", controls.get_item),
    ("PUT|POST", r"/sandbox/items/([^/]+)", controls.put_item),
    ("POST", r"/sandbox/items/([^/]+)/migrate", controls.post_migrate),
    ("POST", r"/sandbox/sell", controls.post_sell),
    ("GET", r"/sandbox/orders", controls.get_orders),
    ("GET", r"/sandbox/orders/(\d+)", controls.get_order),
    ("POST", r"/sandbox/orders/(\d+)", controls.post_order),
    ("POST", r"/sandbox/orders/(\d+)/cancel", controls.post_cancel),
    ("POST", r"/sandbox/orders/(\d+)/notify", controls.post_notify),
    ("GET", r"/sandbox/notifications", controls.get_notifications),
    ("PUT|POST", r"/sandbox/notifications", controls.put_notifications),
    ("GET", r"/sandbox/clock", controls.get_clock),
    ("PUT|POST", r"/sandbox/clock", controls.put_clock),
    ("GET", r"/sandbox/faults", controls.get_faults),
    ("POST", r"/sandbox/faults", controls.post_faults),
    ("DELETE", r"/sandbox/faults", controls.delete_faults),
    ("POST", r"/sandbox/faults/clear", controls.delete_faults),
    ("PUT|POST", r"/sandbox/rate_limit", controls.put_rate_limit),
    ("GET", r"/sandbox/selling", controls.get_selling),
    ("PUT|POST", r"/sandbox/selling", controls.put_selling),
    ("GET", r"/sandbox/journal", controls.get_journal),
)


class _Table:
    """Routes by the first segment of their path, so that a look-up tries few patterns."""

    def __init__(self, *groups: tuple[tuple[str, str, Handler], ...]) -> None:
        self._by_head: dict[str, list[tuple[set[str], re.Pattern[str], Handler]]] = {}
        for methods, pattern, handler in (route for group in groups for route in group):
            head = pattern.split("/")[1].rstrip("?")
            entry = (set(methods.split("|")), re.compile(pattern), handler)
            self._by_head.setdefault(head, []).append(entry)

    def find(self, method: str, path: str) -> tuple[Handler, tuple[str, ...]]:
        """The handler and the parts of the path it wants.

        Raises: Refusal 404 for an unknown path, 405 for a known one with another method.
        """
        known = False
        for methods, pattern, handler in self._by_head.get(path.split("/", 2)[1], []):
            match = pattern.fullmatch(path)
            if match is not None and method in methods:
                return handler, tuple(unquote(part) for part in match.groups())
            known = known or match is not None
        if known:
            raise refusal(405, "method_not_allowed", f"Method {method} not allowed for {path}")
        raise refusal(404, "not_found", f"Resource {path} not found")


_OPEN = _Table(OPEN_ROUTES)
_CLOSED = _Table(ROUTES)
_CONTROL = _Table(CONTROL_ROUTES)
_OPEN_PATHS = {path for _, path, _ in OPEN_ROUTES}


class Sandbox:
    """A marketplace that listens. Use it as a context manager, or ``start`` and ``stop``.

    ``url`` is its base address; ``control`` does the control calls.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, data: Path | None = None, journal: Path | None = None
    ) -> None:
        """Bind and load; ``port`` 0 takes a free one. ``data`` is the folder that keeps state over restarts.

        Raises: OSError when the address is taken or a file cannot be written, sqlite3.Error when ``data`` is in use.
        """
        if data is not None:
            data.mkdir(parents=True, exist_ok=True)
            journal = journal or data / "journal.jsonl"
        self._server = _Server((host, port))
        try:
            state = State(None if data is None else data / "sandbox.sqlite3")
            set_ahead((state.get("setting", "clock") or {}).get("ahead_seconds", 0))
            shown_host = f"[{host}]" if ":" in host else host
            self.url = f"http://{shown_host}:{self._server.server_address[1]}"
            self.control = Control(self.url)
            parts = Notifier(state), FaultList(state), Quota(state), Journal(journal), Selling(state, self.control)
            self.market = Marketplace(state, *parts)
        except Exception:
            self._server.server_close()
            raise
        self._server.market = self.market
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen in a thread of its own."""
        self.market.notifier.start()
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox", daemon=True
        )
        self._thread.start()
        self.market.selling.look()

    def stop(self) -> None:
        """Stop listening, end every connection and sender, close the files."""
        self.market.selling.stop()
        self._server.stopping.set()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join(timeout=5)
        self._server.end_connections()
        self._server.server_close()
        self.market.notifier.stop()
        self.market.state.close()
        self.market.journal.close()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    """One thread a connection; remembers the connections so that ``stop`` can end them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512
    market: Marketplace

    def __init__(self, address: tuple[str, int]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.stopping = threading.Event()
        self._open: set[Socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Connection)

    def server_bind(self) -> None:
        """Bind without the look-up of the machine's own name that HTTPServer makes, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Socket, client_address: Json) -> None:
        """Remember the connection, then serve it in its thread."""
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Socket) -> None:
        """Forget the connection and close it."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        """Wake every thread that waits on a connection."""
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was closed meanwhile

    def handle_error(self, request: Socket, client_address: Json) -> None:
        """A caller that goes away is no news; anything else is printed by the base class."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Gone(Exception):
    """The connection was ended on purpose: nothing is answered."""


class _Connection(BaseHTTPRequestHandler):
    """Reads calls from one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: _Server

    def log_message(self, format: str, *args: Json) -> None:  # noqa: A002 name of the base class
        """Nothing: the journal tells."""

    def do_GET(self) -> None:
        """Serve one call; every method comes here."""
        body = self._body()
        if body is None:
            return
        parts = urlsplit(self.path)
        call = Call(self.command, parts.path, parts.query, self.headers, body)
        try:
            if re.match(r"/sandbox(/|$)", call.path):
                self._serve_control(call)
            else:
                self._serve_api(call)
        except _Gone:
            self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 names of the base class

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self.send_error(411 if self.headers.get("Transfer-Encoding") else 413)
            return None
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    # --- controls ---

    def _serve_control(self, call: Call) -> None:
        started = now_seconds()
        moment = call.headers.get(AT_HEADER, "")
        with at(float(moment) if re.fullmatch(r"\d{1,12}(\.\d+)?", moment) else None):
            answer = self._run(_CONTROL, call)
        if call.method not in ("GET", "HEAD"):
            self.server.market.journal.write(call, answer.status, started, control=True)
        if call.is_form():
            answer = _back_to_page(answer)
        self._send(answer)

    # --- marketplace ---

    def _serve_api(self, call: Call) -> None:
        market = self.server.market
        started = now_seconds()
        is_open = call.path in _OPEN_PATHS
        reason = "" if is_open else oauth.identify(market, call)
        call.fault = market.faults.take(call)
        early = self._early(call, started)
        if early is not None:
            answer = early
        elif reason:
            answer = oauth.unauthorized(reason)
        elif call.client_id and not is_open and not market.quota.allows(call.client_id, call.path):
            answer = _over_quota(market)
        else:
            answer = self._run(_OPEN if is_open else _CLOSED, call)
        if call.fault_is("wrong_json"):
            payload = answer.payload() or b'{"id":'
            answer = Answer(answer.status, payload[: max(1, len(payload) // 2)], answer.headers)
        if call.fault_is("empty") and answer.status < 300:
            answer = Answer(204, None, answer.headers)
        if call.fault_is("reset_after_applying") or call.fault_is("timeout_after_applying"):
            market.journal.write(call, None, started, control=False)
            self._vanish(call)
        market.journal.write(call, answer.status, started, control=False)
        if call.fault_is("slow_header") or call.fault_is("slow_body"):
            self._drip(call, answer)
        else:
            self._send(answer)

    def _early(self, call: Call, started: float) -> Answer | None:
        """What a fault does before the call is looked at; ``None`` when the call goes on."""
        fault = call.fault
        if fault is None:
            return None
        action = fault["action"]
        if action in ("timeout", "reset"):
            self.server.market.journal.write(call, None, started, control=False)
            self._vanish(call)
        if action not in ("timeout_after_applying", "slow_header", "slow_body") and fault.get("delay_ms"):
            self.server.stopping.wait(fault["delay_ms"] / 1000)
        headers = {name: str(value) for name, value in fault.get("headers", {}).items()}
        if action == "status":
            status = fault.get("status", 500)
            return Answer(status, _canned(fault, default_body(status, call.path)), headers)
        if action == "html":
            text = fault.get("body", "<html><body><h1>502 Bad Gateway</h1></body></html>")
            return Answer(fault.get("status", 502), str(text).encode(), headers, "text/html")
        if action == "redirect":
            headers.setdefault("Location", fault.get("location", "/moved"))
            return Answer(fault.get("status", 301), None, headers)
        return None

    def _run(self, table: _Table, call: Call) -> Answer:
        try:
            handler, parts = table.find("GET" if call.method == "HEAD" else call.method, call.path)
            return handler(self.server.market, call, *parts)
        except Refusal as refused:
            return refused.answer
        except Exception as error:
            # A bug of the sandbox must not look like a lost connection to the one who tests against it.
            traceback.print_exc()
            message = f"the sandbox itself failed ({type(error).__name__}: {error}); its output has the traceback"
            return Answer(500, {"message": message, "error": "sandbox_failed", "status": 500, "cause": []})

    def _vanish(self, call: Call) -> None:
        """Hold the connection when asked to, then reset it, leaving the caller without an answer."""
        fault = call.fault or {}
        if fault["action"].startswith("timeout"):
            self.server.stopping.wait(fault.get("delay_ms", HOLD_DEFAULT_MS) / 1000)
        # Linger 0 makes the close a reset; the reader holds the socket open, so it goes first.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()
        raise _Gone

    # --- sending ---

    def _head(self, answer: Answer, length: int) -> bytes:
        lines = [f"HTTP/1.1 {answer.status} {_reason(answer.status)}"]
        if answer.status not in (204, 304):
            lines.append(f"Content-Length: {length}")
            lines.append(f"Content-Type: {answer.content_type}")
        lines.extend(f"{name}: {value}" for name, value in answer.headers.items())
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _send(self, answer: Answer) -> None:
        payload = b"" if answer.status in (204, 304) else answer.payload()
        head = self._head(answer, len(payload))
        self.wfile.write(head if self.command == "HEAD" else head + payload)

    def _drip(self, call: Call, answer: Answer) -> None:
        """Send the head or the body one byte at a time; the caller may go away meanwhile."""
        payload = b"" if answer.status in (204, 304) else answer.payload()
        head = self._head(answer, len(payload))
        slow = head if call.fault_is("slow_header") else payload
        pause_seconds = (call.fault or {}).get("delay_ms", DRIP_DEFAULT_MS) / 1000
        if slow is payload:
            self.wfile.write(head)
        for place in range(len(slow)):
            if self.server.stopping.wait(pause_seconds):
                raise _Gone
            self.wfile.write(slow[place : place + 1])
        if slow is head:
            self.wfile.write(payload)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _canned(fault: Doc, default: Doc) -> Json:
    body = fault.get("body", default)
    return body.encode() if isinstance(body, str) else body


def _over_quota(market: Marketplace) -> Answer:
    retry_after = market.quota.policy()["retry_after"]
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(429, market.quota.body(), headers)


def _back_to_page(answer: Answer) -> Answer:
    """After a form: the page again, with what happened."""
    if answer.status < 400:
        sold = answer.body.get("order_ids") if isinstance(answer.body, dict) else None
        text = f"Venda {sold[0]} feita." if sold else "Feito."
        return Answer(303, None, {"Location": f"/sandbox?ok={quote(text)}"})
    return Answer(303, None, {"Location": "/sandbox?erro=" + quote(str(answer.body.get("message", "")))})
