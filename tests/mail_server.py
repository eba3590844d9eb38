"""A real mail server on loopback, and what has come to it."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """What a mail server on loopback has received."""

    def __init__(self, port: int) -> None:
        self.address = f"mailto://127.0.0.1:{port}?from=publisher@example.org&to=data@example.org"
        self.mails: list[Any] = []
        self.refuses = False

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        del server, session
        if self.refuses:
            return "451 try again later"
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    def new(self) -> list[tuple[str, list[str]]]:
        """Subject and lines of each mail since the last look."""
        said = [(str(mail["subject"]), mail.get_body(("plain",)).get_content().split("\n")) for mail in self.mails]
        self.mails.clear()
        return [(subject, [line.strip() for line in lines if line.strip()]) for subject, lines in said]


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A mail server on a port of its own, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    box = Mailbox(port)
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
