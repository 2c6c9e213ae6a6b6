"""What a person should look at in an order, and what to do about it."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.orders.rules import Flag


@dataclass(frozen=True, slots=True)
class FlagText:
    """A flag in a person's words: what it means, and what to do."""

    title: str | Promise
    advice: str | Promise


FLAGS: dict[str, FlagText] = {
    Flag.FRAUD_RISK: FlagText(
        _("Risk of fraud"),
        _("Do not ship it: cancel the sale on the channel. Its units stay held until then."),
    ),
    Flag.PARTLY_REFUNDED: FlagText(
        _("Partly refunded"),
        _("Part of the payment went back. The units stay held: see on the channel what was agreed."),
    ),
    Flag.PENDING_CANCEL: FlagText(
        _("Cancellation under way"),
        _("The channel has not decided yet. The units stay held; better wait before handing the parcel over."),
    ),
    Flag.REFUNDED_TO_ACCOUNT: FlagText(
        _("Refunded as account money"),
        _("The channel goes on calling it paid. If it is not to be sent, cancel it there to free its units."),
    ),
    Flag.NOT_COMPLETED: FlagText(
        _("Marked as not completed"),
        _("The seller said on the channel that this sale came to nothing, so its units were put back on sale."),
    ),
    Flag.RETURNED: FlagText(
        _("Goods came back"),
        _("The units are on hand again. Check their condition; write a loss if they cannot be sold."),
    ),
    Flag.UNKNOWN_WORD: FlagText(
        _("A state Saldo does not know"),
        _("The channel used a word that is new here. Stock was left as it is; say what it means among the mappings."),
    ),
}
