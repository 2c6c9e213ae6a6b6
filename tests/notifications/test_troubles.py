"""What keeps numbers from the channels is said once a cause, written about once an hour, and closes by itself."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.connectors.models import Connector, Listing
from apps.notifications import troubles, warning
from apps.notifications.models import Trouble
from apps.notifications.prove import prove
from apps.tenants.models import Membership
from tests import factories
from tests.smtp import MailServer

State = Listing.SyncState


@pytest.fixture
def account(transactional_db: None) -> Connector:
    """An account whose company Alice manages and Bob works for."""
    connector: Connector = factories.ConnectorFactory(name="ML Centro")
    factories.member(connector.tenant, Membership.Role.MANAGER, email="alice@loja.example")
    factories.member(connector.tenant, Membership.Role.OPERATOR, email="bob@loja.example")
    return connector


def fail(connector: Connector, count: int, code: str = "rate_limited") -> None:
    """Let so many more listings of an account be in error."""
    product = factories.ProductFactory(tenant=connector.tenant)
    same = {"tenant": connector.tenant, "connector": connector, "product": product}
    first = Listing.objects.count()
    Listing.objects.bulk_create(
        Listing(item_id=f"MLB{first + n}", sync_state=State.ERROR, last_error_code=code, **same) for n in range(count)
    )


def mend() -> None:
    Listing.objects.update(sync_state=State.SUCCESS, last_error_code="")


def let_pass(**span: int) -> None:
    """Let time pass, as far as troubles know it."""
    by = timedelta(**span)
    moments = ("opened_at", "closed_at", "email_due_at", "emailed_at")
    Trouble.objects.update(**{name: F(name) - by for name in moments})


def tick() -> None:
    troubles.look()
    while warning.warn_next():
        pass


def test_five_thousand_equal_errors_are_one_line_and_one_email(account: Connector, mail_server: MailServer) -> None:
    fail(account, 1)
    tick()
    fail(account, 4999)
    tick()
    [trouble] = Trouble.objects.all()
    assert (trouble.cause, trouble.count, trouble.closed_at) == ("rate_limited", 5000, None)
    assert mail_server.mails == []  # not yet: it may pass by itself
    let_pass(seconds=61)
    tick()
    [mail] = mail_server.mails
    assert mail["To"] == "alice@loja.example"
    assert mail["Subject"].strip().startswith("ML Centro: 5000")
    text = mail.get_body(("plain",)).get_content()
    assert "/console/pendencias/" in text
    for _ in range(3):
        let_pass(minutes=50)
        tick()
    assert len(mail_server.mails) == 1  # it lasts, and was said


def test_each_cause_and_each_connector_is_a_line_of_its_own(account: Connector) -> None:
    other = factories.ConnectorFactory(tenant=account.tenant)
    fail(account, 2, "rate_limited")
    fail(account, 1, "item_closed")
    fail(other, 3, "rate_limited")
    troubles.look()
    found = Trouble.objects.order_by("connector", "cause").values_list("connector", "cause", "count")
    assert list(found) == [
        (account.pk, "item_closed", 1),
        (account.pk, "rate_limited", 2),
        (other.pk, "rate_limited", 3),
    ]


def test_it_closes_when_it_is_gone_and_opens_again(account: Connector, mail_server: MailServer) -> None:
    fail(account, 2)
    troubles.look()
    let_pass(seconds=61)
    tick()
    mend()
    tick()
    [trouble] = Trouble.objects.all()
    assert trouble.closed_at is not None
    fail(account, 1)
    tick()
    trouble.refresh_from_db()
    assert (trouble.closed_at, trouble.count) == (None, 1)
    assert Trouble.objects.count() == 1


def test_what_comes_and_goes_is_written_about_once_an_hour(account: Connector, mail_server: MailServer) -> None:
    for minute in range(130):
        if minute % 4 == 0:
            fail(account, 1)
        elif minute % 4 == 3:
            mend()
        tick()
        let_pass(minutes=1)
    assert len(mail_server.mails) == 3  # in 130 minutes


def test_what_passes_within_a_minute_troubles_nobody(account: Connector, mail_server: MailServer) -> None:
    fail(account, 9)
    tick()
    mend()
    tick()
    let_pass(minutes=5)
    tick()
    assert mail_server.mails == []
    assert Trouble.objects.get().email_due_at is None


@pytest.mark.parametrize(
    ("status", "cause"), [("REAUTORIZAR", "reauthorize"), ("ERROR", "connector_stopped"), ("PAUSADO", None)]
)
def test_an_account_that_stopped_is_one_trouble(
    account: Connector, mail_server: MailServer, status: str, cause: str | None
) -> None:
    Connector.objects.update(status=status)
    troubles.look()
    let_pass(seconds=61)
    tick()
    assert list(Trouble.objects.values_list("kind", "cause")) == ([("CONECTOR", cause)] if cause else [])
    assert len(mail_server.mails) == (1 if cause else 0)
    Connector.objects.update(status="ATIVO")
    troubles.look()
    assert not Trouble.objects.filter(closed_at__isnull=True).exists()


def test_zeros_that_wait_for_a_person_are_told_to_one(account: Connector, mail_server: MailServer) -> None:
    fail(account, 12)
    mend()
    Listing.objects.update(held_at=timezone.now())
    troubles.look()
    let_pass(seconds=61)
    tick()
    assert list(Trouble.objects.values_list("cause", "count")) == [("zeros_held", 12)]
    [mail] = mail_server.mails
    assert mail["Subject"].strip().startswith("ML Centro: 12")
    Listing.objects.update(held_at=None)
    troubles.look()
    assert not Trouble.objects.filter(closed_at__isnull=True).exists()


def test_an_account_that_was_never_authorised_is_no_trouble(account: Connector) -> None:
    Connector.objects.update(status="REAUTORIZAR", user_id="")
    troubles.look()
    assert not Trouble.objects.exists()


def test_a_mail_server_that_is_away_is_tried_again(account: Connector, mail_server: MailServer) -> None:
    mail_server.answer = lambda step: "451 later" if step == "MAIL" else ""
    fail(account, 1)
    troubles.look()
    let_pass(seconds=61)
    tick()
    trouble = Trouble.objects.get()
    assert (trouble.email_error, trouble.email_due_at is not None, trouble.emailed_at) == ("mail_refused", True, None)
    mail_server.answer = lambda step: ""
    let_pass(minutes=1)
    tick()
    trouble.refresh_from_db()
    assert (len(mail_server.mails), trouble.email_error, trouble.email_due_at) == (1, "", None)


def test_each_recipient_is_written_to_once_when_one_fails(account: Connector, mail_server: MailServer) -> None:
    factories.member(account.tenant, Membership.Role.ADMIN, email="carla@loja.example")
    given: list[str] = []

    def refuse_the_second(step: str) -> str:
        given.append(step)
        return "451 later" if step == "RCPT" and given.count("RCPT") == 2 else ""

    mail_server.answer = refuse_the_second
    fail(account, 1)
    troubles.look()
    let_pass(seconds=61)
    tick()
    assert [mail["To"] for mail in mail_server.mails] == ["alice@loja.example"]
    let_pass(minutes=1)
    tick()
    assert [mail["To"] for mail in mail_server.mails] == ["alice@loja.example", "carla@loja.example"]
    trouble = Trouble.objects.get()
    assert (trouble.email_due_at, trouble.email_error, trouble.emailed_to) == (None, "", [])


def test_an_address_that_is_refused_for_good_does_not_keep_others_from_theirs(
    account: Connector, mail_server: MailServer
) -> None:
    factories.member(account.tenant, Membership.Role.ADMIN, email="carla@loja.example")
    given: list[str] = []

    def refuse_the_first(step: str) -> str:
        given.append(step)
        return "550 nobody" if step == "RCPT" and given.count("RCPT") == 1 else ""

    mail_server.answer = refuse_the_first
    fail(account, 1)
    troubles.look()
    let_pass(seconds=61)
    tick()
    assert [mail["To"] for mail in mail_server.mails] == ["carla@loja.example"]
    trouble = Trouble.objects.get()
    assert (trouble.email_due_at, trouble.email_error != "", trouble.emailed_at is not None) == (None, True, True)


def test_without_an_address_the_line_says_so(account: Connector, mail_server: MailServer) -> None:
    Membership.objects.filter(role=Membership.Role.MANAGER).delete()
    fail(account, 1)
    troubles.look()
    let_pass(seconds=61)
    tick()
    trouble = Trouble.objects.get()
    assert (mail_server.mails, trouble.email_error, trouble.email_due_at) == ([], "no_address", None)


def test_a_worker_that_dies_writes_again_under_the_same_name(account: Connector, mail_server: MailServer) -> None:
    fail(account, 1)
    troubles.look()
    let_pass(seconds=61)
    claim = warning.claim_due()
    assert claim is not None
    assert warning.claim_due() is None  # a lease
    [person] = warning.recipients_of(Trouble.objects.get())
    key = warning.compose(Trouble.objects.get(), person).key
    Trouble.objects.update(email_due_at=timezone.now() - timedelta(minutes=1))  # the lease ends
    tick()
    [mail] = mail_server.mails
    assert key in mail["Message-ID"]


def test_a_look_that_finds_nothing_new_writes_nothing(account: Connector) -> None:
    fail(account, 3)
    troubles.look()
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text FROM pendencia")
        before = cursor.fetchall()
        troubles.look()
        cursor.execute("SELECT xmin::text FROM pendencia")
        assert cursor.fetchall() == before


def test_a_look_costs_three_questions_however_many_fail(account: Connector) -> None:
    fail(account, 50)
    with CaptureQueriesContext(connection) as queries:
        troubles.look()
    assert len([q for q in queries if "pendencia" in q["sql"]]) == 3


@pytest.mark.corrupts
def test_a_listing_that_nobody_noticed_is_found(account: Connector) -> None:
    fail(account, 1)
    Listing.objects.update(updated_at=timezone.now() - timedelta(minutes=11))
    rules = [finding.rule for finding in prove()]
    assert rules == ["a listing in error is one of an open trouble"]
    troubles.look()
    assert prove() == []
