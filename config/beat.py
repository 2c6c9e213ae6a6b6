"""Beat's schedule in the database, where the admin shows and edits it."""

from typing import Any

from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from apps.console import pulse


class Scheduler(DatabaseScheduler):  # type: ignore[misc]  # the package ships no types
    """A database schedule that the code seeds and never overwrites: an operator's edit survives a restart."""

    def update_from_dict(self, mapping: dict[str, Any]) -> None:
        """Write only the entries that the database does not have yet."""
        known = set(PeriodicTask.objects.filter(name__in=mapping).values_list("name", flat=True))
        super().update_from_dict({name: entry for name, entry in mapping.items() if name not in known})

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, and give a sign of life now and then."""
        seconds: float = super().tick(*args, **kwargs)
        pulse.note_rarely("beat")
        return seconds
