"""Makes ``manage.py sandbox`` exist; the app has no models."""

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """Label ``sandbox``; nothing else is registered."""

    name = "apps.sandbox"
    label = "sandbox"
