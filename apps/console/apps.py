from celery.signals import task_postrun
from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "apps.console"
    verbose_name = _("Console")

    def ready(self) -> None:
        """Have each sign-in count as a proof of who it is, and workers give signs of life."""
        from apps.console import proofs, pulse  # they need the models, which are not there before

        user_logged_in.connect(proofs.remember, dispatch_uid="proofs.remember")
        task_postrun.connect(pulse.worker_ended_a_task)
