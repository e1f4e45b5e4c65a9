"""One API call that the daemon carries: the body out in pieces, the answer back as it comes."""

import io
import os
import time
from collections.abc import Iterable, Iterator
from stat import S_ISREG
from typing import BinaryIO, Final, Self

from msgspec.structs import replace

from aixtiv import failures
from aixtiv.connection import Connection
from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import PIECE

Body = bytes | BinaryIO | Iterable[bytes] | None

_LENGTH: Final = "content-length"


class Relayed:
    """The answer: `status`, `headers`, and its bytes by iteration, undecoded. `trailers` are there at its end.

    `account` and `kind` say whose credential paid; `note` why it was not the first choice, a sentence. Closing it
    before its end cancels the call.
    """

    def __init__(self, connection: Connection, asked: requests.Relay, body: Body, first_byte: float | None) -> None:
        """Returns when the answer has begun. Raises what Client's methods raise."""
        self._connection = connection
        self._until = None if first_byte is None else time.monotonic() + first_byte
        self._patience = first_byte
        self._ended = False
        self.trailers: requests.Headers = ()
        try:
            self._send(asked, body)
            head = self._head()
        except BaseException:
            self.close()
            raise
        self.status = head.status
        self.headers = head.headers
        self.account = head.account
        self.kind = head.kind
        self.note = head.note

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next bytes. Raises Unreachable where the answer breaks off."""
        if self._ended:
            raise StopIteration
        try:
            reply = self._received()
        except BaseException:
            self.close()
            raise
        self._until = None
        if isinstance(reply, replies.Piece):
            return reply.data
        self._ended = True
        self.close()
        if not isinstance(reply, replies.End):
            raise failures.NotUnderstood("the daemon's answer is not one this client knows")
        self.trailers = reply.trailers
        raise StopIteration

    def read(self) -> bytes:
        """All that is left."""
        return b"".join(self)

    def _head(self) -> replies.Head:
        head = self._received()
        if not isinstance(head, replies.Head):
            raise failures.NotUnderstood("the daemon's answer is not one this client knows")
        return head

    def _received(self) -> replies.Reply:
        left = None if self._until is None else max(0.001, self._until - time.monotonic())
        while True:
            try:
                reply = self._connection.receive(left, skip_news=True)
            except failures.NoAnswer:
                raise failures.Unreachable(
                    f"the API did not begin to answer within {self._patience:.0f} seconds", code="timeout", retry=True
                ) from None
            if isinstance(reply, replies.Failure):
                raise failures.raised(reply)
            if isinstance(reply, replies.Told):
                return reply

    def _send(self, asked: requests.Relay, body: Body) -> None:
        size = _size(body)
        pieces = _pieces(body)
        data, following = next(pieces, b""), next(pieces, None)
        size = len(data) if following is None else size
        if size and all(name.lower() != _LENGTH for name, _ in asked.headers):
            asked = replace(asked, headers=(*asked.headers, (_LENGTH, str(size))))
        message: requests.Relay | requests.Piece = replace(asked, body=data, more=following is not None)
        while True:
            try:
                self._connection.send(message, None)
            except failures.NoDaemon:
                if self._connection.stale():  # it says why
                    return
                raise
            # An answer that comes before the body has gone is all there will be: the rest would be dropped.
            if following is None or self._connection.stale():
                return
            data, following = following, next(pieces, None)
            message = requests.Piece(data=data, more=following is not None)


def _pieces(body: Body) -> Iterator[bytes]:
    """The body in pieces of PIECE bytes at most, none empty."""
    if isinstance(body, bytes):
        body = io.BytesIO(body)
    if body is None:
        return
    if isinstance(body, io.IOBase) or hasattr(body, "read"):
        while piece := body.read(PIECE):
            yield piece
        return
    for part in body:
        for at in range(0, len(part), PIECE):
            yield part[at : at + PIECE]


def _size(body: Body) -> int:
    """Bytes of the whole, where that is known before it is read; else 0: it is sent chunked."""
    if isinstance(body, bytes):
        return len(body)
    if not isinstance(body, io.IOBase):
        return 0
    try:
        found = os.fstat(body.fileno())
        return found.st_size - body.tell() if S_ISREG(found.st_mode) else 0
    except OSError:  # what has no descriptor, or is no file
        return 0
