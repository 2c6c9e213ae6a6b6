"""What a page may load and where it may send: the Content-Security-Policy of every page, and its neighbours.

Our own pages hold no inline script and no inline style, so the policy allows none; a page that needs a script of its
own in the markup gives it `nonce="{{ request.csp_nonce }}"`, made for one answer and named in its policy. The
administration (unfold) runs Alpine, which evaluates its attributes and styles its elements: under /admin/ inline code
and `eval` are allowed, and still nothing from elsewhere. A view that sends a policy of its own keeps it.
"""

import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

ADMIN = "/admin/"

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
ADMIN_POLICY = POLICY | {
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
}

PERMISSIONS = ", ".join(
    f"{name}=()"
    for name in ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "serial", "usb")
)
"""What a browser may offer its devices for; no page here asks for any."""


class ContentPolicy:
    """Give every answer its policy, and the request a nonce for who asks for one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        nonces: list[str] = []

        def make() -> str:
            nonces.append(secrets.token_urlsafe(18))
            return nonces[0]

        request.csp_nonce = SimpleLazyObject(make)  # type: ignore[attr-defined]
        response = self.get_response(request)
        policy = ADMIN_POLICY if request.path_info.startswith(ADMIN) else POLICY
        if nonces:
            policy = policy | {"script-src": f"{policy['script-src']} 'nonce-{nonces[0]}'"}
        response.headers.setdefault("Content-Security-Policy", "; ".join(f"{on} {what}" for on, what in policy.items()))
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return response
