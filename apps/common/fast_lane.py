"""Hot paths of machines go past the middleware that only people's pages need.

Sessions, languages, cookies, compression and static files cost a request more than a webhook's own work. The paths that
begin with one of `settings.FAST_LANE` are resolved and answered here, by views that need none of it: they log for
themselves. What the API needs instead is in api_shell.py.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import resolve

from apps.common import api_shell


class FastLane:
    """The outermost middleware: answers the hot paths, hands everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(settings.FAST_LANE):
            view, args, kwargs = resolve(request.path_info)
            response: HttpResponse = view(request, *args, **kwargs)
            return response
        if request.path_info.startswith(api_shell.PREFIXES):
            return api_shell.serve(request)
        return self.get_response(request)
