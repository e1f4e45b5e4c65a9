"""How the library asks: on a kept connection, and once more where what it asked was not heard."""

from collections.abc import Callable
from typing import Final, Self

from aixtiv import failures, place
from aixtiv.connection import Connection
from aixtiv.stream import R, Stream, expected
from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.secret import Secret

GRACE: Final = 10.0  # seconds beyond a request's own `wait` until the daemon is taken for dead

_CHANGE_NOTHING: Final = (
    requests.Hello,
    requests.Token,
    requests.Accounts,
    requests.Status,
    requests.Verify,
    requests.Generations,
    requests.Tickets,
    requests.Usage,
    requests.Examine,
    requests.Metrics,
    requests.Explain,
    requests.KeyCheck,
)
"""What may be asked a second time although it may have been heard the first time. A token is only read, and the one
refresh that several callers wait for is the daemon's: asking twice spends nothing."""


class Talking:
    """What every method of `Client` stands on."""

    def __init__(
        self, path: str = "", *, start: bool = False, say: Callable[[str], None] | None = None, agent: str = ""
    ) -> None:
        self._path = path or place.socket()
        self._start = start
        self._say = say or _silently
        self._agent = agent
        self._connection: Connection | None = None
        self._welcome: replies.Welcome | None = None  # what the daemon said of itself
        self._greets = False  # with the first request of each conversation goes a hello

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _ask(self, request: requests.Request, *kinds: type[R], seconds: float = GRACE) -> R:
        """Once more, of whoever listens there now, where the daemon ended the conversation before it had begun with it.

        Safe for every request where it was not heard (NotHeard), or the daemon says that it does not begin with it
        (`busy`, to be asked again at once). Where it may have been heard (HungUp), only for what changes nothing.
        """
        try:
            return self._asked(request, kinds, seconds)
        except failures.NotHeard:
            pass
        except failures.HungUp:
            if not isinstance(request, _CHANGE_NOTHING):
                raise
        except failures.AixtivError as error:
            if error.code != "busy" or not error.retry or error.retry_after:
                raise
            self.close()
        return self._asked(request, kinds, seconds)

    def _asked(self, request: requests.Request, kinds: tuple[type[R], ...], seconds: float) -> R:
        connection = self._connected()
        try:
            reply = self._replied(connection, request, seconds)
        except BaseException:
            self.close()  # an answer that comes late must not be taken for the next one's
            raise
        try:
            return expected(reply, *kinds)
        except failures.NotUnderstood as error:
            raise self._too_old(request, error) from None

    def _replied(
        self, connection: Connection, request: requests.Request, seconds: float
    ) -> replies.Reply | Secret | None:
        if not self._greets or connection.greeted:
            connection.send(request)
            return connection.receive(seconds)
        connection.greeted = True
        connection.send(*self._hello(), request)
        reply = connection.receive(seconds)
        if not isinstance(reply, replies.Welcome):  # it has one thing to say to everybody: that it is full, perhaps
            return reply
        self._welcomed(reply)
        return connection.receive(seconds)

    def _welcomed(self, welcome: replies.Welcome) -> None:
        self._welcome = welcome

    def _hello(self) -> tuple[requests.Hello, ...]:
        """What goes before the first request of a conversation, in one journey with it."""
        return (requests.Hello(client=VERSION, agent=self._agent),) if self._greets else ()

    def _connected(self) -> Connection:
        if self._connection and self._connection.stale():
            self.close()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> Connection:
        try:
            return Connection(self._path)
        except failures.NotRunning:
            from aixtiv import start  # noqa: PLC0415  # seldom needed

            if not self._start:
                raise failures.NotRunning(hint=start.how()) from None
        start.start(self._path, self._say)
        return Connection(self._path)

    def _stream(self, request: requests.Request, kinds: tuple[type[R], ...]) -> Stream[R]:
        """On a conversation of its own."""
        try:
            return Stream(self._begun(request), kinds, self._welcomed)
        except failures.NotHeard:  # as in `_ask`
            return Stream(self._begun(request), kinds, self._welcomed)

    def _begun(self, request: requests.Request) -> Connection:
        connection = self._connect()
        try:
            connection.send(*self._hello(), request)
        except BaseException:
            connection.close()
            raise
        return connection

    def _too_old(self, request: requests.Request, error: failures.AixtivError) -> failures.AixtivError:
        """Where the daemon is of another version, that is the better sentence."""
        try:
            with Connection(self._path) as connection:
                connection.send(requests.Hello(client=VERSION))
                welcome = expected(connection.receive(GRACE), replies.Welcome)
        except failures.AixtivError:
            return error
        if welcome.version == VERSION:
            return error
        asked = type(request).__struct_config__.tag
        return failures.NotUnderstood(
            f"daemon {welcome.version} does not understand `{asked}` of this command, which is {VERSION}",
            hint=renewing(welcome),
        )


def renewing(welcome: replies.Welcome) -> str:
    """The command that makes of that daemon the one that is installed; the older ones can only be ended."""
    return "aixtiv service restart" if "restart" in welcome.ops else "aixtiv stop"


def _silently(sentence: str) -> None:
    """Whoever uses the library has a stderr of their own."""
