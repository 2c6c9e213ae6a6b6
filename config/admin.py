"""The frame of the admin: which installation this is, and the sidebar by rooms. `settings.UNFOLD` names both."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

ICONS = {
    "tenants": "storefront",
    "inventory": "inventory_2",
    "connectors": "cable",
    "sync": "sync",
    "orders": "shopping_bag",
    "notifications": "notifications",
    "events": "inbox",
    "sources": "point_of_sale",
    "subscribers": "send",
    "console": "monitor_heart",
    "auth": "group",
    "django_celery_beat": "schedule",
}
"""The rooms in the order of the road, each with its symbol (Material Symbols, which unfold brings)."""


def environment_badge(request: HttpRequest) -> list[str]:
    """Return the words and the colour of the badge beside the title."""
    if settings.SALDO_DEMO:
        return [_("DEMONSTRATION"), "warning"]
    if settings.IS_DEVELOPMENT:
        return [_("DEVELOPMENT"), "info"]
    if settings.SALDO_STAGING:
        return [_("STAGING"), "warning"]
    return [_("PRODUCTION"), "danger"]


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar: a group a room with the tables that the person may see."""
    rooms = {room["app_label"]: room for room in admin.site.get_app_list(request)}
    known = [label for label in ICONS if label in rooms]
    groups = [
        {
            "title": rooms[label]["name"],
            "separator": True,
            "collapsible": False,
            "items": [
                {"title": table["name"], "icon": ICONS.get(label, "table"), "link": table["admin_url"]}
                for table in rooms[label]["models"]
                if table["admin_url"]
            ],
        }
        for label in [*known, *(label for label in rooms if label not in ICONS)]
    ]
    console = {"title": _("Console"), "icon": "arrow_back", "link": reverse("console:home")}
    return [{"items": [console]}, *groups]
