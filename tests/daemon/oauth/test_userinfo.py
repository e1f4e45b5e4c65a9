"""Who signed in, as the userinfo endpoint says it; and a whole sign-in, from the browser to a name."""

from collections.abc import Callable
from typing import Any

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.clock import SystemClock
from aixtivd.oauth.client import Client, Quirks
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.identity import Identity, ask_userinfo, check_sign_in
from aixtivd.oauth.web import Web
from peers.authorization import AuthorizationServer
from peers.canned import shelf
from peers.signing import exchange, walk


def client(**more: Any) -> Client:
    return Client(provider="p", client_id="me", token_endpoint="https://issuer.example/t", **more)


async def test_a_whole_sign_in_ends_with_an_identity(
    web: Web, endpoint: Endpoint, client_at: Callable[..., Client]
) -> None:
    async with AuthorizationServer() as server:
        known = client_at(server)
        walked = await walk(known, "grace")
        outcome: Any = await exchange(endpoint, known, walked)
        identity = await check_sign_in(web, known, outcome.tokens.id_token, walked.nonce, SystemClock())
        assert (identity.subject, identity.who) == ("grace", "grace@example.test")
        asked = await ask_userinfo(web, known, outcome.tokens.access_token, "grace")
        assert asked == Identity(subject="grace", who="grace@example.test")
        assert await ask_userinfo(web, known, outcome.tokens.access_token, "ada") is None
        assert await ask_userinfo(web, known, Secret("other")) is None


async def test_github_names_its_people_by_number_and_login(web: Web) -> None:
    async with shelf() as there:
        there.put("/user", {"id": 583231, "login": "octocat", "email": None})
        known = client(userinfo_endpoint=f"{there.url}/user", quirks=Quirks(subject_claim="id", who_claims=("login",)))
        assert await ask_userinfo(web, known, Secret("at")) == Identity(subject="583231", who="octocat")
        assert there.headers[0]["Authorization"] == "Bearer at"


@pytest.mark.parametrize(
    "body", ["", "<html>", [], {"sub": ""}, {"sub": None}, {"sub": True}, {"sub": ["x"]}, {"id": 1}]
)
async def test_userinfo_that_does_not_say_who_is_no_failure(web: Web, body: Any) -> None:
    async with shelf() as there:
        there.put("/user", body)
        assert await ask_userinfo(web, client(userinfo_endpoint=f"{there.url}/user"), Secret("at")) is None
    assert await ask_userinfo(web, client(userinfo_endpoint=f"{there.url}/user"), Secret("at")) is None
    assert await ask_userinfo(web, client(userinfo_endpoint="http://plain.example/"), Secret("at")) is None
    assert await ask_userinfo(web, client(), Secret("at")) is None
