"""The few controls of the sandbox that the demo and the smoke test use, over HTTP like any other client of it."""

from typing import Any

from apps.common import http


class Controls:
    """Speaks to the control API of a running sandbox."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def state(self) -> dict[str, Any]:
        """Return its applications, accounts and counts."""
        return self._call("GET", "/sandbox/state")

    def application(self, **fields: object) -> dict[str, Any]:
        """Make or change an application and return it."""
        return self._call("POST", "/sandbox/applications", fields)

    def account(self, **fields: object) -> dict[str, Any]:
        """Make a seller's account and return it, with a refresh token for its application."""
        return self._call("POST", "/sandbox/accounts", fields)

    def grant(self, user_id: str, client_id: str) -> dict[str, Any]:
        """Authorise the application anew, as the seller would, and return the account."""
        return self._call("POST", f"/sandbox/accounts/{user_id}/grant", {"client_id": client_id})

    def create_items(self, user_id: str, items: list[dict[str, object]]) -> list[str]:
        """Publish listings and return their ids."""
        ids: list[str] = self._call("POST", "/sandbox/items", {"user_id": user_id, "items": items})["ids"]
        return ids

    def item(self, item_id: str) -> dict[str, Any]:
        """Return a listing as the marketplace shows it now."""
        return self._call("GET", f"/sandbox/items/{item_id}")

    def sell(self, item_id: str, quantity: int, variation_id: str = "") -> dict[str, Any]:
        """Let a buyer buy, and return the order's id and what is left."""
        sale: dict[str, object] = {"item_id": item_id, "quantity": quantity}
        return self._call("POST", "/sandbox/sell", {**sale, "variation_id": variation_id} if variation_id else sale)

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer = http.request(method, self.url + path, json=body, purpose="sandbox control")
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"the sandbox answered {answer.status} to {method} {path}: {answer.body[:300]!r}")
        document = answer.json()
        if not isinstance(document, dict):
            raise TypeError(f"the sandbox answered no JSON object to {method} {path}")
        return document
