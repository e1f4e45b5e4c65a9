"""Signing in for a resource, an MCP server say: it is asked who signs in there, and the client registers itself."""

import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import anyio.to_thread
import msgspec
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.replies import Account, SignedIn
from aixtiv_protocol.secret import Secret
from aixtivd.config import McpConfig
from aixtivd.errors import BadRequest, Misconfigured, NoProvider, Refused, SignInFailed
from aixtivd.host import loopback
from peers import person
from peers.authority.grants import Settings
from peers.authorization import AuthorizationServer, Heard
from peers.clock import FakeClock
from peers.guarded import METADATA, Guarded, guarded
from peers.house import House, Opener
from peers.logins import finished, login, sign_in, started, visit


@asynccontextmanager
async def at_a_resource(house: Opener, path: str = "/mcp", **settings: Any) -> AsyncIterator[tuple[House, Guarded]]:
    async with guarded(path, **settings) as at, house(FakeClock(time.time()), real=True) as h:
        yield h, at


def ask(
    at: Guarded, *, scopes: tuple[str, ...] = (), replace: bool = False, port: int = 0, **more: Any
) -> requests.Login:
    settings = requests.ClientSettings(resource=at.url, **more)
    return requests.Login(account="mcp", settings=settings, scopes=scopes, replace=replace, port=port)


def spoken(heard: list[Heard], name: str) -> list[str]:
    """What stood in that field of the token requests."""
    return [dict(parse_qsl(one.body)).get(name, "") for one in heard]


async def test_a_person_signs_in_with_nothing_but_its_url(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        account = await sign_in(h, ask(at))
        assert (account.state, account.scopes) == ("fresh", ("api:read", "offline_access"))
        assert account.provider == "mcp"
        assert account.endpoint == at.there.url  # its token is relayed there, and nowhere else
        stored = await h.stored("mcp")
        assert stored.client is not None
        assert stored.client.resource == at.url
        assert list(at.server.endpoints.clients.registered) == [stored.client.client_id]
        assert at.server.grants.active(await h.token("mcp"))


async def test_the_resource_stands_in_every_request_for_a_token(house: Opener) -> None:
    """The server compares it, and would refuse."""
    async with at_a_resource(house) as (h, at):
        await sign_in(h, ask(at))
        await h.accounts.refresh(requests.Refresh(account="mcp", wait=30))
        assert spoken(at.server.requests, "resource") == [at.url, at.url]
        assert spoken(at.server.requests, "grant_type") == ["authorization_code", "refresh_token"]


async def test_step_up_keeps_client_endpoint_and_refresh(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        await sign_in(h, ask(at))
        before = await h.stored("mcp")
        challenge = 'Bearer error="insufficient_scope", scope="api:write"'
        at.publish(scopes_supported=["api:read", "api:write"])
        account = await sign_in(h, ask(at, scopes=("api:read", "api:write"), challenge=challenge))
        after = await h.stored("mcp")
        assert account.scopes == ("api:read", "api:write", "offline_access")
        assert after.client is not None
        assert before.client is not None
        assert after.refresh_token is not None
        assert after.endpoint == before.endpoint


async def test_a_second_sign_in_registers_nothing_and_uses_the_port_that_was_registered(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        await sign_in(h, ask(at))
        first = (await h.stored("mcp")).client
        for asked in (ask(at), requests.Login(account="mcp")):
            await sign_in(h, asked)
        assert (await h.stored("mcp")).client == first
        assert len(at.server.endpoints.clients.registered) == 1


async def test_a_port_that_is_taken_meanwhile_means_registering_anew(house: Opener) -> None:
    """Servers compare redirect URIs letter by letter."""
    async with at_a_resource(house) as (h, at):
        await sign_in(h, ask(at))
        client = (await h.stored("mcp")).client
        assert client is not None
        port = int(client.redirect_uri.split(":")[2].partition("/")[0])
        await h.accounts._sign_ins.vacated("mcp")  # its last page is on its way
        with loopback.bound(socket.AF_INET, "127.0.0.1", port):
            account = await sign_in(h, ask(at))
        assert account.state == "fresh"
        assert len(at.server.endpoints.clients.registered) == 2
        assert (await h.stored("mcp")).client != client


async def test_a_registered_secret_is_sealed_with_the_grant_and_shown_at_every_request(
    house: Opener, folder: Path
) -> None:
    async with at_a_resource(house, auth_methods=("client_secret_basic",)) as (h, at):
        await sign_in(h, ask(at))
        await h.accounts.refresh(requests.Refresh(account="mcp", wait=30))
        assert [one.headers["authorization"][:6] for one in at.server.requests] == ["Basic ", "Basic "]
        (client,) = at.server.endpoints.clients.registered.values()
        files = [path for path in (folder / "state").rglob("*") if path.is_file()]
        assert files
        assert not any(client.secret.encode() in path.read_bytes() for path in files)


async def test_a_secret_that_has_ended_means_registering_anew(house: Opener) -> None:
    async with at_a_resource(house, auth_methods=("client_secret_basic",)) as (h, at):
        await sign_in(h, ask(at))
        entry = h.accounts._book.named("mcp")
        assert entry.grant.client is not None
        client = msgspec.structs.replace(entry.grant.client, secret_ends_at=int(h.clock.wall()) - 1)
        entry.grant = msgspec.structs.replace(entry.grant, client=client)
        await sign_in(h, ask(at))
        assert len(at.server.endpoints.clients.registered) == 2


async def test_a_server_that_has_forgotten_the_client_hears_of_a_new_one_at_the_next_sign_in(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        await sign_in(h, ask(at))
        at.server.endpoints.clients.forget()
        with pytest.raises(Misconfigured, match="invalid_client"):
            await h.accounts.refresh(requests.Refresh(account="mcp", wait=30))
        account = await sign_in(h, ask(at))
        assert account.state == "fresh"
        assert len(at.server.endpoints.clients.registered) == 1


async def test_where_nobody_came_to_an_end_with_a_client_the_next_sign_in_registers_another(house: Opener) -> None:
    """A server that has forgotten it shows its refusal to the browser alone."""
    async with at_a_resource(house) as (h, at):
        await sign_in(h, ask(at))
        at.server.endpoints.clients.forget()
        async with login(h, ask(at)) as stream:
            page = await anyio.to_thread.run_sync(person.visit, (await started(stream)).url)
            assert page.status == 400
            h.clock.advance(601)
            with pytest.raises(SignInFailed, match="ten minutes"):
                await finished(stream)
        assert (await sign_in(h, ask(at))).state == "fresh"


async def test_that_nobody_came_to_an_end_with_it_is_remembered_of_that_servers_client_and_of_so_many(
    house: Opener,
) -> None:
    """Another server may call one of its own by the same id."""
    async with at_a_resource(house) as (h, at):
        await sign_in(h, ask(at))
        client = (await h.stored("mcp")).client
        assert client is not None
        unanswered = h.accounts._sign_ins._unanswered
        unanswered["mcp", "https://evil.example", "https://evil.example/token", client.client_id] = None
        await sign_in(h, ask(at))
        assert len(at.server.endpoints.clients.registered) == 1
        unanswered |= dict.fromkeys(("mcp", "", "", str(number)) for number in range(255))
        async with login(h, ask(at, replace=True)) as stream:
            await started(stream)
            h.clock.advance(601)
            with pytest.raises(SignInFailed, match="ten minutes"):
                await finished(stream)
        assert len(unanswered) == 256
        assert "https://evil.example" not in {issuer for _, issuer, _, _ in unanswered}, "the oldest is forgotten"


async def test_replace_registers_anew(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        await sign_in(h, ask(at))
        await sign_in(h, ask(at, replace=True))
        await sign_in(h, requests.Login(account="mcp", replace=True))
        assert len(at.server.endpoints.clients.registered) == 3


async def test_the_resource_may_name_another_server_which_hears_nothing_of_the_old_client(house: Opener) -> None:
    async with at_a_resource(house) as (h, at), AuthorizationServer(Settings(registration=True)) as other:
        await sign_in(h, ask(at))
        old = (await h.stored("mcp")).client
        at.publish(authorization_servers=[other.issuer])
        async with login(h, ask(at)) as stream:
            await visit((await started(stream)).url)
            told = await anext(stream)
        assert isinstance(told, SignedIn)
        new = (await h.stored("mcp")).client
        assert old is not None
        assert new is not None
        assert new.issuer == other.issuer
        assert f"at {other.issuer} now, and no more at {at.server.issuer}" in told.note
        assert list(other.endpoints.clients.registered) == [new.client_id]
        assert old.client_id not in "".join(one.body for one in other.requests)


async def test_a_caller_may_not_name_another_server_for_an_account_that_is_there(house: Opener) -> None:
    async with at_a_resource(house) as (h, at), AuthorizationServer(Settings(registration=True)) as other:
        await sign_in(h, ask(at))
        with pytest.raises(SignInFailed, match="is signed in at"):
            await sign_in(h, ask(at, issuer=other.issuer))


async def test_an_account_of_one_resource_is_not_silently_for_another(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        await sign_in(h, ask(at))
        there = Guarded(at.there, at.server, "/other")
        with pytest.raises(SignInFailed, match=f"{at.url}, and this sign-in is at {there.url}") as caught:
            await sign_in(h, ask(there))
        assert "--replace" in caught.value.hint


async def test_two_that_want_its_token_at_once_share_one_sign_in(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        one, two = ask(at, challenge='Bearer error="1"'), ask(at, challenge='Bearer error="2"')
        async with login(h, one) as first, login(h, two) as second:
            shown, also = await started(first), await started(second)
            assert (shown.url, also.joined) == (also.url, True)
            await anyio.to_thread.run_sync(person.sign_in, shown.url)
            assert await finished(first) == await finished(second)
        assert len(at.server.endpoints.clients.registered) == 1


async def test_who_needs_more_than_the_open_one_asks_for_begins_another(house: Opener) -> None:
    async with at_a_resource(house) as (h, at), login(h, ask(at)) as first:
        await started(first)
        async with login(h, ask(at, scopes=("api:write",))) as second:
            assert not (await started(second)).joined


async def test_another_port_may_be_asked_for(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        await sign_in(h, ask(at))
        with loopback.bound(socket.AF_INET, "127.0.0.1", 0) as free:
            port = free.getsockname()[1]
        async with login(h, ask(at, port=port, replace=True)) as stream:
            assert (await started(stream)).port == port


async def test_where_registering_fails_nobody_is_sent_to_a_browser(house: Opener) -> None:
    async with at_a_resource(house, auth_methods=("none",)) as (h, at):
        at.server.settings.registration = False
        with pytest.raises(NoProvider, match="made by hand") as caught:
            await sign_in(h, ask(at))
        assert caught.value.hint == f"aixtiv login mcp --resource {at.url} --client-id ID"


async def test_a_registration_that_is_refused_is_told(house: Opener) -> None:
    """As a server does whose metadata says more than it takes."""
    async with at_a_resource(house) as (h, at):
        at.server.endpoints.clients._settings = Settings(auth_methods=())
        with pytest.raises(Refused, match="invalid_client_metadata"):
            await sign_in(h, ask(at))
        assert h.accounts._sign_ins.of("mcp") is None


async def test_a_server_from_before_that_registers_nobody_is_told_with_what_to_type(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        at.withdraw()
        with pytest.raises(SignInFailed, match=r"registers no clients by itself \(404\)") as caught:
            await sign_in(h, ask(at))
        assert caught.value.hint == f"aixtiv login mcp --resource {at.url} --client-id ID"


async def test_metadata_for_another_resource_sends_nobody_anywhere(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        at.publish(resource="https://evil.example/mcp")
        with pytest.raises(NoProvider, match="speaks for another resource") as refused:
            await sign_in(h, ask(at))
        assert refused.value.hint == ""  # the same command would be refused again
        assert not at.server.endpoints.clients.registered
        assert at.there.asked == ["/mcp", f"{METADATA}/mcp"]


async def test_its_token_goes_nowhere_but_to_the_resource(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        asked = msgspec.structs.replace(ask(at), endpoint="https://elsewhere.example")
        with pytest.raises(BadRequest, match="the resource is at"):
            await sign_in(h, asked)


async def test_a_wrong_issuer_in_the_answer_takes_no_code_anywhere(house: Opener) -> None:
    async with at_a_resource(house) as (h, at), login(h, ask(at)) as stream:
        first = await started(stream)
        url = await anyio.to_thread.run_sync(person.redirected, first.url, first.redirect_uri)
        wrong = url.partition("&iss=")[0] + "&iss=https%3A%2F%2Fevil.example"
        await anyio.to_thread.run_sync(person.visit, wrong)
        with pytest.raises(SignInFailed, match="another issuer"):
            await finished(stream)
        assert not at.server.requests


async def test_by_a_code_typed_elsewhere_the_token_is_for_the_resource_too(house: Opener) -> None:
    async with at_a_resource(house, device=True) as (h, at):
        asked = msgspec.structs.replace(ask(at), device="wanted")
        async with login(h, asked) as stream:
            shown = await started(stream)
            assert shown.user_code
            await anyio.to_thread.run_sync(person.type_code, shown.verification_uri, shown.user_code)
            h.clock.advance(6)
            assert (await finished(stream)).state == "fresh"
        assert set(spoken(at.server.requests, "resource")) == {at.url}


async def test_a_client_that_needs_no_person_gets_its_own_token_for_the_resource(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        asked = ask(at, client_id="basic", client_secret=Secret(at.server.secret))
        async with login(h, msgspec.structs.replace(asked, source=requests.ClientCredentials())) as stream:
            assert (await finished(stream)).kind == "client-credentials"
        assert spoken(at.server.requests, "resource") == [at.url]
        assert spoken(at.server.requests, "scope") == ["api:read"]


async def test_an_account_that_is_for_something_else_goes_on_as_it_was(house: Opener) -> None:
    async with guarded() as at, house(FakeClock(time.time()), real=True, **configured(at)) as h:
        elsewhere = requests.ClientSettings(issuer=at.server.issuer, client_id="native")
        await sign_in(h, requests.Login(account="corp", settings=elsewhere))
        h.accounts.reconfigure(h.config(mcp={"tools": McpConfig(url=at.url, account="corp")}))
        await sign_in(h, requests.Login(account="corp"))
        client = (await h.stored("corp")).client
        assert client is not None
        assert (client.resource, client.client_id) == ("", "native")
        assert at.there.asked == []


def configured(at: Guarded, **more: Any) -> dict[str, Any]:
    return {"mcp": {"tools": McpConfig(url=at.url, account="mcp", **more)}}


async def test_of_a_server_in_the_config_nothing_but_the_name_need_be_said(house: Opener) -> None:
    async with guarded() as at:
        config = configured(at, scopes=("api:write",), client_id="")
        async with house(FakeClock(time.time()), real=True, **config) as h:
            account = await sign_in(h, requests.Login(account="mcp"))
            assert (account.endpoint, account.scopes) == (at.there.url, ("api:write", "offline_access"))
            await sign_in(h, requests.Login(account="mcp"))
            await sign_in(h, ask(at))
            assert len(at.server.endpoints.clients.registered) == 1


async def test_a_client_made_by_hand_has_its_secret_said_once(house: Opener) -> None:
    async with guarded(registration=False, auth_methods=("client_secret_basic",)) as at:
        config = configured(at, client_id="basic")
        async with house(FakeClock(time.time()), real=True, **config) as h:
            said = requests.ClientSettings(client_secret=Secret(at.server.secret))
            await sign_in(h, requests.Login(account="mcp", settings=said))
            await sign_in(h, requests.Login(account="mcp"))
            await sign_in(h, ask(at, client_id="basic"))
            assert [one.headers["authorization"][:6] for one in at.server.requests] == ["Basic "] * 3


async def test_a_refresh_token_from_elsewhere_wants_its_client_named(house: Opener) -> None:
    async with at_a_resource(house) as (h, at):
        asked = requests.Adopt(account="mcp", refresh_token=Secret("r"), settings=ask(at).settings)
        with pytest.raises(NoProvider, match="given to"):
            await h.accounts.adopt(asked)


async def test_after_a_restart_the_resource_still_stands_in_the_refresh(house: Opener) -> None:
    async with guarded() as at:
        async with house(FakeClock(time.time()), real=True) as h:
            await sign_in(h, ask(at))
        async with house(FakeClock(time.time()), real=True) as h:
            account: Account = await h.accounts.refresh(requests.Refresh(account="mcp", wait=30))
            assert account.state == "fresh"
        assert spoken(at.server.requests, "resource") == [at.url, at.url]
