"""A program that signs what it posts, written from the documentation alone: none of the hub's own signing is used."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

WEBHOOK = "/api/integracoes/ml/webhook"


def message(**changes: Any) -> dict[str, Any]:
    """Return the requirement's queued message."""
    return {
        "canal": "ML",
        "tipo": "ORDER_CREATED",
        "externalId": "2000003508419013",
        "versao": 1,
        "payload": {"order": {"buyer": "Rosa"}},
    } | changes


@dataclass
class Sender:
    """Posts as the company named `tenant`, signed with `secrets`, by a clock that is `clock_off_seconds` wrong."""

    tenant: str
    secrets: list[str]
    clock_off_seconds: float = 0
    client: Client = field(default_factory=lambda: Client(headers={"Accept-Language": "en"}))

    def headers(self, body: bytes) -> dict[str, str]:
        timestamp = str(int(time.time() + self.clock_off_seconds))
        values = [
            hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
            for secret in self.secrets
        ]
        return {
            "X-ML-Signature": ",".join([f"t={timestamp}", *(f"v1={value}" for value in values)]),
            "X-Tenant": self.tenant,
        }

    def post(self, body: dict[str, Any] | bytes, **headers: str | None) -> Any:
        """Post a body; a header given here replaces the right one, None leaves it out."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = self.headers(raw) | {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in sent.items() if value is not None}
        return self.client.post(WEBHOOK, raw, content_type="application/json", headers=kept)
