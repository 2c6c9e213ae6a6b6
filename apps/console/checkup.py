"""The test of a connector: token, account, one listing, and whether a notification finds its way back to the hub.

Four steps, each with its time and a plain reason. What is kept is codes and facts; the words are found when the page is
shown, in the reader's language. Nothing is changed at the channel, and no stock moves: the notification that the hub
sends itself has a topic that it does not use, so it is kept and ignored. The calls pass by the circuit breaker, because
a person who tests wants to know how it is now.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.common import http
from apps.connectors import credentials, errands
from apps.connectors.channel import Channel, ChannelError, open_channel
from apps.connectors.models import Connector, Errand, Listing
from apps.console.badges import Badge
from apps.console.moments import to_the_millisecond
from apps.events.models import IntegrationEvent

ECHO_TOPIC = "saldo_echo"
"""A topic that no channel has and no part of the hub reads."""

OK, FAILED, SKIPPED = "ok", "failed", "skipped"

Facts = dict[str, Any]


def run(errand: Errand) -> None:
    """Take the four steps for an errand's connector, writing each down as it ends. Raises errands.Cancelled."""
    connector = errand.connector
    channel = open_channel(connector.kind, credentials.ConnectorTokens(connector.pk))
    ways: dict[str, Callable[[], Facts]] = {
        "token": lambda: _token(connector),
        "account": lambda: _account(connector, channel),
        "listing": lambda: _listing(connector, channel),
        "echo": lambda: _echo(connector),
    }
    steps: list[Facts] = []
    is_shut = False
    for name, way in ways.items():
        needs_account = name != "echo"
        step = {"name": name, "outcome": SKIPPED} if is_shut and needs_account else _step(name, way, connector)
        is_shut |= needs_account and step["outcome"] != OK
        steps.append(step)
        errands.note(errand, {"steps": steps})


def _step(name: str, way: Callable[[], Facts], connector: Connector) -> Facts:
    started = time.monotonic()
    step: Facts = {"name": name, "at": timezone.now().isoformat()}
    try:
        step |= {"outcome": OK, "facts": way()}
    except ChannelError as refusal:
        step |= {"outcome": FAILED, "code": refusal.code, "detail": str(refusal)[:500]}
        if refusal.account:
            credentials.stop(connector.pk, refusal)
    step["took_ms"] = round((time.monotonic() - started) * 1000)
    return step


def _token(connector: Connector) -> Facts:
    """Open the stored token, or get a new one when it is about to end."""
    credentials.ConnectorTokens(connector.pk).access_token()
    connector.refresh_from_db(fields=["access_token_expires_at"])
    ends = connector.access_token_expires_at
    return {"until": ends.isoformat() if ends else ""}


def _account(connector: Connector, channel: Channel) -> Facts:
    account = channel.account()
    if account.user_id != connector.user_id:
        text = f"the token opens account {account.user_id}, not {connector.user_id}"
        raise ChannelError(text, code="other_account", permanent=True)
    return {"nickname": account.nickname, "user_id": account.user_id}


def _listing(connector: Connector, channel: Channel) -> Facts:
    """Read one listing: the newest active one that the hub knows, else whichever the channel names."""
    known = Listing.objects.filter(connector=connector, channel_status="active").order_by("-id")
    item_id = known.values_list("item_id", flat=True).first() or channel.any_item()
    if not item_id:
        return {"item_id": ""}
    rows = channel.listing(item_id)
    return {"item_id": item_id, "title": rows[0].title, "quantity": sum(row.quantity for row in rows)}


def _echo(connector: Connector) -> Facts:
    """Post a notification to the address that the channel posts to, and see it kept.

    The call goes out as to a stranger: an address that is not on the public internet would be no good to the channel,
    so it is refused (except in development), and the secret in its path is not logged.
    """
    delivery = uuid.uuid4().hex
    notice = {
        "_id": delivery,
        "topic": ECHO_TOPIC,
        "resource": "/saldo/echo",
        "user_id": connector.user_id,
        "application_id": connector.client_id,
        "sent": timezone.now().isoformat(),
        "attempts": 1,
    }
    try:
        answer = http.request("POST", connector.notification_url, json=notice, purpose="echo", is_stranger=True)
    except http.HttpFailure as failure:
        raise ChannelError(str(failure), code=failure.code) from None
    if answer.status != 200:
        raise ChannelError(f"the notification address answered {answer.status}", code="echo_refused")
    kept = IntegrationEvent.objects.filter(tenant_id=connector.tenant_id, connector=connector, delivery_key=delivery)
    event = kept.only("pk").first()
    if event is None:
        raise ChannelError("the notification address answered 200, but nothing arrived", code="echo_lost")
    return {"event_id": event.pk}


# --- In words ------------------------------------------------------------------------------------------------------

NAMES: dict[str, Promise] = {
    "token": _("Token"),
    "account": _("Account"),
    "listing": _("One listing"),
    "echo": _("Notification address"),
}

SAID: dict[str, Promise] = {
    "token": _("Saldo holds a token that is valid until %(until)s."),
    "account": _("It opens the account %(nickname)s (%(user_id)s)."),
    "listing": _("“%(title)s” (%(item_id)s) was read; it shows %(quantity)s units."),
    "echo": _("A notification that Saldo sent itself arrived."),
}

NO_LISTING = _("The account has no listing yet; reading them works.")
NOT_TRIED = _("Not tried, because the step before failed.")

LOOKS = {
    OK: Badge(_("Works"), "ok", "check"),
    FAILED: Badge(_("Failed"), "bad", "cross"),
    SKIPPED: Badge(_("Not tried"), "quiet", "minus"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step for a page. `code` is explained by console/errors.py when it failed."""

    name: str | Promise
    badge: Badge
    text: str | Promise
    code: str
    detail: str
    took_ms: int | None
    at: datetime | None
    event_id: int | None


def in_words(errand: Errand) -> list[Step]:
    """Return the steps that a test has taken, in the reader's language."""
    return [
        Step(
            name=NAMES[step["name"]],
            badge=LOOKS[step["outcome"]],
            text=_told(step),
            code=step.get("code", ""),
            detail=step.get("detail", ""),
            took_ms=step.get("took_ms"),
            at=datetime.fromisoformat(step["at"]) if "at" in step else None,
            event_id=step.get("facts", {}).get("event_id"),
        )
        for step in errand.report.get("steps", [])
    ]


def _told(step: Facts) -> str | Promise:
    if step["outcome"] == SKIPPED:
        return NOT_TRIED
    if step["outcome"] == FAILED:
        return ""
    facts = dict(step["facts"])
    if step["name"] == "listing" and not facts["item_id"]:
        return NO_LISTING
    if facts.get("until"):
        facts["until"] = to_the_millisecond(datetime.fromisoformat(facts["until"]))
    said: str = SAID[step["name"]] % facts
    return said
