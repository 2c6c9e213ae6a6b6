"""Misbehaviour on request, and the quota of calls.

A fault is ``{method?, path, user_id?, action, status?, body?, headers?, delay_ms?, times?, percent?, ...}``; the first
that fits a call is taken. ``delay_ms`` is waited before anything else happens, except for ``timeout`` (how long the
connection is held) and the slow ones (between two bytes).
"""

from __future__ import annotations

import random
import re
import threading
import time

from .call import Call, Doc, Json
from .state import State

ACTIONS: dict[str, str] = {
    "status": "answer `status` (default 500) and do nothing",
    "timeout": "hold the connection `delay_ms` (default 30000), then close it unanswered; nothing is applied",
    "timeout_after_applying": "the same, but the call was applied",
    "reset": "reset the connection at once; nothing is applied",
    "reset_after_applying": "apply the call, then reset the connection",
    "delay": "wait `delay_ms`, then behave",
    "slow_header": "apply, then send the head one byte each `delay_ms` (default 1000)",
    "slow_body": "apply, then send the body one byte each `delay_ms` (default 1000)",
    "wrong_json": "apply, then answer 200 with half of the JSON",
    "empty": "apply, then answer 204 without a body",
    "html": "answer `status` (default 502) with an HTML page; nothing is applied",
    "lie": "stock writes: 200 and nothing changes; with `echo` the answer shows the number asked for",
    "wrong_quantity": "stock writes: 200, but the quantity kept is `quantity`, or one less than asked for",
    "redirect": "answer `status` (default 301) to `location` (default /moved); nothing is applied",
    "partial": "206 with X-Content-Missing: the names in `missing` are null (orders, users/me)",
}
"""What a fault can do, and how."""

_DEFAULT_BODIES: dict[int, Doc] = {
    400: {"message": "Bad request", "error": "bad_request", "status": 400, "cause": []},
    401: {"message": "invalid_token", "error": "not_found", "status": 401, "cause": []},
    403: {
        "status": 403,
        "error": "access_denied",
        "message": "access to the requested resource is forbidden",
        "code": "FORBIDDEN",
    },
    404: {"message": "Resource not found", "error": "not_found", "status": 404, "cause": []},
    409: {"message": "item optimistic locking error: conflict", "error": "conflict", "status": 409, "cause": []},
    429: {"message": "Too Many Requests", "error": "too_many_requests", "status": 429, "cause": []},
    500: {"message": "Internal Server Error", "error": "internal_server_error", "status": 500, "cause": []},
    502: {"message": "Bad Gateway", "error": "bad_gateway", "status": 502, "cause": []},
    503: {"message": "Service not available", "error": "service_not_available", "status": 503, "cause": []},
    504: {"message": "Gateway Timeout", "error": "gateway_timeout", "status": 504, "cause": []},
}


def default_body(status: int, path: str) -> Doc:
    """The body that contract §6 gives for a status."""
    if path == "/oauth/token" and status == 429:
        return {"message": "too many token requests", "error": "local_rate_limited", "status": 429, "cause": []}
    if path.startswith("/user-products/") and status == 409:
        return {"message": "Version mismatch", "error": "conflict", "status": 409, "cause": []}
    return _DEFAULT_BODIES.get(status) or {"message": "error", "error": "error", "status": status, "cause": []}


def checked_fault(asked: Json) -> Doc:
    """A fault as it is kept.

    Raises: ValueError with a sentence (pt-BR) when it could never work.
    """
    if not isinstance(asked, dict):
        raise ValueError("Uma falha é um objeto JSON com path e action; recebi outra coisa.")
    if asked.get("action") not in ACTIONS:
        raise ValueError(f"A ação {asked.get('action')!r} não existe; use uma destas: {', '.join(ACTIONS)}.")
    try:
        re.compile(asked.get("path") or "")
    except (re.error, TypeError):
        raise ValueError(f"path não é uma expressão regular válida: {asked.get('path')!r}.") from None
    for name in ("status", "delay_ms", "times", "user_id", "quantity"):
        if asked.get(name) is not None and (not isinstance(asked[name], int) or isinstance(asked[name], bool)):
            raise ValueError(f"{name} precisa ser um número inteiro; recebi {asked[name]!r}.")
    percent = asked.get("percent")
    if percent is not None and not (isinstance(percent, (int, float)) and 0 < percent <= 100):
        raise ValueError(f"percent precisa estar entre 0 e 100; recebi {percent!r}.")
    return {name: value for name, value in asked.items() if value is not None}


class FaultList:
    """The faults in force, kept with the state."""

    def __init__(self, state: State) -> None:
        self.state = state

    def all(self) -> list[Doc]:
        """The faults in force, in the order they are tried."""
        with self.state.lock:
            return [dict(fault) for fault in self._list()]

    def _list(self) -> list[Doc]:
        setting = self.state.get("setting", "faults")
        return setting["list"] if setting else []

    def add(self, faults: list[Doc]) -> None:
        """Put faults behind those in force."""
        with self.state.change():
            self.state.save("setting", "faults", {"list": [*self._list(), *faults]})

    def clear(self) -> None:
        """Behave well again."""
        with self.state.change():
            self.state.drop("setting", "faults")

    def take(self, call: Call) -> Doc | None:
        """The fault that fits this call, one of its ``times`` used up; or ``None``."""
        if not self._list():
            return None
        with self.state.change():
            faults = self._list()
            for fault in faults:
                if not _fits(fault, call):
                    continue
                if "times" in fault:
                    fault["times"] -= 1
                    left = [other for other in faults if other.get("times", 1) > 0]
                    self.state.save("setting", "faults", {"list": left})
                return dict(fault)
        return None


def _fits(fault: Doc, call: Call) -> bool:
    if fault.get("method", call.method).upper() != call.method:
        return False
    if "user_id" in fault and fault["user_id"] != call.user_id:
        return False
    if not re.search(fault.get("path", ""), call.path):
        return False
    return bool(random.uniform(0, 100) < fault.get("percent", 100))  # noqa: S311 no secret


class Quota:
    """Calls a minute of each application: a token bucket that starts full (contract §6.1). Off by default."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}
        self._refused = 0

    def policy(self) -> Doc:
        """``{per_minute, burst, retry_after, user_product_stock_per_minute}``; ``None`` means no limit."""
        default: Doc = {
            "per_minute": None,
            "burst": None,
            "retry_after": None,
            "user_product_stock_per_minute": None,
        }
        return {**default, **(self.state.get("setting", "rate_limit") or {})}

    def reset(self) -> None:
        """Fill every bucket again; called when the policy changes."""
        with self._lock:
            self._buckets.clear()

    def allows(self, client_id: str, path: str) -> bool:
        """Take one token of each limit that counts this call; ``False`` when one was empty."""
        policy = self.policy()
        per_minute = policy["per_minute"]
        if per_minute and not self._take(client_id, per_minute, policy["burst"] or per_minute):
            return False
        stock = policy["user_product_stock_per_minute"]
        if stock and re.fullmatch(r"/user-products/[^/]+/stock", path):
            return self._take(f"{client_id} stock", stock, stock)
        return True

    def _take(self, name: str, per_minute: float, burst: float) -> bool:
        now = time.monotonic()
        with self._lock:
            tokens, at = self._buckets.get(name, (float(burst), now))
            tokens = min(float(burst), tokens + (now - at) * per_minute / 60)
            allowed = tokens >= 1
            self._buckets[name] = (tokens - 1 if allowed else tokens, now)
            return allowed

    def body(self) -> Doc:
        """The two 429 bodies of contract §6.1, in turn."""
        self._refused += 1
        if self._refused % 2:
            return default_body(429, "")
        return {"error": "too_many_requests", "message": "client.id over quota", "status": 429}
