"""Trading tokens with Mercado Livre (contract §1.1 to §1.4). One call, no state: who stores the pair holds the lock.

A refresh token works once. So after a 200 the new one must be kept whatever else the answer lacks, and nothing here
refuses an answer for a part the hub could do without.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlencode

from django.conf import settings

from apps.common import http
from apps.connectors.channel import ChannelError, Line, TokenPair
from apps.connectors.mercadolivre.client import over, refusal
from apps.connectors.mercadolivre.parsing import unreadable, whole_number

# Only these mean that the grant is gone; anything else is tried again with the same refresh token (contract §1.4).
GRANT_IS_GONE = ("invalid_grant", "invalid_client", "unauthorized_client", "unauthorized_application")
NOT_AN_ADMINISTRATOR = "invalid_operator_user_id"  # a collaborator of the account authorised (contract §1.1)
TOKEN_LENGTH_MAX = 2048
LIFE_SECONDS_UNSAID = 10_800  # the shorter of the two lifetimes in their documentation (contract §1.2)


def authorization_url(*, client_id: str, redirect_uri: str, state: str, verifier: str) -> str:
    """Return where a person's browser asks for consent (contract §1.1).

    verifier: PKCE's secret (RFC 7636), 43 to 128 unreserved characters; only its SHA-256 leaves the house.
    """
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return f"{settings.MERCADOLIVRE_AUTH_URL.rstrip('/')}/authorization?{urlencode(asked)}"


def exchange(*, client_id: str, client_secret: str, code: str, redirect_uri: str, verifier: str) -> TokenPair:
    """Trade the code that came back from the consent page for a pair (contract §1.2). The code is spent by it.

    The pair has no refresh token when the application may not have one (no `offline_access`). Raises ChannelError.
    """
    return _trade(
        {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "client_secret": client_secret,
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
    )


def refresh(*, client_id: str, client_secret: str, refresh_token: str, line: Line | None = None) -> TokenPair:
    """Trade a refresh token for a new pair (contract §1.3). The old refresh token is spent by it.

    Raises ChannelError(account=True, permanent=True) when only a person can help: the code is one of GRANT_IS_GONE.
    After any other ChannelError the same refresh token may be tried again; if the answer was lost on its way the next
    try will say `invalid_grant`, for nothing recovers a rotated token.
    """
    return _trade(
        {
            "grant_type": "refresh_token",
            "client_id": client_id,
            "client_secret": client_secret,
            "refresh_token": refresh_token,
        },
        line,
    )


def _trade(form: Mapping[str, str], line: Line | None = None) -> TokenPair:
    address = settings.MERCADOLIVRE_API_URL.rstrip("/") + "/oauth/token"
    answer = over(line, partial(http.request, "POST", address, form=form, purpose="ml.token"))
    if not 200 <= answer.status < 300:
        raise _refused(answer)
    return _token_pair(answer, form.get("refresh_token", ""))


def _refused(answer: http.Answer) -> ChannelError:
    error = refusal(answer, asked="the request for a token")
    if answer.status == 429 or answer.status >= 500:
        return error
    try:
        body = answer.json()
    except ValueError:
        body = None
    word = body.get("error") or body.get("code") if isinstance(body, dict) else None
    if isinstance(word, str) and word in (*GRANT_IS_GONE, NOT_AN_ADMINISTRATOR):
        return ChannelError(str(error), code=word, permanent=True, account=True, status=answer.status)
    return ChannelError(str(error), code="token_refused", status=answer.status)


def _token_pair(answer: http.Answer, spent_refresh_token: str) -> TokenPair:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not _token(body.get("access_token")):
        raise unreadable("access_token", "the answer to the request for a token", status=answer.status)
    user_id = body.get("user_id")
    return TokenPair(
        access_token=_token(body.get("access_token")),
        # Without a new one the old stays valid (RFC 6749 §6).
        refresh_token=_token(body.get("refresh_token")) or spent_refresh_token,
        expires_in_seconds=whole_number(body.get("expires_in")) or LIFE_SECONDS_UNSAID,
        user_id=str(user_id) if isinstance(user_id, int | str) else "",
    )


def _token(value: object) -> str:
    """Return a token that can travel in a header: visible ASCII, not endless; "" for anything else."""
    is_sound = isinstance(value, str) and len(value) <= TOKEN_LENGTH_MAX and re.fullmatch(r"[\x21-\x7e]+", value)
    return str(value) if is_sound else ""
