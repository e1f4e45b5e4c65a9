"""Where an account's credentials go: to the API it was made for, whoever signs in again, and with whatever options."""

from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.requests import Command
from aixtiv_protocol.secret import Secret
from aixtivd.config import ApiConfig
from aixtivd.errors import SignInFailed
from peers import person
from peers.authorization import AuthorizationServer
from peers.house import House, Opener
from peers.logins import ask, at_a_provider, finished, login, sign_in, started
from peers.sourced import bind

PROXY = "https://proxy.example"
EVIL = "https://evil.example"
KEY = Secret("sk-ant-api03-Q2x8")


def at_anthropic(server: AuthorizationServer, **more: Any) -> requests.Login:
    """With client options, as they are typed."""
    return msgspec.structs.replace(ask(server), provider="anthropic", **more)


async def seal(h: House, **more: Any) -> None:
    await h.accounts.api_key(requests.ApiKey(account="corp", key=KEY, **more))


async def refused(h: House, asked: requests.Login) -> SignInFailed:
    async with login(h, asked) as stream:
        with pytest.raises(SignInFailed) as raised:
            await started(stream)
    return raised.value


async def test_no_sign_in_takes_an_account_to_another_origin_unless_told(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        await sign_in(h, at_anthropic(server))
        for asked in (
            at_anthropic(server, endpoint=f"{EVIL}/v1/messages"),
            requests.Login(account="corp", endpoint=EVIL),  # as CLAUDE_API_ENDPOINT in a shell has it said
        ):
            failure = await refused(h, asked)
            assert failure.sentence == f"corp is for https://api.anthropic.com, and this sign-in is for {EVIL}"
            assert failure.hint.endswith(f"--endpoint {asked.endpoint} --replace")
        assert (await h.stored("corp")).endpoint == ""
        assert (await sign_in(h, at_anthropic(server, endpoint="https://API.anthropic.com:443/v1"))).state == "fresh"


async def test_where_none_is_said_the_bound_origin_stays_whatever_else_is(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        await sign_in(h, at_anthropic(server, endpoint=PROXY))
        await seal(h)
        for asked in (requests.Login(account="corp"), at_anthropic(server), at_anthropic(server, replace=True)):
            await sign_in(h, asked)
            grant = await h.stored("corp")
            assert (grant.endpoint, grant.api_key) == (PROXY, KEY)


async def test_a_sealed_key_goes_along_to_no_other_origin(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        await seal(h, endpoint=PROXY)
        moving = at_anthropic(server, endpoint=EVIL)
        assert PROXY in (await refused(h, msgspec.structs.replace(moving, provider="corp"))).sentence
        async with login(h, msgspec.structs.replace(moving, provider="corp", replace=True)) as stream:
            await anyio.to_thread.run_sync(person.sign_in, (await started(stream)).url)
            assert (await anext(stream)).note == "the API key that corp had was for another place, and is forgotten"  # type: ignore[union-attr]  # the last one
        grant = await h.stored("corp")
        assert (grant.endpoint, grant.api_key) == (EVIL, None)
        assert (await h.accounts.credential("corp")).form == "token"


async def test_a_sealed_key_becomes_no_other_providers(house: Opener) -> None:
    """For `[api.PROVIDER]` has an origin of its own."""
    async with at_a_provider(house) as (h, server):
        await seal(h)
        failure = await refused(h, at_anthropic(server))
        assert failure.sentence == "corp is for corp, and this sign-in is for anthropic"
        await sign_in(h, at_anthropic(server, replace=True))
        assert (await h.stored("corp")).api_key is None


async def test_an_origin_of_the_config_is_the_accounts_own_too(house: Opener) -> None:
    async with house(api={"anthropic": ApiConfig(origin=f"{PROXY}/")}) as h:
        await h.adopt("corp", provider="anthropic")
        await bind(h, Command(command=("/bin/echo", "token")), "corp", endpoint=PROXY, replace=True)
        assert (await refused(h, requests.Login(account="corp", endpoint=EVIL))).sentence.startswith(
            f"corp is for {PROXY}"
        )


async def test_a_key_stored_while_somebody_signs_in_keeps_its_origin(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        async with login(h, ask(server)) as stream:
            first = await started(stream)
            await seal(h, endpoint=PROXY)
            await anyio.to_thread.run_sync(person.sign_in, first.url)
            await finished(stream)
        grant = await h.stored("corp")
        assert (grant.endpoint, grant.api_key) == (PROXY, KEY)


async def test_a_sign_in_for_another_origin_than_a_key_stored_meanwhile_is_refused(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        async with login(h, msgspec.structs.replace(ask(server), endpoint=EVIL)) as stream:
            first = await started(stream)
            await seal(h, endpoint=PROXY)
            page = await anyio.to_thread.run_sync(person.sign_in, first.url)
            assert EVIL in page
            with pytest.raises(SignInFailed, match=f"corp is for {PROXY}, and this sign-in is for {EVIL}"):
                await finished(stream)
        grant = await h.stored("corp")
        assert (grant.kind, grant.endpoint, grant.api_key) == ("api-key", PROXY, KEY)
