"""Callers on connections of their own, each asking for a token several times a second, in a process of their own.

`python -m scale.callers SOCKET CALLERS ACCOUNTS PER_SECOND`: each line on stdin ends a measurement and begins the next;
what was measured is printed as a line of JSON. A request that is due while the one before waits counts from when it was
due, so that a daemon that stands still is not spared the questions it did not hear.
"""

import asyncio
import json
import random
import sys
import time
from contextlib import suppress
from typing import Final, cast

from aixtiv_protocol import codec, replies
from aixtiv_protocol.requests import Token
from scale.seeding import name

BEGIN: Final = 3.0  # seconds over which the callers come


class Measured:
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.failures: dict[str, int] = {}
        self.expired = 0

    def facts(self) -> dict[str, object]:
        ordered = sorted(self.seconds) or [0.0]
        parts = {f"p{share:g}": ordered[int(len(ordered) * share / 100)] * 1000 for share in (50, 99, 99.9)}
        return parts | {
            "most": ordered[-1] * 1000,
            "asked": len(self.seconds),
            "failures": self.failures,
            "expired": self.expired,
        }


class Caller(asyncio.Protocol):
    def __init__(self, crowd: "Crowd", phase: float) -> None:
        self._crowd = crowd
        self._due = phase
        self._inbox = codec.Inbox()
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._due += self._loop.time()
        self._loop.call_at(self._due, self._ask)

    def _ask(self) -> None:
        self._transport.write(codec.encode_request(Token(account=self._crowd.account())))

    def data_received(self, data: bytes) -> None:
        self._inbox.feed(data)
        for body in self._inbox.bodies():
            self._crowd.answered(body, self._loop.time() - self._due)
            self._due += self._crowd.pause
            self._loop.call_at(max(self._due, self._loop.time()), self._ask)

    def connection_lost(self, _: Exception | None) -> None:
        self._crowd.measured.failures["hung up"] = self._crowd.measured.failures.get("hung up", 0) + 1


class Crowd:
    def __init__(self, accounts: int, per_second: float) -> None:
        self.measured = Measured()
        self.pause = 1 / per_second
        self._accounts = accounts
        self._dice = random.Random(4)

    def account(self) -> str:
        return name(self._dice.randrange(self._accounts))

    def answered(self, body: bytes, seconds: float) -> None:
        reply = codec.decode_reply(body)
        measured = self.measured
        measured.seconds.append(seconds)
        if not isinstance(reply, replies.AccessToken):
            code = reply.code if isinstance(reply, replies.Failure) else "strange"
            measured.failures[code] = measured.failures.get(code, 0) + 1
        elif reply.expires_at <= time.time():
            measured.expired += 1

    def turn(self) -> None:
        """The measurement so far, and the beginning of the next."""
        if not sys.stdin.readline():
            asyncio.get_running_loop().stop()
            return
        done, self.measured = self.measured, Measured()
        print(json.dumps(done.facts()), flush=True)


async def _run(path: str, callers: int, accounts: int, per_second: float) -> None:
    crowd = Crowd(accounts, per_second)
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), crowd.turn)
    for number in range(callers):
        phase = BEGIN * number / callers
        await loop.create_unix_connection(lambda phase=phase: Caller(crowd, phase), path)  # type: ignore[misc]  # bound now
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    # It ends by the loop's stopping, when stdin does.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, suppress(RuntimeError):
        runner.run(_run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
