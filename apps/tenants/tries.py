"""How often somebody may try to prove who they are: counted in PostgreSQL, so that it holds when Redis is away.

A try is written down *before* the password or code is looked at and taken back when it was right, so that a hundred
tries at once count as a hundred. Within `WINDOW` there may be so many wrong ones for a name from one address, for a
name from anywhere, and from one address for any name. The last two are higher: many people share an office's address,
and a stranger must not lock a person out easily.
"""

import hashlib
import ipaddress
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest

from apps.tenants import audit
from apps.tenants.models import LoginTry, Membership

WINDOW = timedelta(minutes=15)

BY_BOTH, BY_NAME, BY_ADDRESS = 5, 20, 50
"""Wrong tries within WINDOW: for a name from one address, for a name, from an address."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TooMany(Exception):
    """There were too many wrong tries. wait_minutes: until the next one is looked at, rounded up."""

    wait_minutes: int


def begin(request: HttpRequest, name: str) -> int:
    """Count one try for a name (any text) and return its number, for `took`. Raises TooMany.

    A refused try is not counted: it tells its maker nothing, so waiting ends as it was said.
    """
    name_hash, address = _hash(name), address_of(request)
    with transaction.atomic():
        with connection.cursor() as cursor:  # one after the other: or many at once would all see the same count
            for key in sorted((_lock_key(name_hash), _lock_key(address))):
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])
        LoginTry.objects.filter(tried_at__lt=Now() - WINDOW).delete()
        of_name, of_address = Q(name_hash=name_hash), Q(address=address)
        limits = ((of_name & of_address, BY_BOTH), (of_name, BY_NAME), (of_address, BY_ADDRESS))
        free_at = max((when for who, limit in limits if (when := _free_at(who, limit))), default=None)
        if free_at is None:
            return int(LoginTry.objects.create(name_hash=name_hash, address=address).pk)
    wait_seconds = (free_at - _database_time()).total_seconds()
    log.warning("login.refused", address=address, wait_seconds=round(wait_seconds))
    raise TooMany(max(1, math.ceil(wait_seconds / 60)))


def took(number: int, request: HttpRequest, name: str) -> None:
    """Take a try back that was right, with the name's other ones from the same address."""
    LoginTry.objects.filter(Q(pk=number) | Q(name_hash=_hash(name), address=address_of(request))).delete()


def failed(request: HttpRequest, name: str, what: str) -> None:
    """Write down that a proof of a person's was wrong, in each company they belong to. what: password or code."""
    address = address_of(request)
    log.warning("login.failed", address=address, what=what)
    for membership in Membership.objects.filter(user__username=name.replace("\0", "")).select_related("tenant"):
        audit.record(membership.tenant, f"address:{address}", "login.failed", f"user:{membership.user_id}", what=what)


def address_of(request: HttpRequest) -> str:
    """Return the address of whoever asks, past the proxies that stand in front (PROXIES_IN_FRONT)."""
    told = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    road = [*told, request.META.get("REMOTE_ADDR", "")]
    claimed = road[max(0, len(road) - 1 - settings.PROXIES_IN_FRONT)]
    try:
        return str(ipaddress.ip_address(claimed))
    except ValueError:  # a unix socket, or nonsense from a proxy that is not there: they all share one count
        return "0.0.0.0"  # noqa: S104  no address is bound here


def _free_at(who: Q, limit: int) -> datetime | None:
    """Return when the oldest of the `limit` newest tries is forgotten; None when there are fewer."""
    newest = LoginTry.objects.filter(who).order_by("-tried_at").values_list("tried_at", flat=True)
    found = list(newest[limit - 1 : limit])
    return found[0] + WINDOW if found else None


def _database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")  # as Now() is
        now: datetime = cursor.fetchone()[0]
    return now


def _hash(name: str) -> str:
    """Return a name's hash, keyed: names are few enough to be guessed from a plain one."""
    return hashlib.sha256(f"{settings.SECRET_KEY}\0login\0{name.casefold()}".encode()).hexdigest()


def _lock_key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"login:{text}".encode()).digest()[:8], signed=True)
