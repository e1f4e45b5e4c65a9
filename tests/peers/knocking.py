"""Knocking at a callback listener, byte by byte, and an owner that stands for the sign-in behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from aixtivd.oauth.callback import CallbackListener, Page, Response
from aixtivd.oauth.client import Client

GOOD = "/callback?code=abc&state=right"


def client(**more: Any) -> Client:
    return Client(provider="p", client_id="c", token_endpoint="https://provider.example/t", **more)


class Owner:
    """Stands for the sign-in: takes the response with the right state, and says so."""

    def __init__(self) -> None:
        self.heard: list[Response] = []
        self.asked = anyio.Event()
        self.may_answer = anyio.Event()
        self.may_answer.set()

    async def answer(self, response: Response) -> Page:
        self.heard.append(response)
        self.asked.set()
        await self.may_answer.wait()
        if response.state != "right":
            return Page("Not signed in", "That answer is not for this sign-in.", ok=False)
        if response.error:
            return Page("Not signed in", f"p says {response.error}: {response.error_description}", ok=False)
        return Page("Signed in", "ada is signed in at p.", ok=True, command="aixtiv token")


@asynccontextmanager
async def listening(owner: Owner, port: int = 0, **more: Any) -> AsyncIterator[CallbackListener]:
    async with CallbackListener(client(**more), port, owner.answer) as listener:
        yield listener


async def ask(
    listener: CallbackListener,
    target: str = GOOD,
    *,
    method: str = "GET",
    host: str | None = None,
    headers: str = "",
    address: str = "127.0.0.1",
) -> tuple[int, str, str]:
    """Status, head and body of the answer."""
    named = f"Host: {host or f'127.0.0.1:{listener.port}'}\r\n" if host != "" else ""
    return await say(listener, f"{method} {target} HTTP/1.1\r\n{named}{headers}\r\n".encode(), address)


async def say(listener: CallbackListener, said: bytes, address: str = "127.0.0.1") -> tuple[int, str, str]:
    """Status 0: it hung up without a word."""
    reader, writer = await asyncio.open_connection(address, listener.port)
    try:
        writer.write(said)
        answer = (await reader.read()).decode()
    except ConnectionError:
        answer = ""
    finally:
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split(" ")[1]) if head else 0, head, body
