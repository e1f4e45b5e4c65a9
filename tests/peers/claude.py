"""A strict stand-in for the Claude API: in a test's loop, or as a process with a control path beside it.

    python -m peers.claude --accept-prefix at-      (PYTHONPATH=tests; prints one JSON line {"url": …})

It refuses whoever does not respect Claude's header rules (claude_api/rules.py), records every request as it was sent,
speaks as the official SDKs expect, and has weather: how the next answers misbehave, or those to models named for it.
"""

import argparse
import asyncio
import contextlib
import json
import ssl
import sys
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from aiohttp import web

from peers.claude_api import answers
from peers.claude_api.federation import PATH, Federation, NotExchanged
from peers.claude_api.heard import Heard
from peers.claude_api.rules import Credentials, Refused, check
from peers.claude_api.speech import Speech, refusal
from peers.claude_api.weather import BY_MODEL, Weather
from peers.processes import ending

__all__ = ["Claude", "Heard", "Weather"]

MB: Final = 1024 * 1024
LIMITS: Final = {"/v1/messages": 32 * MB, "/v1/messages/batches": 256 * MB, "/v1/files": 500 * MB}
_LIMIT: Final = 32 * MB
_LINGER: Final = 0.1  # seconds the server gives open requests when it stops
_PIECE: Final = 256 * 1024
_CALM: Final = Weather()


class Claude:
    """`async with Claude() as claude:` listens on 127.0.0.1, any free port, at `claude.url`.

    `tls`: a server's context (peers/certificates.py); without one it speaks plain HTTP. `trust`: an issuer whose
    identity tokens are exchanged at /v1/oauth/token, which is not there otherwise.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None, trust: str = "") -> None:
        self.url = ""
        self.federation = Federation(trust)
        self.credentials = Credentials()
        self.requests: list[Heard] = []  # all but those to the control path, refused ones too
        self.recording = True  # off: counts, and keeps nothing (for ten thousand calls)
        self.count = 0
        self.reply = ""  # instead of "You said: …"
        self._lines: dict[int, tuple[asyncio.Transport, Heard]] = {}  # by the caller's port: the newest request there
        self._weather: list[Weather] = []
        self._once: set[str] = set()
        self._released = asyncio.Event()
        self._silent = 0
        self._changed = asyncio.Condition()
        self._port = port
        self._tls = tls
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/control/{what}", self._control)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=_LINGER,
            auto_decompress=False,  # a body that comes encoded is recorded so
            handler_cancellation=True,  # who hangs up is noticed at once
            max_line_size=64 * 1024,
            max_field_size=64 * 1024,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls).start()
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        if self._runner:
            await self._runner.cleanup()

    # What tests ask and say

    @property
    def last(self) -> Heard:
        return self.requests[-1]

    @property
    def connections(self) -> int:
        """How many connections the recorded requests came over."""
        return len({heard.port for heard in self.requests})

    def set_weather(self, *weather: Weather) -> None:
        """For the next requests, one each, behind what is already due."""
        self._weather.extend(weather)

    def release(self) -> None:
        """Lets every answer that hangs or is silent go on; those that come later hang again."""
        self._released.set()
        self._released = asyncio.Event()

    def close_idle(self) -> None:
        """Closes the connections that wait for a next request, as a server does to whom they became too old."""
        for transport, heard in list(self._lines.values()):
            if heard.over:
                transport.close()

    def renew(self) -> None:
        """As it was started: a calm sky, nothing heard, every credential good that looks like one."""
        self.credentials = Credentials()
        self.requests.clear()
        self.count = 0
        self.reply = ""
        self._weather.clear()
        self._once.clear()
        self.release()

    async def until(self, *, requests: int = 0, silent: int = 0, over: int = 0, gone: int = 0) -> None:
        """Until so many were heard, hang or are silent, were answered to the end, hung up; at once if they were."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    self.count >= requests
                    and self._silent >= silent
                    and sum(heard.over for heard in self.requests) >= over
                    and sum(heard.gone for heard in self.requests) >= gone
                )
            )

    def state(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "silent": self._silent,
            "connections": self.connections,
            "issued": self.federation.issued,
            "subjects": self.federation.subjects,
            "requests": [heard.shown() for heard in self.requests],
        }

    # One request

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.transport is None:
            raise ConnectionResetError("the caller hung up before it was read")
        port = request.transport.get_extra_info("peername")[1]
        heard = Heard(request.method, request.raw_path, request.raw_headers, port)
        self._lines = {port: line for port, line in self._lines.items() if not line[0].is_closing()}
        self._lines[port] = request.transport, heard
        if self.recording:
            self.requests.append(heard)
        self.count += 1
        await self._tell()
        try:
            return await self._answer(request, heard)
        except (asyncio.CancelledError, ConnectionError):
            heard.gone = not heard.over
            raise
        finally:
            # shielded: the caller may be gone, and whoever waits is told all the same
            await asyncio.shield(self._tell())

    async def _answer(self, request: web.Request, heard: Heard) -> web.StreamResponse:
        weather = self._due(heard)
        try:
            _check_size(heard, int(heard.header("content-length") or 0))
            if not weather.early:
                await self._read(request, heard)
            if self.federation.issuer and heard.path == PATH:
                return await self._exchange(heard)
            check(heard.headers, self.credentials)
            route = self._route(heard)
            weather = self._by_model(heard) if weather is _CALM else weather
            if weather.hang:
                await self._wait()
            speech = Speech(request, heard, weather, self._wait)
            if weather.early and not weather.status:
                await self._read(request, heard)
            if weather.status:
                return await speech.whole(weather.status, {}, weather.body.encode())
            return await route(speech, heard, weather)
        except Refused as refused:
            return await Speech(request, heard, _CALM, self._wait).document(*refusal(refused))

    async def _exchange(self, heard: Heard) -> web.Response:
        try:
            document, heard.status = await self.federation.exchange(heard, self.credentials), 200
        except NotExchanged as error:
            document, heard.status = error.document, 400
        heard.over = True
        return web.json_response(document, status=heard.status)

    async def _read(self, request: web.Request, heard: Heard) -> None:
        async for piece in request.content.iter_chunked(_PIECE):
            heard.feed(piece)
            _check_size(heard, heard.size)
        heard.complete()

    def _due(self, heard: Heard) -> Weather:
        for weather in self._weather:
            if weather.path in {"", heard.path}:
                self._weather.remove(weather)
                return weather
        return _CALM

    def _by_model(self, heard: Heard) -> Weather:
        if heard.path != "/v1/messages":
            return _CALM
        with contextlib.suppress(Refused):
            model = str(answers.asked(heard.body).get("model"))
            if model.endswith("-once"):
                if model in self._once:
                    return _CALM
                self._once.add(model)
            return BY_MODEL.get(model, _CALM)
        return _CALM

    async def _wait(self) -> None:
        released = self._released
        self._silent += 1
        await self._tell()
        try:
            await released.wait()
        finally:
            self._silent -= 1

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # The API's paths

    def _route(self, heard: Heard) -> "_Route":
        """Exactly these paths and methods, nothing decoded, no slash too many. Raises Refused."""
        routes: dict[str, dict[str, _Route]] = {
            "/v1/messages": {"POST": self._messages},
            "/v1/messages/count_tokens": {"POST": self._count_tokens},
            "/v1/messages/batches": {"POST": self._batches},
            "/v1/files": {"POST": self._files},
            "/v1/models": {"GET": self._models},
        }
        methods = routes.get(heard.path)
        if methods is None and heard.path.startswith("/v1/models/"):
            methods = {"GET": self._model}
        if methods is None:
            raise Refused(404, "not_found_error", "Not found")
        if heard.method not in methods:
            raise Refused(405, "invalid_request_error", "Method Not Allowed")
        return methods[heard.method]

    async def _messages(self, speech: Speech, heard: Heard, weather: Weather) -> web.StreamResponse:
        said = answers.asked(heard.body, "model", "max_tokens", "messages")
        text = self.reply or answers.reply(said)
        if said.get("stream") is not True:
            return await speech.document(200, answers.message(said["model"], text))
        pieces = [f"{number} " for number in range(weather.deltas)] or text.splitlines(keepends=True)
        if not weather.deltas:
            pieces = [word for line in pieces for word in _words(line)]
        return await speech.stream(answers.events(said["model"], pieces, error=weather.error))

    async def _count_tokens(self, speech: Speech, heard: Heard, _: Weather) -> web.StreamResponse:
        answers.asked(heard.body, "model", "messages")
        return await speech.document(200, {"input_tokens": 1 + heard.size // 4})

    async def _batches(self, speech: Speech, heard: Heard, _: Weather) -> web.StreamResponse:
        """Larger ones than are kept are counted as empty."""
        said = answers.asked(heard.body, "requests") if len(heard.body) == heard.size else {"requests": []}
        return await speech.document(200, answers.batch(said))

    async def _files(self, speech: Speech, heard: Heard, _: Weather) -> web.StreamResponse:
        return await speech.document(200, answers.file(heard.size))

    async def _models(self, speech: Speech, heard: Heard, _: Weather) -> web.StreamResponse:
        return await speech.document(200, answers.models(heard.query))

    async def _model(self, speech: Speech, heard: Heard, _: Weather) -> web.StreamResponse:
        return await speech.document(200, answers.model(heard.path.removeprefix("/v1/models/")))

    # The control path, for processes

    async def _control(self, request: web.Request) -> web.Response:
        what, body = request.match_info["what"], await request.read()
        match what:
            case "weather":
                self.set_weather(*msgspec.json.decode(body, type=list[Weather]))
            case "tell":
                self._told(json.loads(body))
            case "release":
                self.release()
            case "renew":
                self.renew()
            case "close-idle":
                self.close_idle()
            case "state":
                await self.until(**{name: int(value) for name, value in request.query.items()})
                return web.json_response(self.state())
            case _:
                raise web.HTTPNotFound
        return web.json_response({})

    def _told(self, said: dict[str, Any]) -> None:
        """`accept`, `accept_prefix`, `accept_only`, `revoke` with a list of words each; `reply` with a text."""
        for name, value in said.items():
            if name == "reply":
                self.reply = value
            else:
                getattr(self.credentials, name)(*value)


def _check_size(heard: Heard, size: int) -> None:
    if size > LIMITS.get(heard.path, _LIMIT):
        raise Refused(413, "request_too_large", "Request exceeds the maximum allowed number of bytes.")


_Route = Callable[[Speech, Heard, Weather], Awaitable[web.StreamResponse]]


def _words(line: str) -> list[str]:
    """Pieces that make the line again when they are put together, spaces and all."""
    return [f"{word} " for word in line.split(" ")[:-1]] + [line.rpartition(" ")[2]]


async def _run(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="peers.claude", description="a strict stand-in for the Claude API")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--accept-prefix", action="append", default=[], metavar="PREFIX")
    parser.add_argument("--trust", default="", metavar="ISSUER", help="whose identity tokens are exchanged")
    told = parser.parse_args(words)
    ended = ending()
    async with Claude(port=told.port, trust=told.trust) as claude:
        for prefix in told.accept_prefix:
            claude.credentials.accept_prefix(prefix)
        print(json.dumps({"url": claude.url}), flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1:]))
