"""The secrets of a connector: sealed in its row, opened only here, and the care of its single-use refresh token.

Mercado Livre's refresh token works once (contract §1.3). Two workers that refresh at the same time lose the grant, and
so does a new token that was used before it was stored. So a refresh happens under the connector's row lock, in a
transaction of its own, and nobody sees the new access token before the new refresh token is committed.
"""

import hmac
from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from apps.common import crypto
from apps.connectors.budget import Budget
from apps.connectors.channel import Channel, ChannelError, open_channel, refresh_tokens
from apps.connectors.models import Connector

log = structlog.get_logger(__name__)

EXPIRY_MARGIN_SECONDS = 60
"""A token this close to its end is not used: the call would outlive it."""

SHOWABLE_LENGTH_MIN = 16
"""Of a shorter secret, four characters would be too large a part to show."""

OF_THE_APPLICATION = ("permission_missing", "unauthorized_application")
"""Refusals that no consent of the seller cures: the application lacks a permission, or is blocked."""

SECRET_FIELDS = ("client_secret", "refresh_token", "access_token")

ACCESS_COLUMNS = ("tenant_id", "access_token_enc", "access_token_expires_at")
"""What opening the access token takes; it is read anew before every call, so no more than that."""


def store(connector: Connector, **secrets: str) -> None:
    """Seal the given secrets (`client_secret=`, `refresh_token=`, `access_token=`) into the saved connector's row."""
    for field, value in secrets.items():
        setattr(connector, f"{field}_enc", crypto.seal(value, owner=_owner(connector, field)))
    connector.save(update_fields=[f"{field}_enc" for field in secrets] + ["updated_at"])


def reveal(connector: Connector, field: str) -> str:
    """Return a secret in the clear, "" when there is none. Raises SealBroken. Never log, show or pass on the answer."""
    sealed = getattr(connector, f"{field}_enc")
    return crypto.unseal(sealed, owner=_owner(connector, field)) if sealed else ""


def open_connector(connector: Connector, *, prepaid_calls: int = 0, is_just_read: bool = False) -> Channel:
    """Return the connector's channel, with its tokens, behind its circuit breaker and its budget of calls.

    prepaid_calls: how many of the next calls were counted before (`sync.turns`). is_just_read: whether the row was
    read a moment ago, so that the first call may use its token without reading it again.
    """
    just_read = connector if is_just_read else None
    line = Budget(connector.pk, prepaid_calls=prepaid_calls)
    return open_channel(connector.kind, ConnectorTokens(connector.pk, just_read), line)


def ending(connector: Connector, field: str) -> str:
    """Return the last four characters of a secret, so that a person can tell which one it is.

    "" when there is none, when it is too short to show a part of, or when the keys do not open it.
    """
    try:
        secret = reveal(connector, field)
    except crypto.SealBroken:
        return ""
    return secret[-4:] if len(secret) >= SHOWABLE_LENGTH_MIN else ""


def reseal_all(connector: Connector) -> None:
    """Seal every secret of the connector with the newest key. Raises SealBroken when one cannot be opened."""
    with transaction.atomic():
        locked = Connector.objects.select_for_update(no_key=True).get(pk=connector.pk)  # a refresh may be under way
        fields = [field for field in SECRET_FIELDS if getattr(locked, f"{field}_enc")]
        store(locked, **{field: reveal(locked, field) for field in fields})


class ConnectorTokens:
    """Access tokens of one connector (`channel.TokenSource`)."""

    def __init__(self, connector_id: int, just_read: Connector | None = None) -> None:
        self.connector_id = connector_id
        self._just_read = just_read

    def access_token(self) -> str:
        """Return the cached access token, or refresh when it is missing or about to end. Raises ChannelError."""
        connector = self._just_read or Connector.objects.only(*ACCESS_COLUMNS).get(pk=self.connector_id)
        self._just_read = None
        current = self._open(connector, "access_token")
        expires_at = connector.access_token_expires_at
        if expires_at and expires_at > timezone.now() + timedelta(seconds=EXPIRY_MARGIN_SECONDS):
            return current
        return self._refresh(rejected=current)

    def refreshed(self, rejected: str) -> str:
        """Return another token after the channel refused `rejected`. Raises ChannelError(account=True) if none."""
        return self._refresh(rejected=rejected)

    def _open(self, connector: Connector, field: str) -> str:
        """Return a secret; one that cannot be opened is the account's trouble, and only the account's."""
        try:
            return reveal(connector, field)
        except crypto.SealBroken as broken:
            raise ChannelError(str(broken), code="credentials_unreadable", permanent=True, account=True) from None

    def _refresh(self, rejected: str) -> str:
        """Exchange the refresh token, alone: whoever waited for the lock finds the new token and uses that.

        The call to the channel happens inside this one transaction, against law 7: the lock must cover it, because a
        second refresh with the same token would end the grant. It holds one row for at most the 5 s of a call; ADR 0004
        says what that costs.
        """
        try:
            with transaction.atomic(durable=True):
                # NO KEY: the foreign keys of events that arrive meanwhile must not wait for the channel's answer
                connector = Connector.objects.select_for_update(no_key=True).get(pk=self.connector_id)
                current = self._open(connector, "access_token")
                if current and not hmac.compare_digest(current, rejected) and _is_fresh(connector):
                    return current
                if connector.status == Connector.Status.REAUTHORIZE:
                    raise ChannelError(connector.status_reason, code="reauthorize", permanent=True, account=True)
                return self._exchange(connector)
        except ChannelError as refusal:
            if refusal.account:
                stop(self.connector_id, refusal)
            raise

    def _exchange(self, connector: Connector) -> str:
        pair = refresh_tokens(
            connector.kind,
            client_id=connector.client_id,
            client_secret=self._open(connector, "client_secret"),
            refresh_token=self._open(connector, "refresh_token"),
            line=Budget(connector.pk),
        )
        connector.access_token_expires_at = timezone.now() + timedelta(seconds=pair.expires_in_seconds)
        connector.save(update_fields=["access_token_expires_at"])
        store(connector, access_token=pair.access_token, refresh_token=pair.refresh_token)
        log.info("connector_token_refreshed", connector_id=connector.pk)
        return pair.access_token


def stop(connector_id: int, refusal: ChannelError) -> None:
    """Stop every call of the account and say why: a person must authorise it again, or first clear its application."""
    status = Connector.Status.ERROR if refusal.code in OF_THE_APPLICATION else Connector.Status.REAUTHORIZE
    changed = Connector.objects.filter(pk=connector_id, status=Connector.Status.ACTIVE).update(
        status=status, status_reason=str(refusal)[:300], updated_at=timezone.now()
    )
    if changed:
        log.error("connector_needs_authorisation", connector_id=connector_id, code=refusal.code)


def _is_fresh(connector: Connector) -> bool:
    expires_at = connector.access_token_expires_at
    return expires_at is not None and expires_at > timezone.now()


def _owner(connector: Connector, field: str) -> str:
    if connector.pk is None:
        raise ValueError("save the connector first: its secrets are bound to its row")
    return f"integracao_conector:{connector.pk}:{field}"
