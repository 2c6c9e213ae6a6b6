"""What a program may be let do: every scope there is, of the form `resource:action` (people: permissions.py)."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

SCOPES: dict[str, Promise] = {
    "stock:read": _("Read balances, reservations and batches"),
    "stock:reserve": _("Reserve stock, confirm and release reservations"),
    "stock:adjust": _("Adjust, restock, count and transfer stock; keep batches"),
    "movements:read": _("Read movements"),
    "movements:write": _("Send movements from other systems"),
    "notifications:send": _("Tell an order's recipient again that it is ready"),
    "subscribers:read": _("Read subscribers and their deliveries"),
    "subscribers:write": _("Make, change and remove subscribers"),
    "integrations:read": _("Read what the channels told, and what became of it"),
    "integrations:write": _("Queue events of the channels, and reprocess them"),
}
