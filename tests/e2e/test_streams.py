"""A hundred streams at once through the real gateway, while the token beneath them changes."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiohttp

from peers.claude_api.process import sent
from peers.claude_api.weather import Weather
from peers.desk import ACCOUNT, Desk, desk

STREAMS: Final = 100
DELTAS: Final = 40
LIFE: Final = 6  # seconds of an access token: refreshed after about half of it
TEXT: Final = "".join(f"{number} " for number in range(DELTAS))
ASKED: Final = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 100,
    "stream": True,
    "messages": [{"role": "user", "content": "count"}],
}


def test_a_token_that_expires_amid_a_hundred_streams_breaks_none_and_costs_one_refresh(folder: Path) -> None:
    with desk(folder, "--access-ttl", str(LIFE)) as at:
        at.sign_in()
        at.server.tell(access_ttl=3600)  # of the one that follows
        old = at.machine.token(ACCOUNT)
        at.claude.set_weather(*[Weather(deltas=DELTAS, silence=DELTAS // 2)] * STREAMS)
        with streaming(at) as texts:
            at.claude.until(silent=STREAMS)
            assert time.time() < old.expires_at, "the streams began too late to show anything"
            at.server.until(refreshes=1)
            while time.time() <= old.expires_at + 1:
                time.sleep(0.05)  # nobody announces that a token has expired; `expires_at` has the second rounded off
            at.claude.accept_only(at.server.newest)
            at.claude.release()
        assert texts == [TEXT] * STREAMS
        assert used(at) == {old.access_token.reveal()}

        at.claude.set_weather(*[Weather(deltas=DELTAS)] * STREAMS)
        with streaming(at) as later:
            pass
        assert later == [TEXT] * STREAMS
        assert used(at, skip=STREAMS) == {at.server.newest}
        assert (at.server.refreshes, at.server.reuses) == (1, 0)


def test_a_hundred_streams_that_are_refused_at_once_cost_one_refresh_and_all_come(folder: Path) -> None:
    """Each is sent again with the token that the one refresh brought, and nobody sees a 401."""
    with desk(folder) as at:
        at.sign_in()
        old = at.server.newest
        at.claude.revoke(old)
        with streaming(at) as texts:
            pass
        assert texts == ["You said: count"] * STREAMS
        statuses = [request["status"] for request in at.claude.requests]
        assert statuses.count(200) == STREAMS
        assert 0 < statuses.count(401) <= STREAMS
        assert len(statuses) == statuses.count(200) + statuses.count(401)
        assert used(at) == {old, at.server.newest}
        assert (at.server.refreshes, at.server.reuses) == (1, 0)


def used(at: Desk, *, skip: int = 0) -> set[str]:
    return {sent(request, "authorization").removeprefix("Bearer ") for request in at.claude.requests[skip:]}


@contextmanager
def streaming(at: Desk) -> Iterator[list[str]]:
    """A hundred callers at the gateway's socket while the block runs; their texts, when it is over."""
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.extend(asyncio.run(_streams(at.gateway))), name="callers")
    thread.start()
    try:
        yield texts
    finally:
        thread.join()


async def _streams(gateway: str) -> list[str]:
    connector = aiohttp.UnixConnector(gateway, limit=STREAMS)
    async with aiohttp.ClientSession(connector=connector) as http:
        return await asyncio.gather(*(_stream(http) for _ in range(STREAMS)))


async def _stream(http: aiohttp.ClientSession) -> str:
    """What one of them said. Whatever went wrong is part of it."""
    try:
        async with http.post(
            "http://localhost/v1/messages", json=ASKED, headers={"anthropic-version": "2023-06-01"}
        ) as answer:
            said = await answer.text()
    except aiohttp.ClientError as error:
        return f"{type(error).__name__}: {error}"
    if not said.rstrip().endswith('{"type": "message_stop"}'):
        return f"broke off: {said[-200:]}"
    return "".join(_text(line) for line in said.splitlines() if "text_delta" in line)


def _text(line: str) -> str:
    return line.partition('"text": "')[2].partition('"')[0]
