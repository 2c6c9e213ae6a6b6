"""What the pages say of an error code, from the catalogue (`common/error_codes.py`)."""

from dataclasses import replace

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Advice:
    """One error, explained: what it means, and what to do."""

    meaning: Promise
    action: Promise


WAIT = _("Nothing: the hub tries again by itself.")
GIVEN_UP = _("The hub tried several times and stopped. Reprocess the event once the cause is gone.")
CHECK_LISTING = _("Open the listing at the channel, correct it there, then use “Synchronise now”.")
SEND_LATER = _("The hub tries a few times. If none succeeds, send the notification again once the cause is gone.")
AUTHORISE = _("Authorise the account again at the channel; everything that waited then goes out by itself.")

ADVICE: dict[str, Advice] = {
    # nobody answered, or not in time
    "timeout": Advice(_("The channel did not answer within 5 seconds."), WAIT),
    "connection_failed": Advice(_("The channel could not be reached."), WAIT),
    "server_error": Advice(_("The channel had a failure of its own."), WAIT),
    "circuit_open": Advice(
        _("The channel did not answer several calls in a row, so it is left alone for a moment."), WAIT
    ),
    "rate_limited": Advice(_("The channel asked for fewer calls per minute."), WAIT),
    "too_many_orders": Advice(
        _("More orders changed within one hour than the channel's search shows."),
        _("The hub searches again by itself; orders that the channel tells of arrive as ever. Look whether they do."),
    ),
    "list_keeps_moving": Advice(_("The channel's list of orders changed faster than it could be read."), WAIT),
    "credentials_unreadable": Advice(
        _("The stored credentials cannot be opened with the keys the hub has."),
        _("Put the missing key back into FIELD_ENCRYPTION_KEYS, or connect the account again."),
    ),
    "shipment_not_found": Advice(_("The channel does not know the order's shipment (yet)."), WAIT),
    "conflict": Advice(_("The channel was changing this listing at the same moment."), WAIT),
    "unreadable_answer": Advice(
        _("The channel answered something that cannot be read."),
        _("The hub tries again by itself. If it stays, send support the trace id."),
    ),
    "too_large": Advice(_("The channel's answer was far too large."), WAIT),
    "not_http": Advice(_("What answered was not the channel."), WAIT),
    "redirected": Advice(
        _("The channel pointed to another address; the hub does not follow."),
        _("Check the channel's address in the installation's settings."),
    ),
    "forbidden_address": Advice(
        _("The address is not on the public internet, so the hub did not call it."),
        _("Give an address that everybody can reach, or have the operator allow the network (SUBSCRIBER_NETWORKS)."),
    ),
    # the listing
    "item_not_found": Advice(
        _("The channel has no listing with this id."),
        _("Was it deleted or moved to another account? Map the product to the new listing."),
    ),
    "variation_not_found": Advice(
        _("The listing no longer has this variation."), _("Map the product to the variation that replaced it.")
    ),
    "not_found": Advice(_("The channel has nothing under this id."), _("Check the id at the channel.")),
    "invalid_id": Advice(_("This id cannot exist at the channel; nothing was asked."), _("Correct the listing's id.")),
    "item_closed": Advice(
        _("The listing is closed, so its stock cannot change."), _("Relist it at the channel, or ignore this.")
    ),
    "item_under_review": Advice(
        _("The channel is reviewing the listing and lets nobody change it."),
        _("Resolve the pending issue at the channel; the hub tries again by itself."),
    ),
    "stock_managed_by_channel": Advice(
        _("The channel's own warehouse (Full) keeps this stock."), _("Nothing: the number is the channel's.")
    ),
    "quantity_invalid": Advice(_("The channel does not accept this number for the listing."), CHECK_LISTING),
    "validation_failed": Advice(_("The channel refused the change because of the listing's data."), CHECK_LISTING),
    "ignored_by_channel": Advice(
        _("The channel said yes, but shows another number."),
        _("The hub sends it again. If it stays, look for a promotion or a limit on the listing."),
    ),
    "forbidden": Advice(
        _("This account may not change the listing."),
        _("Check that the listing belongs to this account and that the application may write."),
    ),
    # the account
    "unauthorized": Advice(_("The channel no longer accepts the account's authorisation."), AUTHORISE),
    "unauthorized_application": Advice(
        _("The application lacks the permission for this call, or the channel blocked it."),
        _("Check the application's permissions at the channel, then authorise the account again."),
    ),
    "reauthorize": Advice(_("The account is stopped until somebody authorises it again."), AUTHORISE),
    "invalid_grant": Advice(_("The authorisation expired, was revoked or was used elsewhere."), AUTHORISE),
    "invalid_operator_user_id": Advice(
        _("The authorisation was given by a collaborator's account."),
        _("Authorise again with the main account of the shop."),
    ),
    "invalid_client": Advice(
        _("The channel does not know this application, or its secret changed."),
        _("Enter the application's id and secret again, then authorise the account."),
    ),
    "unauthorized_client": Advice(
        _("The channel does not let this application renew the access."),
        _("Check the application's permissions at the channel, then authorise the account again."),
    ),
    "token_refused": Advice(_("The channel refused to renew the access."), WAIT),
    # the event
    "status_unknown": Advice(
        _("The order is in a state that the hub does not know."),
        _("Say what the word means on the page of mappings; the order is then taken in by itself. No stock was moved."),
    ),
    "mapping_needed": Advice(
        _("The order has a listing that is mapped to no product; no stock was reserved."),
        _("Map the listing to a product: the order then comes in by itself within a second."),
    ),
    "order_not_found": Advice(
        _("The channel does not show this order (yet)."),
        _("Check the number at the channel. If the order is there, reprocess the event."),
    ),
    "foreign_order": Advice(
        _("The order is another seller's: this account only bought it."),
        _("Nothing: a purchase moves no stock for sale."),
    ),
    "unreadable": Advice(
        _("What arrived is not a notification that can be read."),
        _("Nothing was done. If the channel really sent it, send support the trace id."),
    ),
    "foreign_application": Advice(
        _("The notification is of another application."),
        _("At the channel, give this address only to the application of this connector."),
    ),
    "unknown_account": Advice(
        _("No connector has the account that the notification names."),
        _("Connect that account, then reprocess this event."),
    ),
    "worker_died": Advice(
        _("Every worker that took this event stopped in the middle."), _("Send support the trace id, then reprocess.")
    ),
    "internal_error": Advice(
        _("The hub failed here; the fault is ours."), _("Reprocess once. If it comes back, send support the trace id.")
    ),
    # telling an order's recipient
    "order_not_ready": Advice(
        _("The order was not ready any more when its turn came, so nobody was told."),
        _("Nothing: it was picked up or cancelled meanwhile."),
    ),
    "asked_again": Advice(
        _("It was asked for anew before it was sent."), _("Nothing: what was asked for last is sent instead.")
    ),
    "no_pickup_counter": Advice(
        _("The connector has no pick-up counter any more."),
        _("Set one up in the administration, then send the notification again."),
    ),
    "no_driver": Advice(
        _("Nothing is installed that could send by this medium."),
        _("Have the operator set EMAIL_URL or NOTIFICATION_…_DRIVER, or take the medium off the pick-up counter."),
    ),
    "no_phone": Advice(
        _("The channel gave no phone number of the recipient, or it was erased."),
        _("Tell the recipient by the channel."),
    ),
    "contact_unreadable": Advice(
        _("The recipient's number cannot be opened with the keys the hub has."),
        _("Put the missing key back into FIELD_ENCRYPTION_KEYS, then send the notification again."),
    ),
    "mail_refused": Advice(
        _("The mail server did not take the message."),
        _("Check the e-mail address of the pick-up counter, then send the notification again."),
    ),
    "mail_timeout": Advice(_("The mail server did not answer in time."), SEND_LATER),
    "mail_unreachable": Advice(_("The mail server could not be reached."), SEND_LATER),
    "driver_failed": Advice(
        _("The driver of this medium failed; the log says where, by the number of the notification."), SEND_LATER
    ),
    "sender_died": Advice(_("Every worker that sent this stopped in the middle."), SEND_LATER),
    "mail_login_refused": Advice(
        _("The mail server refused the hub's user or password."),
        _("Have the operator correct EMAIL_URL, then send the notification again."),
    ),
    "file_unwritable": Advice(
        _("The local driver could not write its file."), _("Have the operator check the folder of SALDO_DATA.")
    ),
    # the try
    "interrupted": Advice(
        _("The worker stopped before the answer was written down; the result is not known."),
        _("Nothing: the number was sent again."),
    ),
}

UNKNOWN = Advice(
    _("The channel refused for a reason that the hub does not know yet."),
    _("Read the technical detail; send support the trace id if it does not help."),
)
from apps.common.error_codes import ADVICE, GIVEN_UP, UNKNOWN, WAIT, Advice


def explain(code: str, *, has_given_up: bool = False) -> Advice | None:
    """Return what an error code means and what to do; None for no error, a general answer for an unknown code.

    has_given_up: the hub does not try again by itself, so advice to wait would be wrong.
    """
    if not code:
        return None
    advice = ADVICE.get(code, UNKNOWN)
    return replace(advice, action=GIVEN_UP) if has_given_up and advice.action is WAIT else advice
