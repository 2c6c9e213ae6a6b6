"""Mercado Livre's endpoints, one method each, and the one place where their refusals get our names.

Each method returns their JSON untouched (`parsing` reads it) and raises ChannelError. Which error it is, is decided by
the HTTP status first and by known machine words of the body second, never by prose alone: the envelope comes in at
least eight variants (contract §6.2) and the texts in three languages.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import partial

import structlog
from django.conf import settings

from apps.common import http
from apps.connectors.channel import ChannelError, Line, TokenSource
from apps.connectors.mercadolivre.parsing import unreadable

MULTIGET_MAX = 20  # contract §5.1
ME = "/users/me"
SITE = "MLB"
PERSONAL = ("/orders", "/shipment", "/packs", "/collections", "/post-purchase")
"""What is about buyers."""

RELATED = {
    "packs": "/packs/{}",
    "shipments": "/shipments/{}/orders",
    "collections": "/collections/{}",
    "claims": "/post-purchase/v1/claims/{}",
}
"""Where the orders behind a resource are asked for, by the resource's kind."""

SEARCH_PAGE_SIZE = 50  # contract §3.3
SEARCH_REACH = 9_950  # rows of a search that paging reaches; past it code in the wild was refused (contract §3.3)
FEED_PAGE_SIZE = 50  # contract §2.6: 10 unless asked for more
STORE_PAGE_SIZE = 50
SCAN_PAGE_SIZE = 100  # contract §5.1
SCAN_PAGES_MAX = 5_000  # half a million listings; a scan that goes on for ever must end
ITEM_BYTES_MAX = 8_000_000  # twenty items with 250 variations each are large
RETRY_AFTER_SECONDS_MAX = 3600.0
THEIR_WORDS_MAX = 300  # characters of their message that we repeat

# What the hub reads of an item; the rest of it (pictures, terms …) is nine tenths of the bytes.
ITEM_FIELDS = (
    "id,seller_id,title,price,status,sub_status,tags,available_quantity,user_product_id,seller_custom_field,"
    "attributes,variations,shipping,bundle"
)

log = structlog.get_logger(__name__)


class Client:
    """Calls of one account. Not shared between threads: it remembers which multiget the server speaks."""

    def __init__(self, tokens: TokenSource, line: Line | None = None) -> None:
        self.tokens = tokens
        self.line = line
        self.has_bulk_multiget = True

    def me(self) -> object:
        """`GET /users/me`: whose token this is; may come as 206 (contract §1.6)."""
        return _json(self._call("GET", ME, purpose="ml.account"))

    def order(self, order_id: str) -> tuple[object, bool]:
        """`GET /orders/{id}`: the order, and whether it came whole; 206 means parts are missing (contract §3.1).

        A 404 is not permanent: an order may be missing for a short while after its notification (contract §2.1).
        """
        answer = self._call("GET", f"/orders/{_segment(order_id)}", purpose="ml.order", missing_code="order_not_found")
        return _json(answer), answer.status != 206

    def orders_changed(
        self, user_id: str, since: datetime, until: datetime, *, offset: int, status: str, sort: str
    ) -> object:
        """`GET /orders/search` by time of the last change (contract §3.3): one page of 50.

        Their precision is the hour, so `since` is widened down to its hour and `until` up to the next. `status` "" asks
        for all, which leaves cancelled ones out on some accounts. `sort` is `date_asc` or `date_desc`.
        """
        first = since.replace(minute=0, second=0, microsecond=0)
        last = until.replace(minute=0, second=0, microsecond=0)
        last += timedelta(hours=1) if last < until else timedelta()
        params: dict[str, str | int] = {
            "seller": _segment(user_id),
            "order.date_last_updated.from": first.isoformat(timespec="milliseconds"),
            "order.date_last_updated.to": last.isoformat(timespec="milliseconds"),
            "sort": sort,
            "offset": offset,
            "limit": SEARCH_PAGE_SIZE,
        }
        if status:
            params["order.status"] = status
        return _json(self._call("GET", "/orders/search", params=params, purpose="ml.order_search"))

    def missed_feeds(self, application_id: str, *, topic: str, offset: int) -> object:
        """`GET /missed_feeds`: a page of notifications given up in the last two days (contract §2.6).

        `topic` "" asks for all; `items` alone is asked for by site.
        """
        params: dict[str, str | int] = {"app_id": _segment(application_id), "offset": offset, "limit": FEED_PAGE_SIZE}
        if topic:
            params |= {"topic": topic, "site_id": SITE}
        return _json(self._call("GET", "/missed_feeds", params=params, purpose="ml.missed_feeds"))

    def shipment(self, shipment_id: str) -> object:
        """`GET /shipments/{id}`: one shipment, asked for in the new format, which need not come (contract §4.1)."""
        answer = self._call(
            "GET",
            f"/shipments/{_segment(shipment_id)}",
            headers={"x-format-new": "true"},
            purpose="ml.shipment",
            missing_code="shipment_not_found",
        )
        return _json(answer)

    def related(self, resource_kind: str, resource_id: str) -> object:
        """`GET` what leads back to orders: a pack, a shipment's orders, a payment or a claim (contract §2.3, §4.2)."""
        path = RELATED[resource_kind].format(_segment(resource_id))
        headers = {"X-New-Domain": "true"}
        return _json(self._call("GET", path, headers=headers, purpose=f"ml.{resource_kind}"))

    def billing(self, billing_id: str) -> object:
        """`GET /orders/billing-info/MLB/{id}`: whom to invoice (contract §3.5)."""
        path = f"/orders/billing-info/{SITE}/{_segment(billing_id)}"
        return _json(self._call("GET", path, purpose="ml.billing"))

    def label(self, shipment_id: str) -> bytes:
        """`GET /shipment_labels`: the bytes of one label, often a ZIP (contract §4.5); empty while it is refused.

        A 400 there says that the shipment is not ready to print, for a reason that passes (an invoice is pending).
        """
        params = {"shipment_ids": _segment(shipment_id), "response_type": "pdf"}
        try:
            return self._call("GET", "/shipment_labels", params=params, purpose="ml.label").body
        except ChannelError as error:
            if error.status == 400:
                log.info("ml.label_not_ready", shipment_id=shipment_id, reason=str(error))
                return b""
            raise

    def item(self, item_id: str) -> object:
        """`GET /items/{id}`: one listing; variations show their SKU only with `include_attributes` (contract §5.1)."""
        answer = self._call(
            "GET",
            f"/items/{_segment(item_id)}",
            params={"include_attributes": "all"},
            purpose="ml.item",
            missing_code="item_not_found",
        )
        return _json(answer)

    def migration(self, item_id: str) -> object:
        """`GET /items/{id}/migration_live_listing`: what replaced a listing with variations (contract §5.5)."""
        path = f"/items/{_segment(item_id)}/migration_live_listing"
        return _json(self._call("GET", path, purpose="ml.migration", missing_code="item_not_found"))

    def any_item_id(self, user_id: str) -> str:
        """`GET /users/{id}/items/search?limit=1`: the id of one listing; "" when the account has none."""
        path = f"/users/{_segment(user_id)}/items/search"
        page = _json(self._call("GET", path, params={"limit": 1}, purpose="ml.listings"))
        results = page.get("results") if isinstance(page, dict) else None
        if not isinstance(results, list):
            raise unreadable("results", "the list of listings")
        return next((str(one) for one in results if isinstance(one, str | int)), "")

    def item_ids(self, user_id: str) -> list[str]:
        """`GET /users/{id}/items/search?search_type=scan`: the ids of all listings (contract §5.1).

        All pages are read before anything is done with them, because the scroll dies after five quiet minutes. When
        it dies all the same, one new scan starts.
        """
        ids: dict[str, None] = {}
        try:
            ids.update(dict.fromkeys(self._scan(user_id)))
        except ChannelError as error:
            if error.status not in (400, 404):
                raise
            log.warning("ml.scan_restarted", ids_read=len(ids), reason=str(error))
            ids.update(dict.fromkeys(self._scan(user_id)))
        return list(ids)

    def _scan(self, user_id: str) -> Iterator[str]:
        path = f"/users/{_segment(user_id)}/items/search"
        params: dict[str, str | int] = {"search_type": "scan", "limit": SCAN_PAGE_SIZE}
        for _ in range(SCAN_PAGES_MAX):
            page = _json(self._call("GET", path, params=params, purpose="ml.listings"))
            if not isinstance(page, dict) or not isinstance(page.get("results"), list):
                raise unreadable("results", "the list of listings")
            results = page["results"]
            yield from (str(one) for one in results if isinstance(one, str | int))
            scroll_id = page.get("scroll_id")
            if not results or not isinstance(scroll_id, str) or not scroll_id:
                return
            params["scroll_id"] = scroll_id

    def items(self, item_ids: Sequence[str]) -> object:
        """`GET /items/bulk?ids=`: up to 20 listings as rows, errors among them (contract §5.1).

        Where that is unknown (404 or 405) the older `GET /items?ids=` is asked, from then on at once. The two differ
        in the rows' shape, which `parsing.multiget_rows` levels, and in how fields are chosen.
        """
        if len(item_ids) > MULTIGET_MAX:
            raise ValueError(f"a multiget takes at most {MULTIGET_MAX} ids")
        ids = ",".join(_segment(item_id) for item_id in item_ids)
        if self.has_bulk_multiget:
            chosen = "id,status_code," + ",".join(f"body.{name}" for name in ITEM_FIELDS.split(","))
            try:
                return self._multiget("/items/bulk", ids, chosen)
            except ChannelError as error:
                if error.status not in (404, 405):
                    raise
                self.has_bulk_multiget = False
        return self._multiget("/items", ids, ITEM_FIELDS)

    def _multiget(self, path: str, ids: str, attributes: str) -> object:
        params = {"ids": ids, "attributes": attributes, "include_attributes": "all"}
        return _json(self._call("GET", path, params=params, purpose="ml.items"))

    def put_quantity(self, item_id: str, quantity: int) -> tuple[object, int]:
        """`PUT /items/{id}` with the quantity of a listing without variations (contract §5.4).

        Returns their JSON (None when the answer was not JSON) and the HTTP status. The status of the listing is never
        sent: one that its seller paused stays paused (contract §5.2).
        """
        return self._put_item(item_id, {"available_quantity": quantity})

    def put_variations(self, item_id: str, variations: Sequence[Mapping[str, object]]) -> tuple[object, int]:
        """`PUT /items/{id}` with all variations of the listing, for one left out may be deleted (contract §5.4)."""
        return self._put_item(item_id, {"variations": list(variations)})

    def put_price(self, item_id: str, price: Decimal) -> tuple[object, int]:
        """`PUT /items/{id}` with the price alone: beside a quantity, a refused price is no error (contract §5.8)."""
        return self._put_item(item_id, {"price": _number(price)}, purpose="ml.price")

    def _put_item(self, item_id: str, body: object, *, purpose: str = "ml.stock") -> tuple[object, int]:
        path = f"/items/{_segment(item_id)}"
        return _said(self._call("PUT", path, json=body, purpose=purpose, missing_code="item_not_found"))

    def stores(self, user_id: str, *, offset: int) -> object:
        """`GET /users/{id}/stores/search`: a page of the depots that the account sells from (contract §5.6)."""
        path = f"/users/{_segment(user_id)}/stores/search"
        params: dict[str, str | int] = {"tags": "stock_location", "offset": offset, "limit": STORE_PAGE_SIZE}
        return _json(self._call("GET", path, params=params, purpose="ml.depots"))

    def user_product_stock(self, product_id: str) -> tuple[object, str]:
        """`GET /user-products/{id}/stock`: the locations, and the version that a write of them must name.

        100 calls a minute (contract §5.6). Raises ChannelError: `stock_not_found` when it never had any.
        """
        path = f"/user-products/{_segment(product_id)}/stock"
        answer = self._call("GET", path, purpose="ml.depot_stock", missing_code="stock_not_found")
        return _json(answer), answer.headers.get("x-version", "")

    def put_depots(
        self, product_id: str, locations: Sequence[Mapping[str, object]], version: str
    ) -> tuple[object, int]:
        """`PUT …/stock/type/seller_warehouse` with all depots: whether one left out keeps its stock is not documented.

        Raises ChannelError: `conflict` when the version has moved, `depot_refused` when a depot is not what it was.
        """
        try:
            answer = self._call(
                "PUT",
                f"/user-products/{_segment(product_id)}/stock/type/seller_warehouse",
                json={"locations": list(locations)},
                headers={"x-version": version},
                purpose="ml.depot_stock",
                missing_code="stock_not_found",
            )
        except ChannelError as error:
            if error.code == "validation_failed":
                error.code = "depot_refused"
            raise
        return _said(answer)

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        purpose: str,
        missing_code: str = "not_found",
    ) -> http.Answer:
        """Call with a token; after a 401 once more with another one, whatever the 401's text (contract §1.5).

        A second 401 is the account's trouble, unless the same token still opens the account: then it is the
        resource's, such as another account's order (contract §3.5), and must not stop everything else.
        """
        send = partial(self._send, method, path, params=params, json=json, headers=headers, purpose=purpose)
        token = self.tokens.access_token()
        answer = send(token)
        if answer.status == 401:
            token = self.tokens.refreshed(token)
            answer = send(token)
        if 200 <= answer.status < 300:
            return answer
        refused = refusal(
            answer,
            asked=f"{method} {path}",
            missing_code=missing_code,
            is_personal=path.startswith(PERSONAL),
            is_write=method == "PUT",
        )
        if answer.status == 401 and path != ME and self._opens_account(token):
            raise ChannelError(
                f"{refused}. The token is good, so this alone is closed to it: it may be another account's.",
                code="forbidden",
                permanent=True,
                status=401,
            )
        raise refused

    def _opens_account(self, token: str) -> bool:
        """Return whether this very token reads its own account (200 or 206, contract §1.6); asks once.

        Raises ChannelError, not the account's, when the question itself got no clear answer: a hiccup stops no shop.
        """
        answer = self._send("GET", ME, token, purpose="ml.token_check")
        if answer.status not in (200, 206, 401, 403):
            raise refusal(answer, asked=f"GET {ME}")
        return answer.status in (200, 206)

    def _send(
        self,
        method: str,
        path: str,
        token: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        purpose: str,
    ) -> http.Answer:
        send = partial(
            http.request,
            method,
            settings.MERCADOLIVRE_API_URL.rstrip("/") + path,
            headers={**(headers or {}), "Authorization": f"Bearer {token}"},
            params=params,
            json=json,
            purpose=purpose,
            max_bytes=ITEM_BYTES_MAX,
        )
        return over(self.line, send)


def _segment(identifier: str) -> str:
    """Return an id that is safe within a path: ids come from outside, and `../` or `?` would call something else."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", identifier):
        raise ChannelError(
            f"Mercado Livre has no id like {identifier[:80]!r}; nothing was asked", code="invalid_id", permanent=True
        )
    return identifier


def _json(answer: http.Answer) -> object:
    try:
        return answer.json()
    except ValueError:
        raise unreadable("JSON", "the answer", status=answer.status) from None


def _said(answer: http.Answer) -> tuple[object, int]:
    """Return their JSON and the status; None for an acceptance that does not say of what: it is no proof."""
    try:
        return answer.json(), answer.status
    except ValueError:
        return None, answer.status


def _number(price: Decimal) -> int | float:
    """Return a price as JSON has it: their examples are whole numbers where the price is."""
    return int(price) if price == price.to_integral_value() else float(price)


def over(line: Line | None, send: Callable[[], http.Answer]) -> http.Answer:
    """Return the answer of one HTTP call, asking the line before it and telling it how that went.

    Raises ChannelError when there is no answer: `circuit_open` without a call, else what `unreachable` says.
    """
    if line is None:
        return _answer(send)
    line.ask()
    try:
        answer = _answer(send)
    except ChannelError as error:
        if error.code == "unreadable_answer":  # somebody is there
            line.answered()
        else:
            line.failed()
        raise
    if answer.status >= 500:
        line.failed()
    else:
        line.answered()
    if answer.status == 429:
        line.limited(_retry_after_seconds(answer.headers.get("retry-after", "")))
    return answer


def _answer(send: Callable[[], http.Answer]) -> http.Answer:
    try:
        return send()
    except http.HttpFailure as failure:
        raise unreachable(failure) from failure


# --- Refusals ------------------------------------------------------------------------------------------------------


def unreachable(failure: http.HttpFailure) -> ChannelError:
    """Return the error for a call without an answer. It may have taken effect all the same if `failure.sent`."""
    code = "unreadable_answer" if failure.code in ("too_large", "not_http") else failure.code
    return ChannelError(f"Mercado Livre could not be asked: {failure}.", code=code)


def refusal(
    answer: http.Answer,
    *,
    asked: str,
    missing_code: str = "not_found",
    is_personal: bool = False,
    is_write: bool = False,
) -> ChannelError:
    """Return the error for an answer that is not a 2xx.

    asked: method and path, for the message. missing_code: what a 404 means there. is_personal: the answer is about a
    buyer, so nothing of it is repeated: error messages are kept, shown and logged. is_write: the application wanted to
    change something; when it lacks the permission for one listing, it lacks it for all of them.
    """
    words, their_message = _envelope(answer)
    if is_personal:
        their_message = ""
    code, is_permanent, is_account = _verdict(answer.status, words, missing_code)
    if is_write and answer.status == 403 and words & LACKS_PERMISSION:
        code, is_permanent, is_account = "permission_missing", True, True
    retry_after_seconds = _retry_after_seconds(answer.headers.get("retry-after", ""))
    message = f"Mercado Livre answered {answer.status} to {asked}"
    return ChannelError(
        f"{message}: {their_message}" if their_message else f"{message}{_why_not_told(is_personal)}",
        code=code,
        permanent=is_permanent,
        account=is_account,
        retry_after_seconds=retry_after_seconds,
        status=answer.status,
    )


def _why_not_told(is_personal: bool) -> str:
    return "; its words are not repeated, for they may name the buyer" if is_personal else ", without a readable reason"


# Machine words of a body with 400 or 403 -> our code, in the order in which they decide (contract §6.2, §6.4).
KNOWN_WORDS = (
    ("unauthorized_scopes", "unauthorized_application"),
    ("unauthorized_application", "unauthorized_application"),
    ("item.available_quantity.not_modifiable", "stock_managed_by_channel"),
    ("item.available_quantity.invalid", "quantity_invalid"),
    ("item.price.not_modifiable", "price_not_modifiable"),
    ("item.price.invalid", "price_invalid"),
    ("under_review", "item_under_review"),
    ("closed", "item_closed"),
)

LACKS_PERMISSION = {"pa_unauthorized_result_from_policies", "scopes"}
"""Words of a 403 about the application, not the listing (contract §6.3): to go on asking, listing after listing, is
what gets an application blocked (§6.4)."""


def _verdict(status: int, words: set[str], missing_code: str) -> tuple[str, bool, bool]:
    """Return (code, permanent, account) for a status and the machine words of the body."""
    if status == 401:
        blocked = words & {"unauthorized_scopes", "unauthorized_application"}
        return "unauthorized_application" if blocked else "unauthorized", False, True
    if status == 404:
        return missing_code, missing_code != "order_not_found", False
    transient = {408: "timeout", 409: "conflict", 423: "conflict", 429: "rate_limited"}
    if status in transient:
        return transient[status], False, False
    if status >= 500 or status < 400:
        return "server_error", False, False
    for word, code in KNOWN_WORDS:
        if word in words:
            return code, True, code == "unauthorized_application"
    return ("forbidden" if status == 403 else "validation_failed"), True, False


def _envelope(answer: http.Answer) -> tuple[set[str], str]:
    """Return the machine words of an error body and its message, both empty for a body that is not JSON.

    Warnings among the causes do not block (contract §6.2), so they are left out. `under_review` and `closed` are
    picked out of messages because the refusal to change such an item has no code of its own that could be confirmed.
    """
    try:
        body = answer.json()
    except ValueError:
        return set(), ""
    if not isinstance(body, dict):
        return set(), ""
    causes = body.get("cause")
    blocking = [body] + [
        cause
        for cause in (causes if isinstance(causes, list) else [causes])
        if isinstance(cause, dict) and cause.get("type") != "warning"
    ]
    texts = [
        part[key]
        for part in blocking
        for key in ("error", "code", "message", "error_description")
        if _is_text(part, key)
    ]
    words = {word for text in texts for word in re.findall(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*", text.lower())}
    messages = [
        part[key]
        for part in reversed(blocking)
        for key in ("message", "error_description", "error")
        if _is_text(part, key)
    ]
    return words, _repeatable(messages[0] if messages else "")


def _is_text(part: Mapping[str, object], key: str) -> bool:
    return isinstance(part.get(key), str) and part[key] != ""


def _repeatable(text: str) -> str:
    """Return their message fit for our logs and pages: one line, short, without tokens, addresses or documents."""
    text = re.sub(r"\b(APP_USR|TEST|TG)-\S+|\bBearer\s+\S+", "[token]", text)
    text = re.sub(r"[^\s@]+@[^\s@]+", "[e-mail]", text)
    text = re.sub(r"\b\d{3}\.?\d{3}\.?\d{3}-\d{2}\b|\b\d{2}\.?\d{3}\.?\d{3}/\d{4}-?\d{2}\b", "[document]", text)
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(text.split())[:THEIR_WORDS_MAX]


def _retry_after_seconds(value: str) -> float | None:
    """Return the wait a Retry-After header asks for, in seconds, within reason; None when it asks for none."""
    try:
        seconds = float(value) if re.fullmatch(r"\d{1,9}(\.\d+)?", value.strip()) else None
        if seconds is None:
            moment = parsedate_to_datetime(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = (moment - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)
