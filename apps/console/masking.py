"""What arrived, made fit to be looked at: secrets and personal data hidden, nothing able to trick the eye.

A notification holds neither secrets nor people, but this view must be safe for whatever somebody sends to it.
"""

import json
import re

MASK = "••••••"

SHOWN_MAX = 64 * 1024
"""Characters of an unreadable body that are shown."""

SECRET_KEYS = re.compile(
    r"(token|secret|password|senha|authorization|api_?key|cookie|signature|code_verifier|credential)s?$", re.IGNORECASE
)
PERSON_KEYS = re.compile(
    r"^(first_name|last_name|full_name|nickname|e?-?mail|birth.*|gender|cpf|cnpj|rg|doc_.*|document.*|tax.*"
    r"|receiver_.*|street.*|address_line|zip_code|postal_code|neighborhood|latitude|longitude|comment"
    r"|area_code|extension|telephone|cellphone|mobile|alternative_phone|phone.*|ip_address)$",
    re.IGNORECASE,
)
PERSON_PARTS = re.compile(
    r"^(identification|phone|alternative_phone|receiver_address|sender_address|billing_info|billing_address"
    r"|shipping_address|address|card|cardholder|payer)$",
    re.IGNORECASE,
)
"""Objects of which every value is about a person, whatever its key."""

SECRET_VALUES = re.compile(
    r"\b(?:APP_USR-[\w-]{8,}|TG-[\w-]{8,}|Bearer\s+\S+|eyJ[\w-]{8,}\.[\w.-]+|saldo_[0-9a-f]{8}_[\w-]+)"
    r"|[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{1,190}"
    r"|\b\d{3}\.\d{3}\.\d{3}-\d{2}\b|\b\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}\b"
)
"""Texts that are secret or personal under any key: access tokens, e-mail addresses, written CPF and CNPJ.

Every repetition that may start anywhere has a bound: without one, 64 kB of letters took 18 s."""

KEY_AND_VALUE = re.compile(
    r"""(?P<key>["']?(?P<name>[\w.-]{2,64})["']?\s*[:=]\s*)(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&}\]]+)"""
)

INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Control characters, and those that turn the direction of text or hide: shown by their number."""


def masked_json(content: object) -> str:
    """Return JSON content as indented text with secrets and personal data replaced by dots."""
    return _plain(json.dumps(_masked(content, is_personal=False), indent=2, ensure_ascii=False))


def masked_line(text: str) -> str:
    """Return a short text of a channel, with tokens, e-mail addresses and written documents replaced by dots."""
    return _plain(SECRET_VALUES.sub(MASK, text))


def masked_text(body: bytes) -> str:
    """Return a body that is not JSON as text, masked as far as keys and values can be told, cut at SHOWN_MAX."""
    text = body[: SHOWN_MAX * 4].decode("utf-8", "replace")
    shown = text[:SHOWN_MAX]
    shown = KEY_AND_VALUE.sub(_mask_pair, shown)
    return _plain(SECRET_VALUES.sub(MASK, shown)) + ("\n…" if len(text) > SHOWN_MAX else "")


def _masked(content: object, *, is_personal: bool) -> object:
    if isinstance(content, dict):
        return {
            SECRET_VALUES.sub(MASK, str(key)): MASK
            if _is_hidden(str(key)) and not isinstance(value, dict | list)
            else _masked(value, is_personal=is_personal or _is_hidden(str(key)) or bool(PERSON_PARTS.match(str(key))))
            for key, value in content.items()
        }
    if isinstance(content, list):
        return [_masked(value, is_personal=is_personal) for value in content]
    if is_personal and content is not None:
        return MASK
    return SECRET_VALUES.sub(MASK, content) if isinstance(content, str) else content


def _is_hidden(key: str) -> bool:
    return bool(SECRET_KEYS.search(key) or PERSON_KEYS.match(key))


def _mask_pair(pair: re.Match[str]) -> str:
    name = pair["name"]
    hide = _is_hidden(name) or PERSON_PARTS.match(name)
    return pair["key"] + MASK if hide else pair[0]


def _plain(text: str) -> str:
    return INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
