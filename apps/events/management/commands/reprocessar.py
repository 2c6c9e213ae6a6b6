import uuid
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from apps.common.commands import SaldoCommand
from apps.events import bulk, plans
from apps.events.models import IntegrationEvent, Reprocess
from apps.events.reprocess import reprocess
from apps.tenants.lookup import tenant_named
from apps.tenants.models import Tenant

ACTOR = "command:reprocessar"
AT_ONCE_MAX = 500
"""More are a job: taken in batch by batch, so that what the channels tell meanwhile keeps its turn."""

CHOICES = ("ids", "tenant", "connector", "status", "since", "until")


class Command(SaldoCommand):
    help = (
        "Send events through the inbox again: by id, status, period, connector. No effect happens twice. More than 500"
        " become jobs that workers take on batch by batch; the console shows how far they are. With --dry-run"
        " only a plan is made, of every row that would change; --apply PLAN then does exactly that, or nothing."
    )

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, help="event ids")
        parser.add_argument("--tenant", help="only this tenant's events")
        parser.add_argument("--connector", type=int, help="only events of this connector, by its id")
        parser.add_argument("--status", action="append", choices=IntegrationEvent.Status.values)
        parser.add_argument("--since", help="received at or after this moment, such as 2026-11-22T08:00:00-03:00")
        parser.add_argument("--until", help="received before this moment")
        parser.add_argument("--reason", default="", help="why, for the audit")
        parser.add_argument("--dry-run", action="store_true", help="change nothing; keep and show the plan")
        parser.add_argument("--apply", metavar="PLAN", help="do what a plan says, if it still holds")

    def run(self, **options: Any) -> dict[str, Any]:
        if options["apply"]:
            if options["dry_run"] or any(options[name] for name in CHOICES):
                raise CommandError("A plan names its events itself: use --apply alone. Nothing was done.")
            return self._apply(options["apply"])
        events = _chosen(options)
        if options["dry_run"]:
            return self._plan(events, options["reason"])
        if events.count() > AT_ONCE_MAX:
            return self._jobs(events, options["reason"])
        return {"reprocessed": reprocess(events, actor=ACTOR, reason=options["reason"])}

    def _jobs(self, events: QuerySet[IntegrationEvent], reason: str) -> dict[str, Any]:
        """Hand many to the workers, a job a tenant, as the console does; whoever is at the shell needs no second."""
        made: list[dict[str, Any]] = []
        tenants = Tenant.objects.filter(pk__in=events.order_by().values("tenant_id"))
        for tenant in tenants:
            try:
                job = bulk.plan_events(tenant, events, actor=ACTOR, includes_done=True)
            except bulk.CannotPlan as refusal:
                raise CommandError(
                    f"Too many of {tenant.slug} at once ({refusal.code}); choose a shorter period. {len(made)} jobs of"
                    " other tenants were begun."
                ) from None
            bulk.confirm(job, actor=ACTOR, plan_hash=job.plan_hash, reason=reason or "reprocessar", typed=job.count)
            row = Reprocess.objects.get(pk=job.pk)
            if row.status == Reprocess.Status.APPROVAL:
                bulk.approve(row, actor=f"{ACTOR}:shell")
            made.append({"job": str(job.pk), "tenant": tenant.slug, "events": job.count})
        return {"jobs": made}

    def _plan(self, events: QuerySet[IntegrationEvent], reason: str) -> dict[str, Any]:
        try:
            row = plans.plan(events, actor=ACTOR, reason=reason, on_progress=self._progress())
        except plans.CannotPlan as refusal:
            raise CommandError(f"There is no plan: {refusal}. Nothing was changed.") from None
        return {"plan": str(row.pk), "events": row.count, **(row.plan or {})}

    def _apply(self, name: str) -> dict[str, Any]:
        try:
            row = Reprocess.objects.get(pk=uuid.UUID(name), plan__isnull=False)
        except (ValueError, Reprocess.DoesNotExist):
            raise CommandError(f"There is no plan {name!r}; --dry-run makes one. Nothing was changed.") from None
        try:
            changed = plans.apply(row, actor=ACTOR, on_progress=self._progress())
        except (plans.CannotPlan, plans.WorldMoved) as refusal:
            raise CommandError(f"The plan was not applied: {refusal}. Make a new one with --dry-run.") from None
        return {"applied": str(row.pk), "events": row.count, "changes": changed}

    def _progress(self) -> Callable[[int, int], None]:
        def tell(done: int, of: int) -> None:
            if done == of or done % 25 == 0:
                self.stderr.write(f"read {done} of {of} orders")

        return tell

    def say(self, result: dict[str, Any]) -> None:
        """Print a line for each row that changes, or would."""
        for change in result.pop("changes", []):
            self.stdout.write(f"{change['change']} {change['table']} {change['row']}: {_columns(change)}")
        super().say(result)


def _columns(change: dict[str, Any]) -> str:
    before, after = change["before"], change["after"]
    if change["change"] == "update":
        return ", ".join(f"{name} {before[name]!r} -> {after[name]!r}" for name in after)
    return ", ".join(f"{name} {value!r}" for name, value in (before or after).items() if value not in (None, ""))


def _chosen(options: dict[str, Any]) -> QuerySet[IntegrationEvent]:
    if not any(options[name] for name in CHOICES):
        raise CommandError(
            "Say which events: ids, --tenant, --connector, --status, --since or --until. Nothing was done."
        )
    events = IntegrationEvent.objects.all()
    if options["ids"]:
        events = events.filter(pk__in=options["ids"])
    if options["tenant"]:
        events = events.filter(tenant=tenant_named(options["tenant"]))
    if options["connector"]:
        events = events.filter(connector_id=options["connector"])
    if options["status"]:
        events = events.filter(status__in=options["status"])
    for name, lookup in (("since", "received_at__gte"), ("until", "received_at__lt")):
        if options[name]:
            events = events.filter(**{lookup: _moment(name, options[name])})
    if not events.exists():
        raise CommandError("No event is like that; nothing was reprocessed.")
    return events


def _moment(name: str, text: str) -> object:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"--{name} {text!r} is not a moment with a zone, such as 2026-11-22T08:00:00-03:00.")
    return moment
