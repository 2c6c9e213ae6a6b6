"""What each kind of divergence means for people, and what to do about it."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.sync.divergences import SENT_BY_HAND
from apps.sync.models import Divergence

Kind = Divergence.Kind


@dataclass(frozen=True, slots=True)
class DriftAdvice:
    """What a kind of divergence means, and what to do. may_send: a person may have the hub's number sent."""

    meaning: Promise
    action: Promise
    may_send: bool = False


BY_ITSELF = _("Nothing: Saldo sends its number by itself. If it stays, look at the listing's synchronisations.")
LEARNED = _("Nothing: Saldo keeps what the listing is now.")
TAKEN_IN = _("Nothing: the order is read and taken in by itself; then the numbers agree again.")

WORDS: dict[str, tuple[Promise, Promise]] = {
    Kind.PUSH_LOST: (
        _("Saldo sent its number, or believes so, and the channel still shows the one before."),
        BY_ITSELF,
    ),
    Kind.NOT_KEPT: (
        _("The channel answered that it accepted the number, but shows the old one."),
        BY_ITSELF,
    ),
    Kind.IGNORED: (
        _("The channel says yes to each try and shows another number all the same."),
        _("Look for a promotion, a limit or a rule on the listing at the channel, then send our number."),
    ),
    Kind.REFUSED: (
        _("The channel refuses Saldo's number; its reason stands on the listing's page."),
        _("Correct the listing at the channel, then send our number."),
    ),
    Kind.OVERDUE: (
        _("The number has waited to be sent for longer than it should: calls are scarce, or no worker is running."),
        _("Look at the connector and at the workers. Sending our number puts it first."),
    ),
    Kind.NOT_QUEUED: (
        _("The stock here changed, and the number was not put into the queue."),
        BY_ITSELF,
    ),
    Kind.RAISED: (
        _("The channel shows another number than it was told, and no sale explains it: somebody typed it there."),
        _("Nothing while it is more than there is: Saldo lowers it at once. Correct the stock here if it was wrong."),
    ),
    Kind.LOWERED: (
        _("The channel shows fewer units than it was told, and no sale explains it: somebody typed it there."),
        _(
            "If the units are there, send our number; if they are not, correct the stock here. After a while without a"
            " sale Saldo sends its number by itself."
        ),
    ),
    Kind.SALE_UNHEARD: (
        _("The channel sold units, and no notification of it arrived."),
        TAKEN_IN,
    ),
    Kind.SALE_WAITING: (
        _("The channel sold units or took a sale back, and the event about it waits for somebody."),
        _("Open the events that need attention, settle this one and reprocess it. The number is not touched before."),
    ),
    Kind.CANCELLATION_UNHEARD: (
        _("A sale was cancelled at the channel, and Saldo has not taken that in."),
        TAKEN_IN,
    ),
    Kind.UNCOUNTED: (
        _("The listing is for sale, but stock of its product was never received or counted here."),
        _("Receive or count the product's stock. Until then the channel's own number stays."),
    ),
    Kind.SHADOWED: (
        _("Saldo would send its number; the connector is in shadow mode."),
        _("Compare the two numbers. When they convince you, end the shadow mode on the connector's page."),
    ),
    Kind.HELD: (
        _("Many listings would go to zero at once, so the zeros are held back; this one shows more than there is."),
        _("See whether the stock here is right, then let the zeros through on the connector's page."),
    ),
    Kind.WRONG_SKU: (
        _("The listing carries the SKU of another product than the one it is mapped to."),
        _("Map the listing to the right product or correct the SKU at the channel; ignore it if it is meant so."),
    ),
    Kind.WRONG_GTIN: (
        _("The listing carries the GTIN of another product than the one it is mapped to."),
        _("Map the listing to the right product or correct the GTIN; ignore it if it is meant so."),
    ),
    Kind.SHARED_STOCK: (
        _(
            "Listings of one user product share one stock at the channel and sell different products here: each"
            " number sent overwrites the other's."
        ),
        _("Map them to the same product, or separate them at the channel."),
    ),
    Kind.FOREIGN: (
        _("The listing is another account's: the channel shows only roughly how many units it has."),
        _("Import the listings again, and map the product to this account's own listing."),
    ),
    Kind.MISSING: (
        _("The channel has no listing with this id any more."),
        _("Map the product to the listing that replaced it, if there is one; otherwise ignore this."),
    ),
    Kind.VARIATION_GONE: (
        _("The listing no longer has this variation."),
        _("Map the product to the variation that replaced it; otherwise ignore this."),
    ),
    Kind.CLOSED: (
        _("The listing was closed at the channel: nothing of it is for sale."),
        _("Relist it at the channel if it should be for sale; otherwise ignore this."),
    ),
    Kind.PAUSED_BY_SELLER: (
        _("Somebody paused the listing at the channel: its units are not for sale. Saldo never reactivates it."),
        _("Activate it at the channel if it should be for sale; otherwise ignore this."),
    ),
    Kind.BLOCKED: (
        _("The channel holds the listing back (review, payment, inactive): nothing of it is for sale."),
        _("Settle at the channel what it asks for."),
    ),
    Kind.REACTIVATED: (_("The listing is for sale again; Saldo took it for held back or closed."), LEARNED),
    Kind.BECAME_FULL: (
        _("The units went to the channel's own warehouse, which counts them: Saldo sends no number any more."),
        LEARNED,
    ),
    Kind.LEFT_FULL: (_("The units are the seller's again: Saldo sends its number from now on."), LEARNED),
    Kind.BECAME_KIT: (_("The channel counts it from its parts: Saldo sends no number any more."), LEARNED),
    Kind.MOVED: (
        _("The channel replaced the listing by one for each variation."),
        _("Nothing: the new listings take over the products of the old variations."),
    ),
    Kind.KIND_CHANGED: (_("The channel keeps the listing's stock in another way now."), LEARNED),
    Kind.UNKNOWN_LISTING: (
        _("It is for sale at the channel, and Saldo has no such listing: its sales wait for a mapping."),
        _("Import the listings on the connector's page, then map it."),
    ),
}


def advice_on(kind: str) -> DriftAdvice:
    """Return what to say of a kind of divergence."""
    meaning, action = WORDS[kind]
    return DriftAdvice(meaning, action, may_send=kind in SENT_BY_HAND)
