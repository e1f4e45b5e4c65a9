"""An authorization server that is fast, rotates every refresh token, and counts: who was there, and how many at once.

`python -m scale.server LIFETIME DELAY` prints its port. A refresh token says which account it is of, and which
generation; one that is not the newest of its account was spent twice, and is counted.
"""

import asyncio
import json
import sys
from typing import Final, cast
from urllib.parse import parse_qs

PADDING: Final = "x" * 700  # a token of the size of a JWT


def refresh_token(account: int, generation: int) -> str:
    return f"rt-{account}-{generation}-of-forty-characters-or-so"


def access_token(account: int, generation: int) -> str:
    return f"at-{account}-{generation}-{PADDING}"


class Counts:
    def __init__(self) -> None:
        self.newest: dict[int, int] = {}
        self.at_once = self.most_at_once = self.refreshes = self.reused = self.most_in_a_second = 0
        self._second = self._in_this_second = 0

    def begun(self, second: int) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if second != self._second:
            self._second, self._in_this_second = second, 0
        self._in_this_second += 1
        self.most_in_a_second = max(self.most_in_a_second, self._in_this_second)

    def renewed(self, shown: str) -> tuple[int, int] | None:
        """Account and new generation; None for a token that was spent before."""
        _, account, generation, _ = shown.split("-", 3)
        number, seen = int(account), int(generation)
        if self.newest.get(number, 0) != seen:
            self.reused += 1
            return None
        self.newest[number] = seen + 1
        self.refreshes += 1
        return number, seen + 1

    def facts(self) -> dict[str, int]:
        names = ("refreshes", "reused", "most_at_once", "most_in_a_second")
        return {name: getattr(self, name) for name in names}


class Door(asyncio.Protocol):
    """HTTP as far as a token endpoint needs it."""

    def __init__(self, counts: Counts, lifetime: int, delay: float) -> None:
        self._counts = counts
        self._lifetime = lifetime
        self._delay = delay
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0)
        if len(rest) < length:
            return
        self._read = rest[length:]
        if head.startswith(b"GET"):
            self._answer(200, json.dumps(self._counts.facts()).encode())
            return
        self._counts.begun(int(self._loop.time()))
        self._loop.call_later(self._delay, self._refresh, parse_qs(rest[:length].decode())["refresh_token"][0])

    def _refresh(self, shown: str) -> None:
        self._counts.at_once -= 1
        renewed = self._counts.renewed(shown)
        if renewed is None:
            self._answer(400, b'{"error":"invalid_grant"}')
            return
        answer = {
            "access_token": access_token(*renewed),
            "refresh_token": refresh_token(*renewed),
            "token_type": "Bearer",
            "expires_in": self._lifetime,
        }
        self._answer(200, json.dumps(answer).encode())

    def _answer(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} .\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def _serve(lifetime: int, delay: float) -> None:
    counts = Counts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Door(counts, lifetime, delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
