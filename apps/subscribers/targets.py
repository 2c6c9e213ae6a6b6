"""Which addresses a subscriber may have. What its name resolves to is checked when it is dialled (common/http.py)."""

import re
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from apps.common.addresses import may_dial

PORTS = {"http": 80, "https": 443}
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)


def check(url: str) -> None:
    """Refuse an address that could not or must not be posted to. Raises ValidationError with a sentence.

    Looks at the text alone and asks no name server: an answer now would prove nothing about later.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise ValidationError(_("This is not a web address; nothing was changed."), code="invalid_url") from None
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        raise ValidationError(
            _("An address has only printable ASCII characters: percent-encode the others."), code="invalid_url"
        )
    allowed = ("https",) if settings.SUBSCRIBER_HTTPS_ONLY else ("https", "http")
    if parts.scheme not in allowed or not parts.hostname:
        raise ValidationError(
            _("Events are posted to an address that begins with https:// and names a host."), code="invalid_scheme"
        )
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValidationError(
            _("An address has no user, password or #fragment here: verify the signature instead."), code="invalid_url"
        )
    if settings.SUBSCRIBER_PORTS and port not in settings.SUBSCRIBER_PORTS:
        ports = ", ".join(str(number) for number in sorted(settings.SUBSCRIBER_PORTS))
        raise ValidationError(_("Events are posted to these ports only: %s.") % ports, code="forbidden_port")
    _check_host(parts.hostname)


def _check_host(host: str) -> None:
    """Refuse what is no name of a host and no public address: `127.1`, `0x7f.1`, `2130706433`, `[::1]` …"""
    labels = host.removesuffix(".").split(".")
    is_address = ":" in host or NUMBER.fullmatch(labels[-1]) is not None  # browsers' rule: a name ends in a word
    if is_address and not may_dial(host, settings.SUBSCRIBER_NETWORKS):
        raise ValidationError(
            _("This address is not on the public internet, so Saldo will not post to it."), code="forbidden_address"
        )
    if not is_address and not (len(host) < 254 and all(LABEL.fullmatch(label) for label in labels)):
        raise ValidationError(_("This is not the name of a host."), code="invalid_url")
