"""A mail server for tests: real SMTP on a socket, which keeps what it is given and refuses what it is told to."""

import base64
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailServer:
    """Answers each step as `answer(step)` says: an SMTP reply, or "" for the usual one.

    Steps are `connect`, `AUTH`, `MAIL`, `RCPT` and `DATA` (the whole message was read). A reply that is None hangs up.
    """

    answer: Callable[[str], str | None] = lambda step: ""
    user: str = ""
    password: str = ""
    recipients: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        mailbox = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(ConnectionError, _HungUp):
                    mailbox._converse(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _converse(self, line: socketserver.StreamRequestHandler) -> None:
        def say(text: str) -> None:
            line.wfile.write(text.encode() + b"\r\n")

        def step(name: str, usual: str) -> bool:
            reply = self.answer(name)
            if reply is None:
                raise _HungUp
            say(reply or usual)
            return not reply

        if not step("connect", "220 mail.test ESMTP"):
            return
        while command := line.rfile.readline().decode().strip():
            verb = command.split()[0].upper()
            if verb == "EHLO":
                say("250-mail.test\r\n250-AUTH PLAIN\r\n250 8BITMIME")
            elif verb == "AUTH":
                given = base64.b64decode(command.split()[2]).decode().split("\0")[1:]
                is_known = given == [self.user, self.password]
                step("AUTH", "235 welcome" if is_known else "535 5.7.8 no")
            elif verb == "RCPT":
                if step("RCPT", "250 ok"):
                    self.recipients.append(command.partition(":")[2].split()[0].strip("<>"))
            elif verb == "DATA":
                say("354 go on")
                raw = b""
                while (part := line.rfile.readline()) != b".\r\n":
                    raw += part.removeprefix(b".") if part.startswith(b"..") else part
                mail = message_from_bytes(raw, policy=policy.default)
                if step("DATA", "250 taken"):
                    self.mails.append(mail)
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                step(verb, "250 ok")


class _HungUp(Exception):
    pass
