"""A floor: an asyncio Protocol on uvloop, as the daemon's, that answers whatever comes with the same bytes.

`echo.py SOCKET FILE`: FILE holds the answer. One request is one read here, since every caller waits for its answer.
"""

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop


class Echo(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answer)


async def _serve(path: str, answer: bytes) -> None:
    server = await asyncio.get_running_loop().create_unix_server(lambda: Echo(answer), path, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], Path(sys.argv[2]).read_bytes()))
