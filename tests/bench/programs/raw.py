"""A floor: asyncio Protocols that rewrite the head's first lines and pass bytes. Not a proxy to be used: no limits, no
pool, no chunked request, no error that is told. `raw.py SOCKET PORT`: PORT of what stands behind it.
"""

import asyncio
import logging
import sys
from typing import cast

import uvloop


class Upstream(asyncio.Protocol):
    def __init__(self, caller: asyncio.Transport) -> None:
        self._caller = caller

    def data_received(self, data: bytes) -> None:
        self._caller.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._caller.close()


class Caller(asyncio.Protocol):
    def __init__(self, port: int) -> None:
        self._port = port
        self._waiting = b""
        self._upstream: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        make = asyncio.get_running_loop().create_connection
        self._upstream, _ = await make(lambda: Upstream(self._transport), "127.0.0.1", self._port)
        self._upstream.write(self._waiting)

    def data_received(self, data: bytes) -> None:
        head, end, body = data.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"authorization:", b"host:"))]
        lines += [b"Host: 127.0.0.1:%d" % self._port, b"Authorization: Bearer at-of-the-account"]
        data = b"\r\n".join(lines) + end + body
        if self._upstream is None:
            self._waiting += data
        else:
            self._upstream.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        if self._upstream is not None:
            self._upstream.close()


async def _serve(path: str, port: int) -> None:
    server = await asyncio.get_running_loop().create_unix_server(lambda: Caller(port), path, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    logging.disable()  # callers who leave in the middle are no news
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
