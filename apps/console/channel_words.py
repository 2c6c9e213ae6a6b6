"""What the channels' own words for a state mean, in the reader's language. The word itself stays beside it: it is what
the channel's panel, its documentation and its support say.
"""

from django.utils.translation import gettext_lazy as _

WORDS = {
    # listings (contract §5): https://developers.mercadolivre.com.br/pt_br/produto-sincronizacao-de-publicacoes
    "active": _("For sale"),
    "paused": _("Paused"),
    "closed": _("Closed"),
    "inactive": _("Inactive"),
    "under_review": _("Under review by the channel"),
    "payment_required": _("Payment required"),
    "not_yet_active": _("Not for sale yet"),
    "programmed": _("Scheduled"),
    "deleted": _("Deleted"),
    # orders
    "confirmed": _("Confirmed, not paid"),
    "payment_in_process": _("Payment under way"),
    "partially_paid": _("Partly paid"),
    "paid": _("Paid"),
    "partially_refunded": _("Partly refunded"),
    "pending_cancel": _("Cancellation under way"),
    "cancelled": _("Cancelled"),
    "invalid": _("Invalid"),
    # parcels, and their second words
    "pending": _("Pending"),
    "handling": _("Being prepared"),
    "ready_to_ship": _("Ready to be sent"),
    "shipped": _("On its way"),
    "delivered": _("Delivered"),
    "not_delivered": _("Not delivered"),
    "ready_to_print": _("label to be printed"),
    "printed": _("label printed"),
    "invoice_pending": _("invoice missing"),
    "in_packing_list": _("on a packing list"),
    "in_hub": _("at the carrier's hub"),
    "dropped_off": _("handed over"),
    "picked_up": _("picked up"),
    "waiting_for_carrier_authorization": _("waits for the carrier"),
    "buffered": _("held back until its day"),
    "regenerating": _("label being made again"),
}
