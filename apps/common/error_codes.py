"""The error catalogue: every code, what it means, what it means for stock, what to do. A new code is one line.

The codes come from the channels (`ChannelError.code`), the inbox, the push and the notifications; pages and shell speak
from this one table. Errors of callers of the API have a catalogue of their own (`problem_codes.py`).
tests/console/test_pages.py fails when the code of a room names one that this table does not explain.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Advice:
    """One error, explained: what it means, what to do, and what is to be thought of the stock meanwhile.

    passes: the hub tries again by itself, and that may be enough.
    """

    meaning: Promise
    action: Promise
    stock: Promise
    passes: bool = False


ALL_WAITS = _("Nothing was changed. Sales and numbers of this account wait and are caught up afterwards.")
LISTING_WAITS = _("Saldo's stock is right; the channel may show an old number for this listing.")
ACCOUNT_WAITS = _("Saldo's stock is right but for this account: its new sales and numbers wait.")
SALE_WAITS = _("The sold units are not reserved yet, so they are still offered elsewhere.")
SALE_MAY_WAIT = _("If this was a sale, its units are not reserved yet, so they are still offered elsewhere.")
UNTOUCHED = _("Stock is not concerned.")


WAIT = _("Nothing: Saldo tries again by itself.")
ASK_AGAIN = _("Try again in a moment: what a person asked for is not repeated by itself.")
GIVEN_UP = _("Saldo tried several times and stopped. Reprocess the event once the cause is gone.")
CHECK_LISTING = _("Open the listing at the channel, correct it there, then use “Synchronise now”.")
SEND_LATER = _("Saldo tries a few times. If none succeeds, send the notification again once the cause is gone.")
AUTHORISE = _("Authorise the account again at the channel; everything that waited then goes out by itself.")

ADVICE: dict[str, Advice] = {
    # nobody answered, or not in time
    "timeout": Advice(_("The channel did not answer within 5 seconds."), WAIT, ALL_WAITS, passes=True),
    "connection_failed": Advice(_("The channel could not be reached."), WAIT, ALL_WAITS, passes=True),
    "server_error": Advice(_("The channel had a failure of its own."), WAIT, ALL_WAITS, passes=True),
    "circuit_open": Advice(
        _("The channel did not answer several calls in a row, so it is left alone for a moment."),
        WAIT,
        ALL_WAITS,
        passes=True,
    ),
    "rate_limited": Advice(_("The channel asked for fewer calls per minute."), WAIT, ALL_WAITS, passes=True),
    "too_many_orders": Advice(
        _("More orders changed within one hour than the channel's search shows."),
        _("Saldo searches again by itself; orders that the channel tells of arrive as ever. Look whether they do."),
        ALL_WAITS,
    ),
    "list_keeps_moving": Advice(
        _("The channel's list of orders changed faster than it could be read."), WAIT, ALL_WAITS, passes=True
    ),
    "credentials_unreadable": Advice(
        _("The stored credentials cannot be opened with the keys Saldo has."),
        _("Put the missing key back into FIELD_ENCRYPTION_KEYS, or connect the account again."),
        ACCOUNT_WAITS,
    ),
    "shipment_not_found": Advice(
        _("The channel does not know the order's shipment (yet)."), WAIT, ALL_WAITS, passes=True
    ),
    "conflict": Advice(
        _("The channel was changing this listing at the same moment."), WAIT, LISTING_WAITS, passes=True
    ),
    "unreadable_answer": Advice(
        _("The channel answered something that cannot be read."),
        _("Saldo tries again by itself. If it stays, send support the trace id."),
        ALL_WAITS,
        passes=True,
    ),
    "too_large": Advice(_("The channel's answer was far too large."), WAIT, ALL_WAITS, passes=True),
    "not_http": Advice(_("What answered was not the channel."), WAIT, ALL_WAITS, passes=True),
    "redirected": Advice(
        _("The channel pointed to another address; Saldo does not follow."),
        _("Check the channel's address in the installation's settings."),
        ALL_WAITS,
    ),
    "forbidden_address": Advice(
        _("The address is not on the public internet, so Saldo did not call it."),
        _("Give an address that everybody can reach, or have the operator allow the network (SUBSCRIBER_NETWORKS)."),
        UNTOUCHED,
    ),
    # the listing
    "item_not_found": Advice(
        _("The channel has no listing with this id."),
        _("Was it deleted or moved to another account? Map the product to the new listing."),
        LISTING_WAITS,
    ),
    "variation_not_found": Advice(
        _("The listing no longer has this variation."),
        _("Map the product to the variation that replaced it."),
        LISTING_WAITS,
    ),
    "not_found": Advice(_("The channel has nothing under this id."), _("Check the id at the channel."), LISTING_WAITS),
    "invalid_id": Advice(
        _("This id cannot exist at the channel; nothing was asked."), _("Correct the listing's id."), LISTING_WAITS
    ),
    "item_closed": Advice(
        _("The listing is closed, so its stock cannot change."),
        _("Relist it at the channel, or ignore this."),
        LISTING_WAITS,
    ),
    "item_under_review": Advice(
        _("The channel is reviewing the listing and lets nobody change it."),
        _("Resolve the pending issue at the channel; Saldo tries again by itself."),
        LISTING_WAITS,
        passes=True,
    ),
    "stock_managed_by_channel": Advice(
        _("The channel's own warehouse (Full) keeps this stock."), _("Nothing: the number is the channel's."), UNTOUCHED
    ),
    "quantity_invalid": Advice(
        _("The channel does not accept this number for the listing."),
        _(
            "Correct the product's stock here if the number is wrong; if it is right but too high for the channel, "
            "set a maximum on the listing. Then use “Synchronise now”."
        ),
        LISTING_WAITS,
    ),
    "validation_failed": Advice(
        _("The channel refused the change because of the listing's data."), CHECK_LISTING, LISTING_WAITS
    ),
    "ignored_by_channel": Advice(
        _("The channel said yes, but shows another number."),
        _("Saldo sends it again. If it stays, look for a promotion or a limit on the listing."),
        LISTING_WAITS,
        passes=True,
    ),
    "user_product_shared": Advice(
        _("Listings that share one stock at the channel are mapped to different products here."),
        _("Map all of them to the same product, or separate them at the channel."),
        LISTING_WAITS,
    ),
    "depots_not_mapped": Advice(
        _("The account sells from several depots, and nobody said which of your places they are."),
        _("Open the connector, choose the place of each depot, then use “Synchronise now”."),
        LISTING_WAITS,
    ),
    "zeros_held": Advice(
        _("Too many listings would go to zero at once, so their zeros are held back until a person has looked."),
        _("Open the connector: let the zeros through, or correct the stock if it did not run out."),
        _("The channel still shows the old numbers of these listings, so what is not there can be sold."),
    ),
    "depot_refused": Advice(
        _("The channel does not know one of the account's depots any more, or lets nobody sell from it."),
        _("Import the listings again, then choose the places of the depots anew."),
        LISTING_WAITS,
    ),
    "stock_not_found": Advice(
        _("The channel has no stock of this user product in any depot yet."),
        _("Give it its first stock in the channel's panel; from then on Saldo tells it."),
        LISTING_WAITS,
    ),
    "price_not_modifiable": Advice(
        _("An automation at the channel sets this price, so nobody else can."),
        _("End the automation there, then give the price again."),
        UNTOUCHED,
    ),
    "price_invalid": Advice(
        _("The channel does not accept this price for the listing."),
        _("Give a price within the limits that the channel names."),
        UNTOUCHED,
    ),
    "price_ignored": Advice(
        _("The channel said yes, but shows another price."),
        _("Look for a promotion on the listing at the channel, then give the price again."),
        UNTOUCHED,
    ),
    "forbidden": Advice(
        _("This account may not change the listing."),
        _("Check that the listing belongs to this account and that the application may write."),
        LISTING_WAITS,
    ),
    # the account
    "unauthorized": Advice(_("The channel no longer accepts the account's authorisation."), AUTHORISE, ACCOUNT_WAITS),
    "unauthorized_application": Advice(
        _("The application lacks the permission for this call, or the channel blocked it."),
        _("Check the application's permissions at the channel, then authorise the account again."),
        ACCOUNT_WAITS,
    ),
    "connector_stopped": Advice(
        _("The account is stopped because of an error."),
        _("Open the connector's page: it says why. Test it there once the cause is gone."),
        ACCOUNT_WAITS,
    ),
    "permission_missing": Advice(
        _("The application lacks the permission to change listings, so none of the account's can be told."),
        _("Switch the permission on in the application's settings at the channel, then authorise the account again."),
        ACCOUNT_WAITS,
    ),
    "reauthorize": Advice(_("The account is stopped until somebody authorises it again."), AUTHORISE, ACCOUNT_WAITS),
    "invalid_grant": Advice(
        _("The authorisation expired, was revoked or was used elsewhere."), AUTHORISE, ACCOUNT_WAITS
    ),
    "invalid_operator_user_id": Advice(
        _("The authorisation was given by a collaborator's account."),
        _("Authorise again with the main account of the shop."),
        ACCOUNT_WAITS,
    ),
    "invalid_client": Advice(
        _("The channel does not know this application, or its secret changed."),
        _("Enter the application's id and secret again, then authorise the account."),
        ACCOUNT_WAITS,
    ),
    "unauthorized_client": Advice(
        _("The channel does not let this application renew the access."),
        _("Check the application's permissions at the channel, then authorise the account again."),
        ACCOUNT_WAITS,
    ),
    "token_refused": Advice(_("The channel refused to renew the access."), WAIT, ACCOUNT_WAITS, passes=True),
    # connecting an account
    "wrong_site": Advice(
        _("The account is not of Mercado Livre Brazil (MLB); nothing was connected."),
        _("Sign out at the channel, then authorise with a Brazilian account."),
        UNTOUCHED,
    ),
    "account_connected_elsewhere": Advice(
        _("The account is connected to another company already; two would tell it two numbers."),
        _("Have it disconnected there first. If its calls fail there from now on, it must be authorised there again."),
        UNTOUCHED,
    ),
    "account_connected_already": Advice(
        _("The account has another connector of yours already; two would tell it two numbers."),
        _("Open that connector and authorise it there again."),
        UNTOUCHED,
    ),
    "other_account": Advice(
        _("The authorisation is another account's than this connector's; nothing was changed."),
        _("Sign out at the channel, sign in with the connector's own account, and authorise again."),
        UNTOUCHED,
    ),
    "no_refresh_token": Advice(
        _("The channel gave no lasting access; nothing was connected."),
        _("Switch offline access (offline_access) on in the application's settings, then authorise again."),
        UNTOUCHED,
    ),
    "consent_refused": Advice(
        _("You cancelled at the channel; nothing was changed."), _("Authorise again whenever you want."), UNTOUCHED
    ),
    "consent_failed": Advice(
        _("The channel sent no authorisation back; nothing was changed."),
        _("Check the application's return address and permissions at the channel, then authorise again."),
        UNTOUCHED,
    ),
    "state_unknown": Advice(
        _("This authorisation was not begun here by you; nothing was changed."),
        _("Begin it on the connector's page, and stay signed in until you are back."),
        UNTOUCHED,
    ),
    "state_expired": Advice(
        _("The authorisation took longer than ten minutes; nothing was changed."), _("Authorise again."), UNTOUCHED
    ),
    "state_used": Advice(
        _("This authorisation was used already; nothing was changed by it now."),
        _("See whether the connector works; if not, authorise again."),
        UNTOUCHED,
    ),
    # the notification address calls itself
    "echo_refused": Advice(
        _("The notification address answered with an error, so notifications would be lost."),
        _("Have the operator check SALDO_PUBLIC_URL and the proxy in front of Saldo."),
        SALE_MAY_WAIT,
    ),
    "echo_lost": Advice(
        _("Something answered at the notification address, but nothing arrived here."),
        _("Have the operator check SALDO_PUBLIC_URL: it leads to another installation or to a proxy's own page."),
        SALE_MAY_WAIT,
    ),
    # the event
    "status_unknown": Advice(
        _("The order is in a state that Saldo does not know."),
        _("Say what the word means on the page of mappings; the order is then taken in by itself. No stock was moved."),
        SALE_WAITS,
    ),
    "mapping_needed": Advice(
        _("The order has a listing that is mapped to no product; no stock was reserved."),
        _("Map the listing to a product: the order then comes in by itself within a second."),
        SALE_WAITS,
    ),
    "order_not_found": Advice(
        _("The channel does not show this order (yet)."),
        _("Check the number at the channel. If the order is there, reprocess the event."),
        SALE_MAY_WAIT,
        passes=True,
    ),
    "foreign_order": Advice(
        _("The order is another seller's: this account only bought it."),
        _("Nothing: a purchase moves no stock for sale."),
        UNTOUCHED,
    ),
    "unreadable": Advice(
        _("What arrived is not a notification that can be read."),
        _("Nothing was done. If the channel really sent it, send support the trace id."),
        SALE_MAY_WAIT,
    ),
    "foreign_application": Advice(
        _("The notification is of another application."),
        _("At the channel, give this address only to the application of this connector."),
        UNTOUCHED,
    ),
    "unknown_account": Advice(
        _("No connector has the account that the notification names."),
        _("Connect that account, then reprocess this event."),
        SALE_MAY_WAIT,
    ),
    "worker_died": Advice(
        _("Every worker that took this event stopped in the middle."),
        _("Send support the trace id, then reprocess."),
        SALE_MAY_WAIT,
    ),
    "internal_error": Advice(
        _("Saldo failed here; the fault is ours."),
        _("Reprocess once. If it comes back, send support the trace id."),
        SALE_MAY_WAIT,
    ),
    # what is found by looking at all of it
    "divergence": Advice(
        _("A channel shows another number than Saldo computes."),
        _("Open the divergences: each says why, and which are repaired by themselves."),
        _("Where the channel shows more, it may sell what is not there."),
    ),
    "backlog_events": Advice(
        _("What the channel told waits for more than ten minutes, though nothing is switched off."),
        _("Look whether the workers run (page Health). It is caught up by itself as soon as they do."),
        SALE_MAY_WAIT,
    ),
    "backlog_numbers": Advice(
        _("Numbers wait for more than ten minutes to be told, though nothing is switched off."),
        _("Look whether the workers run, and whether the connector's limit of calls is too low for its listings."),
        _("Saldo's stock is right; the channel shows old numbers."),
    ),
    "oversold": Advice(
        _("More was sold of a product than there is."),
        _("Open the oversold balances: receive, transfer or count, or cancel an order before it is sent."),
        _("The product is offered nowhere any more until it is settled."),
    ),
    # telling an order's recipient
    "order_not_ready": Advice(
        _("The order was not ready any more when its turn came, so nobody was told."),
        _("Nothing: it was picked up or cancelled meanwhile."),
        UNTOUCHED,
    ),
    "asked_again": Advice(
        _("It was asked for anew before it was sent."),
        _("Nothing: what was asked for last is sent instead."),
        UNTOUCHED,
    ),
    "no_pickup_counter": Advice(
        _("The connector has no pick-up counter any more."),
        _("Set one up in the administration, then send the notification again."),
        UNTOUCHED,
    ),
    "no_driver": Advice(
        _("Nothing is installed that could send by this medium."),
        _("Have the operator set EMAIL_URL or NOTIFICATION_…_DRIVER, or take the medium off the pick-up counter."),
        UNTOUCHED,
    ),
    "no_address": Advice(
        _("Nobody could be written to: no administrator or manager of the company has an e-mail address."),
        _("Enter the addresses under Users in the administration. The matter itself is among the pending ones."),
        UNTOUCHED,
    ),
    "no_phone": Advice(
        _("The channel gave no phone number of the recipient, or it was erased."),
        _("Tell the recipient by the channel."),
        UNTOUCHED,
    ),
    "contact_unreadable": Advice(
        _("The recipient's number cannot be opened with the keys Saldo has."),
        _("Put the missing key back into FIELD_ENCRYPTION_KEYS, then send the notification again."),
        UNTOUCHED,
    ),
    "mail_refused": Advice(
        _("The mail server did not take the message."),
        _("Check the e-mail address of the pick-up counter, then send the notification again."),
        UNTOUCHED,
    ),
    "mail_timeout": Advice(_("The mail server did not answer in time."), SEND_LATER, UNTOUCHED, passes=True),
    "mail_unreachable": Advice(_("The mail server could not be reached."), SEND_LATER, UNTOUCHED, passes=True),
    "driver_failed": Advice(
        _("The driver of this medium failed; the log says where, by the number of the notification."),
        SEND_LATER,
        UNTOUCHED,
        passes=True,
    ),
    "sender_died": Advice(_("Every worker that sent this stopped in the middle."), SEND_LATER, UNTOUCHED, passes=True),
    "mail_login_refused": Advice(
        _("The mail server refused Saldo's user or password."),
        _("Have the operator correct EMAIL_URL, then send the notification again."),
        UNTOUCHED,
    ),
    "file_unwritable": Advice(
        _("The local driver could not write its file."),
        _("Have the operator check the folder of SALDO_DATA."),
        UNTOUCHED,
    ),
    # the try
    "interrupted": Advice(
        _("The worker stopped before the answer was written down; the result is not known."),
        _("Nothing: the number was sent again."),
        LISTING_WAITS,
        passes=True,
    ),
}

UNKNOWN = Advice(
    _("The channel refused for a reason that Saldo does not know yet."),
    _("Read the technical detail; send support the trace id if it does not help."),
    SALE_MAY_WAIT,
)
