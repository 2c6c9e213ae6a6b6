"""A driver that sends nothing: it writes each message as a line of JSON, for development and for trying a counter out.

The lines hold phone numbers, so only the hub's own user may read the file. Under `scripts/up` it is
`$SALDO_DATA/notifications/<medium>.jsonl`.
"""

import json
import os

from django.conf import settings

from apps.notifications.drivers import Message, NotSent


class FileDriver:
    """Appends to settings.NOTIFICATION_FOLDER / <medium>.jsonl."""

    def send(self, message: Message) -> None:
        """Write one line, whole and on disk. Raises NotSent when the folder cannot be written to."""
        line = {"key": message.key, "to": message.to, "subject": message.subject, "text": message.text}
        path = settings.NOTIFICATION_FOLDER / f"{message.medium.lower()}.jsonl"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # one write in append mode: lines of two workers do not mix
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, json.dumps(line, ensure_ascii=False).encode() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as failure:
            raise NotSent("file_unwritable", is_permanent=False, detail=type(failure).__name__) from None
