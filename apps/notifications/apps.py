from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "apps.notifications"
    verbose_name = _("Notifications")


@checks.register
def drivers_exist(app_configs: Any, **options: Any) -> list[checks.CheckMessage]:
    """Refuse to start with a driver that cannot be imported: it would be found out with the first order."""
    errors: list[checks.CheckMessage] = []
    for channel, path in settings.NOTIFICATION_DRIVERS.items():
        try:
            if path:
                import_string(path)
        except ImportError as error:
            hint = "Name a class as package.module.Class; apps/notifications/drivers says what it must have."
            text = f"NOTIFICATION_{channel}_DRIVER names no driver: {error}"
            errors.append(checks.Error(text, hint=hint, id="notifications.E001"))
    return errors
