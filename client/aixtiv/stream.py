"""What the daemon tells one after the other, and the one place where a reply is the expected one or raises."""

from collections.abc import Callable, Iterator
from typing import Generic, Self, TypeVar

from aixtiv import failures
from aixtiv.connection import Connection
from aixtiv_protocol import replies
from aixtiv_protocol.secret import Secret

R = TypeVar("R", bound=replies.Reply)


class Stream(Generic[R]):
    """What the daemon tells one after the other, on a conversation of its own. Closing it stops only the listening."""

    def __init__(
        self, connection: Connection, kinds: tuple[type[R], ...], welcomed: Callable[[replies.Welcome], None]
    ) -> None:
        """`welcomed`: told what the daemon says of itself, where it was greeted."""
        self._connection = connection
        self._kinds = kinds
        self._welcomed = welcomed

    def __iter__(self) -> Iterator[R]:
        return self

    def __next__(self) -> R:
        try:
            item = self._item()
        except failures.AixtivError:
            self.close()
            raise
        if item is None:
            self.close()
            raise StopIteration
        return item

    def _item(self) -> R | None:
        """The next item; None at the end."""
        while (reply := self._connection.receive(None, skip_news=True)) is None or isinstance(reply, replies.Welcome):
            if reply is not None:
                self._welcomed(reply)
        return None if isinstance(reply, replies.End) else expected(reply, *self._kinds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def fileno(self) -> int:
        """For `select`."""
        return self._connection.fileno()


def expected(reply: replies.Reply | Secret | None, *kinds: type[R]) -> R:
    if isinstance(reply, kinds):
        return reply
    if isinstance(reply, replies.Failure):
        raise failures.raised(reply)
    raise failures.NotUnderstood("the daemon's answer is not one this client knows")
