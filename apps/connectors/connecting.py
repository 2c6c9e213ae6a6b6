"""Connect a tenant's account on a channel."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.connectors import credentials
from apps.connectors.channel import ChannelError, TokenPair, open_channel, refresh_tokens
from apps.connectors.models import Connector
from apps.tenants.models import Tenant

SITE = "MLB"
"""Brazil: prices in BRL, fiscal rules and the write rules of contract §5 are this site's."""


class CannotConnect(Exception):
    """The account was not connected; the text says why and what to do."""


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
    try:
        pair = refresh_tokens(kind, client_id=client_id, client_secret=client_secret, refresh_token=refresh_token)
        account = open_channel(kind, _Fixed(pair)).account()
    except ChannelError as refusal:
        raise CannotConnect(f"the channel refused the credentials: {refusal}") from None
    if user_id and account.user_id != user_id:
        raise CannotConnect(f"the token belongs to account {account.user_id} ({account.nickname}), not to {user_id}")
    if account.site_id and account.site_id != SITE:
        raise CannotConnect(f"the account {account.nickname} belongs to site {account.site_id}; only {SITE} is served")
    connector = Connector.objects.filter(tenant=tenant, kind=kind, user_id=account.user_id).first() or Connector(
        tenant=tenant, kind=kind, user_id=account.user_id, name=name or account.nickname or account.user_id
    )
    connector.client_id = client_id
    connector.status, connector.status_reason = Connector.Status.ACTIVE, ""
    connector.access_token_expires_at = timezone.now() + timedelta(seconds=pair.expires_in_seconds)
    try:
        with transaction.atomic():
            connector.save()
            credentials.store(
                connector,
                client_secret=client_secret,
                refresh_token=pair.refresh_token,
                access_token=pair.access_token,
            )
    except IntegrityError:
        raise CannotConnect(
            f"the account {account.nickname} ({account.user_id}) is connected to another tenant already; "
            "authorise it anew there if its calls fail from now on"
        ) from None
    return connector


class _Fixed:
    """The one token a new account has before its connector exists (`channel.TokenSource`)."""

    def __init__(self, pair: TokenPair) -> None:
        self.pair = pair

    def access_token(self) -> str:
        return self.pair.access_token

    def refreshed(self, rejected: str) -> str:
        raise ChannelError("the channel refused a token it had just given", code="unauthorized", account=True)
