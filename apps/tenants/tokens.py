"""Bearer tokens (JWT) that the operator's own identity provider signs; off unless JWT_ALGORITHM and JWT_KEY are set.

The algorithm is the setting's, never the token's, so `none` and a public key used as an HMAC secret (RFC 8725 §3.1) are
both refused. Claims: `exp` and `sub` (who), `tenant` (the tenant's short name), `scope` (words separated by spaces, RFC
9068) or `scopes` (a list). `iss` and `aud` must be JWT_ISSUER and JWT_AUDIENCE where those are set; a token that was
made for an audience is refused where none is set.
"""

from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings

LEEWAY_SECONDS = 10
"""How far two servers' clocks may be apart."""

LENGTH_MAX = 8_000
SUBJECT_LENGTH_MAX = 100  # a movement's actor holds 128 characters


@dataclass(frozen=True, slots=True)
class Token:
    """What a good token says. expires_at: seconds since 1970, with the leeway."""

    subject: str
    tenant_slug: str
    scopes: frozenset[str]
    expires_at: float


def read(text: str) -> Token | None:
    """Return what a token says, or None when it is bad in any way or tokens are off."""
    if not settings.JWT_ALGORITHM or len(text) > LENGTH_MAX:
        return None
    try:
        claims: dict[str, Any] = jwt.decode(
            text,
            settings.JWT_KEY,
            algorithms=[settings.JWT_ALGORITHM],
            issuer=settings.JWT_ISSUER or None,
            audience=settings.JWT_AUDIENCE or None,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "sub"]},
        )
    except (jwt.InvalidTokenError, ValueError, RecursionError):  # a header of the token may hold any nonsense
        return None
    subject, tenant_slug = claims["sub"], claims.get("tenant")
    is_named = isinstance(subject, str) and 0 < len(subject) <= SUBJECT_LENGTH_MAX and subject.isprintable()
    if not is_named or not isinstance(tenant_slug, str) or "\0" in tenant_slug:
        return None
    return Token(subject, tenant_slug, _scopes(claims), float(claims["exp"]) + LEEWAY_SECONDS)


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    named = claims.get("scope", claims.get("scopes"))
    words = named.split() if isinstance(named, str) else named if isinstance(named, list) else []
    return frozenset(word for word in words if isinstance(word, str))
