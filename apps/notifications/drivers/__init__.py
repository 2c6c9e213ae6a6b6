"""How a message leaves the hub: one driver per medium, a class named by its dotted path in the settings.

A driver of one's own (an SMS gateway, a WhatsApp provider) is a class without arguments that has `send(message)`. It
returns when the other side took the message and raises `NotSent` when it did not. HTTP goes through
`apps.common.http.request`, which gives a call its budget and logs nothing of what was said.
"""

from dataclasses import dataclass, field
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string


@dataclass(frozen=True, slots=True)
class Message:
    """What is said to whom.

    key: names the notification, the same in each try. A driver hands it on, so that whoever can, drops a repeat.
    to: an e-mail address, or a phone number as the channel wrote it. Personal, like the texts: never log them.
    """

    key: str
    medium: str
    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)


class NotSent(Exception):
    """The message was not taken.

    code: stable, for the log and the table of advice: `mail_timeout`, `mail_refused`, `no_phone` …
    is_permanent: trying again cannot help.
    detail: a few words without anything personal, such as `SMTP 550`.
    """

    def __init__(self, code: str, *, is_permanent: bool, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.is_permanent = is_permanent
        self.detail = detail


class Driver(Protocol):
    """What every driver has."""

    def send(self, message: Message) -> None:
        """Hand the message over. Raises NotSent."""


def driver_of(medium: str) -> Driver:
    """Return the driver that the settings name for a medium. Raises NotSent `no_driver` when they name none."""
    path = settings.NOTIFICATION_DRIVERS.get(medium, "")
    if not path:
        raise NotSent("no_driver", is_permanent=True, detail=medium)
    driver: Driver = import_string(path)()
    return driver
