"""Names of the people behind actors (`user:7`), for pages."""

import re
from collections.abc import Iterable

from django.http import HttpRequest

from apps.tenants import access
from apps.tenants.models import Membership


def people_named(request: HttpRequest, actors: Iterable[str]) -> dict[str, str]:
    """Return the names of those actors that are people of this tenant."""
    ids = {int(found[1]) for actor in actors if (found := re.fullmatch(r"user:(\d{1,18})", actor))}
    colleagues = Membership.objects.filter(user_id__in=ids).select_related("user")
    people = [colleague.user for colleague in access.owned(request, colleagues)] if ids else []
    return {f"user:{person.pk}": person.get_full_name() or person.get_username() for person in people}
