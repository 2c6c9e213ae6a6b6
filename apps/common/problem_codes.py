"""Every error code of the API, in one place: what it means, and what to do about it.

`/problems/<code>` shows an entry, the OpenAPI document lists them, and tests/common/test_problem_codes.py fails when a
module raises a code that is not here. A code is for programs and never changes; its words may.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Entry:
    """One error, explained: `title` says what it is in a few words, `action` what the caller can do."""

    title: Promise
    action: Promise


CORRECT_AND_RESEND = _("Nothing was changed. Correct the request and send it again.")
REPEAT_SAFELY = _("Send the same request again after a moment, with the same idempotency key: it takes effect once.")

CODES: dict[str, Entry] = {
    # the shape of a request
    "malformed_json": Entry(_("The body is not JSON"), CORRECT_AND_RESEND),
    "malformed_request": Entry(_("The request cannot be read"), CORRECT_AND_RESEND),
    "validation_failed": Entry(
        _("Some values are missing or wrong"),
        _("Nothing was changed. `errors` names each value with a JSON pointer: correct them and send again."),
    ),
    "value_out_of_range": Entry(
        _("A value is too large or too long"), _("Nothing was changed. Send a value of a size that can exist.")
    ),
    "unsupported_media_type": Entry(
        _("The body is of a kind that is not read here"),
        _("Nothing was changed. Send JSON and say so: Content-Type: application/json."),
    ),
    "not_acceptable": Entry(
        _("The answer cannot be had in that form"), _("Ask for application/json, or leave the Accept header out.")
    ),
    "body_too_large": Entry(
        _("The body is too large"), _("Nothing was changed. Send less at once: split the list over several requests.")
    ),
    "batch_too_large": Entry(
        _("The batch has too many events"), _("Nothing was taken in. Send at most `max_batch` events at once.")
    ),
    "unknown_source": Entry(
        _("There is no such source"), _("Check the name; a source is known once it sent movements. See /v1/sources.")
    ),
    "not_found": Entry(
        _("There is no such thing"),
        _("Check the address and the id. What belongs to another company is not found either."),
    ),
    "method_not_allowed": Entry(
        _("This address does not take that method"), _("Use one of the methods that the Allow header names.")
    ),
    # who asks
    "not_authenticated": Entry(
        _("Who is asking is not known"),
        _("Send an API key or a token: Authorization: Bearer …. `manage.py create_api_key` makes a key."),
    ),
    "invalid_credentials": Entry(
        _("The key or token opens nothing"),
        _("It is unknown, expired or revoked. Make another key with `manage.py create_api_key`, or get a new token."),
    ),
    "invalid_signature": Entry(
        _("The signature opens nothing"),
        _(
            "Nothing was stored. Sign the very bytes that are sent, with a valid secret of the company in X-Tenant and"
            " a clock that is right: t=<unix seconds>,v1=<HMAC-SHA256 of t, a dot and the body>."
        ),
    ),
    "missing_scope": Entry(
        _("This key or person may not do that"),
        _("Use a key that has the scope which `scope` names; scopes are chosen when a key is made."),
    ),
    "permission_denied": Entry(_("This key or person may not do that"), _("Ask an administrator of your company.")),
    "csrf_failed": Entry(
        _("The page's proof of origin is missing"),
        _("Nothing was changed. Send the csrftoken cookie's value as X-CSRFToken, or use an API key instead."),
    ),
    "no_membership": Entry(
        _("This account belongs to no company"), _("Ask an administrator to add you to your company.")
    ),
    "unknown_tenant": Entry(
        _("You belong to no company of that name"), _("Name one of your own in X-Tenant, or leave the header out.")
    ),
    "rate_limited": Entry(
        _("Too many requests"),
        _("Nothing was changed. Wait as many seconds as Retry-After says, then send the request again."),
    ),
    # our own trouble
    "internal_error": Entry(
        _("Something broke on our side"),
        _("Whether it took effect is unknown. Repeat it with the same idempotency key, or send support the trace_id."),
    ),
    "temporarily_unavailable": Entry(_("Saldo cannot answer just now"), REPEAT_SAFELY),
    # stock
    "unknown_store": Entry(_("There is no such store"), _("Check the store's code; it is case-sensitive.")),
    "unknown_sku": Entry(_("There is no such product"), _("Check the SKU; it is case-sensitive.")),
    "unknown_product_or_location": Entry(
        _("There is no such product or place"), _("Check both ids: one of them is not of your company.")
    ),
    "insufficient_stock": Entry(
        _("There is not enough stock"),
        _("Nothing was reserved or moved. `available` says how many there are: ask for no more than that."),
    ),
    "invalid_quantity": Entry(_("The quantity is not one that can move"), CORRECT_AND_RESEND),
    "version_mismatch": Entry(
        _("The stock changed meanwhile"),
        _("Nothing was changed. Read the balance again, decide anew, and send its current version."),
    ),
    "unknown_reservation": Entry(
        _("There is no such reservation"), _("Check the id that the reservation was answered with.")
    ),
    "reservation_already_confirmed": Entry(
        _("The reservation was confirmed before"), _("Nothing was changed: its units are sold. Post a return instead.")
    ),
    "reservation_already_released": Entry(
        _("The reservation was released before"), _("Nothing was changed: its units are free again. Reserve anew.")
    ),
    "reservation_expired": Entry(
        _("The reservation ran out"), _("Nothing was changed: its units are free again. Reserve anew.")
    ),
    "quantity_exceeds_reservation": Entry(
        _("More than was reserved"), _("Nothing was changed. Confirm at most as many units as are reserved.")
    ),
    "already_reversed": Entry(
        _("The movement was reversed before"), _("Nothing was changed, and nothing is left to do.")
    ),
    "unknown_movement": Entry(
        _("There is no such movement"),
        _("Check the movement's id, the product and the place: all three belong together."),
    ),
    "invalid_batch_date": Entry(_("The batch's date is none that goods have"), CORRECT_AND_RESEND),
    "count_of_batch": Entry(
        _("A count is of everything at the place"),
        _("Nothing was changed. Count all batches together, or adjust the one that is wrong."),
    ),
    "batch_expired": Entry(
        _("The batch's date has passed"), _("Nothing was changed: it stays off sale. Post its units as a loss.")
    ),
    "unknown_transfer": Entry(
        _("There is no such transfer"), _("Check the transfer's code, the product and the place it was sent to.")
    ),
    "transfer_exceeds_sent": Entry(
        _("More than is on its way"), _("Nothing was changed. Receive at most what was sent; count what is over.")
    ),
    "transfer_exists": Entry(
        _("Something else was sent under this code before"),
        _("Nothing was moved. Send it under a code of its own, or leave the code out and one is made."),
    ),
    "unknown_batch": Entry(_("There is no such batch"), _("Check the batch number of this product and place.")),
    # orders and their recipients
    "unknown_order": Entry(_("There is no such order"), _("Check the order's id; it is Saldo's, not the channel's.")),
    "order_not_ready": Entry(
        _("The order is not ready for pick-up"),
        _("Nobody was told. Its recipient is told once it is ready; one that was picked up or cancelled never is."),
    ),
    "no_pickup_counter": Entry(
        _("The connector has no pick-up counter that tells anybody"),
        _("Nobody was told. Set up the connector's pick-up counter in the administration, then send this again."),
    ),
    # subscribers
    "unknown_subscriber": Entry(_("There is no such subscriber"), _("Check the id; GET /v1/subscribers lists yours.")),
    "unknown_delivery": Entry(
        _("There is no such delivery"), _("Check the number. Deliveries that were taken are removed after some weeks.")
    ),
    "unknown_replay": Entry(_("There is no such replay"), _("Check the id; GET …/replays lists the subscriber's.")),
    "unknown_event_type": Entry(_("There is no such event type"), _("GET /v1/events/schemas lists every type.")),
    "too_many_subscribers": Entry(
        _("There are as many subscribers as may be"), _("Nothing was changed. Delete one that is not needed.")
    ),
    "subscriber_not_active": Entry(
        _("The subscriber is told nothing now"), _("Nothing was sent. Resume it first: POST …/resume.")
    ),
    "replay_running": Entry(
        _("A replay is running"), _("Nothing was changed. Wait until it is done, or cancel it: DELETE …/replays/{id}.")
    ),
    "invalid_cursor": Entry(
        _("The cursor is none that was given"), _("Take the address of the next page as it stands in `next`.")
    ),
    # numbers told to the channels
    "unknown_listing": Entry(
        _("There is no such listing"), _("Check the number; the listing's page in the console shows it in its address.")
    ),
    "unknown_product": Entry(
        _("There is no such product"), _("Check the product's id or SKU; the SKU is case-sensitive.")
    ),
    "product_not_mapped": Entry(
        _("No listing on this channel sells the product"),
        _("Nothing was sent. Map a listing to the product in the console, and its number is told at once."),
    ),
    "stock_unknown": Entry(
        _("Saldo was never told what there is of the product"),
        _("Nothing was sent, so that no listing is zeroed by mistake. Receive or count the product once."),
    ),
    "stock_kept_by_channel": Entry(
        _("The channel itself keeps the stock of these listings"),
        _("Nothing was sent: Full, kits and replaced listings are counted by the channel and cannot be told a number."),
    ),
    # events of the channels
    "unknown_event": Entry(
        _("There is no such event"), _("Check the number; GET /api/integracoes/eventos lists your company's events.")
    ),
    "nothing_to_reprocess": Entry(
        _("The event holds nothing that can be worked on"),
        _("Nothing was changed. The event's page in the console shows what arrived and why it is of no use."),
    ),
    "tenant_mismatch": Entry(
        _("The message names another company"),
        _("Nothing was stored. Leave tenantId out, or name the company that the secret or key belongs to."),
    ),
    "event_type_mismatch": Entry(
        _("Header and body name different event types"),
        _("Nothing was stored. Say the same in X-Event-Type and in tipo, or leave one of them out."),
    ),
    "no_connector": Entry(
        _("The company has no account on this channel"),
        _("Nothing was stored. Connect the account first, then send the message again."),
    ),
    "unknown_connector": Entry(
        _("The company has no such account on this channel"),
        _("Nothing was stored. Correct userId (the account's number at the channel) in the payload."),
    ),
    "ambiguous_connector": Entry(
        _("The company has several accounts on this channel"),
        _("Nothing was stored. Say whose event it is: userId, the account's number at the channel, in the payload."),
    ),
    # once
    "idempotency_key_missing": Entry(
        _("The request needs an idempotency key"),
        _("Nothing was changed. Send an Idempotency-Key of your own making, and the same one when you repeat it."),
    ),
    "idempotency_key_mismatch": Entry(
        _("Two different idempotency keys"),
        _("Nothing was changed. The header and the body name different keys: send one, or the same in both."),
    ),
    "idempotency_key_reused": Entry(
        _("This idempotency key was used for something else"),
        _("Nothing was changed. Use a new key for a new request; an old one only to repeat the same request."),
    ),
    "stock_busy": Entry(_("Somebody else is changing this stock"), REPEAT_SAFELY),
    "idempotency_key_in_flight": Entry(_("The same request is being worked on"), REPEAT_SAFELY),
}
