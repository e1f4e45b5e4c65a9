"""Signing in against a real authorization server, with a person who fills in its forms."""

import time

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.errors import (
    BadRequest,
    SignInFailed,
)
from peers import person
from peers.authorization import AuthorizationServer
from peers.clock import FakeClock
from peers.house import Opener
from peers.logins import Stream, ask, at_a_provider, finished, login, redirected, sign_in, started, visit


async def test_a_person_signs_in_and_the_page_says_so_only_after_the_grant_is_on_disk(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        first = await started(stream)
        page = await anyio.to_thread.run_sync(person.sign_in, first.url)
        assert "corp is signed in as ada@example.test" in page
        assert (await h.stored("corp")).subject == "ada"
        account = await finished(stream)
        assert (account.who, account.state) == ("ada@example.test", "fresh")
        assert server.grants.active(await h.token("corp"))


async def test_a_page_for_whoever_has_no_good_state_names_no_account(house: Opener) -> None:
    """Any program, of any user, and any web page reaches that port."""
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        away = (await started(stream)).redirect_uri + "?code=x&state=another"
        page = (await anyio.to_thread.run_sync(person.visit, away)).text
        assert "belongs to another sign-in" in page
        assert "corp" not in page
        assert "aixtiv login" not in page


async def test_the_answer_may_be_pasted_whole(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        pasted = await redirected(await started(stream))
        await h.accounts.callback(requests.Callback(pasted=Secret(pasted)))
        assert (await finished(stream)).subject == "ada"


async def test_the_answer_may_be_pasted_as_a_lone_code_or_with_its_state(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        for tail in ("", "#STATE"):
            async with login(h, ask(server)) as stream:
                url = await redirected(await started(stream))
                code, state = (url.partition(f"{name}=")[2].partition("&")[0] for name in ("code", "state"))
                await h.accounts.callback(requests.Callback(pasted=Secret(code + tail.replace("STATE", state))))
                assert (await finished(stream)).subject == "ada"


async def test_who_comes_second_joins_the_sign_in_that_is_open(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as one, login(h, ask(server)) as two:
        first, second = await started(one), await started(two)
        assert (first.url, first.joined, second.joined) == (second.url, False, True)
        await anyio.to_thread.run_sync(person.sign_in, first.url)
        assert await finished(one) == await finished(two)


async def test_two_that_begin_at_the_same_moment_share_one_sign_in(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as one, login(h, ask(server)) as two:
        urls: list[str] = []

        async def begin(stream: Stream) -> None:
            urls.append((await started(stream)).url)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(begin, one)
            tasks.start_soon(begin, two)
        assert urls[0] == urls[1]


async def test_a_caller_that_hangs_up_leaves_the_sign_in_open_for_whoever_finishes_it(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        async with login(h, ask(server)) as stream:
            first = await started(stream)
        page = await anyio.to_thread.run_sync(person.sign_in, first.url)
        assert "is signed in" in page
        assert h.state("corp").state == "fresh"


async def test_a_second_sign_in_needs_no_options_for_the_first_ones_are_bound_into_the_grant(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        before = await sign_in(h, ask(server))
        after = await sign_in(h, requests.Login(account="corp"))
        assert after.generation > before.generation


async def test_a_restart_needs_no_environment_to_refresh(house: Opener) -> None:
    clock = FakeClock(time.time())
    async with AuthorizationServer() as server:
        async with house(clock, real=True) as h:
            await sign_in(h, ask(server))
            token = await h.token()
        async with house(clock, real=True) as h:
            assert (await h.accounts.refresh(requests.Refresh())).state == "fresh"
            assert await h.token() != token


async def test_a_lone_code_needs_the_account_where_several_sign_ins_are_open(house: Opener) -> None:
    async with (
        at_a_provider(house) as (h, server),
        login(h, ask(server, "one")) as one,
        login(h, ask(server, "two")) as two,
    ):
        url = await redirected(await started(one))
        await started(two)
        code = Secret(url.partition("code=")[2].partition("&")[0])
        with pytest.raises(BadRequest, match="several sign-ins are open"):
            await h.accounts.callback(requests.Callback(pasted=code))
        await h.accounts.callback(requests.Callback(pasted=code, account="one"))
        assert (await finished(one)).name == "one"


async def test_verify_asks_the_issuer_and_shows_the_age_of_the_id_token(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        settings = requests.ClientSettings(
            issuer=server.issuer, client_id="basic", client_secret=Secret(server.secret), client_auth="basic"
        )
        await sign_in(h, requests.Login(account="corp", settings=settings))
        h.clock.advance(100)
        verified = await h.accounts.verify(requests.Verify(account="corp"))
        assert (verified.active, verified.id_token, verified.id_token_age) == (True, "valid", 100)
        server.grants.end_all()
        assert (await h.accounts.verify(requests.Verify(account="corp"))).active is False


async def test_logout_revokes_at_the_provider_and_leaves_nothing_on_disk(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        await sign_in(h, ask(server))
        token = await h.token()
        told = await h.accounts.logout(requests.Logout(account="corp"))
        assert told.revoked
        assert not server.grants.active(token)
        assert await h.vault.rows() == []


async def test_logout_says_that_the_key_beside_the_sign_in_is_forgotten_with_it(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        await sign_in(h, ask(server))
        await h.accounts.api_key(requests.ApiKey(account="corp", key=Secret("k")))
        assert h.state("corp").key
        told = await h.accounts.logout(requests.Logout(account="corp"))
        assert told.revoked
        assert told.note == "its API key is forgotten here, and stays good at the provider"
        assert await h.vault.rows() == []


async def test_logout_ends_an_open_sign_in_and_leaves_the_key_that_is_the_account(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        await h.accounts.api_key(requests.ApiKey(account="corp", key=Secret("k")))
        async with login(h, ask(server)) as stream:
            await started(stream)
            told = await h.accounts.logout(requests.Logout(account="corp"))
            assert (told.remains, told.note) == (True, "the API key of corp stays")
            with pytest.raises(SignInFailed, match="ended by a logout"):
                await finished(stream)
        assert await h.token("corp") == "k"
        assert not (await h.accounts.logout(requests.Logout(account="corp"))).remains
        assert await h.vault.rows() == []


async def test_a_port_that_another_open_sign_in_has_is_said_to_be_its(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as first:
        port = (await started(first)).port
        second = msgspec.structs.replace(ask(server), account="corp/two", port=port)
        async with login(h, second) as stream:
            with pytest.raises(SignInFailed, match=f"port {port} is taken by the sign-in to corp, which is") as raised:
                await started(stream)
        assert raised.value.hint == "aixtiv callback corp"


async def test_other_settings_replace_the_open_sign_in_and_none_join_it(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        wrong = requests.ClientSettings(issuer=server.issuer, client_id="mistyped")
        async with login(h, requests.Login(account="corp", settings=wrong)) as mistyped, login(h, ask(server)) as right:
            await started(mistyped)
            first = await started(right)
            assert not first.joined
            assert "client_id=native" in first.url
            with pytest.raises(SignInFailed, match="another sign-in to corp took its place"):
                await finished(mistyped)
            async with login(h, requests.Login(account="corp")) as other:
                assert (await started(other)).joined
            await anyio.to_thread.run_sync(person.sign_in, first.url)
            assert (await finished(right)).subject == "ada"


async def test_a_logout_ends_the_open_sign_in_of_an_account_that_is_not_there_yet(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        await started(stream)
        told = await h.accounts.logout(requests.Logout(account="corp"))
        assert "the open sign-in was ended" in told.note
        with pytest.raises(SignInFailed, match="ended by a logout"):
            await finished(stream)


async def test_whoever_hangs_up_while_the_last_sign_in_ends_leaves_nothing_behind(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        async with login(h, ask(server)) as stream:
            url = (await started(stream)).url
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(visit, url)
                await finished(stream)
                async with anyio.create_task_group() as hasty:
                    for _ in range(3):

                        async def hang_up() -> None:
                            async with login(h, requests.Login(account="corp")) as begun:
                                await started(begun)

                        hasty.start_soon(hang_up)
                    await anyio.lowlevel.checkpoint()
                    hasty.cancel_scope.cancel()
        assert (await sign_in(h, ask(server))).subject == "ada"


async def test_who_joins_is_told_the_address_however_early(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        urls: list[str] = []

        async def join() -> None:
            async with login(h, ask(server)) as stream:
                urls.append((await started(stream)).url)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(join)
                await anyio.lowlevel.checkpoint()
        assert len(set(urls)) == 1
        assert urls[0]
