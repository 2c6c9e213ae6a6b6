"""Connect a tenant's account on a channel.

A connector begins as an application's id and secret (`register`). Whose account it is, only the channel knows: that is
learnt from the first tokens, and from then on it never changes. No token is kept before it was seen to open that very
account, of the right site, that no other connector has.
"""

from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.common import crypto
from apps.connectors import credentials
from apps.connectors.channel import AccountSnapshot, ChannelError, TokenPair, open_channel, refresh_tokens
from apps.connectors.models import Connector
from apps.tenants import audit
from apps.tenants.models import Tenant

SITE = "MLB"
"""Brazil: prices in BRL, fiscal rules and the write rules of contract §5 are this site's."""


class CannotConnect(Exception):
    """The account was not connected. The text says why; pages explain the code (console/errors.py)."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


def connect(
    tenant: Tenant,
    *,
    kind: str,
    client_id: str,
    client_secret: str,
    refresh_token: str,
    name: str = "",
    user_id: str = "",
) -> Connector:
    """Prove the credentials against the channel, then keep them sealed. Returns the connector.

    An account that this tenant connected before is put to work again with the new credentials: the way out of
    REAUTORIZAR. The refresh token is single-use: from here on only the hub holds a working one. `user_id`, when given,
    is the account the person meant; a token of another account is refused (contract §1.6).
    Raises CannotConnect when the channel refuses, the account is not Brazil's, or another tenant has it.
    """
    pair, account = _proven(
        kind,
        lambda: refresh_tokens(kind, client_id=client_id, client_secret=client_secret, refresh_token=refresh_token),
        meant=user_id,
    )
    connector = Connector.objects.filter(tenant=tenant, kind=kind, user_id=account.user_id).first() or Connector(
        tenant=tenant, kind=kind, name=name or account.nickname or account.user_id
    )
    connector.client_id = client_id
    _keep(connector, pair, account, client_secret=client_secret)
    return connector


def register(tenant: Tenant, *, kind: str, name: str, client_id: str, client_secret: str, actor: str) -> Connector:
    """Keep an application's id and secret, and return the connector. It waits for a person to authorise it.

    It begins in shadow mode (sync/pausing.py): no number goes out before a person has seen what would be sent.
    """
    with transaction.atomic():
        connector = Connector.objects.create(
            tenant=tenant,
            kind=kind,
            name=name,
            client_id=client_id,
            status=Connector.Status.REAUTHORIZE,
            shadow_since=timezone.now(),
            shadow_by=actor[:100],
        )
        credentials.store(connector, client_secret=client_secret)
        audit.record(tenant, actor, "connector.registered", f"connector:{connector.pk}", client_id=client_id)
    return connector


def replace_secret(connector: Connector, client_secret: str, *, actor: str) -> None:
    """Keep another secret of the connector's application, and forget the old one."""
    with transaction.atomic():
        credentials.store(connector, client_secret=client_secret)
        audit.record(connector.tenant, actor, "connector.secret_replaced", f"connector:{connector.pk}")


def take_refresh_token(connector: Connector, refresh_token: str, *, actor: str) -> None:
    """Put the connector to work with a refresh token that a person brought. It is spent by it.

    Raises CannotConnect; what the connector had before is kept then.
    """
    secret = _secret(connector)
    _adopt(
        connector,
        lambda: refresh_tokens(
            connector.kind, client_id=connector.client_id, client_secret=secret, refresh_token=refresh_token
        ),
        actor=actor,
    )


def take_tokens(connector: Connector, trade: Callable[[str], TokenPair], *, actor: str) -> None:
    """Put the connector to work with the tokens that `trade` gets, given the application's secret.

    Raises CannotConnect; what the connector had before is kept then.
    """
    secret = _secret(connector)
    _adopt(connector, lambda: trade(secret), actor=actor)


def _secret(connector: Connector) -> str:
    try:
        return credentials.reveal(connector, "client_secret")
    except crypto.SealBroken as broken:
        raise CannotConnect(str(broken), code="credentials_unreadable") from None


def _adopt(connector: Connector, trade: Callable[[], TokenPair], *, actor: str) -> None:
    pair, account = _proven(connector.kind, trade, meant=connector.user_id)
    with transaction.atomic():
        locked = Connector.objects.select_for_update(no_key=True).get(pk=connector.pk)
        if locked.user_id and locked.user_id != account.user_id:  # two people authorised a new connector at once
            raise _other_account(account, locked.user_id)
        _keep(locked, pair, account)
        audit.record(connector.tenant, actor, "connector.authorised", f"connector:{connector.pk}")


def _proven(kind: str, trade: Callable[[], TokenPair], *, meant: str) -> tuple[TokenPair, AccountSnapshot]:
    """Get tokens and see whose they are. Raises CannotConnect when they are not fit to be kept."""
    try:
        pair = trade()
        account = open_channel(kind, _Fixed(pair)).account()
    except ChannelError as refusal:
        raise CannotConnect(f"the channel refused the credentials: {refusal}", code=refusal.code) from None
    if meant and account.user_id != meant:
        raise _other_account(account, meant)
    if account.site_id and account.site_id != SITE:
        text = f"the account {account.nickname} belongs to site {account.site_id}; only {SITE} is served"
        raise CannotConnect(text, code="wrong_site")
    if not pair.refresh_token:
        text = "the channel gave no refresh token: the application lacks the permission offline_access"
        raise CannotConnect(text, code="no_refresh_token")
    return pair, account


def _other_account(account: AccountSnapshot, meant: str) -> CannotConnect:
    text = f"the token belongs to account {account.user_id} ({account.nickname}), not to {meant}"
    return CannotConnect(text, code="other_account")


def _keep(connector: Connector, pair: TokenPair, account: AccountSnapshot, **secrets: str) -> None:
    """Write the account and its sealed tokens. Raises CannotConnect when another connector has the account."""
    connector.user_id = account.user_id
    connector.status, connector.status_reason = Connector.Status.ACTIVE, ""
    connector.access_token_expires_at = timezone.now() + timedelta(seconds=pair.expires_in_seconds)
    try:
        with transaction.atomic():
            connector.save()
            credentials.store(connector, refresh_token=pair.refresh_token, access_token=pair.access_token, **secrets)
    except IntegrityError:
        # whose it is, is told only to its own people
        own = Connector.objects.filter(tenant=connector.tenant, kind=connector.kind, user_id=account.user_id)
        if own.exclude(pk=connector.pk).exists():
            text = f"the account {account.nickname} ({account.user_id}) has another connector of this tenant already"
            raise CannotConnect(text, code="account_connected_already") from None
        raise CannotConnect(
            f"the account {account.nickname} ({account.user_id}) is connected to another tenant already; "
            "authorise it anew there if its calls fail from now on",
            code="account_connected_elsewhere",
        ) from None


class _Fixed:
    """The one token a new account has before its connector exists (`channel.TokenSource`)."""

    def __init__(self, pair: TokenPair) -> None:
        self.pair = pair

    def access_token(self) -> str:
        return self.pair.access_token

    def refreshed(self, rejected: str) -> str:
        raise ChannelError("the channel refused a token it had just given", code="unauthorized", account=True)
