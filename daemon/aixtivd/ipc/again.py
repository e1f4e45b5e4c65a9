"""What one caller asks again and again, byte by byte: not read anew each time. Whether it is answered is asked anew."""

from typing import Final

from aixtiv_protocol.codec import Mode
from aixtiv_protocol.requests import Token
from aixtivd.access.caller import Caller
from aixtivd.ipc.dispatch import Dispatch, Known

_MOST: Final = 4  # messages: of a program that asks for the tokens of some accounts in turn
_LONGEST: Final = 512  # bytes of one


class Again:
    """The messages of which a conversation has consisted lately, as long as they were for tokens that were in memory.

    Anything else that is said ends that, and nothing is known any more. So where a message is known, nothing is
    outstanding: no request, no stream, no body, and no message that is not whole.
    """

    __slots__ = ("_again", "_answered", "_known")

    def __init__(self, dispatch: Dispatch) -> None:
        self._again = dispatch.again
        self._known: dict[bytes, Known] = {}
        self._answered: Known | None = None  # since `answer` was asked last

    def answer(self, data: bytes) -> bytes | None:
        """To these bytes, encoded. None: they have to be read."""
        known = self._known.get(data)
        if known is not None and (answer := self._again(known)) is not None:
            return answer
        self._answered = None
        return None

    def note(self, asked: Token, caller: Caller, mode: Mode) -> None:
        """That was answered at once: so it held no ticket, which is a secret and must not stay here."""
        self._answered = Known(asked, caller, mode)

    def learn(self, data: bytes, *, alone: bool) -> None:
        """These bytes were read. `alone`: they were one message and nothing more."""
        answered = self._answered
        if answered is None or not alone or len(data) > _LONGEST:
            self._known.clear()
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[data] = answered

    def forget(self) -> None:
        self._known.clear()
        self._answered = None
