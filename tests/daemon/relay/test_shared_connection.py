"""An answer that has come whole has no connection any more: its end, in whichever way, is nobody else's business."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

import anyio.lowlevel
import pytest

from aixtivd.relay.line import Line
from aixtivd.relay.sent import Sent
from peers.claude import Claude
from peers.claude_api.weather import Weather

HEADERS: Final = [("x-api-key", "sk-ant-api03-x"), ("anthropic-version", "2023-06-01")]


async def put_away(sent: Sent) -> None:
    await sent.put_away()


async def close(sent: Sent) -> None:
    sent.close()


@pytest.mark.parametrize("end", [put_away, close])
async def test_a_call_that_is_ended_unread_does_not_cut_the_next_one_on_its_connection(
    end: Callable[[Sent], Awaitable[None]],
) -> None:
    async with Claude() as claude:
        line = Line(ssl.create_default_context())
        url = f"{claude.url}/v1/models"
        first = await line.send("GET", url, HEADERS, None, None)
        while not first.over:  # it comes, and nobody reads it
            await anyio.lowlevel.checkpoint()
        claude.set_weather(Weather(hang=True))
        second = asyncio.ensure_future(line.send("GET", url, HEADERS, None, None))
        await claude.until(silent=1)
        assert claude.connections == 1

        await end(first)
        claude.release()
        answer = await second
        assert answer.status == 200
        answer.close()
        await line.aclose()
