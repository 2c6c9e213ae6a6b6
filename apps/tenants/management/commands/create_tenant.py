from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.utils.text import slugify

from apps.common.commands import SaldoCommand
from apps.tenants.models import Membership, Tenant


class Command(SaldoCommand):
    help = "Make a tenant, and optionally a person who administers it."

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help='the business\'s name, such as "Loja da Ana"')
        parser.add_argument("--name", dest="name_option", help="the same, as an option")
        parser.add_argument("--slug", help="short name for addresses and commands; made from the name by default")
        parser.add_argument("--time-zone", help="such as America/Sao_Paulo, the default")
        parser.add_argument("--user", help="login name of a person to make administrator; created when unknown")
        parser.add_argument("--password", help="for a new person; without it they cannot log in yet")

    @transaction.atomic
    def run(self, **options: Any) -> dict[str, Any]:
        name = options["name_option"] or options["name"]
        if not name:
            raise CommandError('Give the tenant a name: create_tenant "Loja da Ana".')
        tenant = Tenant(name=name, slug=options["slug"] or slugify(name)[:50])
        if options["time_zone"]:
            tenant.time_zone = options["time_zone"]
        try:
            tenant.full_clean()
        except ValidationError as error:
            raise CommandError(f"The tenant was not made: {'; '.join(error.messages)}") from None
        tenant.save()
        result: dict[str, Any] = {"tenant": tenant.slug, "id": tenant.pk, "name": tenant.name}
        if options["user"]:
            user = _person(options["user"], options["password"])
            Membership.objects.create(tenant=tenant, user=user, role=Membership.Role.ADMIN)
            result["user"] = user.username
        return result


def _person(name: str, password: str | None) -> User:
    """Return the person with this login name, made with the password when new."""
    user = User.objects.filter(username=name).first()
    if user and password:
        raise CommandError(f"{name} has a login already: leave --password out. No tenant was made.")
    if user:
        return user
    user = User(username=name)
    try:
        if password:
            validate_password(password, user)
        user.set_password(password)  # None: no password works
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        raise CommandError(f"The person was not made, nor the tenant: {'; '.join(error.messages)}") from None
    user.save()
    return user
