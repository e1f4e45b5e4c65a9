"""One API call that the daemon carries: the body out in pieces, the answer back as it comes."""

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from stat import S_ISREG
from typing import BinaryIO, Final, Self

from msgspec.structs import replace

from aixtiv import failures
from aixtiv.connection import Connection, encoded
from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import PIECE

Body = bytes | BinaryIO | Iterable[bytes] | None

_LENGTH: Final = "content-length"


class Relayed:
    """The answer: `status`, `headers`, and its bytes by iteration, undecoded. `trailers` are there at its end.

    `account` and `kind` say whose credential paid, `own` that it was the key given with the call, and `note` why it was
    not the first choice, a sentence. Closing it before its end cancels the call. A body that is not gone yet when the
    answer begins is sent on while that is read.
    """

    def __init__(
        self,
        connection: Connection,
        asked: requests.Relay,
        body: Body,
        first_byte: float | None,
        hello: tuple[requests.Hello, ...],
        welcomed: Callable[[replies.Welcome], None],
    ) -> None:
        """Returns when the answer has begun. Raises what Client's methods raise.

        `hello`: goes before the call; `welcomed` is told the answer to it.
        """
        self._connection = connection
        self._welcomed = welcomed
        self._patience = first_byte
        self._until: float | None = None
        self._be_patient()
        self._ended = False
        self.trailers: requests.Headers = ()
        try:
            self._upload: _Upload | None = _Upload(asked, body, hello)
            head = self._head()
        except BaseException:
            self.close()
            raise
        self.status = head.status
        self.headers = head.headers
        self.account = head.account
        self.kind = head.kind
        self.note = head.note
        self.own = head.own

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def cut(self) -> None:
        """Ends the call from another thread: whoever reads its answer hears NoDaemon."""
        self._connection.cut()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next bytes. Raises Unreachable where the answer breaks off."""
        if self._ended:
            raise StopIteration
        try:
            reply = self._received()
        except failures.NoDaemon:
            self.close()
            raise failures.NoDaemon(
                "the daemon ended in the middle of the answer, which is not whole", hint="aixtiv status"
            ) from None
        except BaseException:
            self.close()
            raise
        self._until = self._patience = None
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

    def beginning(self, most: int) -> bytes:
        """The first of it, at most a piece more than `most` bytes: of a refusal that is all that has any sense."""
        body = bytearray()
        for piece in self:
            body += piece
            if len(body) > most:
                break
        return bytes(body)

    def _head(self) -> replies.Head:
        head = self._received()
        if not isinstance(head, replies.Head):
            raise failures.NotUnderstood("the daemon's answer is not one this client knows")
        return head

    def _received(self) -> replies.Reply:
        """The daemon's next word; until it comes, as much of the body goes out as is taken."""
        while True:
            try:
                self._send_until_told()
                reply = self._connection.receive(self._left(), skip_news=True)
            except failures.NoAnswer:
                sentence = f"the API did not begin to answer within {self._patience or 0:.0f} seconds"
                raise failures.Unreachable(sentence, code="timeout", retry=True) from None
            if isinstance(reply, replies.Failure):
                raise failures.raised(reply)
            if isinstance(reply, replies.Welcome):
                self._welcomed(reply)
            elif isinstance(reply, replies.Told):
                return reply

    def _send_until_told(self) -> None:
        """Both ways are watched: where an answer is large and early, the daemon may take no more before it is read."""
        while self._upload is not None:
            told, takes = self._connection.ready(self._left())
            if told:
                return
            try:
                if takes and not self._upload.step(self._connection):
                    self._upload = None
            except failures.NoDaemon:  # what it said last may say why
                self._upload = None
            self._be_patient()

    def _be_patient(self) -> None:
        """The time to begin an answer counts from the last byte that was taken."""
        self._until = None if self._patience is None else time.monotonic() + self._patience

    def _left(self) -> float | None:
        return None if self._until is None else max(0.001, self._until - time.monotonic())


class _Upload:
    """A body on its way out, and the request before it: what is read of it is one piece ahead of what was taken."""

    def __init__(self, asked: requests.Relay, body: Body, hello: tuple[requests.Hello, ...]) -> None:
        size = _size(body)
        self._pieces = _pieces(body)
        data, self._following = next(self._pieces, b""), next(self._pieces, None)
        size = len(data) if self._following is None else size
        if size and all(name.lower() != _LENGTH for name, _ in asked.headers):
            asked = replace(asked, headers=(*asked.headers, (_LENGTH, str(size))))
        call = encoded(replace(asked, body=data, more=self._following is not None))
        self._pending = memoryview(b"".join(map(encoded, hello)) + call)

    def step(self, connection: Connection) -> bool:
        """Sends what is taken at once. False: that was all."""
        self._pending = self._pending[connection.send_some(self._pending) :]
        if self._pending:
            return True
        if self._following is None:
            return False
        data, self._following = self._following, next(self._pieces, None)
        self._pending = memoryview(encoded(requests.Piece(data=data, more=self._following is not None)))
        return True


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
