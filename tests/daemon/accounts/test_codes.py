"""A code beside a sign-in's other ways: the first that succeeds wins, and weather between polls loses nothing."""

import time

import anyio
import msgspec
import pytest

from aixtiv_protocol import replies, requests
from aixtivd.accounts.grant import from_row
from aixtivd.errors import AixtivError, BadRequest, Misconfigured, NoProvider, SignInFailed
from peers.authority import weather
from peers.authority.device import GRANT
from peers.authority.weather import Weather
from peers.coded import INTERVAL, coded, next_poll, typed, wanting
from peers.house import House, Opener
from peers.logins import ask, at_a_provider, finished, login, sign_in, started, visit


async def test_a_typed_code_signs_in_and_what_it_brought_is_on_disk_before_anybody_is_told(house: Opener) -> None:
    async with coded(house) as (h, server, stream, first):
        assert first.user_code in first.verification_uri_complete
        assert first.verification_uri == f"{server.issuer}/device"
        await next_poll(h, server)
        typed(server, first)
        await next_poll(h, server, times=2)
        account = await finished(stream)
        assert (account.subject, account.who) == ("ada", "ada@example.test")
        stored = await h.stored("corp")
        assert stored.subject == "ada"
        assert stored.refresh_token
        assert server.grants.active(await h.token("corp"))
        assert [heard.grant for heard in server.requests] == [GRANT, GRANT]


async def test_the_browser_is_first_and_nobody_polls_any_more(house: Opener) -> None:
    async with coded(house, "offered") as (h, server, stream, first):
        await visit(first.url)
        assert (await finished(stream)).subject == "ada"
        h.clock.advance(60)
        await h.settle()
        assert [heard.grant for heard in server.requests] == ["authorization_code"]


async def test_the_code_is_first_and_the_browser_comes_too_late(house: Opener) -> None:
    async with coded(house, "offered") as (h, server, stream, first):
        typed(server, first, "grace")
        await next_poll(h, server)
        assert (await finished(stream)).subject == "grace"
        with pytest.raises(ConnectionRefusedError):
            await visit(first.url)
        assert (await h.stored("corp")).subject == "grace"


async def test_polls_keep_the_servers_distance_and_slow_down_for_good(house: Opener) -> None:
    async with coded(house, device_interval=7) as (h, server, stream, first):
        server.set_weather(weather.says("slow_down"), weather.says("slow_down", 403))
        await next_poll(h, server, 7)
        await next_poll(h, server, 12)
        await next_poll(h, server, 17)
        typed(server, first)
        await next_poll(h, server, 17, times=2)
        assert (await finished(stream)).subject == "ada"
        assert [pause for pause in h.clock.pauses if pause in {7, 12, 17}] == [7, 12, 17, 17]


@pytest.mark.parametrize(
    "bad",
    [
        weather.unavailable(),
        weather.too_many(),
        weather.web_page(),
        weather.cut(),
        Weather(status=400, body='{"error": "authorization_pending"}', cut="head"),
        Weather(status=400, body='{"error": "authorization_pending"}', cut="body"),
        weather.says("server_error"),
        Weather(status=404, body="not here"),
    ],
    ids=["503", "429", "portal", "silent", "head", "body", "server_error", "404"],
)
async def test_trouble_between_polls_is_waited_out(house: Opener, bad: Weather) -> None:
    async with coded(house) as (h, server, stream, first):
        server.set_weather(bad)
        await next_poll(h, server)
        typed(server, first)
        await next_poll(h, server, max(2 * INTERVAL, 7.0))
        assert (await finished(stream)).subject == "ada"


async def test_a_lost_answer_ends_in_a_sentence_and_leaves_no_half_account(house: Opener) -> None:
    """The server has given its tokens, and nobody has them: the code is spent."""
    async with coded(house) as (h, server, stream, first):
        typed(server, first)
        server.set_weather(weather.lost())
        await next_poll(h, server)
        await next_poll(h, server, 10)
        with pytest.raises(SignInFailed, match="did not take the code"):
            await finished(stream)
        assert await h.vault.rows() == []


async def test_a_person_who_says_no_ends_every_way(house: Opener) -> None:
    async with coded(house, "offered") as (h, server, stream, first):
        typed(server, first, yes=False)
        await next_poll(h, server)
        with pytest.raises(SignInFailed, match="access_denied"):
            await finished(stream)


@pytest.mark.parametrize("by", ["the server", "its time"])
async def test_a_code_that_expired_is_said_at_once(house: Opener, by: str) -> None:
    async with coded(house, device_ttl=60) as (h, server, stream, first):
        assert first.expires_in == 60
        if by == "the server":
            server.set_weather(weather.says("expired_token"))
        else:
            await h.clock.asked_for(INTERVAL)
            h.clock.sleep(61)
        await next_poll(h, server)
        with pytest.raises(SignInFailed, match=f"the code {first.user_code} expired") as failed:
            await finished(stream)
        assert failed.value.hint.endswith("--device")


async def test_what_cannot_be_mended_ends_it_at_once(house: Opener) -> None:
    async with coded(house) as (h, server, stream, _):
        server.set_weather(weather.says("unauthorized_client"))
        await next_poll(h, server)
        with pytest.raises(Misconfigured, match="unauthorized_client"):
            await finished(stream)


async def test_who_joins_sees_the_same_code(house: Opener) -> None:
    async with coded(house) as (h, server, _, first):
        for device in ("wanted", "offered", ""):
            async with login(h, wanting(server, device)) as other:
                again = await started(other)
                assert (again.joined, again.user_code) == (True, first.user_code)
        assert len(server.endpoints.devices.codes) == 1


async def test_a_code_can_be_had_for_a_sign_in_that_began_without(house: Opener) -> None:
    async with at_a_provider(house, device=True, device_ttl=60) as (h, server), login(h, ask(server)) as stream:
        assert (await started(stream)).user_code == ""
        async with login(h, requests.Login(account="corp", device="offered")) as other:
            second = await started(other)
            assert second.joined
            assert second.user_code
        # that one's expiry is nothing to the one who sits at a browser
        server.set_weather(weather.says("expired_token"))
        await next_poll(h, server)
        await h.settle()
        async with login(h, requests.Login(account="corp", device="offered")) as other:
            assert (await started(other)).user_code not in {"", second.user_code}
        await visit((await started_again(h)).url)
        assert (await finished(stream)).subject == "ada"


async def started_again(h: House) -> replies.SignInStarted:
    async with login(h, requests.Login(account="corp")) as stream:
        return await started(stream)


async def test_a_server_without_codes_is_no_trouble_where_one_was_offered(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, wanting(server, "offered")) as stream:
        first = await started(stream)
        assert (first.user_code, first.device_problem) == ("", "")
        await visit(first.url)
        assert (await finished(stream)).subject == "ada"


async def test_a_server_without_codes_ends_a_sign_in_that_wanted_nothing_else(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        async with login(h, wanting(server)) as stream:
            with pytest.raises(NoProvider, match="RFC 8628") as failed:
                await started(stream)
        assert failed.value.hint.startswith(f"aixtiv login corp --issuer {server.issuer}")
        assert failed.value.hint.endswith("--no-device")
        assert not h.accounts.signing_in("corp")


async def test_who_wants_a_code_in_vain_leaves_the_others_sign_in_open(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        first = await started(stream)
        async with login(h, requests.Login(account="corp", device="wanted")) as other:
            with pytest.raises(NoProvider):
                await started(other)
        await visit(first.url)
        assert (await finished(stream)).subject == "ada"


async def test_why_no_code_was_given_is_told_and_the_browser_still_works(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        settings = requests.ClientSettings(
            issuer=server.issuer,
            client_id="native",
            device_authorization_endpoint=f"{server.issuer}/device_authorization",
        )
        asked = requests.Login(account="corp", settings=settings, device="offered")
        async with login(h, asked) as stream:  # it answers 404 there
            first = await started(stream)
            assert "404" in first.device_problem
            async with login(h, msgspec.structs.replace(asked, device="wanted")) as other:
                with pytest.raises(SignInFailed, match="404"):
                    await started(other)
            await visit(first.url)
            assert (await finished(stream)).subject == "ada"


async def test_somebody_else_by_a_code_is_refused_as_by_any_way(house: Opener) -> None:
    async with coded(house) as (h, server, stream, first):
        typed(server, first)
        await next_poll(h, server)
        await finished(stream)
        async with login(h, wanting(server)) as again:
            second = await started(again)
            typed(server, second, "grace")
            await next_poll(h, server, times=2)
            with pytest.raises(SignInFailed, match=r"belongs to ada@example\.test, and grace@example\.test"):
                await finished(again)
        assert (await h.stored("corp")).subject == "ada"


async def test_an_id_token_of_another_client_is_refused_by_a_code_too(house: Opener) -> None:
    async with coded(house) as (h, server, stream, first):
        typed(server, first)
        server.set_weather(Weather(grant=GRANT, put={"id_token": "e30.e30.e30"}))
        await next_poll(h, server)
        with pytest.raises(SignInFailed, match="ID token"):
            await finished(stream)
        assert await h.vault.rows() == []


@pytest.mark.parametrize("how", ["lock", "stop", "logout", "replaced"])
async def test_nobody_polls_for_a_sign_in_that_was_ended(house: Opener, how: str) -> None:
    async with coded(house) as (h, server, stream, _):
        await next_poll(h, server)
        await h.clock.asked_for(INTERVAL, 2)
        match how:
            case "lock":
                await h.accounts.lock()
            case "stop":
                await h.accounts.drain()
            case "logout":
                await h.accounts.logout(requests.Logout(account="corp"))
            case _:
                async with login(h, ask(server, replace=True)) as other:
                    await started(other)
        with pytest.raises(AixtivError):
            await finished(stream)
        h.clock.advance(60)
        await anyio.wait_all_tasks_blocked()
        assert len(server.requests) == 1


async def test_tokens_that_are_on_their_way_are_kept_while_the_vault_is_being_locked(house: Opener) -> None:
    async with coded(house) as (h, server, stream, first):
        typed(server, first)
        server.set_weather(weather.hanging())
        await h.clock.asked_for(INTERVAL)
        h.clock.advance(INTERVAL)
        await server.until(hanging=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.lock)
            await anyio.wait_all_tasks_blocked()
            server.release()
            assert (await finished(stream)).subject == "ada"
        assert h.accounts.locked
        await h.accounts.unlock(requests.Unlock())
        assert [from_row(row).subject for row in await h.vault.rows()] == ["ada"]


async def test_a_code_for_an_account_that_nobody_signs_in_to_is_refused(house: Opener) -> None:
    async with at_a_provider(house, device=True) as (h, _):
        source = requests.Command(command=("/bin/echo", "token"))
        asked = requests.Login(account="robot", source=source, device="wanted")
        async with login(h, asked) as stream:
            with pytest.raises(BadRequest, match="nobody signs in to it") as failed:
                await started(stream)
        assert "--device" not in failed.value.hint


async def test_a_second_sign_in_has_a_code_too(house: Opener) -> None:
    """Its settings are the grant's own."""
    async with at_a_provider(house, device=True) as (h, server):
        await sign_in(h, ask(server))
        async with login(h, requests.Login(account="corp", device="wanted")) as stream:
            first = await started(stream)
            assert first.expires_in <= 600
            typed(server, first)
            await next_poll(h, server)
            assert (await finished(stream)).expires_at > time.time()


async def test_a_wrong_client_id_is_what_the_hint_wants_mended(house: Opener) -> None:
    """Another way would be begun with the same one."""
    async with at_a_provider(house, device=True) as (h, server):
        settings = requests.ClientSettings(issuer=server.issuer, client_id="nobody")
        async with login(h, requests.Login(account="corp", settings=settings, device="wanted")) as stream:
            with pytest.raises(SignInFailed, match="invalid_client") as failed:
                await started(stream)
        assert failed.value.hint == f"aixtiv login corp --issuer {server.issuer} --device --client-id ID"
