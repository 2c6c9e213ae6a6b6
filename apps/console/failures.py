"""The pages for what cannot be answered otherwise: a fault of ours, and a request that cannot be read.

They ask the database nothing, and name the trace id that finds the request in the log.
"""

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.http.multipartparser import MultiPartParserError
from django.template import loader
from django.utils.translation import gettext as _
from django.views.defaults import page_not_found

TOO_MUCH = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


def server_error(request: HttpRequest) -> HttpResponse:
    """Say that something failed here, and what to tell support."""
    text = loader.get_template("500.html").render({"trace_id": getattr(request, "trace_id", "")})
    return HttpResponseServerError(text, headers={"Cache-Control": "no-store"})


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that there is nothing at this address; or, of what was sent there, that it could not be read.

    Django's own page reads the form for its token, and would fail at one that is too much: a fault of the sender's.
    """
    try:
        return page_not_found(request, exception)
    except (SuspiciousOperation, MultiPartParserError) as unreadable:
        return bad_request(request, unreadable)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that a request could not be read (400), or that more was sent than a form takes (413), and what to do."""
    is_too_much = isinstance(exception, TOO_MUCH)
    context = {
        "status": 413 if is_too_much else 400,
        "title": _("That was too much for one form") if is_too_much else _("The request could not be read"),
        "cure": _("Go back and send less at once: a file may have 1 MB, a note a few words.")
        if is_too_much
        else _("Go back, reload the page and try again; if you typed the address, check it."),
        "trace_id": getattr(request, "trace_id", ""),
    }
    text = loader.get_template("400.html").render(context)
    return HttpResponse(text, status=context["status"], headers={"Cache-Control": "no-store"})
