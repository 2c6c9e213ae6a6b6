"""The page for a fault of ours: it asks the database nothing, and names the trace id that finds it in the log."""

from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.template import loader


def server_error(request: HttpRequest) -> HttpResponse:
    """Say that something failed here, and what to tell support."""
    text = loader.get_template("500.html").render({"trace_id": getattr(request, "trace_id", "")})
    return HttpResponseServerError(text, headers={"Cache-Control": "no-store"})
