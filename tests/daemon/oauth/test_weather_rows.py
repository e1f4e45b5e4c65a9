"""Rows of bad weather by status alone, with aioresponses in aiohttp's place."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses

from aixtiv_protocol.secret import Secret
from aixtivd.oauth.client import Client
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.outcomes import Granted, Misconfigured, NeedsSignIn, Refused, TryAgain

TOKEN = "https://provider.example/token"
CLIENT = Client(provider="p", client_id="c", token_endpoint=TOKEN)


class WithWriter(aiohttp.ClientResponse):
    """aiohttp 3.14 wants a `stream_writer` that aioresponses 0.7.9 does not give (its issue 289)."""

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **({"stream_writer": SimpleNamespace(output_size=0)} | named))


@pytest.fixture
def sky() -> Iterator[aioresponses]:
    with aioresponses() as mocked:
        yield mocked


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, '{"access_token": "at"}', Granted),
        (200, "{}", TryAgain),
        (200, '{"error": "server_error"}', TryAgain),
        (200, '{"error": "invalid_grant"}', Refused),
        (302, "", TryAgain),
        (400, '{"error": "invalid_grant"}', NeedsSignIn),
        (400, '{"error": "invalid_scope"}', Misconfigured),
        (400, '{"error": "no_idea"}', Refused),
        (401, '{"error": "invalid_client"}', Misconfigured),
        (401, "", TryAgain),
        (403, "", TryAgain),
        (404, "", TryAgain),
        (408, "", TryAgain),
        (429, '{"error": "rate_limited"}', TryAgain),
        (500, '{"error": "invalid_grant"}', TryAgain),
        (502, "", TryAgain),
        (503, "", TryAgain),
        (529, '{"type": "error", "error": {"type": "overloaded_error"}}', TryAgain),
    ],
)
async def test_the_status_and_the_body_make_the_outcome(
    endpoint: Endpoint, sky: aioresponses, status: int, body: str, outcome: type
) -> None:
    sky.post(TOKEN, status=status, body=body, headers={"Retry-After": "11"}, response_class=WithWriter)
    result = await endpoint.refresh(CLIENT, Secret("rt"))
    assert type(result) is outcome


@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
async def test_what_the_server_asks_us_to_wait_comes_through(
    endpoint: Endpoint, sky: aioresponses, status: int
) -> None:
    sky.post(TOKEN, status=status, headers={"Retry-After": "11"}, response_class=WithWriter)
    result = await endpoint.refresh(CLIENT, Secret("rt"))
    assert isinstance(result, TryAgain)
    assert result.retry_after == 11


@pytest.mark.parametrize(
    "error", [aiohttp.ServerDisconnectedError(), aiohttp.ClientPayloadError(), ConnectionResetError(), TimeoutError()]
)
async def test_whatever_aiohttp_raises_is_an_outcome(endpoint: Endpoint, sky: aioresponses, error: Exception) -> None:
    sky.post(TOKEN, exception=error)
    assert isinstance(await endpoint.refresh(CLIENT, Secret("rt")), TryAgain)
