"""The project's own authorization server: in a test's loop, or as a process with a control path beside it.

    python -m peers.authorization --access-ttl 5      (PYTHONPATH=tests; prints one JSON line {"issuer": …})

It asserts what aixtiv promises (PKCE, state, nonce, redirect URI, client authentication), rotates refresh tokens and
punishes their reuse, can be given Claude's quirks, and has weather: how the next token answers misbehave.
"""

import argparse
import asyncio
import json
import sys
from collections import deque
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from aiohttp import web
from msgspec import Struct

from peers.authority.endpoints import CLIENTS, Endpoints, refused, spoken
from peers.authority.grants import Grants, Refusal, Settings
from peers.authority.weather import Weather
from peers.processes import ending

__all__ = ["AuthorizationServer", "Heard", "Settings", "Weather"]

_LINGER: Final = 0.1  # seconds the server gives open requests when it stops


class Heard(Struct, frozen=True, kw_only=True):
    """A request to the token endpoint, as it was sent."""

    grant: str
    content_type: str
    headers: dict[str, str]  # names in lower case
    body: str


class AuthorizationServer:
    """`async with AuthorizationServer(Settings(access_ttl=5)) as server:` listens on 127.0.0.1, any free port."""

    def __init__(self, settings: Settings | None = None, port: int = 0) -> None:
        self.settings = settings or Settings()
        self._begun = msgspec.structs.asdict(self.settings)
        self.grants = Grants(self.settings)
        self.endpoints = Endpoints(self.settings, self.grants)
        self.requests: list[Heard] = []
        self._weather: deque[Weather] = deque()
        self._changed = asyncio.Condition()
        self._released = asyncio.Event()
        self._hanging = 0
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([*self.endpoints.routes(), web.post("/token", self._token)])
        app.add_routes(
            [
                web.post("/control/weather", self._set_weather),
                web.post("/control/settings", self._set_settings),
                web.post("/control/calm", self._calm),
                web.post("/control/release", self._release),
                web.post("/control/renew", self._renew),
                web.get("/control/state", self._tell_state),
                web.get("/control/families", self._tell_families),
            ]
        )
        app.middlewares.append(_refusals)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LINGER)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.endpoints.issuer = f"http://{self.settings.host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        if self._runner:
            await self._runner.cleanup()

    # What tests ask and say

    @property
    def issuer(self) -> str:
        return self.endpoints.issuer

    @property
    def secret(self) -> str:
        """Of the clients `basic` and `post`; `native` has none."""
        return self.endpoints.secret

    @property
    def refreshes(self) -> int:
        """Refresh requests heard, whatever became of them."""
        return sum(heard.grant == "refresh_token" for heard in self.requests)

    @property
    def reuses(self) -> int:
        """How often a spent refresh token was used again."""
        return self.grants.reuses

    def set_weather(self, *weather: Weather) -> None:
        """For the next token requests, one each, behind what is already due."""
        self._weather.extend(weather)

    def calm(self) -> None:
        """No weather is due any more, and nothing hangs."""
        self._weather.clear()
        self.release()

    def release(self) -> None:
        """Lets every request that hangs go on; those that come later hang again."""
        self._released.set()
        self._released = asyncio.Event()

    def renew(self) -> None:
        """As it was started: its settings, a calm sky, nothing heard or issued. What it has granted stays granted."""
        for name, value in self._begun.items():
            setattr(self.settings, name, value)
        self.requests.clear()
        self.grants.issued.clear()
        self.grants.reuses = 0
        self.calm()

    async def until(self, *, refreshes: int = 0, hanging: int = 0, requests: int = 0) -> None:
        """Until as many of each were heard; at once if they were."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.refreshes >= refreshes and self._hanging >= hanging and len(self.requests) >= requests
            )

    def state(self) -> dict[str, Any]:
        return {
            "refreshes": self.refreshes,
            "requests": [msgspec.to_builtins(heard) for heard in self.requests],
            "reuses": self.reuses,
            "hanging": self._hanging,
            "weather": len(self._weather),
            "secrets": [*self.grants.issued, self.secret],
        }

    # The token endpoint, and what the weather does to it

    async def _token(self, request: web.Request) -> web.StreamResponse:
        said = await spoken(request)
        await self._note(request, said)
        weather = self._taken(said.get("grant_type", ""))
        if weather.hang:
            await self._hang()
        if weather.spend or not (weather.replaces or weather.cut == "silent"):
            try:
                document = await self.endpoints.token(request, said)
            except Refusal as refusal:
                return refused(refusal)
            order = [*weather.first, *(name for name in document if name not in weather.first)]
            told = {name: document[name] for name in order if name in document and name not in weather.without}
            body = json.dumps(told | weather.put)
            answer = web.Response(text=body, content_type="application/json", headers={"Cache-Control": "no-store"})
        else:
            answer = web.Response()
        if weather.replaces:
            answer = web.Response(text=weather.body, status=weather.status, headers=weather.headers)
        if weather.padding:
            answer = web.Response(text=f"{answer.text}{' ' * weather.padding}", content_type=answer.content_type)
        return await _cut(request, answer, weather) if weather.cut else answer

    async def _note(self, request: web.Request, said: dict[str, str]) -> None:
        heard = Heard(
            grant=said.get("grant_type", ""),
            content_type=request.content_type,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.text(),
        )
        async with self._changed:
            self.requests.append(heard)
            self._changed.notify_all()

    def _taken(self, grant: str) -> Weather:
        """The first that is meant for this request; a fine day if there is none."""
        for weather in self._weather:
            if weather.grant in {"", grant}:
                self._weather.remove(weather)
                return weather
        return Weather()

    async def _hang(self) -> None:
        released = self._released
        async with self._changed:
            self._hanging += 1
            self._changed.notify_all()
        try:
            await released.wait()
        finally:
            self._hanging -= 1

    # The control path, for processes

    async def _set_weather(self, request: web.Request) -> web.Response:
        self.set_weather(*msgspec.json.decode(await request.read(), type=list[Weather]))
        return web.json_response({})

    async def _set_settings(self, request: web.Request) -> web.Response:
        """Any of Settings' fields, or {"end": true}: all that was granted is over."""
        for name, value in json.loads(await request.text()).items():
            if name == "end":
                self.grants.end_all()
            else:
                setattr(self.settings, name, value)
        return web.json_response({})

    async def _calm(self, _: web.Request) -> web.Response:
        self.calm()
        return web.json_response({})

    async def _release(self, _: web.Request) -> web.Response:
        self.release()
        return web.json_response({})

    async def _renew(self, _: web.Request) -> web.Response:
        self.renew()
        return web.json_response({})

    async def _tell_state(self, request: web.Request) -> web.Response:
        """`?refreshes=3`, `hanging`, `requests`: answers only when it has come to that."""
        await self.until(**{name: int(value) for name, value in request.query.items()})
        return web.json_response(self.state())

    async def _tell_families(self, _: web.Request) -> web.Response:
        found = [
            {
                "subject": family.asked.subject,
                "first": family.first,
                "live": family.live,
                "ended": family.ended,
            }
            for family in self.grants.families
        ]
        return web.json_response({"families": found})


@web.middleware
async def _refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except Refusal as refusal:
        return refused(refusal)
    return answer


async def _cut(request: web.Request, answer: web.Response, weather: Weather) -> web.StreamResponse:
    """Ends the connection early: FIN, as a server that dies sends it."""
    body = (answer.text or "").encode()
    half = web.StreamResponse(status=answer.status, headers=answer.headers)
    half.content_length = len(body)
    if weather.cut != "silent":
        await half.prepare(request)
        await half.write(body[: int(len(body) * weather.after)] if weather.cut == "body" else b"")
    if request.transport:
        request.transport.close()
    raise ConnectionResetError("cut by the weather")  # aiohttp takes it for a caller who hung up


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="peers.authorization", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1", help="as written in the issuer")
    parser.add_argument("--access-ttl", type=float, default=3600.0, metavar="S")
    parser.add_argument("--code-ttl", type=float, default=60.0, metavar="S")
    parser.add_argument("--grace", type=float, default=0.0, metavar="S")
    parser.add_argument("--no-rotate", dest="rotate", action="store_false")
    parser.add_argument("--no-punish", dest="punish", action="store_false")
    parser.add_argument("--no-expires-in", dest="expires_in", action="store_false")
    parser.add_argument("--no-refresh-token", dest="refresh_token", action="store_false")
    parser.add_argument("--no-iss", dest="iss", action="store_false")
    parser.add_argument("--claude", action="store_true", help="Claude's quirks")
    parser.add_argument("--trusts", default="", metavar="ISSUER", help="take its identity tokens for access tokens")
    parser.add_argument("--id-token-ttl", type=float, default=3600.0, metavar="S")
    parser.add_argument("--id-token-on-refresh", action="store_true")
    parser.add_argument("--device", action="store_true", help="a device grant")
    parser.add_argument("--device-ttl", type=float, default=600.0, metavar="S")
    parser.add_argument("--device-interval", type=float, default=5.0, metavar="S")
    return parser.parse_args(words)


async def _run(words: list[str]) -> None:
    told = vars(_arguments(words))
    port = told.pop("port")
    ended = ending()
    async with AuthorizationServer(Settings(**told), port) as server:
        line = {"issuer": server.issuer, "clients": list(CLIENTS), "secret": server.secret}
        print(json.dumps(line), flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1:]))
