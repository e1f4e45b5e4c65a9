"""How to be a client of a server, as the config and a caller say it: until a browser could be sent there."""

import asyncio
from contextlib import suppress
from functools import cache
from typing import Any, Final, cast

import msgspec
import uvloop
from msgspec import Struct

from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret, decode_hook, encode_hook
from aixtivd.config import ProviderConfig
from aixtivd.errors import AixtivError
from aixtivd.oauth.authorization import authorization_url, check_issuer
from aixtivd.oauth.callback import CallbackListener, Page, Response, listens
from aixtivd.oauth.clients import client_for
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.web import Answer, Web
from fuzz.target import Target
from peers.clock import FakeClock


class _Said(Struct, frozen=True):
    provider: str
    settings: ClientSettings
    config: ProviderConfig
    metadata: dict[str, Any]


_decoder: Final = msgspec.msgpack.Decoder(_Said, dec_hook=decode_hook)


class _Shelf:
    """Stands for the web: every request has the same answer."""

    def __init__(self, body: bytes) -> None:
        self._answer = Answer(200, {"content-type": "application/json"}, body)

    async def send(self, *_: Any, **__: Any) -> Answer:
        return self._answer


def settings(data: bytes) -> None:
    """A client comes of it that a sign-in can begin with, or a sentence."""
    try:
        said = _decoder.decode(data)
        body = msgspec.json.encode(said.metadata)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError):
        return
    web = cast("Web", _Shelf(body))
    with suppress(AixtivError):
        _loop().run_until_complete(_begun(web, said))


async def _begun(web: Web, said: _Said) -> None:
    client = await client_for(web, said.provider, said.config, said.settings)
    with suppress(UnicodeEncodeError):  # half a surrogate pair, which the codec lets nobody send
        authorization_url(client, "http://127.0.0.1:9/callback", "state", "nonce", Secret("verifier"), client.scopes)
        await Endpoint(web, FakeClock()).refresh(client, Secret("r"))
    with suppress(AixtivError):
        check_issuer(client, "https://i.example")
    if listens(client):
        assert CallbackListener(client, 0, _answer).redirect_uri.startswith("http://")


async def _answer(_: Response) -> Page:
    return Page("", "", ok=False)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return uvloop.new_event_loop()


def _seeds() -> list[bytes]:
    url = "https://i.example"
    metadata = {"issuer": url, "authorization_endpoint": f"{url}/a", "token_endpoint": f"{url}/t"}
    given = ClientSettings(issuer=url, client_id="me", client_secret=Secret("s"), redirect_uri="http://127.0.0.1/cb")
    known = ClientSettings(
        client_id="me", authorization_endpoint=f"{url}/a", token_endpoint=f"{url}/t", client_auth="post"
    )
    config = ProviderConfig(
        issuer=url, scopes=("a",), authorize_parameters={"a": "b"}, redirect_uri="http://[::1]/x?y=z"
    )
    said = (
        _Said("p", given, ProviderConfig(), metadata),
        _Said("p", known, config, {}),
        _Said("anthropic", ClientSettings(), config, metadata),
        _Said("microsoft", ClientSettings(client_id="x"), ProviderConfig(), metadata),
    )
    return [msgspec.msgpack.encode(one, enc_hook=encode_hook) for one in said]


_WORDS: Final = (
    b"http://[::1",
    b"https://x:99999",
    b"http://127.0.0.1:x/",
    b"{tenantid}",
    b"https://[",
    b"#",
    b"?",
    b"\\",
)

TARGETS: Final = (Target("settings", settings, _seeds, form="msgpack", words=_WORDS),)
