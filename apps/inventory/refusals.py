"""What the ledger may refuse, and the sentence for each: a stable code, facts that help, what to do."""

from typing import Any, ClassVar

from django.utils.translation import gettext, gettext_noop


class LedgerError(Exception):
    """A request the ledger refused; nothing was changed. `code` is stable, `facts` are what helps to understand it."""

    code: ClassVar[str] = "ledger_error"
    template: ClassVar[str] = gettext_noop("The ledger refused the request; nothing was changed.")

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(self.template.format(**facts))

    @property
    def detail(self) -> str:
        """Return the sentence in the language of whoever reads now."""
        return gettext(self.template).format(**self.facts)


class InvalidQuantity(LedgerError):
    """The quantity is zero, negative where it may not be, or absurdly large."""

    code = "invalid_quantity"
    template = gettext_noop("{quantity} is not a quantity that can be moved; nothing was changed.")


class InvalidValue(LedgerError):
    """A text is too long or holds a NUL character; `field` names it. Doors refuse such texts before."""

    code = "value_out_of_range"
    template = gettext_noop(
        "The value of {field} cannot be kept: it is too long or holds a NUL character. Nothing was changed; correct it "
        "and send it again."
    )


class InsufficientStock(LedgerError):
    """Fewer units are available than were asked for."""

    code = "insufficient_stock"
    template = gettext_noop(
        "{requested} units were asked for and {available} are available; nothing was changed. Ask for fewer, or for "
        "another place."
    )


class KeyReused(LedgerError):
    """The idempotency key was already used for a different request."""

    code = "idempotency_key_reused"
    template = gettext_noop(
        "This idempotency key was used before for a different request; nothing was changed. Use a new key for a new "
        "request."
    )


class KeyInFlight(LedgerError):
    """A request with this key is being worked on at this moment."""

    code = "idempotency_key_in_flight"
    template = gettext_noop(
        "A request with this idempotency key is being worked on; nothing was changed by this one. Send it again in a "
        "second to get its answer."
    )


class StockBusy(LedgerError):
    """Somebody held on to this balance for longer than anybody should."""

    code = "stock_busy"
    template = gettext_noop(
        "Somebody else is changing this stock and takes longer than usual; nothing was changed. Send the request again "
        "in a second."
    )


class UnknownReservation(LedgerError):
    """This tenant has no such reservation."""

    code = "unknown_reservation"
    template = gettext_noop("There is no such reservation; nothing was changed.")


class ReservationEnded(LedgerError):
    """The reservation was confirmed or released before, or its time is over.

    `facts["reservation_status"]` says which.
    """

    code = "reservation_ended"


class AlreadyConfirmed(ReservationEnded):
    """The reservation was confirmed before."""

    code = "reservation_already_confirmed"
    template = gettext_noop("The reservation was confirmed before: its units have left. Nothing was changed now.")


class AlreadyReleased(ReservationEnded):
    """The reservation was released before."""

    code = "reservation_already_released"
    template = gettext_noop(
        "The reservation was cancelled before: its units are available again. Nothing was changed now; reserve anew."
    )


class Expired(ReservationEnded):
    """The reservation's time is over."""

    code = "reservation_expired"
    template = gettext_noop("The reservation's time is over: its units are available again. Reserve anew.")


class QuantityExceedsReservation(LedgerError):
    """More units were to be confirmed than are reserved."""

    code = "quantity_exceeds_reservation"
    template = gettext_noop("Only {reserved} units are reserved; nothing was changed. Confirm at most as many.")


class UnknownPlace(LedgerError):
    """This tenant has no such product or location."""

    code = "unknown_product_or_location"
    template = gettext_noop("This product or location is not known to this tenant; nothing was changed.")


class UnknownSku(UnknownPlace):
    """This tenant has no such product."""

    code = "unknown_sku"
    template = gettext_noop("There is no such product; nothing was changed.")


class UnknownStore(UnknownPlace):
    """This tenant has no such location."""

    code = "unknown_store"
    template = gettext_noop("There is no such store or location; nothing was changed.")


class VersionMismatch(LedgerError):
    """The balance has moved since the caller looked at it."""

    code = "version_mismatch"
    template = gettext_noop(
        "The stock has moved since you looked: its version is {version} now. Nothing was changed; read it again."
    )


class AlreadyReversed(LedgerError):
    """Another movement reversed this one before."""

    code = "already_reversed"
    template = gettext_noop("This movement was reversed before; nothing was changed.")


class UnknownMovement(LedgerError):
    """The movement to be reversed is not one of this balance."""

    code = "unknown_movement"
    template = gettext_noop("There is no such movement of this product at this place to reverse; nothing was changed.")


class CountOfBatch(LedgerError):
    """A count says what is there of a product at a place, all batches together."""

    code = "count_of_batch"
    template = gettext_noop(
        "A count is of everything that is at the place, not of batch {batch_number} alone; nothing was changed. "
        "Count all of it, or adjust the batch."
    )


class UnknownBatch(LedgerError):
    """There is no such batch at this place."""

    code = "unknown_batch"
    template = gettext_noop("There is no such batch; nothing was changed.")


class InvalidBatchDate(LedgerError):
    """The date of a batch is none that goods can have."""

    code = "invalid_batch_date"
    template = gettext_noop("{date} is not a date that goods expire on; nothing was changed. Send one of this century.")


class BatchExpired(LedgerError):
    """The batch's date has passed: it stays off sale."""

    code = "batch_expired"
    template = gettext_noop("The batch's date has passed, so it stays off sale; nothing was changed.")


class UnknownTransfer(LedgerError):
    """Nothing was sent under this code to this place."""

    code = "unknown_transfer"
    template = gettext_noop("There is no such transfer of this product to this place; nothing was changed.")


class TransferExceedsSent(LedgerError):
    """More units were to be received than are on their way."""

    code = "transfer_exceeds_sent"
    template = gettext_noop("Only {in_transit} units are on their way; nothing was changed. Receive at most as many.")


REFUSALS: dict[str, type[LedgerError]] = {
    refusal.code: refusal
    for refusal in (
        *(InsufficientStock, KeyReused, KeyInFlight, UnknownReservation, AlreadyConfirmed, AlreadyReleased, Expired),
        *(QuantityExceedsReservation, UnknownSku, UnknownStore, VersionMismatch, AlreadyReversed, UnknownMovement),
        *(UnknownBatch, BatchExpired, UnknownTransfer, TransferExceedsSent, InvalidQuantity, StockBusy),
    )
}
"""Every code that the SQL functions may answer."""
