"""The road out: the only code of the hub that opens a socket to somebody else's server.

`requests` and urllib3 do the HTTP: URLs, bodies, TLS, kept connections, decoding. Ours is what they leave open:

- One call has one budget. A timeout per read is not enough: a peer that drips a byte a second keeps every read alive
  and holds a worker for ever. So whatever the socket does next gets only what is left of the budget, and the name
  lookup and every address tried spend from the same purse.
- Nothing is retried, with one exception: a read on a kept connection that the peer closed before a byte of the answer
  came. A PUT is not repeated though HTTP would allow it: its number may be old by then, and who sends a number again
  computes it again.
- The adapter is called without a `requests.Session`: what a session adds (redirects that carry a token away, cookies,
  netrc, proxies of the environment) must not happen here.
- A cap on the answer's size, and one log line a call without query, headers or bodies.
- A call to a **stranger**, whose address a customer chose, dials only addresses that are public (`addresses.py`). What
  the name resolved to is looked at once and dialled as it was seen, so a name that resolves to something else a moment
  later (DNS rebinding) gains nothing; Host and TLS still carry the name.
"""

import json as jsonlib
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.client import IncompleteRead
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
import structlog
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from apps.common.addresses import may_dial

BUDGET_SECONDS = 5.0
MAX_BYTES = 2_000_000
IDLE_SECONDS_MAX = 20.0  # servers close quiet connections, often after 60 s; racing them buys nothing
KEPT_CONNECTIONS_MAX = 8  # per thread, one per origin; a worker speaks to few hosts
DEFAULT_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "Saldo"}
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

log = structlog.get_logger(__name__)
logging.getLogger("urllib3").setLevel(logging.ERROR)  # its lines hold whole addresses, queries included


class HttpFailure(Exception):
    """There is no usable answer.

    code: `timeout`, `connection_failed`, `too_large`, `redirected`, `not_http` or, of strangers, `forbidden_address`.
    sent: the request may have reached the other side, so it may have taken effect.
    """

    def __init__(self, code: str, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.code = code
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """What the peer said. Headers are found by their name in any case; repeated ones are joined by commas."""

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
    json: Any = None,
    form: Mapping[str, str] | None = None,
    content: bytes | None = None,
    purpose: str,
    budget_seconds: float = BUDGET_SECONDS,
    max_bytes: int = MAX_BYTES,
    is_stranger: bool = False,
) -> Answer:
    """Make one HTTP call and return the answer, whatever its status below 300 or from 400 on.

    json, form or content: the body, sent as JSON, as an HTML form or byte for byte; one of them.
    purpose: a short word for the log line, such as `ml.order`.
    budget_seconds: the whole time allowed, from name lookup to the last byte of the body.
    max_bytes: the largest body accepted, counted after decompression; of a stranger the most that is read of it.
    is_stranger: a customer chose the address. Only public addresses and those of `settings.SUBSCRIBER_NETWORKS` are
        dialled, on connections kept apart from all others; the path, which may hold a secret, is not logged; and what
        counts is the status: a body past `max_bytes` is cut there and is no failure.

    Raises HttpFailure when there is no usable answer, ValueError when the call itself is malformed.
    """
    started = time.monotonic()
    address = urlsplit(url)
    host = address.hostname or ""
    is_http = address.scheme in ("http", "https") and host and address.username is None
    if not is_http or not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError("an address to call is http(s)://host[:port]/path, percent-encoded, without user and password")
    for name, value in (headers or {}).items():
        # requests would refuse too, but with the value in its message, and the value may be a token.
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"the header {name} holds characters that HTTP does not allow")
    query = urlencode(params or {}, safe=",")
    call = requests.Request(
        method, url, {**DEFAULT_HEADERS, **(headers or {})}, data=form or content, params=query, json=json
    )
    try:
        prepared = call.prepare()
    except requests.RequestException as error:
        raise ValueError(f"the call is malformed and was not made ({type(error).__name__})") from None
    status = 0
    outcome = "answered"
    try:
        _call.deadline, _call.is_stranger = started + budget_seconds, is_stranger
        response, body = _exchange(prepared, host, max_bytes)
        status = response.status_code
        return Answer(status, response.headers, body, (time.monotonic() - started) * 1000)
    except HttpFailure as failure:
        outcome = failure.code
        raise
    finally:
        log.info(
            "http.call",
            method=method,
            host=host,
            path="" if is_stranger else address.path,
            status=status,
            outcome=outcome,
            duration_ms=round((time.monotonic() - started) * 1000, 1),
            purpose=purpose,
        )


def _exchange(prepared: requests.PreparedRequest, host: str, max_bytes: int) -> tuple[requests.Response, bytes]:
    """Return the answer and its whole body; a read that meets a stale connection is sent again on a new one."""
    _call.is_new_line = _call.is_sent = _call.is_answered = False
    try:
        with _kept_connections.adapter().send(prepared, stream=True, timeout=_seconds_left()) as response:
            return response, _body(response, host, max_bytes)
    except _Forbidden:
        what = f"{host} leads to an address that is not public; nothing was sent there"
        raise HttpFailure("forbidden_address", what, sent=False) from None
    except (OSError, urllib3.exceptions.HTTPError) as error:
        cause = _root(error)
        is_stale = _call.is_sent and not _call.is_answered and not _call.is_new_line
        if time.monotonic() >= _call.deadline:  # whatever broke now, broke because of it
            code, what = "timeout", f"{host} did not finish answering in the time allowed"
        elif not isinstance(cause, (OSError, IncompleteRead)):
            code, what = "not_http", f"{host} answered something that is not HTTP ({type(cause).__name__})"
        elif is_stale and prepared.method in READING_METHODS:
            return _exchange(prepared, host, max_bytes)  # on a new one: a thread keeps one connection per origin
        else:
            reason = getattr(cause, "strerror", None) or type(cause).__name__
            code, what = "connection_failed", f"the connection to {host} failed ({reason})"
        effect = "may have taken effect" if _call.is_sent else "was not sent"
        raise HttpFailure(code, f"{what}; the request {effect}", sent=_call.is_sent) from None


def _body(response: requests.Response, host: str, max_bytes: int) -> bytes:
    """Return the whole body of an answer that is no redirect and no larger than `max_bytes`."""
    raw = response.raw
    if 300 <= response.status_code < 400:
        what = f"{host} answered with a redirect ({response.status_code}), never followed"
        raise HttpFailure("redirected", what, sent=True)
    announced = raw.length_remaining
    if _call.is_stranger:
        # leaving bytes unread costs the connection: it is closed with the response, never used again
        return bytes(raw.read(max_bytes, decode_content=False))
    body: bytes = raw.read(max_bytes + 1, decode_content=True) if (announced or 0) <= max_bytes else b""
    if max(announced or 0, len(body)) > max_bytes:
        raise HttpFailure("too_large", f"{host} sent more than the {max_bytes} bytes allowed", sent=True)
    if announced is None and not raw.chunked and not body:
        raise ConnectionResetError  # http.client takes headers cut short for complete ones
    return body


def _root(error: Exception) -> Exception:
    """Return the error at the bottom of what requests and urllib3 wrapped around it."""
    for inner in (getattr(error, "reason", None), *error.args):
        if isinstance(inner, Exception):
            return _root(inner)
    return error


# --- The deadline, under urllib3 ----------------------------------------------------------------------------


class _Forbidden(Exception):
    """A stranger's name led to an address that must not be dialled. No OSError: urllib3 would wrap and hide it."""


class _Call(threading.local):
    """What is known of the call that this thread is making; a thread makes one at a time."""

    deadline = 0.0  # by the monotonic clock
    is_stranger = False  # a customer chose the address
    is_new_line = False  # dialled by this call, not kept from an earlier one
    is_sent = False  # something of the request was handed to the socket
    is_answered = False  # something of the answer came


_call = _Call()


def _seconds_left() -> float:
    left = _call.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time allowed for this call is used up")
    return left


class _Line(socket.socket):
    """A socket whose every sendall and recv gets only the time left; urllib3 uses no other way in or out."""

    used_at = 0.0

    def recv_into(self, *args: Any) -> int:
        self.settimeout(_seconds_left())
        count = super().recv_into(*args)
        self.used_at = time.monotonic()
        _call.is_answered |= count > 0
        return count

    def sendall(self, *args: Any) -> None:
        _call.is_sent = True
        self.settimeout(_seconds_left())  # bounds the whole of it, over TLS too
        super().sendall(*args)


class _TlsLine(_Line, ssl.SSLSocket):
    """The same over TLS; the handshake as a whole is bounded by the timeout that dialling left on the socket."""


class _Connection(HTTPConnection):
    """A connection that is dialled within the deadline and not used again after a long silence."""

    sock: Any

    def _new_conn(self) -> socket.socket:
        """Return a line to one of the host's addresses, each given a fair share of the time left."""
        _call.is_new_line = True
        addresses = _addresses(self.host, self.port)
        if _call.is_stranger and not all(may_dial(found[4][0], settings.SUBSCRIBER_NETWORKS) for found in addresses):
            raise _Forbidden  # one bad address among good ones is no accident either
        trouble = OSError()
        for tried, (family, kind, protocol, _, target) in enumerate(addresses):
            line = _Line(family, kind, protocol)
            try:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line.settimeout(_seconds_left() / (len(addresses) - tried))
                line.connect(target)
                line.settimeout(_seconds_left())
                return line
            except OSError as error:
                line.close()
                trouble = error
        raise trouble

    @property
    def is_connected(self) -> bool:  # whether a kept one may serve again
        return super().is_connected and time.monotonic() - self.sock.used_at < IDLE_SECONDS_MAX


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS, trusting whom `_tls_context` trusts."""

    def connect(self) -> None:
        self.ca_certs, self.ssl_context = None, _tls_context()  # requests would load its file at every connect
        super().connect()


def _addresses(host: str, port: int) -> list[Any]:
    """Look a host up, aside: no timeout interrupts getaddrinfo, it may take 30 s."""
    found: list[Any] = []

    def look_up() -> None:
        with suppress(OSError, UnicodeError):
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    lookup = threading.Thread(target=look_up, name="name-lookup", daemon=True)
    lookup.start()
    lookup.join(_seconds_left())
    if not found:
        _seconds_left()
        raise socket.gaierror(socket.EAI_NONAME, "its name could not be looked up")
    return found


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


@cache
def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()  # the system's authorities, and SSL_CERT_FILE if set …
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)  # … and the usual
    context.sslsocket_class = _TlsLine
    return context


class _KeptConnections(threading.local):
    """This thread's quiet connections, one per origin: no locks, no sharing, nothing to hand over.

    Those to strangers are kept apart: a line that was dialled without the check must not serve a call that needs it.
    """

    def __init__(self) -> None:
        self.adapters = {
            is_stranger: HTTPAdapter(KEPT_CONNECTIONS_MAX, pool_maxsize=1) for is_stranger in (False, True)
        }
        for adapter in self.adapters.values():
            adapter.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def adapter(self) -> HTTPAdapter:
        """Return the connections that the call of this moment may use."""
        return self.adapters[_call.is_stranger]

    def drop_all(self) -> None:
        """Close every connection this thread keeps."""
        for adapter in self.adapters.values():
            adapter.close()


_kept_connections = _KeptConnections()
# A forked worker must not speak on its parent's sockets; closing the child's copies leaves the parent's open.
os.register_at_fork(after_in_child=_kept_connections.drop_all)
