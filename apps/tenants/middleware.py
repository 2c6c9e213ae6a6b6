"""Times are stored in UTC and shown in the tenant's zone."""

import zoneinfo
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apps.tenants.access import membership_or_none


class ShowTenantTime:
    """Activate, for signed-in people, the time zone of the tenant they work in; everyone else sees São Paulo's."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with timezone.override(zoneinfo.ZoneInfo(_zone(request))):
            return self.get_response(request)


def _zone(request: HttpRequest) -> str:
    if SESSION_KEY not in request.session:  # nobody is signed in: no query for them
        return settings.DISPLAY_TIME_ZONE
    membership = membership_or_none(request)
    return membership.tenant.time_zone if membership else settings.DISPLAY_TIME_ZONE
