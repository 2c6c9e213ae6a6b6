"""JSON logs, one line an event, with the `traceId` that follows a sale from the webhook to the marketplace.

Log fields, never bodies, headers or secrets: `common/http.py` and the rooms name what they log one by one.
"""

import re
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET_ADDRESS = re.compile(r"(/notificacoes/)[\w-]+|(/ml/retorno/\?)\S+")


def hide_addresses(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cut the secret part out of addresses: whoever reads the log must not be able to post or authorise there."""
    for name, value in entry.items():
        if isinstance(value, str) and ("/notificacoes/" in value or "/ml/retorno/" in value):
            entry[name] = SECRET_ADDRESS.sub(r"\1\2…", value)
    return entry


REQUIRED_NAMES = {"trace_id": "traceId", "event_id": "eventId"}
"""The keys that follow a sale are spelt in the log as requirement 001 spells them, with `tenant` beside them."""


def spell_as_required(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give the keys of REQUIRED_NAMES the names that readers of the log look for."""
    for ours, theirs in REQUIRED_NAMES.items():
        if ours in entry:
            entry[theirs] = entry.pop(ours)
    return entry


SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    hide_addresses,
    spell_as_required,
]

structlog.configure(
    processors=[*SHARED_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            "foreign_pre_chain": SHARED_PROCESSORS,
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # A refused request is the caller's trouble; what matters of it is said by the view.
        "django.request": {"level": "ERROR"},
        # One line a request or task tick would drown what matters; our own lines say what happened.
        "django_structlog": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "django_celery_beat": {"level": "WARNING"},
        "django.server": {"level": "WARNING"},
    },
}
