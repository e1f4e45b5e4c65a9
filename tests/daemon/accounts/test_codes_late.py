"""A code that a server is slow to give, and tokens that come for one when another way was first."""

import socket
from collections.abc import Iterator

import msgspec
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.accounts import codes
from aixtivd.accounts.grant import Bound
from aixtivd.accounts.signin import SignIn
from aixtivd.errors import AixtivError
from aixtivd.oauth import device, outcomes
from aixtivd.oauth.client import Quirks
from peers.authority.device import GRANT
from peers.authority.weather import Weather
from peers.authorization import AuthorizationServer
from peers.clock import limit
from peers.coded import INTERVAL, coded, typed
from peers.house import Opener
from peers.logins import ask, at_a_provider, finished, login, sign_in, started, visit


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes whoever calls, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/device"


async def test_a_server_that_hangs_holds_nobody_up_to_whom_a_code_is_only_offered(
    house: Opener, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "OFFERED", 0.05)
    async with at_a_provider(house) as (h, server):
        settings = requests.ClientSettings(
            issuer=server.issuer, client_id="native", device_authorization_endpoint=silent
        )
        asked = requests.Login(account="corp", settings=settings, device="offered")
        async with login(h, asked) as stream:
            async with limit(5):
                first = await started(stream)
            assert first.device_problem == "the server gave no code within 0.05 seconds"
            assert first.user_code == ""
            await visit(first.url)
            assert (await finished(stream)).subject == "ada"


def test_what_is_only_offered_is_waited_for_briefly() -> None:
    assert codes.OFFERED <= 3 < device._PATIENCE


async def test_an_answer_to_a_poll_that_comes_after_the_browser_changes_nothing(house: Opener) -> None:
    async with coded(house, "offered") as (h, server, stream, first):
        typed(server, first)
        server.set_weather(Weather(grant=GRANT, hang=True))
        await h.clock.asked_for(INTERVAL)
        h.clock.advance(INTERVAL)
        await server.until(hanging=1)
        await visit(first.url)
        assert (await finished(stream)).subject == "ada"
        winner = await h.stored("corp")
        assert winner.refresh_token
        server.release()
        await h.accounts._work.idle()
        assert h.state("corp").generation == 1
        # What nobody has is revoked, but not so that a server could end all of that person's grants with it.
        assert server.grants.active(await h.token("corp"))
        assert server.grants.active(winner.refresh_token.reveal())
        access, refresh = late(server)
        assert access != await h.token("corp")
        assert not server.grants.active(access)
        assert server.grants.active(refresh)


@pytest.mark.parametrize("how", ["logout", "while another account has a grant of that client"])
async def test_an_answer_to_a_poll_that_comes_when_nobody_signs_in_any_more_is_revoked(house: Opener, how: str) -> None:
    async with coded(house) as (h, server, stream, first):
        if how != "logout":
            await sign_in(h, ask(server, "other"))
        typed(server, first)
        server.set_weather(Weather(grant=GRANT, hang=True))
        await h.clock.asked_for(INTERVAL)
        h.clock.advance(INTERVAL)
        await server.until(hanging=1)
        await h.accounts.logout(requests.Logout(account="corp"))
        with pytest.raises(AixtivError):
            await finished(stream)
        server.release()
        await h.accounts._work.idle()
        access, refresh = late(server)
        assert not server.grants.active(access)
        assert bool(server.grants.active(refresh)) is (how != "logout")


async def test_where_any_revocation_ends_all_that_a_person_granted_nothing_is_revoked_beside_a_winner(
    house: Opener,
) -> None:
    async with at_a_provider(house, device=True) as (h, server), login(h, ask(server)) as stream:
        await visit((await started(stream)).url)
        await finished(stream)
        grant = await h.stored("corp")
        assert grant.client
        client = msgspec.structs.replace(grant.client, quirks=Quirks(revokes_all=True))
        over = SignIn("corp", client, Bound(provider="corp", client=client), ask(server))
        tokens = outcomes.Tokens(access_token=grant.access_token or Secret(""), refresh_token=grant.refresh_token)
        await h.accounts._changes.turn_down(over, tokens, beside=False)
        assert server.grants.active(await h.token("corp"))


def late(server: AuthorizationServer) -> tuple[str, str]:
    """The access and the refresh token that were given out last."""
    issued = [token for token in server.grants.issued if token.startswith(("at-", "rt-"))]
    return issued[-2], issued[-1]
