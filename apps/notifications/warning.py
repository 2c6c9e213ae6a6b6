"""Write to the people who can mend a trouble: one e-mail a cause and connector, at most once an hour.

It goes to those who administer or manage the company, to each of them alone. As everywhere: claim, commit, call out,
settle; a worker that dies in between sends once more, under the same Message-ID. Whom a try reached is written down at
once (`Trouble.emailed_to`), so the next try writes only to the others.
"""

from dataclasses import dataclass

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F, Func
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from apps.common.error_codes import ADVICE, UNKNOWN
from apps.notifications.drivers import Message, NotSent, driver_of
from apps.notifications.models import Medium, Trouble
from apps.tenants.models import Membership

log = structlog.get_logger(__name__)

LEASE_SECONDS = 600
"""Longer than SMTP conversations with every recipient."""

RECIPIENTS_MAX = 20
"""People of one company that are written to."""

CLAIM = """
WITH due AS (
    SELECT id FROM pendencia WHERE email_due_at <= now() ORDER BY email_due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE pendencia p
   SET email_due_at = now() + make_interval(secs => %s), email_attempts = p.email_attempts + 1
  FROM due WHERE p.id = due.id
RETURNING p.id, p.email_attempts
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write about one trouble; whoever has the number of its newest try settles it."""

    trouble_id: int
    number: int


def claim_due() -> Claim | None:
    """Claim the trouble whose e-mail is owed for longest, or return None when none is."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [LEASE_SECONDS])
        row = cursor.fetchone()
    return Claim(*row) if row else None


def warn_next() -> bool:
    """Write about the next trouble. Returns False when no e-mail is owed. Never raises for what a mail server does."""
    claim = claim_due()
    if claim is None:
        return False
    trouble = Trouble.objects.select_related("connector", "tenant").get(pk=claim.trouble_id)
    people = [person for person in recipients_of(trouble) if person.pk not in trouble.emailed_to]
    failure: NotSent | None = None
    if claim.number > len(settings.NOTIFICATION_PAUSES_SECONDS) + 1:
        failure = NotSent("sender_died", is_permanent=True)
    elif not people and not trouble.emailed_to:
        failure = NotSent("no_address", is_permanent=True)
    if failure is None:
        refusals = [refusal for person in people if (refusal := _write_to(claim, trouble, person))]
        # one who can be reached later decides when to try again; an address that is refused for good does not
        failure = min(refusals, key=lambda refusal: refusal.is_permanent, default=None)
    _settle(claim, failure)
    log.info(
        "trouble.email",
        trouble=trouble.pk,
        tenant=trouble.tenant_id,
        connector_id=trouble.connector_id,
        cause=trouble.cause,
        listings=trouble.count,
        people=len(people),
        outcome=failure.code if failure else "sent",
    )
    return True


def _write_to(claim: Claim, trouble: Trouble, person: User) -> NotSent | None:
    """Write to one person and note it; return why it could not be sent. Who is refused for good is not tried again."""
    refusal: NotSent | None = None
    try:
        driver_of(Medium.EMAIL).send(compose(trouble, person))
    except NotSent as found:
        refusal = found
    if refusal is None or refusal.is_permanent:
        mine = Trouble.objects.filter(pk=claim.trouble_id, email_attempts=claim.number)
        mine.update(emailed_to=Func(F("emailed_to"), person.pk, function="array_append"))
        if refusal is None:
            mine.update(emailed_at=Now())
    return refusal


def recipients_of(trouble: Trouble) -> list[User]:
    """Return who is written to: the company's administrators and managers that have an address, the oldest first."""
    roles = (Membership.Role.ADMIN, Membership.Role.MANAGER)
    mine = Membership.objects.filter(tenant_id=trouble.tenant_id, role__in=roles, user__is_active=True)
    rows = mine.exclude(user__email="").select_related("user").order_by("id")[:RECIPIENTS_MAX]
    return [row.user for row in rows]


def compose(trouble: Trouble, person: User) -> Message:
    """Return the e-mail to one person: what is wrong, for how many listings, what to do, where to look."""
    with translation.override(settings.LANGUAGE_CODE):
        values = {
            "trouble": trouble,
            "advice": ADVICE.get(trouble.cause, UNKNOWN),
            "address": settings.SALDO_PUBLIC_URL + reverse("console:troubles"),
        }
        subject = " ".join(render_to_string("notifications/trouble_subject.txt", values).split())
        text = render_to_string("notifications/trouble.txt", values)
        html = render_to_string("notifications/trouble.html", values)
    key = f"saldo-trouble-{trouble.pk}-{trouble.opened_at:%Y%m%dT%H%M%S}-{person.pk}"
    return Message(key, Medium.EMAIL, person.email, subject, text, html)


def _settle(claim: Claim, failure: NotSent | None) -> None:
    """Note how it went, when the claim is still the newest and the trouble is still open."""
    mine = Trouble.objects.filter(pk=claim.trouble_id, email_attempts=claim.number)
    if failure is None:
        mine.update(emailed_at=Now(), email_due_at=None, email_attempts=0, email_error="", emailed_to=[])
        return
    pauses = settings.NOTIFICATION_PAUSES_SECONDS
    if failure.is_permanent or claim.number > len(pauses):
        mine.update(email_due_at=None, email_error=failure.code, emailed_to=[])
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE pendencia SET email_due_at = now() + make_interval(secs => %s), email_error = %s
                WHERE id = %s AND email_attempts = %s AND closed_at IS NULL""",
            [pauses[claim.number - 1], failure.code, claim.trouble_id, claim.number],
        )
