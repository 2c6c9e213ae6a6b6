"""Hot paths of machines go past the middleware that only people's pages need.

Sessions, languages, cookies, compression and static files cost a request more than a webhook's own work. The paths that
begin with one of `settings.FAST_LANE` are resolved and answered here, by plain views that need none of it: they take no
cookies, answer no HTML, and log for themselves.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import resolve


class FastLane:
    """The outermost middleware: answers the hot paths, hands everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(settings.FAST_LANE):
            return self.get_response(request)
        view, args, kwargs = resolve(request.path_info)
        response: HttpResponse = view(request, *args, **kwargs)
        return response
