"""A person lets the hub in at the channel: the authorization code grant with `state` and PKCE (RFC 6749, RFC 7636).

`begin` sends the browser to the channel's consent page; the channel sends it back with a code, which `claim` and
`finish` trade for tokens. Invariants: a `state` is worth something once, for ten minutes, to the very session, person
and tenant that began; and the code is useless to whoever reads it on its way, for PKCE's verifier never leaves the hub.
The verifier is derived from `state` and SECRET_KEY, so no secret is kept in between.
"""

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from apps.connectors import connecting
from apps.connectors.channel import authorization_url, exchange_code
from apps.connectors.connecting import CannotConnect
from apps.connectors.models import Authorization, Connector
from apps.tenants.models import Tenant

LIFE = timedelta(minutes=10)
"""How long a person may take at the channel; its code lives no longer either (contract §1.1)."""

KEPT = timedelta(days=1)
"""For how long a used or expired `state` is told from an unknown one."""

#: What the channel may send back instead of a code -> our code.
REFUSALS = {"access_denied": "consent_refused", "invalid_operator_user_id": "invalid_operator_user_id"}


def begin(connector: Connector, *, user: User, session_key: str, redirect_uri: str) -> str:
    """Return the address of the channel's consent page for this connector, to send the person's browser to.

    redirect_uri: where the channel sends it back; the application must have it registered, letter by letter.
    """
    Authorization.objects.filter(tenant=connector.tenant, expires_at__lt=Now() - KEPT).delete()
    state = secrets.token_urlsafe(32)
    Authorization.objects.create(
        tenant=connector.tenant,
        connector=connector,
        user=user,
        state_hash=_hash(state),
        session_hash=_hash(session_key),
        expires_at=Now() + LIFE,
    )
    return authorization_url(
        connector.kind,
        client_id=connector.client_id,
        redirect_uri=redirect_uri,
        state=state,
        verifier=_verifier(state),
    )


def claim(tenant: Tenant, *, user: User, session_key: str, state: str) -> Connector:
    """Spend the `state` that came back and return the connector it was made for.

    Raises CannotConnect: `state_unknown` (never sent from this session, person and tenant), `state_used`,
    `state_expired`.
    """
    row = (
        Authorization.objects.select_related("connector__tenant")
        .filter(tenant=tenant, user=user, session_hash=_hash(session_key), state_hash=_hash(state))
        .first()
    )
    if row is None:
        raise CannotConnect("this authorisation was not begun here", code="state_unknown")
    unused = Authorization.objects.filter(pk=row.pk, used_at__isnull=True)
    if unused.filter(expires_at__gt=Now()).update(used_at=Now()):
        return row.connector
    if unused.exists():
        raise CannotConnect("this authorisation took longer than ten minutes", code="state_expired")
    raise CannotConnect("this authorisation was used already", code="state_used")


def finish(connector: Connector, *, state: str, code: str, error: str, redirect_uri: str, actor: str) -> None:
    """Trade what came back for tokens, check whose they are, keep them sealed and put the connector to work.

    code, error: the channel's answer, one of them. redirect_uri: the one that `begin` named.
    Raises CannotConnect; what the connector had before is kept then.
    """
    if error or not code:
        text = "the channel sent no authorisation back"
        raise CannotConnect(text, code=REFUSALS.get(error, "consent_failed"))
    connecting.take_tokens(
        connector,
        lambda client_secret: exchange_code(
            connector.kind,
            client_id=connector.client_id,
            client_secret=client_secret,
            code=code,
            redirect_uri=redirect_uri,
            verifier=_verifier(state),
        ),
        actor=actor,
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _verifier(state: str) -> str:
    """Return PKCE's verifier of a `state`: 64 hexadecimal digits that nobody without SECRET_KEY can tell."""
    return salted_hmac("connectors.authorizing.verifier", state, algorithm="sha256").hexdigest()
