"""A whole sign-in in a test's loop, from the authorization URL to the outcome of the exchange, without the daemon."""

from urllib.parse import urlsplit

import anyio
from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd.oauth.authorization import authorization_url, new_nonce, new_state, new_verifier
from aixtivd.oauth.client import Client
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.outcomes import Granted, Outcome, Tokens
from aixtivd.oauth.response import Response, parse_query
from peers.person import redirected


class Walked(Struct, frozen=True, kw_only=True):
    """What a sign-in holds between the browser's return and the exchange."""

    response: Response
    redirect_uri: str
    verifier: Secret
    state: str
    nonce: str


async def walk(client: Client, who: str = "ada") -> Walked:
    """Through the server's pages to the redirect, which goes nowhere."""
    redirect_uri = f"http://{client.quirks.redirect_host}:9{client.quirks.redirect_path}"
    verifier, state, nonce = new_verifier(), new_state(), new_nonce()
    url = authorization_url(client, redirect_uri, state, nonce, verifier, client.scopes)
    ended = await anyio.to_thread.run_sync(redirected, url, redirect_uri, who)
    return Walked(
        response=parse_query(urlsplit(ended).query),
        redirect_uri=redirect_uri,
        verifier=verifier,
        state=state,
        nonce=nonce,
    )


async def exchange(endpoint: Endpoint, client: Client, walked: Walked) -> Outcome:
    assert walked.response.code
    return await endpoint.exchange(
        client,
        code=walked.response.code,
        verifier=walked.verifier,
        redirect_uri=walked.redirect_uri,
        state=walked.state,
    )


async def signed_in(endpoint: Endpoint, client: Client, who: str = "ada") -> Tokens:
    outcome = await exchange(endpoint, client, await walk(client, who))
    assert isinstance(outcome, Granted), outcome
    return outcome.tokens
