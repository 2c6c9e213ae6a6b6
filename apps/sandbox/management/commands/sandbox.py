"""``manage.py sandbox``: a Mercado Livre to play with, on this machine."""

import os
import signal
import sqlite3
import threading
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from apps.sandbox.call import Json
from apps.sandbox.server import Sandbox


class Command(BaseCommand):
    """Listens until SIGTERM or Ctrl-C."""

    help = "Starts a server that behaves as Mercado Livre's seller API does."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Address, data folder, ready file, journal."""
        parser.add_argument("--port", type=int, default=8100, help="TCP port; 0 takes a free one (default 8100)")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument(
            "--data", type=Path, help="folder that keeps the state over restarts (default: memory only)"
        )
        parser.add_argument("--ready-file", type=Path, help="file that gets the base URL once it listens")
        parser.add_argument("--journal", type=Path, help="file of the calls received (default DATA/journal.jsonl)")

    def handle(self, *args: Json, **options: Json) -> None:
        """Run until told to stop.

        Raises: CommandError when the address is taken or a file cannot be written.
        """
        try:
            sandbox = Sandbox(options["host"], options["port"], options["data"], options["journal"])
        except (OSError, OverflowError, sqlite3.Error) as error:
            raise CommandError(
                _(
                    "The sandbox could not start at %(host)s:%(port)s: %(error)s. Choose another --port (0 takes a"
                    " free one) and a --data folder that can be written and that no other sandbox uses."
                )
                % {"host": options["host"], "port": options["port"], "error": error}
            ) from error
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_signal: stop.set())
        signal.signal(signal.SIGINT, lambda *_signal: stop.set())
        with sandbox:
            self.stdout.write(_("Sandbox at %(url)s (controls at %(url)s/sandbox)") % {"url": sandbox.url})
            self.stdout.flush()
            if options["ready_file"]:
                write_whole(options["ready_file"], sandbox.url + "\n")
            stop.wait()


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
