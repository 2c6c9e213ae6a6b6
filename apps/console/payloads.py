"""What arrived in an event, three ways: as received, as the hub read it, and what changed since the one before.

Everything shown is masked first (`masking.py`), also the difference: a changed secret shows as no change. Whoever may
see the data itself gives a reason, and it is written down that they looked.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.connectors.channel import Poison, read_notice
from apps.console import masking
from apps.events.models import IntegrationEvent
from apps.tenants import access, audit

TABS = ("recebido", "interpretado", "diferenca")

CHANGES_MAX = 200
"""Paths of a difference that are shown."""

REASON_MIN = 5


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs. kind: added, removed or changed."""

    path: str
    kind: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Payload:
    """What the viewer shows of an event's content.

    forgotten_at: when the content went, or goes, after its days; None for what never had any. before: the event about
    the same resource that came before, with its content still kept; None when there is none.
    """

    tab: str
    text: str
    read: str
    curl: str
    is_kept: bool
    forgotten_at: datetime | None
    before: IntegrationEvent | None
    changes: list[Change]


def payload_of(event: IntegrationEvent, tab: str) -> Payload:
    """Return what the viewer shows; the event before is looked up only for the tab that compares."""
    tab = tab if tab in TABS else TABS[0]
    is_kept = bool(event.body) or event.payload is not None
    before = _before(event) if tab == "diferenca" and event.payload is not None else None
    return Payload(
        tab=tab,
        text=_received(event) if is_kept else "",
        read=_read(event),
        curl=_curl(event) if is_kept else "",
        is_kept=is_kept,
        forgotten_at=event.received_at + timedelta(days=settings.EVENT_BODY_DAYS) if event.topic or is_kept else None,
        before=before,
        changes=difference(_clean(before.payload), _clean(event.payload)) if before else [],
    )


def difference(before: Any, after: Any) -> list[Change]:
    """Return the paths whose value was added, removed or changed between two JSON contents, in their order."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    found = []
    for path in [*old, *(path for path in new if path not in old)]:
        if path not in new:
            found.append(Change(path, "removed", old[path], ""))
        elif path not in old:
            found.append(Change(path, "added", "", new[path]))
        elif old[path] != new[path]:
            found.append(Change(path, "changed", old[path], new[path]))
    return found[:CHANGES_MAX]


def _leaves(content: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(content, dict) and content:
        pairs = [(f"{path}.{key}" if path else str(key), value) for key, value in content.items()]
    elif isinstance(content, list) and content:
        pairs = [(f"{path}[{index}]", value) for index, value in enumerate(content)]
    else:
        return [(path, json.dumps(content, ensure_ascii=False))]
    return [leaf for inner, value in pairs for leaf in _leaves(value, inner)]


def _clean(content: Any) -> Any:
    return json.loads(masking.masked_json(content))


def _received(event: IntegrationEvent) -> str:
    return masking.masked_text(bytes(event.body)) if event.payload is None else masking.masked_json(event.payload)


def _read(event: IntegrationEvent) -> str:
    """Return what the parser made of it; of what it could not read, why."""
    try:
        notice = asdict(read_notice(event.channel, bytes(event.body)))
    except Poison as reason:
        if event.body:
            return masking.masked_line(str(reason))
        notice = {
            "topic": event.topic,
            "resource_kind": event.resource_kind,
            "resource_id": event.external_id,
            "delivery_key": event.delivery_key,
        }
    sent_at = notice.get("sent_at")
    return masking.masked_json(notice | ({"sent_at": sent_at.isoformat()} if sent_at else {}))


def _before(event: IntegrationEvent) -> IntegrationEvent | None:
    same = IntegrationEvent.objects.filter(
        tenant_id=event.tenant_id,
        connector_id=event.connector_id,
        external_id=event.external_id,
        resource_kind=event.resource_kind,
        payload__isnull=False,
        pk__lt=event.pk,
    ).exclude(external_id="")
    return same.order_by("-pk").first()


def _curl(event: IntegrationEvent) -> str:
    """Return a command that delivers it again, to the address that stands in the reader's shell, not here."""
    text = _received(event) if event.payload is None else json.dumps(_clean(event.payload), ensure_ascii=False)
    quoted = text.replace("'", "'\\''")
    return f"curl -X POST \"$URL_WEBHOOK\" -H 'Content-Type: application/json' -d '{quoted}'"


@login_required
@require_POST
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """The content as it arrived, unmasked, for a manager who says why. It is written down."""
    access.require(request, "payloads:read")
    row = access.owned_or_404(request, IntegrationEvent.objects.select_related("connector", "tenant"), pk=pk)
    reason = request.POST.get("reason", "").replace("\x00", "").strip()[:300]
    if len(reason) < REASON_MIN:
        messages.warning(request, _("Say why you need to see the data: it is kept with your name. Nothing was shown."))
        return redirect("console:event", pk=row.pk)
    audit.record(row.tenant, f"user:{request.user.pk}", "event.content_shown", f"event:{row.pk}", reason=reason)
    content = json.dumps(row.payload, indent=2, ensure_ascii=False) if row.payload is not None else ""
    text = content or bytes(row.body)[: masking.SHOWN_MAX].decode("utf-8", "replace")
    context = {"event": row, "text": masking.INVISIBLE.sub("\ufffd", text)}
    response = render(request, "console/event_content.html", context)
    response["Cache-Control"] = "no-store"
    return response
