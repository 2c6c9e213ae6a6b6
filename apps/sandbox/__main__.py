"""The sandbox as a process: ``manage.py sandbox`` and ``python -m apps.sandbox``, with no settings and no Django."""

import argparse
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from apps.sandbox.server import Sandbox

HELP = "Starts a server that behaves as Mercado Livre's seller API does."


class CannotStart(Exception):
    """The address is taken or a file cannot be written; the text is for people."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument in one sentence, exit code 1, as everything else of Saldo does."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"{self.prog}: {message} (--help lists what it takes)\n")


def main(arguments: Sequence[str]) -> int:
    """Run the sandbox with these command-line arguments until SIGTERM or Ctrl-C; returns the exit code."""
    parser = _Parser(prog="manage.py sandbox", description=HELP)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        serve(**vars(options))
    except CannotStart as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 1
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Address, data folder, ready file, journal: the parameters of `serve`."""
    parser.add_argument("--port", type=tcp_port, default=8100, help="TCP port; 0 takes a free one (default 8100)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--data", type=Path, help="folder that keeps the state over restarts (default: memory only)")
    parser.add_argument("--ready-file", type=Path, help="file that gets the base URL once it listens")
    parser.add_argument("--journal", type=Path, help="file of the calls received (default DATA/journal.jsonl)")


def tcp_port(text: str) -> int:
    """Return the number of a TCP port; anything else is refused with a sentence."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no TCP port: use a number from 0 to 65535; 0 takes a free one")
    return int(text)


def serve(host: str, port: int, data: Path | None, journal: Path | None, ready_file: Path | None) -> None:
    """Listen until SIGTERM or Ctrl-C. Call it from the main thread, which alone receives signals.

    Raises: CannotStart when the address is taken or a file cannot be written.
    """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_signal: stop.set())
    signal.signal(signal.SIGINT, lambda *_signal: stop.set())
    try:
        with Sandbox(host, port, data, journal) as sandbox:
            sys.stdout.write(f"Sandbox at {sandbox.url} (controls at {sandbox.url}/sandbox)\n")
            sys.stdout.flush()
            if ready_file is not None:
                write_whole(ready_file, sandbox.url + "\n")
            stop.wait()
    except (OSError, sqlite3.Error) as error:
        raise CannotStart(
            f"The sandbox could not start at {host}:{port}: {error}. Choose another --port (0 takes a free one), and"
            " files and a --data folder that can be written and that no other sandbox uses."
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
