"""Saúde: does every part of Saldo do its work, what does it mean for stock when one does not, and what helps.

The parts are the whole installation's and say nothing of any company; the accounts are the reader's own.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe
from redis import RedisError

from apps.connectors import breaker
from apps.connectors.models import Connector
from apps.console import answer_times, figures, pulse
from apps.console.badges import Badge
from apps.console.moments import span_of
from apps.console.pulse import Sign
from apps.inventory import feed
from apps.sync.models import ReconcileRun
from apps.tenants import access

ALIVE_SECONDS = 45
"""A program gives a sign every ten seconds; this much silence is not chance."""

REPLACED_SECONDS = 15 * 60
"""A program that was silent for longer while another of its kind works was replaced, and is shown no more."""

PROVED_SECONDS = 15 * 60
"""The proof runs every five minutes."""

UNREAD_SECONDS_MAX = 60
"""A movement that a reader of the ledger has not seen for so long waits."""

RECONCILED_HOURS_MAX = 6

SLOW_SQL_MS = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the installation. found: what was measured; stock and action: only when it is not well."""

    name: str
    verdict: Badge
    found: str
    stock: str = ""
    action: str = ""
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One of the reader's accounts. reach: whether its channel answers; access: how long its token lasts."""

    row: Connector
    reach: Badge
    access: Badge
    compared: Badge
    compared_at: datetime | None
    searched_until: datetime | None


def well(words: str = "") -> Badge:
    """Return the badge of what works."""
    return Badge(words or _("Works"), "ok", "check")


def warn(words: str) -> Badge:
    """Return the badge of what somebody should look at."""
    return Badge(words, "warn", "alert")


def bad(words: str) -> Badge:
    """Return the badge of what stands still."""
    return Badge(words, "bad", "cross")


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every part of the installation, and the reader's accounts."""
    tenant = access.tenant_of(request)
    signs = {sign.name: sign for sign in pulse.signs()}
    parts = [
        _postgres(),
        _redis(),
        *_programs(signs.values()),
        _beat(signs.get("beat")),
        _canary(signs.get("canary")),
        *_readers(),
        _events(figures.waiting(tenant.pk)),
        _answers(),
        _proof(signs.get("prove")),
    ]
    accounts = _accounts(request)
    tones = [part.verdict.tone for part in parts]
    tones += [badge.tone for account in accounts for badge in (account.reach, account.access, account.compared)]
    context = {
        "parts": parts,
        "accounts": accounts,
        "bad_count": tones.count("bad"),
        "warn_count": tones.count("warn"),
    }
    return render(request, "console/health.html", context)


# --- Parts of the installation ------------------------------------------------------------------------------------


def _postgres() -> Part:
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), pg_database_size(current_database())")
        version, size = cursor.fetchone()
    took_ms = (time.perf_counter() - began) * 1000
    found = _("PostgreSQL %(version)s answers within %(span)s; the data take %(size)s.") % {
        "version": version.partition(" ")[0],
        "span": span_of(took_ms / 1000),
        "size": filesizeformat(size),
    }
    if took_ms <= SLOW_SQL_MS:
        return Part(_("Database"), well(), found)
    return Part(
        _("Database"),
        warn(_("Slow")),
        found,
        _("Sales and pages take longer; nothing is lost."),
        _("See what keeps the database busy, and whether its disk has room."),
    )


def _redis() -> Part:
    began = time.perf_counter()
    try:
        cache.get("console:health")
    except RedisError:
        return Part(
            _("Redis"),
            bad(_("Away")),
            _("It does not answer."),
            _("Sales are still taken in and stored; numbers go to the channels only once it is back. Nothing is lost."),
            _("Start Redis (or Valkey) again: what there is to do stands in PostgreSQL and goes on by itself."),
        )
    return Part(_("Redis"), well(), _("It answers within %(span)s.") % {"span": span_of(time.perf_counter() - began)})


def _programs(signs: Iterable[Sign]) -> list[Part]:
    """Return the web processes in one line, and each worker."""
    signs = list(signs)
    webs = [sign for sign in signs if sign.name.startswith("web:") and sign.age_seconds <= REPLACED_SECONDS]
    count = len(webs) or 1  # one answers this very page
    text = ngettext("%(count)s process answers pages and calls.", "%(count)s processes answer pages and calls.", count)
    parts = [Part(_("Web server"), well(), text % {"count": count})]
    workers = [sign for sign in signs if sign.name.startswith("worker:")]
    is_one_alive = any(sign.age_seconds <= ALIVE_SECONDS for sign in workers)
    for sign in workers:
        is_gone = is_one_alive and sign.age_seconds > REPLACED_SECONDS
        if not is_gone:
            parts.append(_worker(sign, is_one_alive=is_one_alive))
    if not workers:
        stock, action = _no_worker()
        parts.append(Part(_("Worker"), bad(_("None")), _("No worker has given a sign of life."), stock, action))
    return parts


def _worker(sign: Sign, *, is_one_alive: bool) -> Part:
    name = _("Worker %(name)s") % {"name": sign.name.partition(":")[2]}
    found = _("Last finished task: %(span)s ago.") % {"span": span_of(sign.age_seconds)}
    if sign.age_seconds <= ALIVE_SECONDS:
        return Part(name, well(), found, seen_at=sign.seen_at)
    if is_one_alive:
        stock = _("The other workers do its work; numbers may go out later.")
        action = _("If it was stopped on purpose, it leaves this list by itself; otherwise start it again.")
        return Part(name, warn(_("Silent")), found, stock, action, sign.seen_at)
    return Part(name, bad(_("Silent")), found, *_no_worker(), sign.seen_at)


def _no_worker() -> tuple[str, str]:
    stock = _("Sales are stored and wait, and no number goes to any channel: what sells there may be sold out here.")
    return stock, _("Start the worker, and look into its log for why it stopped.")


def _beat(sign: Sign | None) -> Part:
    name = _("Clock (Beat)")
    if sign is not None and sign.age_seconds <= ALIVE_SECONDS:
        found = _("Last tick: %(span)s ago.") % {"span": span_of(sign.age_seconds)}
        return Part(name, well(), found, seen_at=sign.seen_at)
    return Part(
        name,
        bad(_("Stopped")),
        _("It has not ticked for %(span)s.") % {"span": span_of(sign.age_seconds)} if sign else _("It never ticked."),
        _("Nobody wakes the workers: sales wait, and no number goes to any channel."),
        _("Start the beat process again; there must be exactly one."),
        sign.seen_at if sign else None,
    )


def _canary(sign: Sign | None) -> Part:
    name = _("The whole chain (canary)")
    if sign is not None and sign.age_seconds <= ALIVE_SECONDS:
        found = _("A test task went from the clock over the broker to a worker %(span)s ago.")
        return Part(name, well(), found % {"span": span_of(sign.age_seconds)}, seen_at=sign.seen_at)
    found = _("No test task has come through.")
    if sign is not None:
        found = _("The last test task came through %(span)s ago.") % {"span": span_of(sign.age_seconds)}
    return Part(
        name,
        bad(_("Interrupted")),
        found,
        _("Work that is waiting is not begun, or only late."),
        _("Look at clock, Redis and workers above. If all of them work, the workers are all busy: start more of them."),
        sign.seen_at if sign else None,
    )


def _readers() -> list[Part]:
    names = {
        "sync": (_("Ledger to channels"), _("Stock has moved, and the channels still show the old number.")),
        "subscribers": (_("Ledger to subscribers"), _("Systems that subscribed hear of movements late.")),
        "checkpoints": (_("Ledger to history"), _("Balances of past days take longer to add up; none is wrong.")),
    }
    parts = []
    for consumer, oldest in feed.oldest_unread().items():
        name, stock = names.get(consumer, (consumer, ""))
        if oldest is None:
            parts.append(Part(name, well(), _("It has read every movement.")))
            continue
        seconds = (timezone.now() - oldest).total_seconds()
        found = _("The oldest movement that it has not read is %(span)s old.") % {"span": span_of(seconds)}
        if seconds <= UNREAD_SECONDS_MAX:
            parts.append(Part(name, well(), found))
        else:
            action = _(
                "See whether workers and clock work. If they do, a transaction left open may hold the ledger up."
            )
            parts.append(Part(name, bad(_("Behind")), found, stock, action, oldest))
    return parts


def _events(waiting: figures.Waiting) -> Part:
    name = _("Your events in the queue")
    if waiting.events_since is None:
        return Part(name, well(), _("None waits."))
    seconds = (timezone.now() - waiting.events_since).total_seconds()
    found = _("The oldest waits for %(span)s.") % {"span": span_of(seconds)}
    if seconds <= UNREAD_SECONDS_MAX:
        return Part(name, well(), found)
    return Part(
        name,
        warn(_("Behind")),
        found,
        _("A sale may wait in there, so other channels may still offer what it took."),
        _("Look at the events: each says what it waits for."),
        waiting.events_since,
    )


def _answers() -> Part:
    name = _("Answers to notifications")
    p99 = answer_times.quantile_ms(0.99, hours=1)
    if p99 is None:
        return Part(name, Badge(_("Nothing to measure"), "quiet"), _("None came in the last hour."))
    found = _("99%% were answered within %(span)s in the last hour.") % {"span": span_of(p99 / 1000)}
    if p99 <= answer_times.LIMIT_MS:
        return Part(name, well(), found)
    return Part(
        name,
        warn(_("Slow")),
        found,
        _("A channel that waits for over 500 ms sends again, and stops sending if that goes on; sales come in later."),
        _("Look at the load of database and web server, or start more web processes."),
    )


def _proof(sign: Sign | None) -> Part:
    name = _("Proof of the numbers")
    command = _("Run “manage.py prove”: it shows the rows. Correct nothing by hand before somebody has looked.")
    if sign is None:
        return Part(
            name, warn(_("Not yet")), _("The check of all numbers has not run yet; it runs every five minutes.")
        )
    ago = span_of(sign.age_seconds)
    broken = sign.detail.get("broken", [])
    if broken:
        text = ngettext("%(count)s rule is broken", "%(count)s rules are broken", len(broken))
        found = f"{text % {'count': len(broken)}} ({_('%(span)s ago') % {'span': ago}})."
        stock = _("A number of the ledger does not follow from its movements, or work is stuck.")
        return Part(name, bad(_("Broken")), found, stock, command, sign.seen_at)
    found = _("Every number followed from its movements %(span)s ago.") % {"span": ago}
    if sign.age_seconds <= PROVED_SECONDS:
        return Part(name, well(_("Holds")), found, seen_at=sign.seen_at)
    stock = _("Nobody has checked the numbers since.")
    return Part(name, warn(_("Overdue")), found, stock, _("See whether clock and workers work."), sign.seen_at)


# --- The reader's accounts ----------------------------------------------------------------------------------------


def _accounts(request: HttpRequest) -> list[Account]:
    shown = ("kind", "name", "status", "status_reason", "access_token_expires_at", "user_id", "tenant_id")
    rows = list(
        access.owned(request, Connector.objects.select_related("watch").only(*shown, "watch__searched_until")).order_by(
            "name", "pk"
        )
    )
    states = breaker.states(row.pk for row in rows)
    runs = ReconcileRun.objects.filter(connector__in=[row.pk for row in rows], finished_at__isnull=False)
    newest = access.owned(request, runs.filter(is_read_only=False)).order_by("connector_id", "-started_at")
    runs_by_connector = {run.connector_id: run for run in newest.distinct("connector_id")}
    return [_account(row, states[row.pk], runs_by_connector.get(row.pk)) for row in rows]


def _account(row: Connector, state: breaker.State, run: ReconcileRun | None) -> Account:
    watch = getattr(row, "watch", None)
    return Account(
        row,
        _reach(row, state),
        _token(row),
        _compared(run),
        run.finished_at if run else None,
        watch.searched_until if watch else None,
    )


def _reach(row: Connector, state: breaker.State) -> Badge:
    if not row.is_running:
        return Badge(_("Not called"), "quiet", "pause")
    if state is breaker.State.OPEN:
        return bad(_("Does not answer: left alone for a moment"))
    return warn(_("Being tried again")) if state is breaker.State.HALF_OPEN else well(_("Answers"))


def _token(row: Connector) -> Badge:
    until = row.access_token_expires_at
    if row.status == Connector.Status.REAUTHORIZE:
        return bad(_("Authorise again"))
    if until is None:
        return warn(_("None yet"))
    return well(_("Valid")) if until > timezone.now() else warn(_("Run out; renewed at the next call"))


def _compared(run: ReconcileRun | None) -> Badge:
    if run is None or run.finished_at is None:
        return warn(_("Never"))
    if run.error_code:
        return warn(_("Ended with an error"))
    is_old = run.finished_at < timezone.now() - timedelta(hours=RECONCILED_HOURS_MAX)
    return warn(_("Long ago")) if is_old else well(_("Done"))
