"""When the daemon ends by itself, and all that keeps it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from aixtivd.config import ClaudeConfig, Config, ServiceConfig
from aixtivd.host.address import Address
from aixtivd.ipc.quiet import Quiet, startable
from peers.clock import FakeClock

TEN = Config(service=ServiceConfig(idle_exit=10))


class House:
    """The parts that are looked at, and a clock that a test moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.listener = SimpleNamespace(begun=0, open=False)
        self.gateway = SimpleNamespace(begun=0, open=False)
        self.accounts = SimpleNamespace(due=lambda: False)
        self.tickets = SimpleNamespace(held=False)
        self.vault = SimpleNamespace(locked=False, key_source="file", spilled=0)
        self.ended = False
        self.startable = True
        parts = (self.listener, self.gateway, self.accounts, self.tickets, self.vault, self.clock)
        self.quiet: Quiet = cast("Any", Quiet)(*parts, lambda config: self.startable, self._end)

    def _end(self) -> None:
        self.ended = True

    async def pass_minutes(self, minutes: float) -> None:
        """In steps, as time goes by: a look falls into each."""
        for _ in range(int(minutes * 2)):
            self.clock.advance(30)
            for _ in range(8):  # turns of the loop, in which it looks; `settle` takes a tenth of a second
                await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def house(config: Config = TEN) -> AsyncIterator[House]:
    made = House()
    made.quiet.configure(config)
    async with anyio.create_task_group() as tasks:
        await tasks.start(made.quiet.run)
        yield made
        tasks.cancel_scope.cancel()


async def test_after_so_many_minutes_without_a_caller_it_ends_and_not_before() -> None:
    async with house() as made:
        await made.pass_minutes(9.5)
        assert not made.ended
        await made.pass_minutes(1)
        assert made.ended


async def test_without_a_limit_there_is_no_timer() -> None:
    async with house(Config()) as made:
        await made.pass_minutes(20)
        assert not made.ended
        assert set(made.clock.pauses) == {None}


NEEDS: list[tuple[str, Callable[[House], None], Callable[[House], None]]] = [
    (
        "a conversation",
        lambda made: vars(made.listener).update(open=True),
        lambda made: vars(made.listener).update(open=False),
    ),
    ("an SDK", lambda made: vars(made.gateway).update(open=True), lambda made: vars(made.gateway).update(open=False)),
    (
        "a planned refresh",
        lambda made: vars(made.accounts).update(due=lambda: True),
        lambda made: vars(made.accounts).update(due=lambda: False),
    ),
    (
        "a living holder",
        lambda made: vars(made.tickets).update(held=True),
        lambda made: vars(made.tickets).update(held=False),
    ),
    (
        "a spilled pair",
        lambda made: vars(made.vault).update(spilled=1),
        lambda made: vars(made.vault).update(spilled=0),
    ),
    (
        "an open vault with a passphrase",
        lambda made: vars(made.vault).update(key_source="passphrase"),
        lambda made: vars(made.vault).update(locked=True),
    ),
]


@pytest.mark.parametrize(("begin", "end"), [need[1:] for need in NEEDS], ids=[need[0] for need in NEEDS])
async def test_whatever_needs_it_keeps_it_and_the_time_counts_from_its_end(
    begin: Callable[[House], None], end: Callable[[House], None]
) -> None:
    async with house() as made:
        begin(made)
        await made.pass_minutes(12)
        assert not made.ended
        end(made)
        await made.pass_minutes(9)
        assert not made.ended
        await made.pass_minutes(2)
        assert made.ended


@pytest.mark.parametrize("door", ["listener", "gateway"])
async def test_who_came_and_left_between_two_looks_has_been_there(door: str) -> None:
    async with house() as made:
        await made.pass_minutes(9.5)
        getattr(made, door).begun += 1
        await made.pass_minutes(9)
        assert not made.ended
        await made.pass_minutes(2)
        assert made.ended


async def test_a_reload_begins_anew_and_may_end_it_all() -> None:
    async with house() as made:
        await made.pass_minutes(9.5)
        made.quiet.configure(TEN)
        await made.pass_minutes(9.5)
        assert not made.ended
        made.quiet.configure(Config())
        await made.pass_minutes(20)
        assert not made.ended


async def test_the_machines_sleep_counts() -> None:
    """Nobody came meanwhile, and the next look finds that."""
    async with house() as made:
        made.clock.sleep(3600)
        await made.pass_minutes(1)  # in which the timer of the next look ends
        assert made.ended


async def test_where_nobody_would_start_it_again_it_stays_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    made = House()
    made.startable = False
    made.quiet.configure(TEN)
    assert [record.message for record in caplog.records] == ["idle-exit-off"]
    assert made.quiet._nap() is None


@pytest.mark.parametrize(
    ("inode", "environ", "port", "expected"),
    [
        (None, {}, 0, True),
        (None, {}, 8787, True),
        ((1, 2), {}, 0, False),
        ((1, 2), {"AIXTIV_STARTED_BY": "command"}, 0, True),
        ((1, 2), {"AIXTIV_STARTED_BY": "command"}, 8787, False),
        ((1, 2), {"AIXTIV_STARTED_BY": "somebody"}, 0, False),
    ],
)
def test_who_would_start_it_again(
    inode: tuple[int, int] | None, environ: dict[str, str], port: int, expected: bool
) -> None:
    address = Address(socket=cast("Any", None), path=Path("/run/s"), inode=inode)
    assert startable(address, environ)(Config(claude=ClaudeConfig(port=port))) is expected
