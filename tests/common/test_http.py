"""The road out against a real socket server that behaves badly in one named way per test."""

import gzip
import json
import logging
import os
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pytest_django import Settings
from structlog.testing import capture_logs

from apps.common import http

Behaviour = Callable[[socket.socket, int], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'


class Peer:
    """A server that reads one request after another and answers each as `behave(connection, number)` says.

    It remembers the raw requests and how many connections were opened, the outside witness of every test.
    """

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self.connections = 0
        self.hung_up = 0  # connections that the other side closed
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while True:
                try:
                    request = _read_request(connection)
                    if not request:
                        self.hung_up += 1
                        return
                    self.requests.append(request)
                    self.behave(connection, len(self.requests))
                except OSError:
                    return


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def peer(behave: Behaviour) -> Iterator[Peer]:
    server = Peer(behave)
    try:
        yield server
    finally:
        server.listener.close()


def well_behaved(connection: socket.socket, number: int) -> None:
    connection.sendall(OK)


@pytest.fixture(autouse=True)
def _no_kept_connections() -> Iterator[None]:
    http._kept_connections.drop_all()
    yield
    http._kept_connections.drop_all()


def fail(url: str, **options: object) -> tuple[http.HttpFailure, float]:
    """Make a GET that must fail; return the failure and how long it took, in seconds."""
    started = time.monotonic()
    with pytest.raises(http.HttpFailure) as caught:
        http.request("GET", url, purpose="test", **options)  # type: ignore[arg-type]
    return caught.value, time.monotonic() - started


# --- What goes out and what comes back ----------------------------------------------------------------------


def test_a_json_call_sends_what_was_asked_and_returns_the_whole_answer() -> None:
    with peer(well_behaved) as server:
        answer = http.request(
            "PUT",
            server.url + "/items/MLB1",
            headers={"Authorization": "Bearer secret"},
            params={"ids": "MLB1,MLB2", "limit": 20},
            json={"title": "Leão"},
            purpose="test",
        )
    assert (answer.status, answer.json(), answer.headers["content-type"]) == (
        200,
        {"ok": True},
        "application/json",
    )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "PUT /items/MLB1?ids=MLB1,MLB2&limit=20 HTTP/1.1"
    assert {"Authorization: Bearer secret", "Content-Type: application/json"} <= set(lines)
    assert json.loads(body) == {"title": "Leão"}
    assert answer.duration_ms > 0
    assert "secret" not in repr(answer)


def test_a_form_call_sends_its_fields_in_the_body() -> None:
    with peer(well_behaved) as server:
        http.request("POST", server.url + "/oauth/token", form={"code": "a b&c"}, purpose="test")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert body == b"code=a+b%26c"


def test_refusals_are_answers_too() -> None:
    def refuse(connection: socket.socket, number: int) -> None:
        connection.sendall(b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")

    with peer(refuse) as server:
        answer = http.request("GET", server.url + "/", purpose="test")
    assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "7", b"")


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b"[" * 200_000, b"\xff\xfe\xfd"])
def test_a_body_that_is_not_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        http.Answer(200, {}, body, 1.0).json()


def test_a_chunked_answer_is_read_to_its_end_and_the_connection_kept() -> None:
    def chunked(connection: socket.socket, number: int) -> None:
        connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n')

    with peer(chunked) as server:
        for _ in range(2):
            assert http.request("GET", server.url, purpose="test").json() == {"a": 1}
    assert server.connections == 1


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1/", "http:///x", "http://user:pass@127.0.0.1/", "/relative", "http://127.0.0.1/a b"],
)
def test_a_malformed_address_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ValueError, match="address to call"):
        http.request("GET", url, purpose="test")


def test_a_token_with_a_line_break_is_refused_without_being_shown() -> None:
    with peer(well_behaved) as server, pytest.raises(ValueError, match="Authorization") as caught:
        http.request("GET", server.url, headers={"Authorization": "Bearer abc\r\nX: y"}, purpose="test")
    assert "abc" not in str(caught.value)
    assert server.requests == []


# --- The budget ---------------------------------------------------------------------------------------------


def drip(head: bytes, rest: bytes) -> Behaviour:
    def behave(connection: socket.socket, number: int) -> None:
        connection.sendall(head)
        for byte in rest:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    return behave


SLOW_PEERS = {
    "silent": drip(b"", b""),
    "drips its headers": drip(b"", OK),
    "drips its body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000),
    "drips chunks": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 200),
    "keeps saying continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40),
}


@pytest.mark.parametrize("behave", SLOW_PEERS.values(), ids=SLOW_PEERS.keys())
def test_a_slow_peer_costs_no_more_than_the_budget(behave: Behaviour) -> None:
    with peer(behave) as server:
        failure, seconds = fail(server.url, budget_seconds=0.5)
    assert (failure.code, failure.sent) == ("timeout", True)
    assert 0.45 < seconds < 2


def test_a_peer_that_never_reads_costs_no_more_than_the_budget() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        started = time.monotonic()
        with pytest.raises(http.HttpFailure) as caught:
            http.request(
                "PUT",
                f"http://127.0.0.1:{deaf.getsockname()[1]}/",
                json="x" * 20_000_000,  # more than the kernel's buffers take
                purpose="test",
                budget_seconds=0.5,
            )
        seconds = time.monotonic() - started
    assert (caught.value.code, caught.value.sent) == ("timeout", True)
    assert 0.45 < seconds < 2


def test_a_kept_connection_serves_a_call_by_that_calls_own_budget() -> None:
    def answer_once_then_go_deaf(connection: socket.socket, number: int) -> None:
        connection.sendall(OK)
        if number == 1:
            time.sleep(4)

    with peer(answer_once_then_go_deaf) as server:
        http.request("GET", server.url, purpose="test", budget_seconds=5.0)
        started = time.monotonic()
        with pytest.raises(http.HttpFailure, match="time allowed"):
            http.request("PUT", server.url, json="x" * 20_000_000, purpose="test", budget_seconds=0.3)
        assert time.monotonic() - started < 2
    assert server.connections == 1


@pytest.mark.parametrize("address_count", [1, 2])
def test_a_tls_handshake_that_stalls_takes_the_budget_and_no_more(
    address_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stall(listener: socket.socket) -> None:
        with listener.accept()[0] as connection, suppress(OSError):
            connection.recv(4096)
            for byte in b"\x16\x03\x03\x10\x00" + b"\x02" * 100:  # a handshake record that never ends
                connection.sendall(bytes([byte]))
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=stall, args=(listener,), daemon=True).start()
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())] * address_count
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        failure, seconds = fail("https://api.example.test/", budget_seconds=0.5)
    assert (failure.code, failure.sent) == ("timeout", False)
    assert 0.45 < seconds < 2


@contextmanager
def unreachable_address() -> Iterator[tuple[str, int]]:
    """An address where a connect neither succeeds nor fails: the queue of its listener is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        time.sleep(0.1)
        yield listener.getsockname()
        for client in waiting:
            client.close()


def test_a_connect_that_hangs_is_a_timeout_before_sending() -> None:
    with unreachable_address() as (host, port):
        failure, seconds = fail(f"http://{host}:{port}/", budget_seconds=0.5)
    assert (failure.code, failure.sent) == ("timeout", False)
    assert 0.45 < seconds < 2


def test_a_name_server_that_does_not_answer_costs_no_more_than_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enough = threading.Event()

    def slow(*args: object, **kwargs: object) -> list[object]:
        enough.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    failure, seconds = fail("http://api.example.test/", budget_seconds=0.5)
    enough.set()
    assert (failure.code, failure.sent) == ("timeout", False)
    assert 0.45 < seconds < 2


@pytest.mark.parametrize("way", ["refuses", "hangs"])
def test_a_second_address_is_tried_when_the_first_is_dead(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(well_behaved) as server, unreachable_address() as hanging:
        dead = hanging if way == "hangs" else ("127.0.0.1", _unused_port())
        targets = [dead, ("127.0.0.1", server.listener.getsockname()[1])]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", target) for target in targets]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        assert http.request("GET", "http://two.example.test/", purpose="test", budget_seconds=1.0).status == 200


@contextmanager
def tls_peer(
    behave: Behaviour,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    handshake_delay_seconds: float = 0,
    reading_delay_seconds: float = 0,
) -> Iterator[str]:
    """Serve one connection over TLS with a certificate for 127.0.0.1 that the process is told to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = Encoding.PEM
    (folder / "key.pem").write_bytes(key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate.pem"))
    http._tls_context.cache_clear()

    def serve(listener: socket.socket) -> None:
        accepted = listener.accept()[0]
        time.sleep(handshake_delay_seconds)
        with suppress(OSError), context.wrap_socket(accepted, server_side=True) as connection:
            time.sleep(reading_delay_seconds)
            number = 0
            while _read_request(connection):
                number += 1
                behave(connection, number)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
    http._tls_context.cache_clear()


def test_tls_is_spoken_and_its_connection_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_peer(well_behaved, tmp_path, monkeypatch) as url:
        answers = [http.request("PUT", url, json={"x": "y" * 100_000}, purpose="test") for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"ok": True}, {"ok": True}]


def test_a_slow_body_over_tls_costs_no_more_than_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_peer(SLOW_PEERS["drips its body"], tmp_path, monkeypatch) as url:
        failure, seconds = fail(url, budget_seconds=0.5)
    assert (failure.code, failure.sent) == ("timeout", True)
    assert 0.45 < seconds < 2


def test_a_slow_handshake_leaves_less_time_for_sending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delays = {"handshake_delay_seconds": 1.5, "reading_delay_seconds": 6.0}
    with tls_peer(well_behaved, tmp_path, monkeypatch, **delays) as url:
        started = time.monotonic()
        with pytest.raises(http.HttpFailure, match="time allowed"):
            http.request("PUT", url, json="x" * 20_000_000, purpose="test", budget_seconds=2.0)
        assert time.monotonic() - started < 3.2  # 3.5 if the handshake did not count


def test_a_peer_that_reads_slowly_over_tls_costs_no_more_than_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer_then_read_slowly(connection: socket.socket, number: int) -> None:
        connection.sendall(OK)
        while connection.recv(16_384):
            time.sleep(0.1)

    with tls_peer(answer_then_read_slowly, tmp_path, monkeypatch) as url:
        http.request("GET", url, purpose="test", budget_seconds=5.0)
        started = time.monotonic()
        with pytest.raises(http.HttpFailure, match="time allowed"):
            http.request("PUT", url, json="x" * 20_000_000, purpose="test", budget_seconds=0.5)
        assert time.monotonic() - started < 2


def test_a_certificate_nobody_vouches_for_is_a_failed_connection_that_sent_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_peer(well_behaved, tmp_path, monkeypatch) as url:
        monkeypatch.delenv("SSL_CERT_FILE")
        failure, _ = fail(url)
    assert (failure.code, failure.sent) == ("connection_failed", False)


# --- Other ways to be broken --------------------------------------------------------------------------------


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_nobody_listening_is_a_failed_connection_that_sent_nothing() -> None:
    failure, _ = fail(f"http://127.0.0.1:{_unused_port()}/")
    assert (failure.code, failure.sent) == ("connection_failed", False)


def test_a_plain_server_spoken_to_in_tls_is_a_failed_connection_that_sent_nothing() -> None:
    with peer(well_behaved) as server:
        failure, _ = fail(server.url.replace("http:", "https:"), budget_seconds=0.3)
    assert failure.sent is False


def reset(connection: socket.socket, number: int) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close sends RST
    connection.close()


def hang_up(connection: socket.socket, number: int) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def cut_short(connection: socket.socket, number: int) -> None:
    connection.sendall(OK[:-4])
    connection.shutdown(socket.SHUT_RDWR)


def cut_chunk(connection: socket.socket, number: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc")
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("behave", [reset, hang_up, cut_short, cut_chunk])
def test_a_connection_that_breaks_after_sending_is_not_retried(behave: Behaviour) -> None:
    with peer(behave) as server:
        failure, _ = fail(server.url)
    assert (failure.code, failure.sent) == ("connection_failed", True)
    assert len(server.requests) == 1


def test_noise_instead_of_http_says_so() -> None:
    with peer(lambda connection, number: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as server:
        failure, _ = fail(server.url)
    assert (failure.code, failure.sent) == ("not_http", True)


def endless(connection: socket.socket, number: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def endless_chunks(connection: socket.socket, number: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")


def announced(connection: socket.socket, number: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")


@pytest.mark.parametrize("behave", [endless, endless_chunks, announced])
def test_an_answer_over_the_cap_is_dropped_at_once(behave: Behaviour) -> None:
    with peer(behave) as server:
        failure, seconds = fail(server.url, max_bytes=100_000)
    assert (failure.code, failure.sent) == ("too_large", True)
    assert seconds < 1


def gzipped(content: bytes) -> Behaviour:
    body = gzip.compress(content)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    return lambda connection, number: connection.sendall(head + body)


def test_a_compressed_answer_is_unpacked_and_its_connection_kept() -> None:
    with peer(gzipped(b'{"ok": true}')) as server:
        for _ in range(2):
            assert http.request("GET", server.url, purpose="test").json() == {"ok": True}
    assert b"Accept-Encoding: gzip\r\n" in server.requests[0]
    assert server.connections == 1


def test_the_cap_counts_what_a_compressed_answer_unpacks_to() -> None:
    with peer(gzipped(b"x" * 200_000_000)) as server:  # 200 kB on the line
        tracemalloc.start()
        failure, _ = fail(server.url, max_bytes=300_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (failure.code, failure.sent) == ("too_large", True)
    assert peak_bytes < 5_000_000


def test_an_answer_that_does_not_unpack_says_so() -> None:
    with peer(
        lambda connection, number: connection.sendall(OK.replace(b"Type: application/json", b"Encoding: gzip"))
    ) as server:
        failure, _ = fail(server.url)
    assert (failure.code, failure.sent) == ("not_http", True)


def test_a_redirects_body_is_not_read() -> None:
    def redirect(connection: socket.socket, number: int) -> None:
        connection.sendall(b"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 1000000000\r\n\r\n")

    with peer(redirect) as server:
        failure, seconds = fail(server.url)
    assert failure.code == "redirected"
    assert seconds < 1


def test_a_redirect_is_not_followed_and_carries_no_token_away() -> None:
    with peer(well_behaved) as elsewhere:

        def redirect(connection: socket.socket, number: int) -> None:
            location = elsewhere.url.encode()
            connection.sendall(b"HTTP/1.1 307 X\r\nLocation: " + location + b"/\r\nContent-Length: 0\r\n\r\n")

        with peer(redirect) as server:
            failure, _ = fail(server.url, headers={"Authorization": "Bearer secret"})
    assert (failure.code, failure.sent) == ("redirected", True)
    assert elsewhere.requests == []


def test_the_environment_adds_no_proxy_no_password_and_the_peer_no_cookie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{_unused_port()}")

    def set_cookie(connection: socket.socket, number: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}")

    with peer(set_cookie) as server:
        for _ in range(2):
            http.request("GET", server.url, purpose="test")
    assert len(server.requests) == 2
    assert b"cookie" not in server.requests[1].lower()
    assert b"authorization" not in server.requests[1].lower()


# --- Strangers: the address was chosen by a customer ----------------------------------------------------------


@pytest.fixture
def no_local_networks(settings: Settings) -> None:
    """What production has: the public internet and nothing else."""
    settings.SUBSCRIBER_NETWORKS = []


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[tuple[str, int]]) -> list[int]:
    """Let the next name lookups give these addresses, one answer each; return the growing list of lookups."""
    asked: list[int] = []

    def look_up(*args: object, **kwargs: object) -> list[object]:
        targets = answers[min(len(asked), len(answers) - 1)]
        asked.append(1)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", target) for target in targets]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.usefixtures("no_local_networks")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]"])
def test_a_stranger_that_leads_home_is_not_dialled(host: str) -> None:
    with peer(well_behaved) as server:
        port = server.listener.getsockname()[1]
        failure, _ = fail(f"http://{host}:{port}/", is_stranger=True)
        assert (failure.code, failure.sent) == ("forbidden_address", False)
        assert server.connections == 0


@pytest.mark.usefixtures("no_local_networks")
def test_a_name_with_one_bad_address_among_good_ones_is_not_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(well_behaved) as server:
        resolving(monkeypatch, [("93.184.215.14", 80), ("127.0.0.1", server.listener.getsockname()[1])])
        failure, _ = fail("http://mixed.example.test/", is_stranger=True)
        assert (failure.code, server.connections) == ("forbidden_address", 0)


def test_what_was_checked_is_what_is_dialled_though_the_name_moves_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: asked once, checked once, and that very address dialled under the stranger's name."""
    with peer(well_behaved) as good, peer(well_behaved) as bad:
        ports = [server.listener.getsockname()[1] for server in (good, bad)]
        asked = resolving(monkeypatch, [("127.0.0.1", ports[0])], [("127.0.0.1", ports[1])])
        assert http.request("POST", "http://moving.example.test/", content=b"x", purpose="t", is_stranger=True).status
        assert (len(asked), good.connections, bad.connections) == (1, 1, 0)
    assert b"Host: moving.example.test\r\n" in good.requests[0]


def test_a_kept_connection_that_was_dialled_unchecked_serves_no_stranger(settings: Settings) -> None:
    with peer(well_behaved) as server:
        assert http.request("GET", server.url, purpose="test").status == 200
        settings.SUBSCRIBER_NETWORKS = []
        failure, _ = fail(server.url, is_stranger=True)
        assert (failure.code, server.connections) == ("forbidden_address", 1)
        assert http.request("GET", server.url, purpose="test").status == 200  # and the other way round nothing changed


@pytest.mark.parametrize("behave", [endless, endless_chunks])
def test_of_a_stranger_the_status_counts_and_little_is_read(behave: Behaviour) -> None:
    with peer(behave) as server:
        answer = http.request("POST", server.url, content=b"{}", purpose="test", max_bytes=4096, is_stranger=True)
        assert (answer.status, len(answer.body)) == (200, 4096)
        _wait_until(lambda: server.connections == 1)
        http.request("POST", server.url, content=b"{}", purpose="test", max_bytes=4096, is_stranger=True)
    assert server.connections == 2  # half-read connections are not used again


def test_a_strangers_path_is_not_logged_for_it_may_be_a_secret() -> None:
    with peer(well_behaved) as server, capture_logs() as lines:
        http.request("POST", server.url + "/T0/s3cret", content=b"{}", purpose="test", is_stranger=True)
    assert "s3cret" not in str(lines)


def test_content_goes_out_byte_for_byte() -> None:
    body = '{"nome":"Leão"}'.encode()
    with peer(well_behaved) as server:
        http.request("POST", server.url, content=body, headers={"Content-Type": "application/json"}, purpose="test")
    assert server.requests[0].endswith(b"\r\n\r\n" + body)


# --- Kept connections ---------------------------------------------------------------------------------------


def test_a_thread_reuses_its_connection_and_shares_it_with_no_other() -> None:
    with peer(well_behaved) as server:
        for _ in range(3):
            http.request("GET", server.url, purpose="test")
        assert server.connections == 1
        other = threading.Thread(target=http.request, args=("GET", server.url), kwargs={"purpose": "test"})
        other.start()
        other.join()
        assert server.connections == 2


def test_a_connection_closed_while_idle_is_replaced_before_anything_is_sent() -> None:
    def answer_and_close(connection: socket.socket, number: int) -> None:
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_RDWR)

    with peer(answer_and_close) as server:
        http.request("GET", server.url, purpose="test")
        time.sleep(0.05)
        http.request("POST", server.url, json={}, purpose="test")
    assert [request[:4] for request in server.requests] == [b"GET ", b"POST"]


def hang_up_on_the_second(connection: socket.socket, number: int) -> None:
    if number == 2:
        connection.shutdown(socket.SHUT_RDWR)
    else:
        connection.sendall(OK)


def test_a_read_on_a_stale_connection_is_repeated_once() -> None:
    with peer(hang_up_on_the_second) as server:
        http.request("GET", server.url, purpose="test")
        answer = http.request("GET", server.url, purpose="test")
    assert answer.status == 200
    assert (len(server.requests), server.connections) == (3, 2)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_write_on_a_stale_connection_is_not_repeated_for_it_may_have_acted(method: str) -> None:
    with peer(hang_up_on_the_second) as server:
        http.request("GET", server.url, purpose="test")
        with pytest.raises(http.HttpFailure) as caught:
            http.request(method, server.url, json={"available_quantity": 3}, purpose="test")
    assert (caught.value.code, caught.value.sent) == ("connection_failed", True)
    assert len(server.requests) == 2


@pytest.mark.parametrize("end", [hang_up, reset])
def test_a_read_that_broke_within_its_answer_is_not_repeated(end: Behaviour) -> None:
    def break_the_second(connection: socket.socket, number: int) -> None:
        if number == 2:
            connection.sendall(b"HTTP/1.1 200")
            time.sleep(0.1)
            end(connection, number)
        else:
            connection.sendall(OK)

    with peer(break_the_second) as server:
        http.request("GET", server.url, purpose="test")
        failure, _ = fail(server.url)
    assert (failure.code, failure.sent) == ("connection_failed", True)
    assert len(server.requests) == 2


def test_a_timed_out_connection_is_not_reused_for_the_next_call() -> None:
    def late_the_first_time(connection: socket.socket, number: int) -> None:
        if number == 1:
            time.sleep(0.3)
            connection.sendall(OK.replace(b"true", b"null"))
        else:
            connection.sendall(OK)

    with peer(late_the_first_time) as server:
        fail(server.url, budget_seconds=0.1)
        time.sleep(0.4)
        assert http.request("GET", server.url, purpose="test").json() == {"ok": True}
    assert server.connections == 2


def test_few_connections_are_kept_and_the_rest_closed() -> None:
    servers = [Peer(well_behaved) for _ in range(http.KEPT_CONNECTIONS_MAX + 2)]
    for server in servers:
        http.request("GET", server.url, purpose="test")
    _wait_until(lambda: sum(server.hung_up for server in servers) == 2)
    assert [server.hung_up for server in servers[:2]] == [1, 1]  # the ones unused longest made room
    for server in servers:
        server.listener.close()


def test_a_connection_idle_for_long_is_not_trusted_with_another_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_SECONDS_MAX", 0.2)
    with peer(well_behaved) as server:
        for pause_seconds in (0, 0.3, 0):
            http.request("PUT", server.url, json={}, purpose="test")
            time.sleep(pause_seconds)
        assert server.connections == 2


def test_what_a_thread_kept_is_closed_when_the_thread_ends() -> None:
    with peer(well_behaved) as server:
        caller = threading.Thread(target=http.request, args=("GET", server.url), kwargs={"purpose": "test"})
        caller.start()
        caller.join()
        _wait_until(lambda: server.hung_up == 1)


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_forked_worker_opens_a_connection_of_its_own() -> None:
    with peer(well_behaved) as server:
        http.request("GET", server.url, purpose="test")
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if http.request("GET", server.url, purpose="test").status == 200 else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert server.connections == 2
        http.request("GET", server.url, purpose="test")  # the parent's line survived its child
        assert server.connections == 2


# --- The log line -------------------------------------------------------------------------------------------


def test_one_line_is_logged_without_query_headers_or_bodies() -> None:
    with peer(well_behaved) as server, capture_logs() as lines:
        http.request(
            "PUT",
            server.url + "/items/MLB1?access_token=s3cret",
            headers={"Authorization": "Bearer s3cret"},
            json={"note": "s3cret"},
            purpose="ml.stock",
        )
    (line,) = lines
    assert "s3cret" not in str(line)
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "http.call",
        "log_level": "info",
        "method": "PUT",
        "host": "127.0.0.1",
        "path": "/items/MLB1",
        "status": 200,
        "outcome": "answered",
        "purpose": "ml.stock",
    }


def test_the_library_below_logs_no_address_either(caplog: pytest.LogCaptureFixture) -> None:
    def odd_headers(connection: socket.socket, number: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno header at all\r\n\r\n{}")

    with peer(odd_headers) as server, caplog.at_level(logging.DEBUG):
        http.request("GET", server.url + "/?access_token=s3cret", purpose="test")
    assert "s3cret" not in caplog.text


def test_a_failure_is_logged_with_its_code() -> None:
    with capture_logs() as lines:
        fail(f"http://127.0.0.1:{_unused_port()}/")
    assert [(line["status"], line["outcome"]) for line in lines] == [(0, "connection_failed")]
