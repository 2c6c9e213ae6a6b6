"""The road out: the only code of the hub that opens a socket to somebody else's server.

One call has one budget. A timeout per read is not enough: a peer that drips a byte a second keeps every read alive
and holds a worker for ever. So the connection's socket is given, before each send and each recv, only what is left of
the budget; name lookup, connect, TLS, headers and body all spend from the same purse.

Nothing is retried here, with one exception: a read on a kept-alive connection that the peer closed before a byte of
the answer came. A PUT is not repeated though HTTP would allow it: its number may be old by then, and who sends a
number again computes it again. No redirects (a token must not follow one), no cookies, no proxy of the environment, a
cap on the answer's size, and one log line a call without query, headers or bodies.
"""

import http.client
import json as jsonlib
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlencode, urlsplit

import certifi
import structlog

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BUDGET_SECONDS = 5.0
MAX_BYTES = 2_000_000
IDLE_SECONDS_MAX = 20.0  # servers close quiet connections, often after 60 s; racing them buys nothing
KEPT_CONNECTIONS_MAX = 8  # per thread; a worker speaks to few hosts
USER_AGENT = "Saldo"
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

log = structlog.get_logger(__name__)


class HttpFailure(Exception):
    """There is no usable answer.

    code: `timeout`, `connection_failed`, `too_large`, `redirected` or `not_http`.
    sent: the request may have reached the other side, so it may have taken effect.
    """

    def __init__(self, code: str, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.code = code
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """What the peer said. Header names are lower case; of a repeated header the last one counts."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    duration_ms: float

    def json(self) -> object:
        """Return the body read as JSON; raises ValueError when it is not (HTML, nothing, a bomb)."""
        try:
            document: object = jsonlib.loads(self.body)
            return document
        except RecursionError:
            raise ValueError("the JSON is nested too deep") from None


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str | int] | None = None,
    json: object = None,
    form: Mapping[str, str] | None = None,
    purpose: str,
    budget_seconds: float = BUDGET_SECONDS,
    max_bytes: int = MAX_BYTES,
) -> Answer:
    """Make one HTTP call and return the answer, whatever its status below 300 or from 400 on.

    json or form: the body, sent as JSON or as an HTML form; not both.
    purpose: a short word for the log line, such as `ml.order`.
    budget_seconds: the whole time allowed, from name lookup to the last byte of the body.
    max_bytes: the largest body accepted.

    Raises HttpFailure when there is no usable answer, ValueError when the call itself is malformed.
    """
    started = time.monotonic()
    address = urlsplit(url)
    call = _Call(method, address, headers or {}, params or {}, json, form)
    status = 0
    outcome = "answered"
    try:
        answer = call.run(started + budget_seconds, started, max_bytes)
        status = answer.status
        return answer
    except HttpFailure as failure:
        outcome = failure.code
        raise
    finally:
        log.info(
            "http.call",
            method=method,
            host=address.hostname,
            path=address.path,
            status=status,
            outcome=outcome,
            duration_ms=round((time.monotonic() - started) * 1000, 1),
            purpose=purpose,
        )


class _Call:
    """One request, ready to be sent, and how it fares on a connection."""

    def __init__(
        self,
        method: str,
        address: SplitResult,
        headers: Mapping[str, str],
        params: Mapping[str, str | int],
        json: object,
        form: Mapping[str, str] | None,
    ) -> None:
        if address.scheme not in ("http", "https") or not address.hostname or address.username is not None:
            raise ValueError("an address to call is http(s)://host[:port]/path, without user and password")
        query = "&".join(part for part in (address.query, urlencode(params, safe=",")) if part)
        target = (address.path or "/") + (f"?{query}" if query else "")
        if not (target.isascii() and target.isprintable()) or " " in target:
            raise ValueError("the path of an address to call must be percent-encoded")
        self.method = method
        self.address = address
        self.port = address.port or (443 if address.scheme == "https" else 80)
        self.target = target
        self.headers = {"Accept": "application/json", "User-Agent": USER_AGENT, **headers}
        self.body: bytes | None = None
        if json is not None:
            self.body = jsonlib.dumps(json, separators=(",", ":"), allow_nan=False).encode()
            self.headers["Content-Type"] = "application/json"
        elif form is not None:
            self.body = urlencode(form).encode()
            self.headers["Content-Type"] = "application/x-www-form-urlencoded"
        for name, value in self.headers.items():
            # http.client would refuse too, but with the value in its message, and the value may be a token.
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the header {name} holds characters that HTTP does not allow")

    def run(self, deadline: float, started: float, max_bytes: int) -> Answer:
        """Send on a kept connection or a new one; a stale kept one is replaced once, if the call only reads."""
        kept = _kept_connections.take(self.address)
        if kept is not None:
            try:
                return self._run_on(kept, deadline, started, max_bytes)
            except _Stale:
                if self.method not in READING_METHODS:
                    raise HttpFailure(
                        "connection_failed",
                        f"{self.address.hostname} hung up before answering; it may have acted or not",
                        sent=True,
                    ) from None
        return self._run_on(_Connection(self.address, self.port), deadline, started, max_bytes)

    def _run_on(self, connection: "_Connection", deadline: float, started: float, max_bytes: int) -> Answer:
        host = self.address.hostname
        is_reused = connection.sock is not None
        is_reusable = False
        connection.deadline = deadline
        try:
            if not is_reused:
                connection.connect()
            line = connection.start_call()
            connection.request(self.method, self.target, self.body, self.headers)
            with connection.getresponse() as response:
                body = _body(response, host, max_bytes)
                is_reusable = response.isclosed() and connection.sock is not None  # at its end, kept open
                headers = {name.lower(): value for name, value in response.getheaders()}
                return Answer(response.status, headers, body, (time.monotonic() - started) * 1000)
        except TimeoutError:
            raise HttpFailure(
                "timeout",
                f"{host} did not finish answering in the time allowed; the request "
                + ("may have taken effect" if connection.is_call_started else "was not sent"),
                sent=connection.is_call_started,
            ) from None
        except (OSError, http.client.HTTPException) as error:
            if is_reused and isinstance(error, ConnectionError) and line.received_bytes == 0:
                raise _Stale from None
            raise _failure(error, host, sent=connection.is_call_started) from None
        finally:
            if is_reusable:
                _kept_connections.keep(self.address, connection)
            else:
                connection.close()


class _Stale(Exception):
    """A kept connection turned out to be closed before a byte of an answer came."""


def _failure(error: Exception, host: str | None, *, sent: bool) -> HttpFailure:
    if isinstance(error, http.client.IncompleteRead):
        return HttpFailure("connection_failed", f"the connection to {host} broke off within the answer", sent=sent)
    if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
        return HttpFailure(
            "not_http", f"{host} answered something that is not HTTP ({type(error).__name__})", sent=sent
        )
    reason = getattr(error, "strerror", None) or type(error).__name__
    state = "broke off" if sent else "could not be made"
    return HttpFailure("connection_failed", f"the connection to {host} {state}: {reason}", sent=sent)


def _body(response: http.client.HTTPResponse, host: str | None, max_bytes: int) -> bytes:
    """Return the whole body of an answer that is no redirect and no larger than `max_bytes`."""
    if 300 <= response.status < 400:
        raise HttpFailure(
            "redirected", f"{host} answered with a redirect ({response.status}), never followed", sent=True
        )
    if response.length is not None and response.length > max_bytes:
        raise HttpFailure("too_large", f"{host} announced {response.length} bytes; {max_bytes} are allowed", sent=True)
    body = response.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise HttpFailure("too_large", f"{host} sent more than the {max_bytes} bytes allowed", sent=True)
    # http.client takes headers cut short for complete ones, and a body cut short for whole when read by size.
    ends_with_connection = response.length is None and not response.chunked
    if response.length or (ends_with_connection and not body):
        raise http.client.IncompleteRead(body, response.length)
    return body


# --- Connections --------------------------------------------------------------------------------------------


class _Line(socket.socket):
    """A plain socket whose every send and recv gets only the time left."""

    deadline = 0.0
    received_bytes = 0

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(_seconds_left(self.deadline))
        count = super().recv_into(buffer, nbytes, flags)
        self.received_bytes += count
        return count

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        self.settimeout(_seconds_left(self.deadline))  # socket.sendall takes it as the whole, not per send
        super().sendall(data, flags)


class _TlsLine(ssl.SSLSocket):
    """The same over TLS."""

    deadline = 0.0
    received_bytes = 0

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(_seconds_left(self.deadline))
        count = super().recv_into(buffer, nbytes, flags)
        self.received_bytes += count
        return count

    def send(self, data: "ReadableBuffer", flags: int = 0) -> int:
        self.settimeout(_seconds_left(self.deadline))  # SSLSocket.sendall calls this in a loop
        return super().send(data, flags)


class _Connection(http.client.HTTPConnection):
    """An HTTP/1.1 connection to one origin, over a line that keeps to the deadline of the call it serves."""

    sock: Any

    def __init__(self, address: SplitResult, port: int) -> None:
        super().__init__(address.hostname or "", port)
        self.is_tls = address.scheme == "https"
        self.default_port = 443 if self.is_tls else 80  # not named in the Host header
        self.deadline = 0.0
        self.idle_since = 0.0
        self.is_call_started = False

    def __del__(self) -> None:
        self.close()  # a thread that ends drops what it kept

    def connect(self) -> None:
        """Open the line: look the name up, try its addresses in turn, shake hands if TLS."""
        self.sock = _dialled(self.host, self.port, self.deadline)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.is_tls:
            self.sock = _tls_context().wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock.settimeout(_seconds_left(self.deadline))
            self.sock.do_handshake()  # bounded as a whole by the timeout

    def start_call(self) -> "_Line | _TlsLine":
        """Give the line this call's deadline and return it."""
        line: _Line | _TlsLine = self.sock
        line.deadline = self.deadline
        line.received_bytes = 0
        self.is_call_started = True
        return line

    def is_fit(self) -> bool:
        """Tell whether a kept connection may serve again: idle only briefly, quiet (readable = closed)."""
        if time.monotonic() - self.idle_since > IDLE_SECONDS_MAX:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)


@cache
def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()  # the system's authorities, and SSL_CERT_FILE if set …
    context.load_verify_locations(certifi.where())  # … and the usual ones, for machines that bring none
    context.sslsocket_class = _TlsLine
    return context


def _seconds_left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time allowed for this call is used up")
    return left


def _dialled(host: str, port: int, deadline: float) -> _Line:
    """Return a line connected to one of the host's addresses, each given a fair share of the time left."""
    addresses = _looked_up(host, port, deadline)
    trouble = OSError(f"{host} has no address")
    for tried, (family, kind, protocol, _, target) in enumerate(addresses):
        line = _Line(family, kind, protocol)
        try:
            line.settimeout(_seconds_left(deadline) / (len(addresses) - tried))
            line.connect(target)
            return line
        except OSError as error:
            line.close()
            trouble = error
    raise trouble


def _looked_up(host: str, port: int, deadline: float) -> list[Any]:
    """Return the host's addresses. Looked up aside: no timeout interrupts getaddrinfo, it may take 30 s."""
    found: SimpleQueue[list[Any] | OSError] = SimpleQueue()

    def look_up() -> None:
        try:
            found.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            found.put(error if isinstance(error, OSError) else OSError(f"{host} is not a host name"))

    threading.Thread(target=look_up, name="name-lookup", daemon=True).start()
    try:
        result = found.get(timeout=_seconds_left(deadline))
    except Empty:
        raise TimeoutError("the name lookup took all the time allowed") from None
    if isinstance(result, OSError):
        raise result
    return result


class _KeptConnections(threading.local):
    """Quiet connections of this thread, one per origin: no locks, no sharing, nothing to hand over."""

    def __init__(self) -> None:
        self.by_origin: dict[tuple[str, str], _Connection] = {}

    def take(self, address: SplitResult) -> _Connection | None:
        """Return a quiet connection to that origin, no longer kept here, or None."""
        connection = self.by_origin.pop((address.scheme, address.netloc), None)
        if connection is not None and not connection.is_fit():
            connection.close()
            return None
        return connection

    def keep(self, address: SplitResult, connection: _Connection) -> None:
        """Keep a connection for this thread's next call to the origin; the one unused longest makes room."""
        connection.idle_since = time.monotonic()
        connection.is_call_started = False
        self.by_origin[address.scheme, address.netloc] = connection
        if len(self.by_origin) > KEPT_CONNECTIONS_MAX:
            self.by_origin.pop(next(iter(self.by_origin))).close()

    def drop_all(self) -> None:
        """Close every connection this thread keeps."""
        while self.by_origin:
            self.by_origin.popitem()[1].close()


_kept_connections = _KeptConnections()
# A forked worker must not speak on its parent's sockets; closing the child's copies leaves the parent's open.
os.register_at_fork(after_in_child=_kept_connections.drop_all)
