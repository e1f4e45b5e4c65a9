"""What a program does with the official Python SDK, unmodified: run by the SDK's own Python, whichever version that is.

    python driver.py plain stream --socket /run/…/claude.sock      (prints one JSON object: what each act came to)

Where to call and with what is left to the environment, as the SDK reads it, unless `--socket` or one of the ways of
aixtiv.integrations say else: `--account` (credentials), `--carried` (http_client).
"""

import argparse
import asyncio
import json
from importlib import import_module
from typing import Any

import anthropic

MODEL = "claude-sonnet-4-6"
LARGE = 20 * 1024 * 1024
MANY = 20


def client(told: argparse.Namespace) -> anthropic.Anthropic:
    given: dict[str, Any] = {"max_retries": told.retries}
    if told.socket:
        http = import_module("httpx2" if int(anthropic.__version__.split(".")[0]) >= 2 else "httpx")
        given["http_client"] = anthropic.DefaultHttpxClient(transport=http.HTTPTransport(uds=told.socket))
        given |= {"base_url": "http://localhost", "auth_token": "none: the socket knows who is calling"}
    if told.account:
        from aixtiv.integrations.anthropic import credentials

        given["credentials"] = credentials(told.account)
    if told.carried:
        from aixtiv.integrations.anthropic import BASE_URL, http_client

        given |= {"base_url": BASE_URL, "auth_token": "-", "http_client": http_client(told.carried)}
    return anthropic.Anthropic(**given)


def asked(text: str = "a word from the SDK", model: str = MODEL) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}


def plain(claude: anthropic.Anthropic) -> str:
    return str(claude.messages.create(**asked()).content[0].text)


def stream(claude: anthropic.Anthropic) -> str:
    with claude.messages.stream(**asked()) as events:
        return "".join(events.text_stream)


def long(claude: anthropic.Anthropic) -> int:
    """How many pieces of text came."""
    with claude.messages.stream(**asked(model="long")) as events:
        return sum(1 for _ in events.text_stream)


def many(_: anthropic.Anthropic) -> list[str]:
    """Streams at once, on one loop; the environment says where to."""

    async def one(claude: anthropic.AsyncAnthropic) -> str:
        async with claude.messages.stream(**asked()) as events:
            return "".join([text async for text in events.text_stream])

    async def all_of_them() -> list[str]:
        async with anthropic.AsyncAnthropic(max_retries=0) as claude:
            return await asyncio.gather(*(one(claude) for _ in range(MANY)))

    return asyncio.run(all_of_them())


def count(claude: anthropic.Anthropic) -> int:
    said = asked()
    del said["max_tokens"]
    return int(claude.messages.count_tokens(**said).input_tokens)


def large(claude: anthropic.Anthropic) -> str:
    return str(claude.messages.create(**asked("x" * LARGE)).content[0].text)


def models(claude: anthropic.Anthropic) -> list[str]:
    """Of all pages."""
    return [model.id for model in claude.models.list(limit=2)]


def limited(claude: anthropic.Anthropic) -> dict[str, Any]:
    return failure(claude, "fail-429")


def overloaded(claude: anthropic.Anthropic) -> dict[str, Any]:
    """In the middle of a stream that began with 200."""
    try:
        with claude.messages.stream(**asked(model="fail-error-event")) as events:
            return {"text": "".join(events.text_stream)}
    except anthropic.APIStatusError as error:
        return {"class": type(error).__name__, "body": error.body}


def failure(claude: anthropic.Anthropic, model: str = MODEL) -> dict[str, Any]:
    """How a call fails, as a program sees it."""
    try:
        claude.messages.create(**asked(model=model))
    except anthropic.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "message": error.message,
            "retry-after": error.response.headers.get("retry-after"),
            "request-id": error.request_id,
        }
    return {}


ACTS = {act.__name__: act for act in (plain, stream, long, many, count, large, models, limited, overloaded, failure)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("acts", nargs="+", choices=list(ACTS))
    parser.add_argument("--socket", default="")
    parser.add_argument("--account", default="")
    parser.add_argument("--carried", default="", metavar="ACCOUNT")
    parser.add_argument("--retries", type=int, default=0)
    told = parser.parse_args()
    claude = client(told)
    print(json.dumps({act: ACTS[act](claude) for act in told.acts}))


if __name__ == "__main__":
    main()
