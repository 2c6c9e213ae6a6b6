"""Who may move stock by hand: asked here and nowhere else on the stock's pages."""

from django.http import HttpRequest

from apps.tenants import access

PERMISSION = "stock:adjust"


def may_handle(request: HttpRequest) -> bool:
    """Tell whether whoever asks may adjust, receive, transfer, release and block."""
    return access.membership_of(request).may(PERMISSION)


def require_handle(request: HttpRequest) -> None:
    """Raise Forbidden (403) unless the person may move stock by hand."""
    access.require(request, PERMISSION)
