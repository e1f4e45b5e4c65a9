"""A peer: the smallest streaming proxy that aiohttp makes. `proxy.py SOCKET PORT`: PORT of what stands behind it."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, TCPConnector, web

TOKEN = "Bearer at-of-the-account"
HOP = {"host", "connection", "transfer-encoding", "content-length", "authorization", "x-api-key"}


async def _serve(path: str, port: str) -> None:
    app = web.Application()
    app.cleanup_ctx.append(_session)
    app["upstream"] = f"http://127.0.0.1:{port}"
    app.router.add_route("*", "/{path:.*}", _pass)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path, backlog=1024).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def _session(app: web.Application) -> AsyncIterator[None]:
    async with ClientSession(connector=TCPConnector(limit=0), auto_decompress=False) as app["session"]:
        yield


async def _pass(request: web.Request) -> web.StreamResponse:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
    url = request.app["upstream"] + request.path_qs
    headers["Authorization"] = TOKEN
    async with request.app["session"].request(request.method, url, headers=headers, data=await request.read()) as got:
        kept = {name: value for name, value in got.headers.items() if name.lower() not in HOP}
        answer = web.StreamResponse(status=got.status, headers=kept)
        if got.content_length is not None:
            answer.content_length = got.content_length
        await answer.prepare(request)
        async for piece in got.content.iter_any():
            await answer.write(piece)
        await answer.write_eof()
        return answer


if __name__ == "__main__":
    logging.disable()  # callers who leave in the middle are no news
    uvloop.run(_serve(sys.argv[1], sys.argv[2]))
