"""Sign-ins that do not succeed: each with its sentence, and what was there before untouched."""

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from aixtiv_protocol import requests
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
from peers.authorization import AuthorizationServer
from peers.house import Opener
from peers.logins import ask, at_a_provider, finished, login, redirected, sign_in, started


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


async def test_lock_ends_a_sign_in_that_waits_for_its_person(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        await started(stream)
        await h.accounts.lock()
        with pytest.raises(SignInFailed, match="locked"):
            await finished(stream)
        with pytest.raises(Locked):
            await h.accounts.callback(requests.Callback(pasted=Secret("code#state")))


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


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (requests.Login(account="anthropic/work"), "anthropic/work"),
        (requests.Login(account="claude"), "claude"),
        (requests.Login(account="mine", provider="anthropic"), "anthropic/mine"),
    ],
)
async def test_the_four_ways_to_anthropic_are_commands_for_the_account_that_was_typed(
    house: Opener, asked: requests.Login, name: str
) -> None:
    async with house() as h:
        with pytest.raises(NoProvider) as raised:
            async for _ in h.accounts.login(asked):
                pass
        assert raised.value.hint == f"aixtiv api-key set {name}"
        for command in ("api-key set {}\n", "login {} --federation", "login {} --ant\n", "login {} --client-id ID"):
            assert f"aixtiv {command.format(name)}" in raised.value.sentence
        assert "ACCOUNT" not in raised.value.sentence


async def test_who_mistypes_a_name_is_told_what_is_near(house: Opener) -> None:
    async with house() as h:
        await h.adopt("work")
        with pytest.raises(NoAccount, match="there is no account wrok; there is work") as raised:
            await h.accounts.verify(requests.Verify(account="wrok"))
        assert raised.value.hint == "aixtiv verify work"
        with pytest.raises(NoAccount) as raised:
            await h.accounts.logout(requests.Logout(account="elsewhere"))
        assert raised.value.hint == "aixtiv accounts"


@pytest.mark.parametrize("name", ["wrok", ""])
async def test_no_hint_of_a_command_that_forgets_names_an_account_that_nobody_typed(house: Opener, name: str) -> None:
    async with house() as h:
        for there in ("work", "work/two"):
            await h.adopt(there)
        for forget in (
            h.accounts.logout(requests.Logout(account=name)),
            h.accounts.api_key(requests.ApiKey(account=name)),
        ):
            with pytest.raises(NoAccount, match="work") as raised:
                await forget
            assert raised.value.hint == "aixtiv accounts"


async def test_another_issuer_cannot_take_an_accounts_place_whatever_subject_it_gives(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), AuthorizationServer() as mallory:
        await sign_in(h, ask(server))
        token = await h.token("corp")
        async with login(h, ask(mallory)) as stream:
            with pytest.raises(SignInFailed, match=r"is signed in at .* and this sign-in is at") as raised:
                await started(stream)
        again = f"aixtiv login corp --issuer {mallory.issuer} --client-id native --replace"
        assert raised.value.hint == again, "without the options it would be the first issuer once more"
        assert await h.token("corp") == token


async def test_a_defect_in_a_sign_in_is_told_at_once_and_in_a_sentence(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:

        def broken(*_: object, **__: object) -> None:
            raise UnicodeEncodeError("utf-8", "hunter2\ud800", 7, 8, "surrogates not allowed")

        monkeypatch.setattr("aixtivd.oauth.identity.check_sign_in", broken)
        page = await anyio.to_thread.run_sync(person.sign_in, (await started(stream)).url)
        assert "a defect in aixtiv" in page
        assert "hunter2" not in page
        with pytest.raises(AixtivError, match="a defect in aixtiv"):
            await finished(stream)


async def test_a_lone_code_that_is_none_does_not_use_the_sign_in_up(house: Opener) -> None:
    """What the clipboard held, say: state and verifier are as good as before."""
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        right = await redirected(await started(stream))
        for _ in range(2):
            with pytest.raises(SignInFailed, match=r"did not take the code: .*invalid_grant.*stays open") as refused:
                await h.accounts.callback(requests.Callback(account="corp", pasted=Secret("nonsense")))
            assert refused.value.hint == "aixtiv callback corp"
        await h.accounts.callback(requests.Callback(account="corp", pasted=Secret(right)))
        assert (await finished(stream)).subject == "ada"


async def test_what_comes_while_a_lone_code_is_tried_waits_for_its_end(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        right = Secret(await redirected(await started(stream)))
        server.set_weather(weather.Weather(grant="authorization_code", hang=True))

        async def wrong() -> None:
            with pytest.raises(SignInFailed, match="stays open"):
                await h.accounts.callback(requests.Callback(account="corp", pasted=Secret("nonsense")))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wrong)
            await server.until(hanging=1)
            server.set_weather()
            tasks.start_soon(h.accounts.callback, requests.Callback(account="corp", pasted=right))
            await anyio.wait_all_tasks_blocked()
            assert len(server.requests) == 1, "the right one is not there yet, and not turned away"
            server.release()
        assert (await finished(stream)).subject == "ada"


async def test_a_lock_while_a_lone_code_is_tried_ends_the_sign_in(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        await started(stream)
        server.set_weather(weather.Weather(grant="authorization_code", hang=True))

        async def wrong() -> None:
            with pytest.raises(SignInFailed):
                await h.accounts.callback(requests.Callback(account="corp", pasted=Secret("nonsense")))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wrong)
            await server.until(hanging=1)
            tasks.start_soon(h.accounts.lock)
            await anyio.wait_all_tasks_blocked()
            server.release()
        with pytest.raises(SignInFailed, match=r"locked|did not take the code"):
            await finished(stream)
