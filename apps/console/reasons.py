"""Why stock moved, in words. The hub's own reasons and those a person chose from a list are kept as codes.

What a person adds follows the code after a colon: `damage: fell from the shelf`.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

CHOSEN: dict[str, str | Promise] = {
    "count": _("Count"),
    "damage": _("Damage"),
    "loss": _("Loss"),
    "found": _("Found"),
    "correction": _("Correction"),
    "other": _("Other reason"),
}
"""What a person may choose when the number on hand is changed by hand."""

WORDS: dict[str, str | Promise] = {
    **CHOSEN,
    "sale": _("Sale"),
    "shipped": _("Shipped"),
    "cancellation": _("Cancellation"),
    "cancelled after shipment": _("Cancelled after it was shipped"),
    "returned": _("Goods came back"),
    "receipt": _("Goods arrived"),
    "transfer": _("Transfer between places"),
    "reservation expired": _("The reservation's time was over"),
    "batch expired": _("The batch expired"),
    "released by hand": _("Released by hand"),
    "blocked by hand": _("Taken off sale by hand"),
    "unblocked by hand": _("Put back on sale by hand"),
}

REASON_LENGTH_MAX = 200
"""As many characters as a movement keeps."""


def written(code: str, note: str = "") -> str:
    """Return what a movement keeps: the code, and what the person added."""
    return f"{code}: {note}"[:REASON_LENGTH_MAX] if note else code


def in_words(text: str) -> str:
    """Return a movement's reason in the reader's language; what a person wrote stays as written."""
    if text in WORDS:
        return str(WORDS[text])
    code, colon, note = text.partition(": ")
    return f"{WORDS[code]}: {note}" if colon and code in WORDS else text
