"""For the official Python SDK of Claude: credentials that the daemon keeps fresh, or calls that it carries itself.

    from anthropic import Anthropic
    from aixtiv.integrations.anthropic import credentials, http_client

    Anthropic(credentials=credentials("anthropic/work"))                          # the SDK sees the token
    Anthropic(base_url=BASE_URL, auth_token="-", http_client=http_client())       # it does not: the gateway's socket

Read in the sources of `anthropic` 2.12 and 0.125 (`lib/credentials`): both take `credentials=`.
"""

import os
from importlib import import_module
from typing import Any, Final, NoReturn

from aixtiv import environment
from aixtiv.client import Client
from aixtiv.failures import AixtivError
from aixtiv_protocol.replies import AccessToken

ACCOUNT: Final = "anthropic"
BASE_URL: Final = "http://localhost"
"""Of whoever uses `http_client`: the gateway's socket takes the place of a host, and speaks plain HTTP."""

LIFE: Final = 30  # seconds a token must still have: what a request may need until it is on its way


def credentials(account: str = "") -> "Credentials":
    """What `Anthropic(credentials=…)` and `AsyncAnthropic(credentials=…)` take.

    `account`: else AIXTIV_ACCOUNT, else `anthropic`. Nothing is asked until the SDK asks.
    """
    return Credentials(account or os.environ.get("AIXTIV_ACCOUNT", "") or ACCOUNT)


class Credentials:
    """Asked before each request, since `expires_at` is 0 (the SDK: "the provider does its own caching").

    It may be called by several threads at once, as the SDK asks of it: each call is a conversation of its own, of a
    fraction of a millisecond. AsyncAnthropic calls it in a worker thread.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self._given = 0  # generation of the token that was given last

    def __repr__(self) -> str:
        return f"Credentials({self._account!r})"

    def __call__(self, *, force_refresh: bool = False) -> Any:
        """An `anthropic.AccessToken`. `force_refresh`: the API refused the last one."""
        try:
            with _client() as client:
                token = self._token(client, force_refresh=force_refresh)
        except AixtivError as failure:
            _give_up(failure)
        self._given = token.generation
        return import_module("anthropic").AccessToken(token=token.access_token.reveal(), expires_at=0)

    def _token(self, client: Client, *, force_refresh: bool) -> AccessToken:
        token = client.token(self._account, min_ttl=LIFE)
        if not force_refresh or token.generation > self._given or not token.expires_at:
            return token  # another caller has had it refreshed already, or it is one that is never refreshed
        client.refresh(self._account)
        return client.token(self._account)


def http_client(account: str = "", **options: Any) -> Any:
    """An `anthropic.DefaultHttpxClient` that speaks to the gateway's Unix socket: no secret is in this process.

    `options` are those of `DefaultHttpxClient`. Its transport is of the library that the SDK at hand is built on:
    `httpx2` since 2.0, which refuses objects of `httpx`.
    """
    try:
        with _client() as client:
            path = client.status().gateway
    except AixtivError as failure:
        _give_up(failure)
    kind = import_module("anthropic").DefaultHttpxClient
    library = import_module(kind.__mro__[1].__module__.partition(".")[0])
    name = account or os.environ.get("AIXTIV_ACCOUNT", "")
    headers = {"x-aixtiv-account": name} if name else {}
    return kind(transport=library.HTTPTransport(uds=path), headers=headers, **options)


def _client() -> Client:
    start = os.environ.get("AIXTIV_NO_START", "") in ("", "0")
    return Client(start=start, agent=environment.agent(os.environ))


def _give_up(failure: AixtivError) -> NoReturn:
    """As the SDK's own kind of error: what it does not know it calls a failed connection, and tries again."""
    sdk = import_module("anthropic")
    sentence = f"{failure.sentence}; run: {failure.hint}" if failure.hint else failure.sentence
    raise getattr(sdk, "CredentialsError", sdk.AnthropicError)(sentence) from failure
