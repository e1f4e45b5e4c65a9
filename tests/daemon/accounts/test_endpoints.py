"""What may stand for an API's address, what of it is bound into an account, and that no credential follows another."""

import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.errors import BadRequest
from peers.house import House, Opener

KEY = Secret("sk-ant-api-of-the-caller")


async def seal(h: House, **more: str) -> None:
    key = Secret("sk-ant-api-sealed")
    await h.accounts.api_key(requests.ApiKey(account="anthropic", key=key, endpoint=more.get("endpoint", "")))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("https://api.example/v1/messages", "https://api.example"),
        ("https://API.example:443/", "https://api.example"),
        ("https://api.example/claude/v1/messages", "https://api.example/claude"),
        ("https://api.example/claude/", "https://api.example/claude"),
        ("https://api.example/v10", "https://api.example/v10"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
async def test_an_endpoint_is_bound_as_an_origin(house: Opener, said: str, meant: str) -> None:
    async with house() as h:
        await seal(h, endpoint=said)
        assert (await h.accounts.credential("")).endpoint == meant
        await h.accounts.api_key(requests.ApiKey(account="anthropic", key=KEY))
        assert (await h.stored("anthropic")).endpoint == meant, "another key is for the same API"


@pytest.mark.parametrize(
    "said",
    [
        "http://api.example",
        "ftp://api.example",
        "api.example",
        "https://you:me@api.example",
        "https://api.example/?x=1",
        "https://api.example/#x",
        "https://api.example/a/../b",
        "https://api.example/%2e",
        "https://api.example\\@evil.example/",
        "https://api .example",
    ],
)
async def test_an_endpoint_that_is_none_is_refused(house: Opener, said: str) -> None:
    async with house() as h:
        with pytest.raises(BadRequest, match="endpoint"):
            await seal(h, endpoint=said)


async def test_a_key_with_another_endpoint_does_not_take_the_sign_in_along(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        there = (
            r"sign-in of anthropic is for https://api\.anthropic\.com, and this key is for https://elsewhere\.example"
        )
        with pytest.raises(BadRequest, match=there) as raised:
            await seal(h, endpoint="https://elsewhere.example")
        assert raised.value.hint == "aixtiv api-key set anthropic/key --endpoint https://elsewhere.example"
        await seal(h)
        assert (await h.stored("anthropic")).endpoint == ""
        await seal(h, endpoint="https://api.anthropic.com/v1/messages")
