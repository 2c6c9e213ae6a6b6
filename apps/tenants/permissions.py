"""Who may do what: every permission there is, of the form `resource:action`, and the roles that hold it.

The one place where it is decided. Pages ask `access.require(request, "prices:write")`, templates `{% may … %}`, the API
`Membership.scopes`; docs/permissions.md shows the same table and a test compares them. Whoever belongs to a company
reads its pages; a permission is needed to change something, or to see what is not everybody's: colleagues' deeds, keys,
recipients. What an API key may be given too (scopes.py) has the same name and means the same here.

The platform's staff (superusers) hold nothing of this: they see a company's data in the console only as its members.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.tenants import scopes

ANALYST, OPERATOR, MANAGER, ADMIN = "ANALISTA", "OPERADOR", "GESTOR", "ADMIN"

RANK = (ANALYST, OPERATOR, MANAGER, ADMIN)
"""The roles, each with all that the one before it holds and more: whose deeds a person may undo, and no higher."""

EVERYONE, OPERATING, MANAGING, ADMINISTERING = RANK, RANK[1:], RANK[2:], RANK[3:]

PAGES: dict[str, tuple[str | Promise, tuple[str, ...]]] = {
    "events:reprocess": (_("Reprocess one event, simulate it and apply what was shown"), OPERATING),
    "listings:sync": (_("Tell a channel its numbers now"), OPERATING),
    "mappings:write": (_("Map one listing, SKU or status"), OPERATING),
    "troubles:acknowledge": (_("Take a pending matter on, with a note"), OPERATING),
    "divergences:settle": (_("Send our number, ignore a divergence or heed it again"), OPERATING),
    "orders:recipient": (_("See an order's recipient and take its label"), OPERATING),
    "views:share": (_("Share a view of a list with the company"), OPERATING),
    "connectors:check": (_("Test an account and compare it with the channel"), OPERATING),
    "reprocessings:write": (_("Reprocess many events and send many numbers again; pause and cancel that"), MANAGING),
    "payloads:read": (_("See what a channel sent, personal data and all, for a reason that is kept"), MANAGING),
    "listings:import": (_("Import an account's listings, stop an import, make products of listings"), MANAGING),
    "mappings:import": (_("Map many listings at once, from suggestions or a CSV file"), MANAGING),
    "publication:write": (_("Change what is published: rules and depots"), MANAGING),
    "prices:write": (_("Change prices"), MANAGING),
    "connectors:pause": (_("Pause an account and let it go on; shadow mode"), MANAGING),
    "zeros:release": (_("Let zeros that were held back go out"), MANAGING),
    "users:read": (_("See who works here, and with which role"), MANAGING),
    "audit:read": (_("See who did what"), MANAGING),
    "connectors:write": (_("Connect and authorise accounts, replace their secrets"), ADMINISTERING),
    "reprocessings:all": (_("Reprocess also what went well"), ADMINISTERING),
    "listings:resend": (_("Send every number of an account again"), ADMINISTERING),
    "users:write": (_("Add people, change their roles, remove them"), ADMINISTERING),
    "keys:write": (_("Make, replace and revoke API keys and webhook secrets"), ADMINISTERING),
}
"""Permissions of people alone, with the roles that hold them."""

SCOPES_HELD: dict[str, tuple[str, ...]] = {
    "stock:read": EVERYONE,
    "movements:read": EVERYONE,
    "subscribers:read": EVERYONE,
    "integrations:read": EVERYONE,
    "stock:reserve": OPERATING,
    "notifications:send": OPERATING,
    "integrations:write": OPERATING,
    "stock:adjust": MANAGING,
    "movements:write": MANAGING,
    "subscribers:write": MANAGING,
}
"""Permissions that an API key can be given as scopes, with the roles whose people hold them."""

LABELS: dict[str, str | Promise] = {**scopes.SCOPES, **{name: label for name, (label, _roles) in PAGES.items()}}
HOLDERS: dict[str, tuple[str, ...]] = {**SCOPES_HELD, **{name: roles for name, (_label, roles) in PAGES.items()}}


def held_by(role: str) -> frozenset[str]:
    """Return every permission that a role holds; an unknown role holds none."""
    return frozenset(name for name, roles in HOLDERS.items() if role in roles)


def is_at_most(role: str, other: str) -> bool:
    """Tell whether a role holds nothing that `other` does not."""
    return RANK.index(role) <= RANK.index(other)
