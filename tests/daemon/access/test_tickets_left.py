"""Tickets that one daemon leaves to the next in the same process: good as long as their holder, and nobody else's."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

from aixtivd.access import presence
from aixtivd.access.bequest import LeftTicket
from peers.clock import FakeClock, limit
from peers.office import office

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel")


async def test_one_that_a_process_holds_goes_on_and_ends_with_it(folder: Path, child: subprocess.Popen[bytes]) -> None:
    clock = FakeClock()
    async with office(folder, clock) as before:
        held, ticket = await before.make(pid=child.pid, ttl=600)
        before.tickets.check(ticket, "relay")
        left = before.tickets.left()
        (shown,) = before.tickets.shown()
    async with office(folder, clock) as after:
        await after.tickets.inherit(left)
        assert after.tickets.check(ticket, "relay") == held
        assert after.tickets.shown() == (shown,)
        assert after.tickets.held
        child.kill()
        async with limit(10):
            await after.heard.wait()
        assert after.refusal(ticket) == "that ticket is no longer good: the process that held it has ended"
        assert not after.tickets.held


async def test_its_time_goes_on_too(folder: Path) -> None:
    clock = FakeClock()
    async with office(folder, clock) as before:
        _, ticket = await before.make(ttl=600)
        left = before.tickets.left()
    clock.advance(599)
    async with office(folder, clock) as after:
        await after.tickets.inherit(left)
        after.tickets.check(ticket, "relay")
        clock.advance(1)
        assert after.refusal(ticket) == "that ticket is no longer good: it has expired"


async def test_whose_holder_ended_meanwhile_has_ended(folder: Path, child: subprocess.Popen[bytes]) -> None:
    async with office(folder) as before:
        _, ticket = await before.make(pid=child.pid)
        left = before.tickets.left()
    child.kill()
    child.wait()
    async with office(folder) as after:
        await after.tickets.inherit(left)
        assert after.tickets.shown() == ()
        assert "ended while the daemon was restarted" in after.refusal(ticket)


@pytest.mark.parametrize("started", ["1", ""], ids=["another process of that number", "a sandbox hid it"])
async def test_a_holder_that_cannot_be_told_again_holds_nothing(folder: Path, started: str) -> None:
    async with office(folder) as before:
        _, ticket = await before.make()
        (left,) = before.tickets.left()
    found = msgspec.structs.replace(msgspec.msgpack.decode(left, type=LeftTicket), started=started)
    async with office(folder) as after:
        await after.tickets.inherit([msgspec.msgpack.encode(found)])
        assert after.tickets.shown() == ()
        assert "ended while the daemon was restarted" in after.refusal(ticket)


async def test_what_the_vault_keeps_is_not_left_and_comes_from_there(folder: Path) -> None:
    async with office(folder) as before:
        _, ticket = await before.make(holder="none")
        assert before.tickets.left() == ()
        assert not before.tickets.held
    async with office(folder) as after:
        after.tickets.check(ticket, "relay")


async def test_what_the_vault_could_not_keep_is_left(folder: Path) -> None:
    async with office(folder) as before:
        _, ticket = await before.make(holder="none", ttl=600)
        before.tickets._unsaved = True
        assert before.tickets.held
        left = before.tickets.left()
    async with office(folder, started=False) as after:  # locked: nothing came from the vault
        await after.tickets.inherit(left)
        after.tickets.check(ticket, "relay")


async def test_what_another_version_wrote_is_left_behind(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with office(folder) as after:
        await after.tickets.inherit([b"\xc1", msgspec.msgpack.encode([1])])
        assert after.tickets.shown() == ()
    assert [record.message for record in caplog.records if record.name == "aixtivd"].count("ticket-left-behind") == 2


async def test_when_a_process_began_is_known_while_it_is_watched(child: subprocess.Popen[bytes]) -> None:
    watch = presence.Presence(FakeClock())
    assert watch.started(child.pid) == ""
    release = await watch.watch(child.pid, 0.0, lambda: None)
    found = await anyio.to_thread.run_sync(presence.process, child.pid)
    assert found
    assert watch.started(child.pid) == found.started
    with pytest.raises(presence.Gone):
        await watch.watch(child.pid, 0.0, lambda: None, "1")
    assert watch.started(os.getpid()) == ""
    release()
    watch.close()
