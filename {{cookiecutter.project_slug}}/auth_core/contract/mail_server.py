"""A mail server on loopback that keeps what it accepts, and fails as a test tells it to."""

import email
import email.policy
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@dataclass
class MailServer:
    # Asked with each mail, before it is accepted; False drops the connection instead.
    accepts: Callable[[], bool] = lambda: True
    # All that came in whole, and those that were accepted.
    seen: list[EmailMessage] = field(default_factory=list)
    accepted: list[EmailMessage] = field(default_factory=list)

    def recipients(self) -> list[str]:
        return sorted(str(message["To"]) for message in self.accepted)

    @contextmanager
    def listening(self, port: int) -> Iterator[None]:
        handler = type("Session", (_Session,), {"mails": self})
        with _Server(("127.0.0.1", port), handler) as server:
            threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
            try:
                yield
            finally:
                server.shutdown()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


class _Session(socketserver.StreamRequestHandler):
    """SMTP (RFC 5321) as far as a client that behaves needs it."""

    mails: MailServer

    def handle(self) -> None:
        self.say("220 ready")
        while line := self.rfile.readline():
            command = line[:4].upper()
            if command == b"DATA":
                self.say("354 go on")
                data = b"".join(iter(self.rfile.readline, b".\r\n"))
                message = email.message_from_bytes(data, policy=email.policy.default)
                self.mails.seen.append(message)
                if not self.mails.accepts():
                    return
                self.mails.accepted.append(message)
            self.say("221 bye" if command == b"QUIT" else "250 OK")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
