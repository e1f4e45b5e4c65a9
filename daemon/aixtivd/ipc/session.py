"""One caller's conversation: bytes in, requests answered in their order, bytes out, within bounds and deadlines.

A Protocol class, since stream objects cost three times as much (performance.md). A token that is in memory is answered
inside `data_received`; for anything else one task runs while there is something to answer, and ends with it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from math import inf
from typing import Final, cast

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace

from aixtiv_protocol.codec import Inbox, ProtocolError, decode_request
from aixtiv_protocol.replies import Failure
from aixtiv_protocol.requests import Piece, Relay, Request, Restore, Token
from aixtivd.access.caller import Caller
from aixtivd.access.peer import hung_up
from aixtivd.errors import Locked
from aixtivd.host.deadline import Deadline
from aixtivd.ipc.again import Again
from aixtivd.ipc.body import Body, Waiting
from aixtivd.ipc.dispatch import Dispatch, defect
from aixtivd.ipc.limits import Limits
from aixtivd.ipc.outbox import Outbox
from aixtivd.ipc.pouring import Pouring

STRAY = Failure(code="bad_request", message="a piece of a body came where no body is open")
LOCKED: Final = Locked("the vault was locked before that message was whole").failure()
HALF: Final = "the body was not whole when the caller's side was closed"


class Session(asyncio.Protocol):
    """`gone` is called once, when the connection is. `refusal`: this caller is one too many, and is only told so."""

    def __init__(
        self,
        dispatch: Dispatch,
        tasks: TaskGroup,
        limits: Limits,
        gone: Callable[["Session"], None],
        caller: Caller,
        refusal: Failure | None = None,
    ) -> None:
        self._dispatch = dispatch
        self._tasks = tasks
        self._limits = limits
        self._gone = gone
        self._caller = caller
        self._refusal = refusal
        self._inbox = Inbox()
        self._again = Again(dispatch)
        self._queue: deque[Waiting] = deque()
        self._scope: anyio.CancelScope | None = None  # of the task that answers, while it runs
        self._pouring = Pouring()
        self._filling: Body | None = None  # the one whose pieces come now, wherever its `relay` stands
        self._last: Failure | None = None  # said when everything before it is; nothing more is read
        self._reading = True
        self._half_closed = False  # the caller will say nothing more, but listens
        self._finishing = False
        self._connected = False
        self._begun_at = 0.0  # when the message began that is not whole yet; 0: none
        self._left_at = 0.0  # when the last Failure was said; 0: not yet

    # The event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._outbox = Outbox(self._transport, self._inbox, self._limits.unread)
        self._time = asyncio.get_running_loop().time
        self._heard_at = self._moved_at = self._looked_at = self._time()
        self._deadline = Deadline(asyncio.get_running_loop(), self._due, self._overdue)
        self._deadline.check()
        self._connected = True
        self._rest()  # the daemon may be stopping already

    def data_received(self, data: bytes) -> None:
        if self._last is not None or self._finishing:
            return  # read and thrown away, so that no reset overtakes the last answer
        self._heard_at = self._time()
        if (token := self._again.answer(data)) is not None:
            self._outbox.send_token(token)
            if self._outbox.full:
                self._read(wanted=False)
            return
        self._inbox.feed(data)
        self._take_all()
        self._again.learn(data, alone=self._inbox.alone)

    def eof_received(self) -> bool:
        """A half-close is not a hang-up: what is outstanding is answered first. True: the connection stays open."""
        self._half_closed = True
        if self._nobody_listens():
            self._transport.abort()
            return True
        if self._inbox.partial and self._reading and self._last is None:
            if self._inbox.mode == "lines":
                self.data_received(b"\n")  # `printf '{"op":"status"}' | nc -N -U`: a last line needs no newline
            else:
                self._end_with(Failure(code="bad_request", message="the last message ended half-way"))
        self._break_off(HALF)
        self._rest()
        self._looked_at = self._time()
        self._deadline.check()  # from now on a hang-up has to be looked for
        return True

    def pause_writing(self) -> None:
        self._outbox.hold()
        self._moved_at = self._looked_at = self._time()
        self._deadline.check()

    def resume_writing(self) -> None:
        self._outbox.release()
        if self._scope is None:
            self._read_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the reason changes nothing
        self._deadline.cancel()
        if self._scope is not None:
            self._scope.cancel()  # only this caller's waiting: the work itself is the accounts'
        self._gone(self)

    # The listener calls

    def finish(self) -> None:
        """Takes no new request; what is outstanding is answered, streams are ended, then the connection is closed.

        A relayed answer comes to its own end, unless its body is still on its way.
        """
        self._finishing = self._pouring.finishing = True
        self._pouring.look()
        self._rest()

    def locked(self) -> None:
        """The vault has been: nothing secret that this caller said, or has not read, stays here.

        What was not begun is refused in its turn. A message that is not whole, or found no room, ends the conversation,
        and so does, without a word, an answer with a secret that is not read.
        """
        if not self._connected:
            return
        self._again.forget()
        self._queue = deque(self._refused(waiting) for waiting in self._queue)
        self._begun_at, begun = 0.0, self._inbox.forget()
        if self._outbox.keeps_a_secret:
            self._transport.abort()
        elif begun and self._last is None and not self._finishing:
            self._end_with(LOCKED)
        else:
            self._read_on()

    def _refused(self, waiting: Waiting) -> Waiting:
        asked = waiting.asked
        if waiting.body is not None:
            waiting.body.drop()
        told = asked if isinstance(asked, Failure) else self._dispatch.too_late(asked, self._as_agent(asked))
        return Waiting(told, waiting.body)

    # Requests

    def _take_all(self) -> None:
        """Every whole request in the inbox, as far as the bounds allow; the rest waits there, and in the socket."""
        try:
            for body in self._inbox.bodies():
                self._begun_at = 0.0
                if self._refusal is not None:
                    self._end_with(self._refusal)
                    return
                self._take(body)
                if self._full():
                    self._read(wanted=False)
                    return
        except ProtocolError as error:
            self._end_with(self._dispatch.misunderstood(error))
            return
        if not self._reading:
            self._read(wanted=True)
        if not self._inbox.partial:
            self._begun_at = 0.0
        elif not self._begun_at:
            self._begun_at = self._heard_at
            self._deadline.check()

    def _take(self, message: bytes) -> None:
        try:
            asked: Request | Failure = decode_request(message, self._inbox.mode or "lines")
        except ProtocolError as error:
            if error.fatal:
                raise
            asked = self._dispatch.misunderstood(error)
        if self._filling is not None or type(asked) is Piece:
            self._take_into_body(asked)
        else:
            self._take_request(asked)

    def _take_request(self, asked: Request | Failure) -> None:
        if self._scope is None:
            answer = asked if isinstance(asked, Failure) else self._dispatch.at_once(asked, self._as_agent(asked))
            if answer is not None:
                self._outbox.send(answer)
                if type(asked) is Token and type(answer) is not Failure:
                    self._again.note(asked, self._caller, self._inbox.mode or "lines")
                return
            self._scope = anyio.CancelScope()
            self._tasks.start_soon(self._work, self._scope, name="session")
        self._queue.append(Waiting(asked, self._begun(asked) if isinstance(asked, Relay | Restore) else None))

    def _as_agent(self, asked: Request) -> Caller:
        if asked.agent != self._caller.agent:
            self._caller = replace(self._caller, agent=asked.agent)
        return self._caller

    def _full(self) -> bool:
        """Pieces are no requests: where an answer comes early, its body is read on although nobody reads the answer."""
        if self._filling is not None:
            return self._filling.full
        return self._outbox.full or len(self._queue) >= self._limits.queued

    # Bodies

    def _begun(self, asked: Relay | Restore) -> Body:
        body = Body(asked, self._limits.body, self._read_on)
        if asked.more:
            self._filling = body
            self._deadline.check()
        return body

    def _take_into_body(self, asked: Request | Failure) -> None:
        body = self._filling
        if body is None:
            self._take_request(STRAY)
        elif isinstance(asked, Failure):
            body.fail(asked.message)  # a broken piece; those after it are dropped
        elif type(asked) is Piece:
            body.feed(asked.data, more=asked.more)
            self._filling = body if asked.more else None
        else:
            self._break_off("another request came before the body was whole")
            self._take_request(asked)
        if body is not None and body.failure is not None:
            self._failed(body)

    def _break_off(self, sentence: str) -> None:
        """No piece comes any more."""
        body, self._filling = self._filling, None
        if body is not None:
            body.fail(sentence)
            self._failed(body)

    def _failed(self, body: Body) -> None:
        if body is self._pouring.body:
            self._pouring.look()  # what a cut body is answered with must not be taken for an answer

    def _read(self, *, wanted: bool) -> None:
        if wanted == self._reading or self._half_closed or not self._outbox.open:
            return
        self._reading = wanted
        if wanted:
            self._heard_at = self._time()  # the silence was ours
            self._transport.resume_reading()
        else:
            self._begun_at = 0.0  # it cannot become whole while we do not read
            self._looked_at = self._time()
            self._transport.pause_reading()
            self._deadline.check()

    def _read_on(self) -> None:
        """There is room again: first for what the inbox holds, then for what the socket does."""
        if not self._full() and self._last is None and not self._finishing:
            self._take_all()

    # Answers

    async def _work(self, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                while self._queue:
                    await self._answer(self._queue.popleft())
                    await self._outbox.room.wait()
                    self._read_on()
        except Exception as error:  # noqa: BLE001  # a defect ends this conversation, not the daemon
            defect(error)
            self._transport.abort()
        self._scope = None
        self._heard_at = self._time()
        if self._outbox.open:
            self._rest()
            self._deadline.check()

    async def _answer(self, waiting: Waiting) -> None:
        asked, body = waiting.asked, waiting.body
        if body is not None and body.failure is not None:
            asked = body.failure
        answer = (
            asked if isinstance(asked, Failure) else await self._dispatch.answer(asked, self._as_agent(asked), body)
        )
        if isinstance(answer, AsyncGenerator):
            async with aclosing(answer):
                await self._pouring.pour(answer, body, self._outbox)
        else:
            self._outbox.send(answer)
        if body is not None:
            body.drop()  # what still comes of it, nobody wants

    # The end

    def _end_with(self, failure: Failure) -> None:
        """What is outstanding is answered first; a stream, which may never end by itself, is ended for it."""
        self._last = failure
        self._pouring.closing = True
        self._break_off(failure.message)
        self._pouring.look()
        self._rest()
        if not self._left_at:
            self._read(wanted=False)

    def _rest(self) -> None:
        """With nothing outstanding, ends the conversation if it is time for that."""
        if not self._connected or self._scope is not None or not self._outbox.open:
            return
        if self._last is not None and not self._left_at:
            self._left_at = self._time()
            self._outbox.send(self._last)
            if not self._half_closed:
                # Closing with unread bytes in the socket would reset it, so the caller is left to close first.
                self._transport.write_eof()
                self._read(wanted=True)
                self._deadline.check()
                return
        if self._half_closed or self._finishing:
            self._transport.close()
            self._moved_at = self._looked_at = self._time()
            self._deadline.check()

    # Deadlines

    def _due(self) -> float:
        if self._left_at:
            return self._left_at + self._limits.farewell
        if self._outbox.full or not self._outbox.open:
            return self._looked_at + self._limits.stuck / 4
        if self._begun_at:
            return self._begun_at + self._limits.message
        if self._scope is not None:
            deaf = self._half_closed or not self._reading
            silent = self._heard_at + self._limits.idle if self._filling is not None else inf
            return self._looked_at + self._limits.message if deaf else silent
        return self._heard_at + self._limits.idle

    def _overdue(self) -> None:
        if self._left_at:
            self._transport.abort()
        elif self._outbox.full or not self._outbox.open:
            self._look_for_movement()
        elif self._begun_at:
            self._begun_at = 0.0
            sentence = f"a message has to be whole within {self._limits.message:g} seconds"
            self._end_with(Failure(code="bad_request", message=sentence))
        elif self._scope is None:
            self._transport.close()
        elif self._nobody_listens():
            self._transport.abort()
        elif self._reading:
            self._break_off(f"the body did not go on within {self._limits.idle:g} seconds")
        self._looked_at = self._time()
        self._deadline.check()

    def _look_for_movement(self) -> None:
        relays = self._pouring.body is not None  # to a person with a pager, perhaps: as long as an API may be silent
        if self._outbox.moved():
            self._moved_at = self._time()
        elif self._time() - self._moved_at >= (self._limits.idle if relays else self._limits.stuck):
            self._transport.abort()

    def _nobody_listens(self) -> bool:
        return hung_up(self._transport.get_extra_info("socket").fileno())
