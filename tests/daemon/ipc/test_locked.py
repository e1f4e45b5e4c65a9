"""A lock that was asked for: from then on nothing is handed out, and once it is done no conversation keeps a secret."""

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aixtiv_protocol import codec, replies, requests
from aixtiv_protocol.replies import AccessToken, Failure
from aixtiv_protocol.secret import Secret
from aixtivd.ipc import outbox
from aixtivd.ipc.limits import Limits
from peers.held import PATIENCE, Caller, Side, serving

MEANWHILE = Failure(code="locked", message="the vault was locked meanwhile", hint="aixtiv unlock")
TOKEN = requests.Token(account="fresh")


def code(said: object) -> str:
    return getattr(said, "code", "")


async def locks(side: Side) -> None:
    async with await side.caller() as caller:
        caller.say(requests.Lock())
        assert await caller.hear() == replies.Done(note="locked")


async def test_from_the_moment_a_lock_is_asked_for_no_token_is_handed_out_and_no_call_begins(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller, await side.caller() as other:
        waiting, go = anyio.Event(), anyio.Event()

        async def held_up(why: str) -> None:  # by a provider that does not answer
            waiting.set()
            await go.wait()
            raise SystemError

        side.accounts.lock = held_up  # type: ignore[method-assign]  # in its place
        assert isinstance(await asked(caller, TOKEN), AccessToken)
        other.say(requests.Lock())
        with anyio.fail_after(PATIENCE):
            await waiting.wait()
        assert side.accounts.locked is False
        assert code(await asked(caller, TOKEN)) == "locked"
        assert code(await asked(caller, requests.Relay(path="/v1/echo"))) == "locked"
        refuses: Any = side.upstream
        assert refuses.refuses() is True, "and so it is for the gateway's calls"
        go.set()
        assert code(await other.hear()) == "internal"
        assert refuses.refuses() is False
        assert isinstance(await asked(caller, TOKEN), AccessToken), "a lock that failed is none"


async def asked(caller: Caller, request: requests.Request) -> object:
    caller.say(request)
    return await caller.hear()


async def test_tokens_that_are_not_read_are_not_there_after_a_lock(folder: Path) -> None:
    async with serving(folder, Limits(unread=64 * 1024)) as side, await side.caller() as deaf:
        await side.until(lambda: side.listener._sessions)
        (session,) = side.listener._sessions
        with anyio.fail_after(PATIENCE):
            while not session._outbox.full:
                deaf.say(*[TOKEN] * 100)
                await anyio.lowlevel.checkpoint()
        assert session._outbox.keeps_a_secret
        await locks(side)
        await side.until(lambda: session not in side.listener._sessions)


async def test_an_answer_without_a_secret_may_be_read_later(folder: Path) -> None:
    async with serving(folder, Limits(unread=64 * 1024)) as side, await side.caller() as slow:
        assert isinstance(await asked(slow, TOKEN), AccessToken)
        (session,) = side.listener._sessions
        slow.say(*[requests.Accounts()] * 40)
        await side.until(lambda: session._outbox.full)
        await locks(side)
        said = [await slow.hear() for _ in range(40)]
        assert isinstance(said[0], replies.AccountList)
        assert said[-1] == MEANWHILE


def test_whatever_answer_has_a_secret_in_it_is_known_for_it() -> None:
    holding = {kind for kind in vars(replies).values() if Secret in getattr(kind, "__annotations__", {}).values()}
    assert holding | {Secret} == outbox.SECRET


async def test_what_waits_behind_another_request_is_refused_at_once_and_said_in_its_turn(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        key, phrase = Secret("sk-made-up"), Secret("right")
        caller.say(requests.Watch())
        await side.until(lambda: side.accounts.watchers)
        caller.say(
            requests.ApiKey(account="x", key=key),
            requests.Relay(path="/v1/echo", api_key=key, body=b"a prompt", more=True),
            requests.Piece(data=b"of two parts", more=False),
            requests.Unlock(passphrase=phrase),
            requests.Status(),
        )
        (session,) = side.listener._sessions
        await side.until(lambda: len(session._queue) == 4)
        await locks(side)
        assert [waiting.asked for waiting in session._queue] == [MEANWHILE] * 3 + [requests.Status()]
        assert [note[:2] for note in side.notes.said()] == [("api-key", False), ("unlock", False), ("lock", True)]
        side.accounts.failure = TypeError()
        side.accounts.told.put_nowait(replies.Event(at=1, event="locked"))
        said = [await caller.hear() for _ in range(5)]
        assert [code(one) for one in said] == ["internal", "locked", "locked", "locked", ""]
        assert isinstance(said[-1], replies.DaemonStatus)


@pytest.mark.parametrize("mode", ["frames", "lines"])
async def test_a_message_that_was_not_whole_when_it_was_locked_is_forgotten(folder: Path, mode: Any) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        whole = codec.encode_request(requests.Unlock(passphrase=Secret("right")))
        whole = whole if mode == "frames" else b'{"op":"unlock","passphrase":"right"}'
        await side.until(lambda: side.listener._sessions)
        (session,) = side.listener._sessions
        caller.write(whole[:-3])
        await side.until(lambda: session._inbox.partial)
        await locks(side)
        assert not session._inbox.partial
        caller.write(whole[-3:] + b"\n")
        said = await caller.rest()
        assert (b"the vault was locked before that message was whole" in said, side.accounts.locked) == (True, True)


async def test_a_watch_with_half_a_message_behind_it_ends_with_the_sentence(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Watch())
        await side.until(lambda: side.accounts.watchers)
        caller.write(b"\x00\x00\x00\xff{")
        (session,) = side.listener._sessions
        await side.until(lambda: session._inbox.partial)
        await locks(side)
        assert await caller.hear() == Failure(
            code="locked", message="the vault was locked before that message was whole", hint="aixtiv unlock"
        )
