"""A refresh token that another program had: proved by a refresh, and nothing of it lost or left behind."""

from typing import Any

import anyio
import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.errors import (
    BadRequest,
    Locked,
    Misconfigured,
    NoProvider,
    Refused,
    SignInFailed,
    StoreFailed,
    Unreachable,
)
from aixtivd.oauth import outcomes
from aixtivd.oauth.outcomes import NeedsSignIn, Rotated, TryAgain
from peers.clock import FakeClock
from peers.house import Held, House, Opener, granted

SETTINGS = requests.ClientSettings(
    client_id="theirs",
    authorization_endpoint="https://one.example/authorize",
    token_endpoint="https://one.example/token",
)
OTHER = requests.ClientSettings(
    client_id="theirs",
    authorization_endpoint="https://two.example/authorize",
    token_endpoint="https://two.example/token",
)


def asked(token: str = "brought", account: str = "kit", **said: Any) -> requests.Adopt:
    return requests.Adopt(refresh_token=Secret(token), account=account, settings=said.pop("settings", SETTINGS), **said)


async def adopt(h: House, **said: Any) -> replies.SignedIn:
    return await h.accounts.adopt(asked(**said))


async def test_it_is_refreshed_at_once_and_serves(house: Opener) -> None:
    async with house() as h:
        h.script.answers = [granted(1)]
        done = await adopt(h, scopes=("openid", "email"))
        assert (done.account.name, done.account.state, done.account.kind) == ("kit", "fresh", "oauth")
        assert done.account.scopes == ("openid", "email")
        assert "has it no more" in done.note
        assert h.script.spent == ["brought"]
        assert await h.token("kit") == "access-1"
        assert (await h.stored("kit")).refresh_token == Secret("refresh-1")


async def test_it_is_in_the_store_before_it_is_sent_anywhere(house: Opener) -> None:
    seen: list[object] = []
    async with house() as h:

        async def answer() -> outcomes.Outcome:
            grant = await h.stored("kit")
            seen.extend([grant.refresh_token, grant.client and grant.client.client_id])
            seen.extend(await h.vault.journal.intents())
            return granted(1)

        h.script.answers = [answer]
        await adopt(h)
        assert seen[:2] == [Secret("brought"), "theirs"]
        assert len(seen) == 3, "its intent is on disk, too"


async def test_where_tokens_do_not_rotate_the_other_program_keeps_its_own(house: Opener) -> None:
    async with house() as h:
        h.script.answers = [granted(1, rotate=False)]
        done = await adopt(h)
        assert done.note == ""
        assert (await h.stored("kit")).refresh_token == Secret("brought")


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (NeedsSignIn(reason="it is over"), SignInFailed),
        (outcomes.Misconfigured(reason="unknown client"), Misconfigured),
        (outcomes.Refused(reason="no"), Refused),
        (TryAgain(reason="no route"), Unreachable),
    ],
)
async def test_one_that_proves_bad_leaves_nothing(
    house: Opener, outcome: outcomes.Outcome, kind: type[Exception]
) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        h.script.answers = [outcome]
        with pytest.raises(kind, match="nothing of it was kept") as raised:
            await adopt(h)
        assert "brought" not in str(raised.value)
        assert list(h.accounts.states()) == []
        assert await h.vault.rows() == []
        assert await h.vault.journal.intents() == []
    async with house(clock) as again:
        assert list(again.accounts.states()) == []


async def test_one_whose_answer_was_lost_stays_and_is_tried_again(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        h.script.answers = [TryAgain(reason="the connection broke", maybe_spent=True)]
        with pytest.raises(Unreachable, match="stays and is tried again"):
            await adopt(h)
        assert h.state("kit").state == "failing"
        h.script.answers = [granted(2)]
        h.clock.advance(5)
        await h.settle()
        assert h.script.spent == ["brought", "brought"]
        assert await h.token("kit") == "access-2"


async def test_one_that_came_back_alone_stays(house: Opener) -> None:
    """A new refresh token and no access token: nobody else has it."""
    async with house() as h:
        h.script.answers = [Rotated(refresh_token=Secret("newer"), reason="no access token in it")]
        with pytest.raises(Refused, match="stays"):
            await adopt(h)
        assert (await h.stored("kit")).refresh_token == Secret("newer")


async def test_after_a_death_before_the_proof_the_next_start_proves_it(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        h.accounts._refresher._resting = True  # it dies before the refresh begins
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.adopt, asked())
            while not await h.vault.rows():
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    async with house(clock) as again:
        again.script.answers = [granted(1)]
        await again.settle()
        assert again.script.spent == ["brought"]
        assert await again.token("kit") == "access-1"


async def test_a_hang_up_does_not_cut_it(house: Opener) -> None:
    async with house() as h:
        answer = Held(NeedsSignIn(reason="it is over"))
        h.script.answers = [answer]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.adopt, asked())
            await answer.asked.wait()
            tasks.cancel_scope.cancel()
        answer.release.set()
        await h.settle()
        assert await h.vault.rows() == [], "it was told to nobody, and given up all the same"


async def test_a_lock_meanwhile_finishes_the_refresh_and_waits_for_nothing_else(house: Opener) -> None:
    async with house() as h:
        answer = Held(granted(1))
        h.script.answers = [answer]
        async with anyio.create_task_group() as tasks:

            async def adopting() -> None:
                with pytest.raises(Locked):
                    await h.accounts.adopt(asked())

            tasks.start_soon(adopting)
            await answer.asked.wait()
            tasks.start_soon(h.accounts.lock)
            await anyio.lowlevel.checkpoint()
            answer.release.set()
        await h.accounts.unlock(requests.Unlock())
        assert await h.token("kit") == "access-1"


async def test_a_sign_in_that_is_there_is_not_given_up_for_it(house: Opener) -> None:
    async with house() as h:
        await h.adopt("kit")
        with pytest.raises(SignInFailed, match="kit is signed in already, and stays so"):
            await adopt(h)
        assert h.script.spent == []
        assert await h.token("kit") == "access-0"


async def test_with_replace_it_takes_its_place_and_the_old_one_is_kept(house: Opener) -> None:
    async with house() as h:
        old = await h.adopt("kit")
        h.script.answers = [granted(5)]
        done = await adopt(h, replace=True, settings=OTHER)
        assert done.account.state == "fresh"
        assert await h.token("kit") == "access-5"
        assert Secret("refresh-0").reveal() in {
            token.reveal() for token in await kept_tokens(h, old.id) if token is not None
        }


async def kept_tokens(h: House, id_: bytes) -> list[Secret | None]:
    from aixtivd.accounts.grant import from_row  # beside its only use

    return [from_row(row).refresh_token for row in await h.vault.journal.kept(id_)]


async def test_one_that_proves_bad_gives_the_old_sign_in_back(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        await h.adopt("kit")
        h.script.answers = [NeedsSignIn(reason="it is over")]
        with pytest.raises(SignInFailed, match="kit is as before"):
            await adopt(h, replace=True)
        assert (h.state("kit").state, h.state("kit").problem) == ("fresh", "")
        assert await h.token("kit") == "access-0"
    async with house(clock) as again:
        assert await again.token("kit") == "access-0"
        again.script.answers = [granted(1)]
        clock.advance(3000)
        await again.settle()
        assert again.script.spent == ["refresh-0"]


async def test_beside_an_api_key_the_key_stays(house: Opener) -> None:
    async with house() as h:
        await h.accounts.api_key(requests.ApiKey(account="kit", key=Secret("a-key-of-mine-123456")))
        h.script.answers = [NeedsSignIn(reason="it is over"), granted(1)]
        with pytest.raises(SignInFailed, match="as before"):
            await adopt(h)
        assert (h.state("kit").kind, h.state("kit").state) == ("api-key", "static")
        done = await adopt(h)
        assert (done.account.kind, done.account.key) == ("oauth", True)


async def test_the_same_once_more_only_tries_it_again(house: Opener) -> None:
    async with house() as h:
        h.script.answers = [granted(1, rotate=False), NeedsSignIn(reason="it is over")]
        await adopt(h)
        with pytest.raises(Exception, match="it is over"):
            await adopt(h)
        assert h.state("kit").state == "quarantined"
        assert (await h.stored("kit")).refresh_token == Secret("brought")


async def test_beside_an_open_refresh_it_waits_for_that_first(house: Opener) -> None:
    async with house() as h:
        held = await h.in_a_refresh("kit", 7)
        h.script.answers = [granted(8)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.adopt, asked(replace=True))
            await h.settle()
            assert h.script.spent == ["refresh-0"]
            held.release.set()
        assert h.script.spent == ["refresh-0", "brought"]
        old = await h.stored("kit")
        assert Secret("refresh-7") in await kept_tokens(h, old.id)


async def test_a_provider_that_nothing_is_known_of_is_refused_before_anything_is_stored(house: Opener) -> None:
    async with house() as h:
        with pytest.raises(NoProvider):
            await adopt(h, settings=requests.ClientSettings())
        assert await h.vault.rows() == []


async def test_an_account_without_a_person_has_no_refresh_token(house: Opener) -> None:
    async with house() as h:
        await h.accounts.api_key(requests.ApiKey(account="static", key=Secret("a-key-of-mine-123456")))
        command = requests.Command(command=("/bin/echo", "a-token-of-mine"))
        async for _ in h.accounts.login(requests.Login(account="ant", source=command)):
            pass
        with pytest.raises(BadRequest, match="without a person"):
            await adopt(h, account="ant", settings=requests.ClientSettings())


async def test_while_locked_it_is_refused(house: Opener) -> None:
    async with house() as h:
        await h.accounts.lock()
        with pytest.raises(Locked):
            await adopt(h)


async def test_signed_out_while_it_is_tried_it_stays_signed_out(house: Opener) -> None:
    async with house() as h:
        answer = Held(granted(1))
        h.script.answers = [answer]
        async with anyio.create_task_group() as tasks:

            async def adopting() -> None:
                with pytest.raises(SignInFailed, match="signed out"):
                    await h.accounts.adopt(asked())

            tasks.start_soon(adopting)
            await answer.asked.wait()
            tasks.start_soon(h.accounts.logout, requests.Logout(account="kit"))
            await h.settle()
            answer.release.set()
        assert await h.vault.rows() == []
        assert h.script.revoked == ["refresh-1", "access-1"]


async def test_whoever_waits_meanwhile_is_told_at_once_that_it_came_to_nothing(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No time passes here: a waiter that is not woken would wait for ever."""
    async with house() as h:
        await h.adopt("kit")
        writing, full = anyio.Event(), anyio.Event()

        async def slow(*_: object) -> None:
            writing.set()
            await full.wait()
            raise StoreFailed("the disk is full")

        monkeypatch.setattr(h.vault.journal, "commit_all", slow)
        h.script.answers = [granted(1)]
        got: list[str] = []

        async def waits() -> None:
            got.append(await h.token("kit", min_ttl=3590, wait=30.0))

        async def adopts() -> None:
            with pytest.raises(StoreFailed):
                await adopt(h, replace=True)

        h.clock.advance(20)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adopts)
            await writing.wait()
            tasks.start_soon(waits)
            await h.settle()
            assert got == []
            full.set()
            await h.settle()
            assert got == ["access-1"]
            tasks.cancel_scope.cancel()
        assert h.script.spent == ["refresh-0"]
