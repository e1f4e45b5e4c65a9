"""Small servers for odd answers: one that says what it was given, and raw ones whose every byte a test decides."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct


class Canned(Struct, frozen=True):
    """An answer. `body`: JSON is made of what is not text."""

    body: Any = ""
    status: int = 200
    headers: dict[str, str] = {}


class Shelf:
    """Path -> what is said there, which a test may change at any time. Everything else is 404."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, Canned] = {}
        self.asked: list[str] = []  # paths, in order
        self.headers: list[Mapping[str, str]] = []

    def put(self, path: str, body: Any = "", status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = Canned(body, status, named)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        self.headers.append(request.headers)
        canned = self.answers.get(request.path)
        if canned is None:
            return web.Response(status=404)
        headers = dict(canned.headers)
        if not isinstance(canned.body, str):
            headers.setdefault("Content-Type", "application/json")
            return web.Response(body=msgspec.json.encode(canned.body), status=canned.status, headers=headers)
        return web.Response(text=canned.body, status=canned.status, headers=headers)


@asynccontextmanager
async def shelf() -> AsyncIterator[Shelf]:
    holder = Shelf()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", holder._answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        holder.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield holder
    finally:
        await runner.cleanup()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw(talk: Talk, **how: Any) -> AsyncIterator[int]:
    """A TCP server whose every connection is left to `talk`. Its port. `how`: as asyncio.start_server, `ssl` say."""
    open_ones: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            open_ones.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **how)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in list(open_ones):
            writer.close()
        await server.wait_closed()
