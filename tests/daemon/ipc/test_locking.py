"""While the vault is locked: what is answered, what ends, and when it locks by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, get_args

import anyio
import anyio.lowlevel
import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import Request
from aixtiv_protocol.secret import Secret
from aixtivd.config import Config, VaultConfig
from aixtivd.errors import Locked, StoreFailed
from aixtivd.ipc.idleness import LOOK
from aixtivd.ipc.leases import Leases
from aixtivd.ipc.opening import Opening
from peers.clock import FakeClock, settle
from peers.held import Caller, Held, Side, serving
from peers.relayed import Drawer, Notes, Upstream

MEANWHILE = replies.Failure(code="locked", message="the vault was locked meanwhile", hint="aixtiv unlock")
PASSPHRASE = Secret("right")


def opened(side: Side) -> Opening:
    return side.listener._dispatch.opening


async def answer(caller: Caller, asked: Request) -> Any:
    caller.say(asked)
    return await caller.hear()


async def locks(side: Side) -> Any:
    async with await side.caller() as caller:
        return await answer(caller, requests.Lock())


NEEDED: dict[Any, dict[str, Any]] = {
    requests.Login: {"account": "x"},
    requests.Callback: {"pasted": Secret("x")},
    requests.Adopt: {"refresh_token": Secret("x")},
    requests.Rename: {"account": "x", "to": "y"},
    requests.ApiKey: {"account": "x"},
    requests.Relay: {"path": "/v1/echo"},
    requests.RevokeTicket: {"ticket": "t1"},
    requests.KeyMove: {"to": "file"},
    requests.Export: {"new_passphrase": Secret("x")},
    requests.Restore: {"passphrase": Secret("x")},
    requests.Unlock: {"passphrase": PASSPHRASE},
}
ANSWERED = [
    requests.Hello,
    requests.Status,
    requests.Metrics,
    requests.Lock,
    requests.Unlock,
    requests.Restart,
    requests.Stop,
]


async def test_locked_it_answers_what_needs_no_account_and_what_opens_or_ends_it_and_refuses_whatever_else_there_is(
    folder: Path,
) -> None:
    """Each request there is, so that a new one is refused until somebody says otherwise here, too."""
    refused = set(get_args(Request)) - set(ANSWERED) - {requests.Piece}  # which never comes so far
    async with serving(folder) as side, await side.caller() as caller:
        assert (await locks(side)) == replies.Done(note="locked")
        for kind in refused:
            said = await answer(caller, kind(**NEEDED.get(kind, {})))
            assert (said.code, said.hint) == ("locked", "aixtiv unlock"), kind
        for kind in ANSWERED:
            said = await answer(caller, kind(**NEEDED.get(kind, {})))
            assert not isinstance(said, replies.Failure), said


async def test_from_when_it_is_asked_for_until_it_is_over_it_is_locking_and_the_log_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with alone() as one:
        seen: list[tuple[bool, bool]] = []

        async def lock(_: str) -> None:
            await anyio.lowlevel.checkpoint()
            with pytest.raises(Locked):
                one.ask(requests.Accounts())
            seen.append((one.opening.locking, one.notes.locks))
            raise StoreFailed

        monkeypatch.setattr(one.accounts, "lock", lock)
        with pytest.raises(StoreFailed):
            await one.opening.lock()
        assert seen == [(True, True)]
        assert (one.opening.locking, one.notes.locks) == (False, False)
        one.ask(requests.Accounts())


async def test_what_an_unlock_brings_back_is_there_before_a_request_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    async with alone() as one:
        await one.opening.lock()
        seen: list[bool] = []

        async def unlocked() -> None:
            await anyio.lowlevel.checkpoint()
            seen.append(one.opening.locking)
            with pytest.raises(Locked):
                one.ask(requests.Accounts())

        monkeypatch.setattr(one.notes, "unlocked", unlocked)
        await one.opening.unlock(requests.Unlock(passphrase=PASSPHRASE))
        assert seen == [True]
        one.ask(requests.Accounts())


async def test_where_the_store_cannot_be_closed_in_order_calls_are_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with alone() as one:

        async def lock(_: str) -> None:
            await anyio.lowlevel.checkpoint()
            one.accounts.locked = True
            raise StoreFailed

        monkeypatch.setattr(one.accounts, "lock", lock)
        with pytest.raises(StoreFailed):
            await one.opening.lock()
        assert [type(cut) for cut in one.relay.cuts] == [Locked]


async def test_what_was_under_way_is_told_and_the_relay_is_cut_with_the_same_sentence(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Token(account="slow"))
        await side.accounts.until_asked("slow")
        assert (await locks(side)) == replies.Done(note="locked")
        assert await caller.hear() == MEANWHILE
        assert side.accounts.cancelled == ["slow"]
        assert [type(cut) for cut in side.upstream.cuts] == [Locked]
        assert side.listener._dispatch._calls.leases.busy is False


@pytest.mark.parametrize("path", ["/v1/hangs", "/v1/endless", "/v1/waits"])
async def test_a_relayed_call_ends_wherever_it_is(folder: Path, path: str) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Relay(path=path, method="POST"))
        await side.upstream.until(lambda: side.upstream.calls)
        assert (await locks(side)) == replies.Done(note="locked")
        while not isinstance(item := await caller.hear(), replies.Failure):
            pass
        assert item == MEANWHILE
        assert side.upstream.left == [path]


async def test_a_caller_who_reads_nothing_does_not_hold_up_the_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aixtivd.ipc.leases._GONE", 0.05)
    async with serving(folder) as side, await side.caller() as deaf:
        deaf.say(requests.Relay(path="/v1/endless"))
        await side.until(lambda: side.upstream.told)
        session = next(iter(side.listener._sessions))
        await side.until(lambda: not session._outbox.room.is_set())  # nothing more goes out
        assert (await locks(side)) == replies.Done(note="locked")


async def test_a_watch_goes_on_and_sees_the_lock(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as watcher:
        watcher.say(requests.Watch())
        await side.until(lambda: side.accounts.watchers)
        await locks(side)
        event = replies.Event(at=1, event="locked")
        side.accounts.told.put_nowait(event)
        assert await watcher.hear() == event


class Alone:
    """An opening on a clock that the test moves."""

    def __init__(self, minutes: int) -> None:
        self.clock = FakeClock()
        self.accounts = Held()
        self.relay = Upstream()
        self.notes = Notes()
        drawer: Any = Drawer(self.notes)
        self.leases = Leases(drawer)
        parts: dict[str, Any] = {"accounts": self.accounts, "relay": self.relay, "audit": self.notes}
        self.opening = Opening(**parts, tickets=drawer, leases=self.leases, clock=self.clock)
        self.opening.configure(Config(vault=VaultConfig(lock_after=minutes)))

    async def pass_by(self, *seconds: float) -> bool:
        """So long, one after the other. Whether it is locked then."""
        for each in seconds:
            self.clock.advance(each)
            await settle()
        return self.accounts.locked

    def ask(self, asked: Request) -> None:
        self.opening.check(asked)


@asynccontextmanager
async def alone(minutes: int = 5) -> AsyncIterator[Alone]:
    one = Alone(minutes)
    async with anyio.create_task_group() as tasks:
        await tasks.start(one.opening.run)
        await settle()
        yield one
        tasks.cancel_scope.cancel()


async def test_after_the_time_without_a_request_it_locks_and_says_so_in_the_log() -> None:
    async with alone(minutes=5) as one:
        assert not await one.pass_by(100, 100, 99)
        assert await one.pass_by(2)
        ((what, ok, _, detail),) = one.notes.said()
        assert (what, ok, detail) == ("lock", True, "nobody asked for anything for 5 minutes")


async def test_a_request_begins_the_time_anew_and_one_that_needs_no_vault_does_not() -> None:
    async with alone(minutes=5) as one:
        await one.pass_by(200, 80)
        one.ask(requests.Accounts())
        assert not await one.pass_by(LOOK, 200, 30)
        for asked in (requests.Hello(), requests.Status(), requests.Unlock()):
            one.ask(asked)
        assert await one.pass_by(40, LOOK)


@pytest.mark.parametrize("what", ["a relayed call", "a request"])
async def test_what_is_under_way_keeps_it_open_however_long_and_then_the_time_begins(what: str) -> None:
    async with alone(minutes=5) as one:
        with one.leases.on("") if what == "a request" else nullcontext():
            one.relay.busy = what == "a relayed call"
            assert not await one.pass_by(400, 4000)
            one.relay.busy = False
        assert not await one.pass_by(200, 99), "not earlier than the time after its end"
        assert await one.pass_by(2, LOOK, 200)


async def test_a_call_that_begins_and_ends_between_two_looks_counts() -> None:
    async with alone(minutes=5) as one:
        await one.pass_by(290)
        one.relay.begun += 1
        assert not await one.pass_by(9, 200, 90)


async def test_locked_once_it_waits_for_the_unlock_and_then_counts_again() -> None:
    async with alone(minutes=1) as one:
        assert await one.pass_by(30, 31)
        assert one.clock.pauses[-1] is None, "no timer while there is nothing to lock"
        await one.opening.unlock(requests.Unlock(passphrase=PASSPHRASE))
        assert not await one.pass_by(30, 29)
        assert await one.pass_by(2, LOOK)


async def test_no_nap_is_longer_than_the_machine_may_have_slept_unseen() -> None:
    async with alone(minutes=600) as one:
        await one.pass_by(1)
        assert {pause for pause in one.clock.pauses if pause} == {LOOK}
        one.clock.sleep(36_000)  # timers stand still
        assert await one.pass_by(LOOK)


async def test_without_that_key_in_the_config_it_never_locks_by_itself_and_has_no_timer() -> None:
    async with alone(minutes=0) as one:
        assert not await one.pass_by(100_000)
        assert set(one.clock.pauses) == {None}


async def test_a_reload_with_another_time_counts_from_then() -> None:
    async with alone(minutes=0) as one:
        await one.pass_by(1000)
        one.opening.configure(Config(vault=VaultConfig(lock_after=1)))
        await settle()
        assert not await one.pass_by(30, 29)
        assert await one.pass_by(2, LOOK)


async def test_a_defect_in_a_lock_by_itself_ends_nothing_and_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with alone(minutes=1) as one:
        monkeypatch.setattr(one.accounts, "lock", None)
        await one.pass_by(30, 31)
        assert one.notes.said() == [("lock", False, "", "a defect in aixtiv; the daemon's log says where")]
        monkeypatch.undo()
        assert await one.pass_by(40, 30, LOOK)


async def test_where_locking_would_lose_something_it_says_so_and_tries_again_after_the_time() -> None:
    async with alone(minutes=1) as one:
        one.accounts.refuse_to_lock = 1
        assert not await one.pass_by(30, 31)
        assert [note[:2] for note in one.notes.said()] == [("lock", False)]
        assert not await one.pass_by(30, 29)
        assert await one.pass_by(2, LOOK)
        assert [note[:2] for note in one.notes.said()] == [("lock", False), ("lock", True)]
