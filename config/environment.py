"""Typed readers of environment variables.

Every reader refuses nonsense with one sentence that names the variable, says what is wrong with it and how to
cure it. A setting that is missing or bad stops the start: it never becomes a surprise at three in the morning.
"""

import base64
import ipaddress
import os
import re
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import NoReturn
from urllib.parse import unquote, urlsplit

import environ
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.core.exceptions import ImproperlyConfigured

DEFAULT_PORTS = {"http": 80, "https": 443}


def refuse(name: str, problem: str, cure: str) -> NoReturn:
    """Stop the start with a sentence: what is wrong with the variable `name`, and the cure."""
    raise ImproperlyConfigured(f"{name} {problem}. {cure}")


def text(name: str, default: str | None = None, *, cure: str = "Set it in the environment.") -> str:
    """Return the variable, or `default`; without a default an absent or empty variable is refused."""
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if default is None:
        refuse(name, "is not set", cure)
    return default


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """Return the variable as a whole number between `low` and `high`, both included."""
    value = text(name, str(default))
    try:
        number = int(value)
    except ValueError:
        refuse(name, f"is {value!r}, which is not a whole number", f"Use a number from {low} to {high}.")
    if not low <= number <= high:
        refuse(name, f"is {number}", f"Use a number from {low} to {high}.")
    return number


def boolean(name: str, default: bool) -> bool:
    """Return the variable as a truth value: 1, true, yes, on or 0, false, no, off."""
    value = text(name, "1" if default else "0").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    refuse(name, f"is {value!r}, which is neither yes nor no", "Use 1 or 0.")


def choice(name: str, default: str, options: tuple[str, ...]) -> str:
    """Return the variable, which must be one of `options`."""
    value = text(name, default)
    if value not in options:
        refuse(name, f"is {value!r}", f"Use one of: {', '.join(options)}.")
    return value


def words(name: str, default: str) -> list[str]:
    """Return a comma-separated variable as a list without empty entries."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def ports(name: str, default: str) -> frozenset[int]:
    """Return a comma-separated list of TCP ports; an empty one means that any port will do."""
    found = words(name, default)
    if not all(word.isdecimal() and 0 < int(word) < 65536 for word in found):
        refuse(name, f"is {','.join(found)!r}", "Use port numbers from 1 to 65535, separated by commas.")
    return frozenset(int(word) for word in found)


def networks(name: str, default: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return a comma-separated list of networks such as `10.1.0.0/16`; an address alone is a network of one."""
    try:
        return [ipaddress.ip_network(word) for word in words(name, default)]
    except ValueError as error:
        refuse(name, f"holds what is no network ({error})", "Use a form such as 10.1.0.0/16, separated by commas.")


def http_url(name: str, default: str) -> str:
    """Return an http(s) address without its last slash; anything else is refused."""
    value = text(name, default).rstrip("/")
    try:
        parts = urlsplit(value)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
    if not port_is_valid or parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        refuse(name, f"is {value!r}, which is not a web address", "Use a form such as https://api.example.com.")
    return value


@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server; an empty host means that there is none."""

    host: str = ""
    port: int = 25
    user: str = ""
    password: str = field(default="", repr=False)
    upgrades_to_tls: bool = False  # STARTTLS
    is_tls: bool = False  # from the first byte


SMTP_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}


def smtp(name: str) -> Smtp:
    """Return the mail server of `smtp[+tls|s]://user:password@host:port`, or none for an empty variable.

    User and password are percent-encoded. A bad address is refused without showing it: it may hold the password.
    """
    value = text(name, "")
    if not value:
        return Smtp()
    try:
        parts = urlsplit(value)
        port = parts.port or SMTP_PORTS.get(parts.scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    if not port or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        refuse(name, "is not the address of a mail server", "Use a form such as smtp+tls://user:password@host:587.")
    return Smtp(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        upgrades_to_tls=parts.scheme == "smtp+tls",
        is_tls=parts.scheme == "smtps",
    )


def email_address(name: str, default: str) -> str:
    """Return an e-mail address, alone or as `Name <address>`."""
    value = text(name, default)
    address = parseaddr(value)[1]
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", address) or not value.isprintable():
        refuse(name, f"is {value!r}, which is not an e-mail address", "Use a form such as Loja <loja@example.com>.")
    return value


def pauses(name: str, default: str) -> tuple[int, ...]:
    """Return comma-separated seconds to wait after the first, second … failure; after the last nothing is tried."""
    found = words(name, default)
    if not all(word.isascii() and word.isdecimal() and 0 < int(word) <= 86_400 for word in found):
        refuse(name, f"is {','.join(found)!r}", "Use whole seconds from 1 to 86400, separated by commas.")
    return tuple(int(word) for word in found)


def database(name: str, *, cure: str) -> dict[str, object]:
    """Return Django's connection settings for a `postgres://` address; other databases are refused.

    Saldo leans on PostgreSQL itself (row locks, SKIP LOCKED, partitions, triggers), so there is no second choice.
    """
    value = text(name, cure=cure)
    if not value.startswith(("postgres://", "postgresql://")):
        refuse(name, "does not start with postgres://", "Saldo runs on PostgreSQL only: name such a database.")
    config = dict(environ.Env.db_url_config(value))
    # a process that hangs in a transaction holds balances that others need: the server ends it for us
    options = {"options": "-c idle_in_transaction_session_timeout=60s", **config.get("OPTIONS", {})}
    return {**config, "ENGINE": "apps.common.postgres", "OPTIONS": options}


def fernet_keys(name: str, *, cure: str) -> list[str]:
    """Return the comma-separated Fernet keys, the newest first; a key of another shape is refused."""
    keys = [key for key in text(name, cure=cure).split(",") if key]
    for key in keys:
        try:
            is_valid = len(base64.urlsafe_b64decode(key)) == 32
        except ValueError:
            is_valid = False
        if not is_valid:
            refuse(name, "holds a key that is not 32 url-safe base64 bytes", f"Make one: {FERNET_KEY_COMMAND}")
    return keys


def jwt_key(name: str, algorithm: str) -> str:
    """Return the key that bearer tokens are checked with: for RS256 a public key, for HS256 a secret, else nothing.

    A PEM key may stand on one line with `\\n` for its line ends. The kind and strength of the key are checked, because
    a public key taken for a secret, or a short secret, would let anybody sign.
    """
    value = text(name, "").replace("\\n", "\n")
    if bool(value) != bool(algorithm):
        refuse(name, "and JWT_ALGORITHM are set one without the other", "Set both to take tokens, or neither.")
    if algorithm == "HS256" and (len(value) < 32 or "-----BEGIN" in value):
        refuse(name, "is no secret for HS256", "Use 32 random characters or more; for a public key choose RS256.")
    if algorithm == "RS256" and not _is_rsa_public_key(value):
        cure = "Use the identity provider's public key: -----BEGIN PUBLIC KEY----- …"
        refuse(name, "is not an RSA public key of 2048 bits or more in PEM", cure)
    return value


def _is_rsa_public_key(pem: str) -> bool:
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        return False
    return isinstance(key, RSAPublicKey) and key.key_size >= 2048


def redis_socket_or_tcp(name: str, *, cure: str) -> str:
    """Return a `redis://`, `rediss://` or `unix://` address; anything else is refused."""
    value = text(name, cure=cure)
    if not value.startswith(("redis://", "rediss://", "unix://")):
        refuse(name, "does not start with redis://, rediss:// or unix://", cure)
    return value


def celery_broker(redis_url: str) -> str:
    """Return Celery's spelling of a Redis address: a unix socket is `redis+socket://…?virtual_host=N` there."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    return f"redis+socket://{path}?virtual_host={query.removeprefix('db=') or '0'}"


FERNET_KEY_COMMAND = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
