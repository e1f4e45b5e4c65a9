"""Signing in against a real authorization server, with a person who fills in its forms."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.errors import (
    AixtivError,
    BadRequest,
    Locked,
    NoAccount,
    NoProvider,
    SignInFailed,
    StoreFailed,
    Unreachable,
)
from peers import person
from peers.authority import weather
from peers.authorization import AuthorizationServer, Settings
from peers.clock import FakeClock
from peers.house import House, Opener

Stream = AsyncGenerator[replies.SignInStarted | replies.SignedIn, None]


@asynccontextmanager
async def at_a_provider(house: Opener, **settings: object) -> AsyncIterator[tuple[House, AuthorizationServer]]:
    asked = Settings(**settings)  # type: ignore[arg-type]  # a test's own words
    async with AuthorizationServer(asked) as server, house(FakeClock(time.time()), real=True) as h:
        yield h, server


def ask(server: AuthorizationServer, account: str = "corp", *, replace: bool = False) -> requests.Login:
    settings = requests.ClientSettings(issuer=server.issuer, client_id="native")
    return requests.Login(account=account, settings=settings, replace=replace)


async def started(stream: Stream) -> replies.SignInStarted:
    first = await anext(stream)
    assert isinstance(first, replies.SignInStarted)
    return first


async def finished(stream: Stream) -> replies.Account:
    last = await anext(stream)
    assert isinstance(last, replies.SignedIn)
    return last.account


def login(h: House, asked: requests.Login) -> "aclosing[Stream]":
    return aclosing(cast("Stream", h.accounts.login(asked)))


async def sign_in(h: House, asked: requests.Login, who: str = "ada") -> replies.Account:
    async with login(h, asked) as stream:
        url = (await started(stream)).url
        await anyio.to_thread.run_sync(person.sign_in, url, who)
        return await finished(stream)


async def visit(url: str) -> None:
    await anyio.to_thread.run_sync(person.sign_in, url)


async def redirected(first: replies.SignInStarted, who: str = "ada") -> str:
    """Where the browser would be sent, on a machine from which it cannot get there."""
    return await anyio.to_thread.run_sync(person.redirected, first.url, first.redirect_uri, who)


async def test_a_person_signs_in_and_the_page_says_so_only_after_the_grant_is_on_disk(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        first = await started(stream)
        page = await anyio.to_thread.run_sync(person.sign_in, first.url)
        assert "corp is signed in as ada@example.test" in page
        assert (await h.stored("corp")).subject == "ada"
        account = await finished(stream)
        assert (account.who, account.state) == ("ada@example.test", "fresh")
        assert server.grants.active(await h.token("corp"))


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


async def test_a_foreign_state_changes_nothing_and_the_right_one_still_works(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        first = await started(stream)
        with pytest.raises(SignInFailed, match="belongs to no open sign-in"):
            await h.accounts.callback(requests.Callback(pasted=Secret("some-code#another-state")))
        page = await anyio.to_thread.run_sync(person._Browser().ask, "GET", f"{first.redirect_uri}?code=x&state=y", "")
        assert page[0].status == 400
        await anyio.to_thread.run_sync(person.sign_in, first.url)
        assert (await finished(stream)).subject == "ada"


async def test_an_answer_from_another_issuer_is_refused(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        url = await redirected(await started(stream))
        head, _, _ = url.partition("&iss=")
        with pytest.raises(SignInFailed, match="another issuer"):
            await h.accounts.callback(requests.Callback(pasted=Secret(f"{head}&iss=https%3A%2F%2Fevil.example")))
        assert server.requests == [], "the code was not taken to the token endpoint"


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


async def test_nobody_finishing_it_ends_the_sign_in_after_ten_minutes(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        await started(stream)
        await h.settle()
        h.clock.advance(601)
        with pytest.raises(SignInFailed, match="within ten minutes"):
            await finished(stream)
        with pytest.raises(NoAccount, match="no sign-in is open"):
            await h.accounts.callback(requests.Callback(pasted=Secret("code#state")))


async def test_a_person_who_says_no_ends_it_with_the_providers_word(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        url = (await started(stream)).url
        page = await anyio.to_thread.run_sync(lambda: person.visit(url, refuse=True))
        assert "access_denied" in page.text
        with pytest.raises(SignInFailed, match="access_denied"):
            await finished(stream)


async def test_another_person_is_refused_and_the_first_ones_grant_is_untouched(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        await sign_in(h, ask(server))
        token = await h.token("corp")
        with pytest.raises(SignInFailed, match=r"belongs to ada@example\.test, and grace@example\.test signed in"):
            await sign_in(h, ask(server), "grace")
        assert await h.token("corp") == token
        assert server.grants.active(token)
        account = await sign_in(h, ask(server, replace=True), "grace")
        assert account.subject == "grace"
        assert (await h.stored("corp")).subject == "grace"


async def test_what_was_granted_to_somebody_who_was_refused_is_revoked(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        await sign_in(h, ask(server))
        with pytest.raises(SignInFailed):
            await sign_in(h, ask(server), "grace")
        newest = [token for token in server.grants.issued if token.startswith("at-")][-1]
        assert not server.grants.active(newest)


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


async def test_a_store_that_cannot_be_written_is_noticed_before_anybody_is_sent_to_a_browser(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_a_provider(house) as (h, server):

        async def full() -> None:
            raise StoreFailed("the store is full")

        monkeypatch.setattr(h.vault.journal, "probe", full)
        async with login(h, ask(server)) as stream:
            with pytest.raises(StoreFailed):
                await started(stream)


async def test_a_token_endpoint_that_is_down_ends_the_sign_in_with_a_sentence(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        server.set_weather(weather.unavailable())
        page = await anyio.to_thread.run_sync(person.sign_in, (await started(stream)).url)
        assert "503" in page
        with pytest.raises(Unreachable, match="503"):
            await finished(stream)


async def test_a_code_is_used_once_whatever_arrives_twice(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        pasted = requests.Callback(pasted=Secret(await redirected(await started(stream))))
        failures: list[Exception] = []

        async def paste() -> None:
            try:
                await h.accounts.callback(pasted)
            except (SignInFailed, NoAccount) as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(paste)
        assert len([heard for heard in server.requests if heard.grant == "authorization_code"]) == 1
        assert (await finished(stream)).state == "fresh"


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


async def test_lock_ends_a_sign_in_that_waits_for_its_person(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        await started(stream)
        await h.accounts.lock()
        with pytest.raises(SignInFailed, match="locked"):
            await finished(stream)
        with pytest.raises(Locked):
            await h.accounts.callback(requests.Callback(pasted=Secret("code#state")))


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


async def test_a_hint_repeats_what_was_typed_and_names_the_account(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        settings = requests.ClientSettings(issuer=server.issuer)
        asked = requests.Login(account="corp/two", provider="corp", settings=settings, scopes=("openid", "a b"))
        async with login(h, asked) as stream:
            with pytest.raises(NoProvider, match="client id") as raised:
                await started(stream)
        assert (
            raised.value.hint
            == f"aixtiv login corp/two --issuer {server.issuer} --scope openid --scope 'a b' --client-id ID"
        )


@pytest.mark.parametrize("key", ["", " ", "two words", "line\nbreak", "ünï", "x" * 20_000, "nul\0"])
async def test_what_cannot_be_an_api_key_is_refused_before_it_is_sealed(house: Opener, key: str) -> None:
    async with house() as h:
        with pytest.raises(BadRequest, match="printable characters without blanks"):
            await h.accounts.api_key(requests.ApiKey(account="anthropic", key=Secret(key)))
        assert await h.vault.rows() == []


async def test_who_mistypes_a_name_is_told_what_is_near(house: Opener) -> None:
    async with house() as h:
        await h.adopt("work")
        with pytest.raises(NoAccount, match="there is no account wrok; there is work") as raised:
            await h.accounts.logout(requests.Logout(account="wrok"))
        assert raised.value.hint == "aixtiv logout work"
        with pytest.raises(NoAccount) as raised:
            await h.accounts.logout(requests.Logout(account="elsewhere"))
        assert raised.value.hint == "aixtiv accounts"


async def test_another_issuer_cannot_take_an_accounts_place_whatever_subject_it_gives(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), AuthorizationServer() as mallory:
        await sign_in(h, ask(server))
        token = await h.token("corp")
        async with login(h, ask(mallory)) as stream:
            with pytest.raises(SignInFailed, match=r"is signed in at .* and this sign-in is at") as raised:
                await started(stream)
        assert raised.value.hint == "aixtiv login corp --replace"
        assert await h.token("corp") == token


async def test_a_defect_in_a_sign_in_is_told_at_once_and_in_a_sentence(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:

        def broken(*_: object, **__: object) -> None:
            raise UnicodeEncodeError("utf-8", "hunter2\ud800", 7, 8, "surrogates not allowed")

        monkeypatch.setattr("aixtivd.accounts.changes.check_sign_in", broken)
        page = await anyio.to_thread.run_sync(person.sign_in, (await started(stream)).url)
        assert "a defect in aixtiv" in page
        assert "hunter2" not in page
        with pytest.raises(AixtivError, match="a defect in aixtiv"):
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
