"""A sign-in, attacked by whoever can send the browser anywhere: with codes, states and answers that are not its own."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio
import anyio.to_thread
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.errors import SignInFailed
from peers import person
from peers.authorization import AuthorizationServer, Settings
from peers.house import House, Opener
from peers.logins import ask, at_a_provider, finished, login, redirected, started


def changed(url: str, **query: str) -> str:
    """The same address with other values."""
    head, _, said = url.partition("?")
    return f"{head}?{urlencode(dict(parse_qsl(said)) | query)}"


def moved(answer: str, listener: str) -> str:
    """An answer that was meant for another listener."""
    return f"{listener}?{urlsplit(answer).query}"


async def brought(answer: str) -> person.Visited:
    """By the browser, sent there by some page."""
    return await anyio.to_thread.run_sync(person.visit, answer)


async def stored(h: House) -> int:
    return len(await h.vault.rows())


async def test_a_code_that_somebody_else_got_is_worth_nothing_even_with_the_right_state(house: Opener) -> None:
    """Code injection: the code was issued for another verifier, though to the same client and the same address."""
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        first = await started(stream)
        state = dict(parse_qsl(urlsplit(first.url).query))["state"]
        theirs = changed(first.url, state="mallorys", code_challenge="x" * 43)
        code = await anyio.to_thread.run_sync(person.redirected, theirs, first.redirect_uri, "mallory")
        page = await brought(changed(code, state=state))
        assert page.status == 400
        with pytest.raises(SignInFailed, match="did not take the code"):
            await finished(stream)
        assert await stored(h) == 0
        (heard,) = server.requests
        assert heard.grant == "authorization_code"


async def test_the_answer_of_an_earlier_sign_in_is_none_of_the_next(house: Opener) -> None:
    """State replay: each sign-in has a state of its own, and nobody listens any more where the earlier one was."""
    async with at_a_provider(house) as (h, server):
        async with login(h, ask(server)) as stream:
            earlier = await redirected(await started(stream))
            assert (await brought(earlier)).status == 200
            await finished(stream)
        async with login(h, ask(server)) as stream:
            first = await started(stream)
            if urlsplit(earlier).port != first.port:
                with pytest.raises(ConnectionError):
                    await brought(earlier)
            assert (await brought(moved(earlier, first.redirect_uri))).status == 400
            assert len(server.requests) == 1, "no code was taken to the provider but the first"
            assert "signed in" in (await brought(await redirected(first))).text
            assert (await finished(stream)).subject == "ada"


async def test_answers_that_were_swapped_between_two_open_sign_ins_use_neither_up(house: Opener) -> None:
    async with (
        AuthorizationServer() as other,
        at_a_provider(house) as (h, server),
        login(h, ask(server)) as one,
        login(h, ask(other, "other")) as two,
    ):
        here, there = await started(one), await started(two)
        ours, theirs = await redirected(here), await redirected(there, "bob")
        assert (await brought(moved(theirs, here.redirect_uri))).status == 400
        assert (await brought(moved(ours, there.redirect_uri))).status == 400
        assert (await brought(ours)).status == (await brought(theirs)).status == 200
        assert ((await finished(one)).subject, (await finished(two)).subject) == ("ada", "bob")
        assert [len(server.requests), len(other.requests)] == [1, 1]


@pytest.mark.parametrize("honest_says_iss", [True, False])
async def test_a_provider_that_sends_the_person_to_another_one_does_not_get_its_code(
    house: Opener, honest_says_iss: bool
) -> None:
    """The mix-up of RFC 9207 §1: an evil provider redirects to an honest one, with our state and our challenge, and
    would be brought the honest one's code, and the verifier that goes with it.
    """
    async with AuthorizationServer(Settings(iss=honest_says_iss)) as honest, at_a_provider(house) as (h, evil):
        async with login(h, ask(evil)) as stream:
            first = await started(stream)
            sent_on = first.url.replace(evil.issuer, honest.issuer)
            assert sent_on != first.url
            page = await brought(sent_on)
            assert page.status == 400
            assert page.url.startswith(first.redirect_uri)
            said = "from another issuer" if honest_says_iss else "does not say which issuer"
            with pytest.raises(SignInFailed, match=said):
                await finished(stream)
        assert evil.requests == [], "it was not brought the code"
        assert await stored(h) == 0


async def test_a_code_that_a_person_is_talked_into_pasting_is_worth_nothing(house: Opener) -> None:
    """Also as a lone code, which comes without a state: PKCE is what binds it."""
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        first = await started(stream)
        theirs = changed(first.url, state="mallorys", code_challenge="x" * 43)
        answer = await anyio.to_thread.run_sync(person.redirected, theirs, first.redirect_uri, "mallory")
        code = dict(parse_qsl(urlsplit(answer).query))["code"]
        with pytest.raises(SignInFailed, match="did not take the code"):
            await h.accounts.callback(requests.Callback(account="corp", pasted=Secret(code)))
        assert await stored(h) == 0
