"""What the pages say of jobs over many: why a member is skipped, why a decision was refused, which list it was."""

from django.http import HttpRequest, QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.common.error_codes import ADVICE
from apps.connectors.models import Connector, Listing
from apps.console.filters import EventFilters, Filters, SyncFilters
from apps.events.models import IntegrationEvent, Reprocess, ReprocessItem
from apps.sync.models import SyncLog
from apps.tenants import access

SKIPPED: dict[str, str | Promise] = {
    "in_progress": _("A worker is at it at this moment."),
    "in_queue": _("It is in the queue already."),
    "integration_off": _("Its integration is switched off; it comes in by itself once that is on again."),
    "already_done": _("It was processed already: there is nothing to mend."),
    "nothing_kept": _("Its content was forgotten after its days, and it names nothing that could be read again."),
    "not_used": _("Saldo has no use for what it tells of."),
    "another_company": _("Its account belongs to another company by now, where it is taken in."),
    "not_mapped": _("The listing sells no product yet."),
    "kept_by_channel": _("The channel itself counts the stock of the listing."),
    "cancelled": _("The job was cancelled before its turn."),
    "nothing_new": _("It was read again and said nothing new."),
}

REFUSALS: dict[str, str | Promise] = {
    "ended": _("This was decided before, so nothing was changed now. The page shows how it stands."),
    "moved": _("Another plan was shown to you than this one, so nothing was begun. Read it again, then confirm."),
    "reason": _("Say why: it is kept with the job. Nothing was begun."),
    "number": _("Type the number of the plan, to show that it is meant. Nothing was begun."),
    "same_person": _("You confirmed this yourself: another manager or administrator must approve it."),
}

NO_PLAN: dict[str, str | Promise] = {
    "none": _("Nothing on that list, so there is nothing to do again."),
    "too_many": _("That is more than 100,000 at once. Choose a shorter period, one after the other."),
}


def why(code: str) -> str | Promise:
    """Return why a member was skipped or failed, in a sentence; the code itself when no sentence is known."""
    if code in SKIPPED:
        return SKIPPED[code]
    return ADVICE[code].meaning if code in ADVICE else code


def status_words(job: Reprocess, status: str) -> str | Promise:
    """Return the words of a state that a plan's group is in."""
    choices = IntegrationEvent.Status if job.verb == Reprocess.Verb.EVENTS else Listing.SyncState
    return dict(choices.choices).get(status, status)


def chosen_by(request: HttpRequest, job: Reprocess) -> list[tuple[str, str]]:
    """Return the filters that a job's members were chosen by, as the list shows them: (label, value)."""
    query = QueryDict(job.filters)
    rows: Filters
    if job.verb == Reprocess.Verb.EVENTS:
        rows = EventFilters(query, IntegrationEvent.objects.none(), request=request)
    else:
        rows = SyncFilters(query, SyncLog.objects.none(), request=request)
    found = []
    for name in query:
        value = str(query.get(name, ""))
        field = rows.form.fields.get(name)
        if field is None or not value:
            continue
        if name == "connector":
            own = access.owned(request, Connector.objects.filter(pk=value if value.isdecimal() else 0))
            value = own.values_list("name", flat=True).first() or value
        choices = dict(getattr(field, "choices", ()))
        found.append((str(field.label or name), str(choices.get(value, value))))
    return found


def name_of(item: ReprocessItem) -> str:
    """Return what a member is called on the report."""
    if item.event is not None:
        return item.event.external_id or f"#{item.event_id}"
    return str(item.listing)
