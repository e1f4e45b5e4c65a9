"""What one caller is sent: encoded, counted, and held back while the caller does not read."""

import asyncio
from typing import Final

import anyio

from aixtiv_protocol.codec import Inbox, encode_bare, encode_reply
from aixtiv_protocol.replies import AccessToken, HostToken, Reply, TicketMade
from aixtiv_protocol.secret import Secret

SECRET: Final = frozenset({AccessToken, HostToken, TicketMade, Secret})
"""Answers that must not lie here when the vault is locked."""


class Outbox:
    """`full` while the caller does not read fast enough: whoever makes answers waits for `room` after each."""

    __slots__ = ("_inbox", "_left", "_secret_to", "_transport", "_written", "full", "room")

    def __init__(self, transport: asyncio.Transport, inbox: Inbox, unread: int) -> None:
        transport.set_write_buffer_limits(high=unread)
        self._transport = transport
        self._inbox = inbox  # which knows whether the caller speaks frames or lines
        self._written = 0  # bytes given to the transport
        self._secret_to = 0  # of these, up to and with the last one of a secret
        self._left = 0  # bytes that had left it when last asked
        self.full = False
        self.room = anyio.Event()
        self.room.set()

    @property
    def open(self) -> bool:
        return not self._transport.is_closing()

    def send(self, answer: Reply | Secret) -> None:
        if self._transport.is_closing():
            return
        data = self._encoded(answer)
        self._written += len(data)
        if type(answer) in SECRET:
            self._secret_to = self._written
        self._transport.write(data)

    def send_token(self, data: bytes) -> None:
        """Of a caller whose bytes have just come, so that the transport is open: already encoded."""
        self._written += len(data)
        self._secret_to = self._written
        self._transport.write(data)

    def _encoded(self, answer: Reply | Secret) -> bytes:
        mode = self._inbox.mode or "lines"  # whoever spoke neither may be a person
        return encode_bare(answer, mode) if isinstance(answer, Secret) else encode_reply(answer, mode)

    def hold(self) -> None:
        self.full = True
        self.room = anyio.Event()

    def release(self) -> None:
        self.full = False
        self.room.set()

    @property
    def keeps_a_secret(self) -> bool:
        """Whether one has not left the daemon yet, or only in part."""
        return self._written - self._transport.get_write_buffer_size() < self._secret_to

    def moved(self) -> bool:
        """Whether the caller has read anything since this was asked last."""
        left = self._written - self._transport.get_write_buffer_size()
        moved, self._left = left > self._left, left
        return moved
