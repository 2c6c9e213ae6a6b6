"""The WSGI door: `granian --interface wsgi config.wsgi:application`."""

import os
import platform

from django.core.wsgi import get_wsgi_application

from apps.console.answer_times import timed

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = timed(get_wsgi_application(), f"web:{platform.node()}:{os.getpid()}")
