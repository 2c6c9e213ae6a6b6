from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from apps.common.commands import SaldoCommand
from apps.subscribers import event_types, subscribing
from apps.tenants.lookup import tenant_named


class Command(SaldoCommand):
    help = "Tell an address of every movement from now on. Prints the signing secret, which is shown nowhere again."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="short name or id")
        parser.add_argument("--url", required=True, help="where the events are posted to")
        parser.add_argument("--event", action="append", default=[], help="a type or a beginning, inventory.reserve.*")
        parser.add_argument("--description", default="")

    def run(self, **options: Any) -> dict[str, Any]:
        if unknown := [pattern for pattern in options["event"] if not event_types.is_pattern(pattern)]:
            known = ", ".join(sorted(event_types.BY_NAME))
            raise CommandError(f"There is no event type like {unknown[0]!r}. Known: {known}. Nothing was changed.")
        try:
            subscriber, secret = subscribing.create(
                tenant_named(options["tenant"]),
                options["url"],
                event_types=options["event"],
                description=options["description"][:200],
            )
        except ValidationError as refusal:
            raise CommandError(" ".join(refusal.messages)) from None
        except subscribing.LifeError as refusal:
            raise CommandError(str(refusal)) from None
        return {"subscriber": str(subscriber.pk), "secret": secret}
