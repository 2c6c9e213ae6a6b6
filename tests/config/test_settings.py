"""Settings: each is documented, and a bad one stops the start with a sentence that names it and its cure."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core.exceptions import ImproperlyConfigured

from config import environment

ROOT = Path(__file__).resolve().parent.parent.parent
READ = re.compile(
    r"env\.(?:text|integer|boolean|choice|words|http_url|database|fernet_keys|redis_socket_or_tcp|jwt_key|ports|networks|smtp|email_address|pauses)"
    r'\(\s*"(\w+)"'
)
GOOD = {
    "SALDO_ENV": "production",
    "SECRET_KEY": "x" * 50,
    "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=",
    "DATABASE_URL": "postgres://saldo@/saldo",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SALDO_PUBLIC_URL": "https://saldo.example.com",
}


def test_every_setting_stands_in_the_readme() -> None:
    names = set(READ.findall((ROOT / "config/settings.py").read_text()))
    assert len(names) > 10
    readme = (ROOT / "README.md").read_text()
    assert not {name for name in names if f"`{name}`" not in readme}


def _start(**changes: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**kept, **GOOD, **changes}
    environment = {name: value for name, value in environment.items() if value}
    command = [sys.executable, "manage.py", "check"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_good_settings_start() -> None:
    result = _start()
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", "", "SECRET_KEY is not set."),
        ("SECRET_KEY", "short", "SECRET_KEY is shorter than 50 characters."),
        ("DATABASE_URL", "", "DATABASE_URL is not set. Name a PostgreSQL 18 database"),
        ("DATABASE_URL", "sqlite:///x", "DATABASE_URL does not start with postgres://."),
        ("REDIS_URL", "memcached://x", "REDIS_URL does not start with redis://"),
        ("FIELD_ENCRYPTION_KEYS", "abc", "FIELD_ENCRYPTION_KEYS holds a key that is not 32 url-safe base64 bytes."),
        (
            "SALDO_PUBLIC_URL",
            "saldo.example.com",
            "SALDO_PUBLIC_URL is 'saldo.example.com', which is not a web address.",
        ),
        ("SALDO_PUBLIC_URL", "http://saldo.example.com", "SALDO_PUBLIC_URL is not an https:// address."),
        ("SALDO_PUBLIC_URL", "https://x:port", "which is not a web address."),
        ("SALDO_ENV", "staging", "SALDO_ENV is 'staging'. Use one of: development, production."),
        ("PORT", "http", "PORT is 'http', which is not a whole number."),
        ("PORT", "70000", "PORT is 70000. Use a number from 0 to 65535."),
        ("SALDO_DEMO", "maybe", "SALDO_DEMO is 'maybe', which is neither yes nor no."),
        ("DEBUG", "1", "DEBUG is on in production."),
        ("API_RATE_LIMIT_PER_MINUTE", "-1", "API_RATE_LIMIT_PER_MINUTE is -1. Use a number from 0 to 10000000."),
        ("API_BODY_MAX_BYTES", "1", "API_BODY_MAX_BYTES is 1. Use a number from 1024 to"),
        ("JWT_ALGORITHM", "none", "JWT_ALGORITHM is 'none'. Use one of:"),
        ("JWT_ALGORITHM", "HS256", "JWT_KEY and JWT_ALGORITHM are set one without the other."),
        ("JWT_KEY", "x" * 40, "JWT_KEY and JWT_ALGORITHM are set one without the other."),
        ("SUBSCRIBER_PORTS", "443,70000", "SUBSCRIBER_PORTS is '443,70000'. Use port numbers from 1 to 65535"),
        ("SUBSCRIBER_NETWORKS", "10.0.0.1/8", "SUBSCRIBER_NETWORKS holds what is no network"),
        ("SUBSCRIBER_KEEP_DAYS", "1", "SUBSCRIBER_KEEP_DAYS is 1. Use a number from 2 to 3650."),
        ("EMAIL_URL", "http://mail.example", "EMAIL_URL is not the address of a mail server."),
        ("EMAIL_URL", "smtp://mail.example:x", "EMAIL_URL is not the address of a mail server."),
        ("EMAIL_URL", "smtp://ana:s3nha@mail.example", "EMAIL_URL sends a password in the clear."),
        ("EMAIL_FROM", "loja", "EMAIL_FROM is 'loja', which is not an e-mail address."),
        ("NOTIFICATION_PAUSES_SECONDS", "30,2m", "NOTIFICATION_PAUSES_SECONDS is '30,2m'. Use whole seconds"),
        ("NOTIFICATION_SMS_DRIVER", "no.such.Driver", "NOTIFICATION_SMS_DRIVER names no driver"),
        ("MERCADOLIVRE_API_URL", "ftp://x", "MERCADOLIVRE_API_URL is 'ftp://x', which is not a web address."),
    ],
)
def test_a_bad_setting_stops_the_start_with_a_sentence(name: str, value: str, sentence: str) -> None:
    result = _start(**{name: value})
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def _public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()


def test_a_token_key_is_of_its_algorithms_kind_and_strong() -> None:
    good = _public_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    weak = _public_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505  weak on purpose
    elliptic = _public_pem(ec.generate_private_key(ec.SECP256R1()))
    assert _read_key(JWT_ALGORITHM="RS256", JWT_KEY=good) == good.strip()
    assert _read_key(JWT_ALGORITHM="RS256", JWT_KEY=good.strip().replace("\n", "\\n")) == good.strip()
    assert _read_key(JWT_ALGORITHM="HS256", JWT_KEY="s" * 32) == "s" * 32
    for bad in (weak, elliptic, "s" * 64, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"):
        with pytest.raises(ImproperlyConfigured, match="not an RSA public key of 2048 bits or more"):
            _read_key(JWT_ALGORITHM="RS256", JWT_KEY=bad)
    for bad in ("short", good):
        with pytest.raises(ImproperlyConfigured, match="no secret for HS256"):
            _read_key(JWT_ALGORITHM="HS256", JWT_KEY=bad)


def _read_key(**variables: str) -> str:
    """Return the key that the settings would read from such an environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JWT_KEY", variables["JWT_KEY"])
        return environment.jwt_key("JWT_KEY", variables["JWT_ALGORITHM"])


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("", environment.Smtp()),
        ("smtp://127.0.0.1", environment.Smtp("127.0.0.1", 25)),
        ("smtps://mail.example", environment.Smtp("mail.example", 465, is_tls=True)),
        (
            "smtp+tls://ana%40loja.example:p%2Fw%3A@mail.example:2525",
            environment.Smtp("mail.example", 2525, "ana@loja.example", "p/w:", upgrades_to_tls=True),
        ),
    ],
)
def test_a_mail_server_is_read_from_its_address(
    url: str, server: environment.Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    assert environment.smtp("EMAIL_URL") == server


def test_a_bad_mail_server_is_refused_without_its_password() -> None:
    result = _start(EMAIL_URL="imap://ana:s3nha@mail.example")
    assert result.returncode == 1
    assert "s3nha" not in result.stdout + result.stderr
    assert "s3nha" not in repr(environment.Smtp("mail.example", 25, "ana", "s3nha"))
