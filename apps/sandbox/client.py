"""The control calls from Python, for tests, the demo and benchmarks: the same HTTP as any other client makes."""

from __future__ import annotations

import http.client
import json
import time
from urllib.parse import urlencode, urlsplit

from .call import Doc, Json

AT_HEADER = "Sandbox-At"
"""A control call with it happens at that moment (Unix seconds) instead of now."""


class ControlError(Exception):
    """The sandbox refused a control call; ``status`` and ``body`` are its answer."""

    def __init__(self, status: int, body: Json) -> None:
        message = body.get("message") if isinstance(body, dict) else body
        super().__init__(f"the sandbox answered {status}: {message}")
        self.status = status
        self.body = body


class Control:
    """One method for each control; every one raises ControlError when refused."""

    def __init__(self, url: str, timeout_seconds: float = 60) -> None:
        self.url = url.rstrip("/")
        self.timeout_seconds = timeout_seconds
        self.at_seconds: float | None = None
        """When set, every call happens at that moment (Unix seconds): how a demo gets its past."""

    def request(self, method: str, path: str, body: Json = None) -> Json:
        """Make one control call and return its JSON.

        Raises: ControlError when it is refused, OSError when the sandbox cannot be reached.
        """
        status, text = self._exchange(method, path, body)
        answer = json.loads(text) if text else None
        if status >= 400:
            raise ControlError(status, answer)
        return answer

    def _exchange(self, method: str, path: str, body: Json = None) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self.timeout_seconds)
        try:
            payload = None if body is None else json.dumps(body).encode()
            headers = {"Content-Type": "application/json"} if payload is not None else {}
            if self.at_seconds is not None:
                headers[AT_HEADER] = str(self.at_seconds)
            connection.request(method, parts.path + path, payload, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def state(self) -> Doc:
        """Applications, accounts, counts, policies."""
        return self._doc("GET", "/sandbox/state")

    def _doc(self, method: str, path: str, body: Json = None) -> Doc:
        answer: Doc = self.request(method, path, body)
        return answer

    def application(self, **fields: Json) -> Doc:
        """Create or change an application."""
        return self._doc("POST", "/sandbox/applications", fields)

    def account(self, **fields: Json) -> Doc:
        """Create or change a seller."""
        return self._doc("POST", "/sandbox/accounts", fields)

    def grant(self, user_id: int, **fields: Json) -> Doc:
        """Authorise again; the answer has the fresh ``refresh_token``."""
        return self._doc("POST", f"/sandbox/accounts/{user_id}/grant", fields)

    def kill_token(self, user_id: int, kind: str) -> Doc:
        """End tokens: ``access``, ``refresh`` or ``grant``."""
        return self._doc("POST", "/sandbox/tokens/kill", {"user_id": user_id, "kind": kind})

    def create_items(self, user_id: int, items: list[Doc]) -> list[str]:
        """Create listings; returns their ids."""
        ids: list[str] = self._doc("POST", "/sandbox/items", {"user_id": user_id, "items": items})["ids"]
        return ids

    def create_many(self, user_id: int, count: int, sku_prefix: str = "SKU-", quantity: int = 10) -> list[str]:
        """Create ``count`` like listings, SKUs ``<prefix>00001`` and on; returns their ids."""
        body = {
            "user_id": user_id,
            "count": count,
            "sku_prefix": sku_prefix,
            "available_quantity": quantity,
        }
        ids: list[str] = self._doc("POST", "/sandbox/items", body)["ids"]
        return ids

    def item(self, item_id: str) -> Doc:
        """A listing as its seller sees it."""
        return self._doc("GET", f"/sandbox/items/{item_id}")

    def edit_item(self, item_id: str, **fields: Json) -> Doc:
        """Edit a listing by hand on the channel."""
        return self._doc("PUT", f"/sandbox/items/{item_id}", fields)

    def migrate(self, item_id: str) -> Doc:
        """Turn the variations of a listing into listings."""
        return self._doc("POST", f"/sandbox/items/{item_id}/migrate", {})

    def sell(self, item_id: str, quantity: int = 1, **fields: Json) -> Doc:
        """Sell units of one listing (``variation_id=``, ``pack=``, ``notify=``, ``status=``, ``force=`` ...)."""
        return self._doc("POST", "/sandbox/sell", {"item_id": item_id, "quantity": quantity, **fields})

    def sell_cart(self, items: list[Doc], **fields: Json) -> Doc:
        """Sell several lines as one pack."""
        return self._doc("POST", "/sandbox/sell", {"items": items, **fields})

    def orders(self, user_id: int | None = None, limit: int = 50, offset: int = 0) -> list[Doc]:
        """Orders, newest first."""
        query: dict[str, Json] = {"limit": limit, "offset": offset}
        if user_id is not None:
            query["user_id"] = user_id
        results: list[Doc] = self._doc("GET", f"/sandbox/orders?{urlencode(query)}")["results"]
        return results

    def order(self, order_id: int) -> Doc:
        """An order as its seller sees it."""
        return self._doc("GET", f"/sandbox/orders/{order_id}")

    def edit_order(self, order_id: int, **fields: Json) -> Doc:
        """Change an order: ``status``, ``tags``, ``shipment_status``, ``shipment_substatus`` ..."""
        return self._doc("POST", f"/sandbox/orders/{order_id}", fields)

    def cancel(self, order_id: int, **fields: Json) -> Doc:
        """Cancel an order."""
        return self._doc("POST", f"/sandbox/orders/{order_id}/cancel", fields)

    def notify(self, order_id: int, times: int = 1) -> Doc:
        """Tell of an order again."""
        return self._doc("POST", f"/sandbox/orders/{order_id}/notify", {"times": times})

    def notifications(self, **policy: Json) -> Doc:
        """Change how notifications behave; without arguments, read the policy, counts and the last deliveries."""
        if policy:
            return self._doc("PUT", "/sandbox/notifications", policy)
        return self._doc("GET", "/sandbox/notifications")

    def wait_until_notified(self, timeout_seconds: float = 10, *, which: str = "pending") -> None:
        """Wait until no notification is pending; with ``which="due"`` later tries may be.

        Raises: TimeoutError when some still are.
        """
        deadline = time.monotonic() + timeout_seconds
        while pending := self.notifications()[which]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{pending} notifications are still pending after {timeout_seconds} s")
            time.sleep(0.02)

    def clock(self, ahead_seconds: int) -> Doc:
        """Set the marketplace's clock ahead of the machine's, or behind it (negative)."""
        return self._doc("PUT", "/sandbox/clock", {"ahead_seconds": ahead_seconds})

    def selling(self, **policy: Json) -> Doc:
        """Let the marketplace sell by itself: ``on`` (default true), ``pace_seconds`` ``[least, most]``."""
        return self._doc("PUT", "/sandbox/selling", {"on": True, **policy})

    def faults(self, *faults: Doc) -> list[Doc]:
        """Add faults; without arguments, read those in force."""
        answer: list[Doc]
        if faults:
            answer = self.request("POST", "/sandbox/faults", list(faults))
        else:
            answer = self.request("GET", "/sandbox/faults")
        return answer

    def clear_faults(self) -> None:
        """Behave well again."""
        self.request("DELETE", "/sandbox/faults")

    def rate_limit(self, per_minute: int | None, **fields: Json) -> Doc:
        """Limit calls a minute of each application; ``None`` lifts it."""
        return self._doc("PUT", "/sandbox/rate_limit", {"per_minute": per_minute, **fields})

    def journal(self, after: int = 0, limit: int = 10_000) -> list[Doc]:
        """Calls received after a ``seq``, oldest first."""
        status, text = self._exchange("GET", f"/sandbox/journal?after={after}&limit={limit}")
        if status != 200:
            raise ControlError(status, text.decode("utf-8", "replace"))
        return [json.loads(line) for line in text.splitlines()]
