from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class EventsConfig(AppConfig):
    name = "apps.events"
    verbose_name = _("Events")

    def ready(self) -> None:
        """Let the sync hear of orders before it tells a number (ADR 0013)."""
        from apps.events.ahead import UnreadOrders
        from apps.sync import in_flight

        in_flight.register(UnreadOrders())
