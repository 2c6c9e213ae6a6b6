"""Times are stored in UTC and shown in the tenant's zone."""

import zoneinfo
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apps.tenants.models import Membership


class ShowTenantTime:
    """Activate, for signed-in people, the time zone of the tenant they work in; everyone else sees São Paulo's."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with timezone.override(zoneinfo.ZoneInfo(_zone(request))):
            return self.get_response(request)


def _zone(request: HttpRequest) -> str:
    if not request.session.get("_auth_user_id"):  # machines carry no session: no query for them
        return settings.DISPLAY_TIME_ZONE
    zone = Membership.objects.filter(user_id=request.user.pk or 0).values_list("tenant__time_zone", flat=True).first()
    return zone or settings.DISPLAY_TIME_ZONE
