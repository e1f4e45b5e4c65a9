"""How an answer goes out: encoded, in pieces, and as the weather has it."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from aiohttp import web

from peers.claude_api.encodings import CODINGS, coding
from peers.claude_api.heard import Heard
from peers.claude_api.rules import Refused
from peers.claude_api.weather import Weather

ORGANIZATION: Final = "00000000-0000-4000-8000-00000000c1a0"


def refusal(refused: Refused) -> tuple[int, dict[str, Any]]:
    said = {"type": "error", "error": {"type": refused.kind, "message": refused.message}}
    return refused.status, said


class Speech:
    """One answer to one request. `silent` waits until the test lets those who are silent go on."""

    def __init__(
        self, request: web.Request, heard: Heard, weather: Weather, silent: Callable[[], Awaitable[None]]
    ) -> None:
        self._request = request
        self._heard = heard
        self._weather = weather
        self._silent = silent
        self._middle = 1  # before which piece it is cut

    async def document(self, status: int, document: dict[str, Any]) -> web.StreamResponse:
        if status >= 400:
            document = document | {"request_id": _request_id()}
        return await self.whole(status, {"content-type": "application/json"}, json.dumps(document).encode())

    async def whole(self, status: int, headers: dict[str, str], content: bytes) -> web.StreamResponse:
        chosen = self._coding()
        encoding = coding(chosen)
        body = (encoding.piece(content) if content else b"") + encoding.end()
        answer = self._answer(status, headers, chosen)
        answer.content_length = len(body)
        return await self._say(answer, [body[: len(body) // 2], body[len(body) // 2 :]])

    async def stream(self, events: Iterable[bytes]) -> web.StreamResponse:
        """Each event is on its way before the next is made."""
        chosen = self._coding()
        encoding = coding(chosen)
        answer = self._answer(200, {"content-type": "text/event-stream; charset=utf-8"}, chosen)
        answer.enable_chunked_encoding()
        self._middle = 5
        return await self._say(answer, (encoding.piece(event) for event in events), encoding.end)

    def _coding(self) -> str:
        """What the caller accepts, where Claude would use it; the weather can have any."""
        accepted = self._heard.header("accept-encoding")
        chosen = self._weather.encoding or ("gzip" if "gzip" in accepted else "")
        return chosen if chosen in CODINGS else ""

    def _answer(self, status: int, headers: dict[str, str], encoding: str) -> web.StreamResponse:
        own = {
            "request-id": _request_id(),
            "anthropic-organization-id": ORGANIZATION,
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3999",
            "anthropic-ratelimit-requests-reset": "2026-12-31T00:00:00Z",
            "cf-cache-status": "DYNAMIC",
            "vary": "Accept-Encoding",
        }
        own |= {"content-encoding": encoding} if encoding else {}
        return web.StreamResponse(status=status, headers=own | headers | self._weather.headers)

    async def _say(
        self, answer: web.StreamResponse, pieces: Iterable[bytes], end: Callable[[], bytes] = bytes
    ) -> web.StreamResponse:
        if self._weather.cut == "silent":
            self._hang_up()
        await answer.prepare(self._request)
        self._heard.status = answer.status
        if self._weather.cut == "head":
            await answer.write(b"")
            self._hang_up()
        for number, piece in enumerate(pieces):
            await self._between(number)
            await self._write(answer, piece)
        await self._write(answer, end())
        await answer.write_eof()
        self._heard.over = True
        if self._weather.close and self._request.transport:
            self._request.transport.close()
        return answer

    async def _between(self, number: int) -> None:
        weather = self._weather
        if weather.cut == "middle" and number == self._middle:
            self._hang_up()
        if number == weather.silence:
            await self._silent()
        if weather.pace and number:
            await asyncio.sleep(weather.pace)

    async def _write(self, answer: web.StreamResponse, piece: bytes) -> None:
        if piece:
            self._heard.tell(piece)
            await answer.write(piece)

    def _hang_up(self) -> None:
        if self._request.transport:
            self._request.transport.close()
        raise ConnectionResetError("cut by the weather")  # aiohttp takes it for a caller who hung up


def _request_id() -> str:
    return f"req_{secrets.token_hex(12)}"
